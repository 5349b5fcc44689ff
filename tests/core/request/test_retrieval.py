"""Validate and pack what is embedded or ranked."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwenvl_core.catalog.retrieval_models import (
    EMBEDDING_MODELS,
    RERANKERS,
    describe_embedding_model,
    describe_reranker,
)
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import retrieval_validation as validation
from qwenvl_core.request.retrieval_packing import pack_items
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart, VideoPart
from qwenvl_core.types.retrieval import EmbeddingSettings, Item, ItemPart, RerankSettings
from tests.support.media_files import png_header

TEXT = TextPart("a")
IMAGE = ImagePart(UrlSource("https://a/i.png"))
VIDEO = VideoPart(UrlSource("https://a/v.mp4"))


def make_items(*groups: tuple[ItemPart, ...]) -> list[Item]:
    return [Item(parts, f"items[{index}]") for index, parts in enumerate(groups)]


def check(model: str, *groups: tuple[ItemPart, ...], **settings: Any) -> None:
    facts = describe_embedding_model(model)
    validation.check_embedding(make_items(*groups), EmbeddingSettings(model=model, **settings), facts)


@pytest.mark.parametrize(
    ("model", "groups", "settings", "words"),
    [
        ("qwen3-vl-embedding", [(TEXT,), (TextPart("  "),)], {}, r"items\[1\].*empty"),
        ("qwen3-vl-embedding", [(TEXT,), ()], {}, r"items\[1\].*empty list"),
        ("qwen3-vl-embedding", [(TEXT,), (TextPart("ab\ud800"),)], {}, r"items\[1\]: character 2 .*ud800.*surrogate"),
        ("  ", [(TEXT,)], {}, "model='  ' is invalid"),
        ("qwen3-vl-embedding", [(TEXT, *5 * [IMAGE], IMAGE)], {}, "6 images.*at most 5"),
        ("qwen3-vl-embedding", [(VIDEO, VIDEO)], {}, "2 videos.*at most 1"),
        ("qwen3-vl-embedding", [tuple(21 * [TEXT])], {}, "21 elements.*at most 20"),
        ("qwen3-vl-embedding", [(TEXT,)], {"dimensions": 7}, "dimensions=7.*2560"),
        ("qwen3-vl-embedding", [(TEXT,)], {"dimensions": 0}, "above 0"),
        ("qwen3-vl-embedding", [(TEXT,)], {"fps": 1.5}, "from 0 to 1"),
        ("qwen2.5-vl-embedding", [(TEXT, TEXT)], {}, "2 texts.*at most 1"),
        ("multimodal-embedding-v1", [(TEXT, IMAGE)], {}, "fuses nothing"),
        ("multimodal-embedding-v1", [(TEXT,)], {"fps": 0.5}, "fps=0.5"),
        ("tongyi-embedding-vision-plus", [(TEXT, IMAGE)], {}, "several images only"),
        ("tongyi-embedding-vision-plus", [tuple(9 * [IMAGE])], {}, "9 images.*at most 8"),
        ("tongyi-embedding-vision-plus", [(TEXT,)], {"instruct": "x"}, "takes no instruction"),
        ("text-embedding-v4", [(TEXT,), (IMAGE,)], {}, r"items\[1\].*does not take images.*qwen3-vl-embedding"),
        ("text-embedding-v4", [(VIDEO,)], {}, "does not take videos"),
        ("text-embedding-v3", [(TEXT,)], {"dimensions": 2048}, "dimensions=2048"),
    ],
)
def test_check_embedding_of_bad_input_names_place_and_limit(model: str, groups: Any, settings: Any, words: str) -> None:
    with pytest.raises(QwenVLInputError, match=words):
        check(model, *groups, **settings)


def test_check_embedding_of_unknown_model_enforces_no_dimensions() -> None:
    check("qwen4-vl-embedding", (TEXT, IMAGE), dimensions=7)


def test_check_embedding_of_local_media_names_index(tmp_path: Path) -> None:
    header, limit = png_header(64, 64), 3 * 1024**2
    for size in (limit - 1, limit):
        fits = ImagePart(InlineSource(header + bytes(size - len(header))), location="items[0]")
        check("tongyi-embedding-vision-plus", (fits,))
    big = InlineSource(header + bytes(limit + 1 - len(header)))
    with pytest.raises(QwenVLInputError, match=r"items\[1\].*3 MB"):
        check("tongyi-embedding-vision-plus", (TEXT,), (ImagePart(big, location="items[1]"),))
    with pytest.raises(QwenVLInputError, match=r"items\[0\]: can't read"):
        check("qwen3-vl-embedding", (ImagePart(FileSource(tmp_path / "none.png"), location="items[0]"),))
    with pytest.raises(QwenVLInputError, match=r"items\[0\]: this is not an image"):
        check("qwen3-vl-embedding", (ImagePart(InlineSource(b"text"), location="items[0]"),))


@pytest.mark.parametrize(
    ("model", "documents", "settings", "words"),
    [
        ("qwen3-vl-rerank", 101 * [(TEXT,)], {}, "101 texts.*at most 100"),
        ("qwen3-vl-rerank", 41 * [(IMAGE,)], {}, "41 images.*at most 40"),
        ("qwen3-vl-rerank", 5 * [(VIDEO,)], {}, "5 videos.*at most 4"),
        ("qwen3-vl-rerank", [(TEXT, IMAGE)], {}, r"items\[0\].*not a list"),
        ("qwen3-vl-rerank", [(TextPart(""),)], {}, r"items\[0\].*empty"),
        ("qwen3-vl-rerank", [(TEXT,)], {"top_n": 0}, "top_n=0"),
        ("qwen3-vl-rerank", [(TEXT,)], {"top_n": "2"}, "top_n='2'.*whole number"),
        ("qwen3-vl-rerank", [(TEXT,)], {"top_n": True}, "top_n=True.*whole number"),
        ("qwen3-rerank", [(IMAGE,)], {}, "does not take images.*qwen3-vl-rerank"),
        ("qwen3-rerank", [(TEXT,)], {"fps": 0.5}, "fps"),
        ("gte-rerank", [(TEXT,)], {}, "retired.*qwen3-vl-rerank"),
    ],
)
def test_check_rerank_of_bad_input_names_place_and_limit(model: str, documents: Any, settings: Any, words: str) -> None:
    query = Item((TEXT,), "query")
    with pytest.raises(QwenVLInputError, match=words):
        validation.check_rerank(
            query, make_items(*documents), RerankSettings(model=model, **settings), describe_reranker(model)
        )


def test_check_region_outside_row_names_regions() -> None:
    facts = describe_embedding_model("qwen3-vl-embedding")
    validation.check_region("beijing", facts)
    validation.check_region(None, facts)
    with pytest.raises(QwenVLInputError, match=r"not offered in region ap-southeast-1.*cn-beijing"):
        validation.check_region("singapore", facts)


@settings(max_examples=50)
@given(st.tuples(*[st.integers(0, 45)] * 4))
@example((20, 0, 0, 0))
@example((21, 0, 0, 0))
@example((28, 10, 2, 0))
@example((29, 10, 2, 1))
def test_pack_items_needs_minimal_number_of_requests_within_the_limits(counts: tuple[int, ...]) -> None:
    facts = describe_embedding_model("qwen3-vl-embedding")
    kinds = ((TEXT,), (IMAGE,), (VIDEO,), (TEXT, IMAGE))
    groups: list[tuple[Any, ...]] = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    Random(sum(counts)).shuffle(groups)
    items = make_items(*groups)
    packed = pack_items(items, facts)
    assert sorted(index for indices in packed for index in indices) == list(range(len(items)))
    fused = sum(item.is_fused for item in items)
    single = [item for item in items if not item.is_fused]
    images, videos = (sum(item.count(kind) for item in single) for kind in (ImagePart, VideoPart))
    assert len(packed) - fused == max(math.ceil(len(single) / 20), math.ceil(images / 5), videos)
    for indices in packed:
        assert indices == sorted(indices)
        if not items[indices[0]].is_fused:
            assert len(indices) <= 20
            assert sum(items[index].count(ImagePart) for index in indices) <= 5
            assert sum(items[index].count(VideoPart) for index in indices) <= 1


def test_pack_items_of_model_that_always_fuses_sends_each_alone() -> None:
    assert pack_items(make_items((TEXT,), (IMAGE,)), describe_embedding_model("qwen2.5-vl-embedding")) == [[0], [1]]


def test_pack_items_of_content_fusion_packs_fused_items() -> None:
    facts = describe_embedding_model("tongyi-embedding-vision-plus-2026-03-06")
    assert pack_items(make_items((TEXT, IMAGE), (TEXT,), (IMAGE,)), facts) == [[0, 1, 2]]


def test_rows_state_their_source_and_names_match_with_dates() -> None:
    assert all(facts.source for facts in EMBEDDING_MODELS)
    assert all(facts.source for facts in RERANKERS)
    assert describe_embedding_model(" Qwen3-VL-Embedding ").name == "qwen3-vl-embedding"
    assert describe_embedding_model("text-embedding-v4-2026").name == "text-embedding-v4"
    assert describe_embedding_model("tongyi-embedding-vision-plus-2026-03-06").fusion == "content"
    assert not describe_reranker("other-rerank").known
    assert describe_reranker("gte-rerank-v2").retired is None
