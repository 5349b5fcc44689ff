"""Embed and rank in both frameworks against the emulator."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import TextBlock
from llama_index.core.schema import ImageNode, MediaResource, Node, NodeWithScore
from PIL import Image

from langchain_qwenvl import QwenVLEmbeddings, QwenVLReranker
from llama_index_qwenvl import QwenVLEmbedding, QwenVLRerank
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLContentFilterError,
    QwenVLError,
    QwenVLInputError,
    QwenVLMissingKeyError,
)
from tests.emulator import Emulator, Fault

EMBEDDERS = (QwenVLEmbeddings, QwenVLEmbedding)
RERANKERS = (QwenVLReranker, QwenVLRerank)
per_embedder = pytest.mark.parametrize("embedder", EMBEDDERS)
per_reranker = pytest.mark.parametrize("reranker", RERANKERS)
per_mode = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


def make(cls: Any, emulator: Emulator, **keywords: Any) -> Any:
    return cls(**{"api_key": "sk-test", "base_url": emulator.compat_url, "max_retries": 0, **keywords})


def embed(model: Any, items: list[Any], *, is_async: bool) -> list[list[float]]:
    return asyncio.run(model.aembed(items)) if is_async else model.embed(items)


def make_picture(colour: str = "red") -> Image.Image:
    return Image.new("RGB", (64, 64), colour)


def encode_picture(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    make_picture(colour).save(buffer, format="PNG")
    return buffer.getvalue()


@per_embedder
@per_mode
def test_embed_returns_vectors_in_order_with_fewest_requests(embedder: Any, emulator: Emulator, is_async: bool) -> None:
    model = make(embedder, emulator, dimensions=256)
    items = [item for index in range(20) for item in (f"text {index}", make_picture(), f"more {index}")]
    vectors = embed(model, items, is_async=is_async)
    assert len(emulator.requests) == 4  # 20 images, 5 in each
    assert [len(vector) for vector in vectors] == [256] * 60
    assert vectors[0] == model.embed(["text 0"])[0]
    assert vectors[1] == vectors[4]
    assert model.usage.requests == 5
    assert model.usage.total_tokens == model.usage.input_tokens + 10
    assert emulator.refusals == []


@per_embedder
@per_mode
def test_embed_sends_media_in_every_form(embedder: Any, emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_picture())
    model = make(embedder, emulator)
    vectors = embed(
        model, [path, encode_picture(), make_picture(), io.BytesIO(encode_picture()), ["red", path]], is_async=is_async
    )
    assert vectors[0] == vectors[1] == vectors[3]
    assert vectors[4] != vectors[0]
    bodies = [request.json for request in emulator.requests]
    assert sorted(len(body["input"]["contents"]) for body in bodies) == [2, 4]
    fused = next(body for body in bodies if len(body["input"]["contents"]) == 2)
    assert fused["parameters"] == {"enable_fusion": True}


@per_embedder
def test_instruct_goes_with_queries_only(embedder: Any, emulator: Emulator) -> None:
    model = make(embedder, emulator, instruct="find the page")
    query = model.embed_query if embedder is QwenVLEmbeddings else model.get_query_embedding
    documents = model.embed_documents if embedder is QwenVLEmbeddings else model.get_text_embedding_batch
    query("q")
    documents(["d"])
    model.embed(["i"])
    parameters = [request.json["parameters"] for request in emulator.requests]
    assert parameters == [{"instruct": "find the page"}, {}, {}]


@per_embedder
@per_mode
def test_text_only_model_uses_its_own_endpoint(embedder: Any, emulator: Emulator, is_async: bool) -> None:
    model = make(embedder, emulator, model="text-embedding-v4", dimensions=64)
    assert len(embed(model, [f"t{index}" for index in range(25)], is_async=is_async)) == 25
    assert len(emulator.requests) == 3
    assert emulator.refusals == []
    with pytest.raises(QwenVLInputError, match=r"items\[1\].*qwen3-vl-embedding"):
        embed(model, ["a", make_picture()], is_async=is_async)


@per_embedder
@per_mode
def test_empty_input_costs_no_request(embedder: Any, emulator: Emulator, is_async: bool) -> None:
    assert embed(make(embedder, emulator), [], is_async=is_async) == []
    assert emulator.requests == []


@per_embedder
@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["a", ""], r"items\[1\].*empty"),
        (["a", b"no image"], r"items\[1\].*not an image"),
        ([3], r"items\[0\].*unsupported"),
        ([["a", ["b"]]], r"items\[0\]\[1\].*a list within"),
        ("text", "pass a list"),
        (None, "pass a list of items, not one NoneType"),
        ({"type": "text", "text": "a"}, "pass a list of items, not one dict"),
        (TextBlock(text="a"), "pass a list of items, not one TextBlock"),
        (Path("a.png"), "pass a list of items"),
        ([Path("missing.png")], r"items\[0\].*missing.png"),
        (["a", Path(__file__)], r"items\[1\].*this file is text"),
        ([{"type": "video", "video": ["a.png", "b.png"]}], r"items\[0\]"),
    ],
)
def test_bad_item_names_its_index_before_any_request(embedder: Any, emulator: Emulator, items: Any, words: str) -> None:
    with pytest.raises(QwenVLInputError, match=words):
        make(embedder, emulator).embed(items)
    assert emulator.requests == []


@per_embedder
@per_mode
@pytest.mark.parametrize("alteration", ["missing", "doubled", "null", "short"])
def test_incomplete_reply_raises(embedder: Any, emulator: Emulator, is_async: bool, alteration: str) -> None:
    def alter(payload: Any) -> Any:
        rows = payload["output"]["embeddings"]
        match alteration:
            case "missing":
                rows.pop()
            case "doubled":
                rows.append(rows[0])
            case "null":
                rows[0]["embedding"] = None
            case "short":
                rows[0]["embedding"].pop()
        return payload

    emulator.alter_retrieval = alter
    with pytest.raises(QwenVLAPIError, match="does not answer"):
        embed(make(embedder, emulator), ["a", "b"], is_async=is_async)


@per_embedder
@per_mode
def test_error_in_a_reply_of_status_200_raises_with_code(embedder: Any, emulator: Emulator, is_async: bool) -> None:
    error = {"code": "DataInspectionFailed", "message": "Input data may contain bad content.", "request_id": "r-1"}
    emulator.alter_retrieval = lambda payload: error
    with pytest.raises(QwenVLContentFilterError, match="bad content") as caught:
        embed(make(embedder, emulator), ["a"], is_async=is_async)
    assert (caught.value.code, caught.value.request_id) == ("DataInspectionFailed", "r-1")


@per_embedder
@per_mode
def test_rate_limit_in_a_reply_of_status_200_is_repeated(
    embedder: Any, emulator: Emulator, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenvl_core.transport.retry._FIRST_DELAY", 0.0)
    errors = [{"code": "Throttling.RateQuota", "message": "Slow down."}]
    emulator.alter_retrieval = lambda payload: errors.pop() if errors else payload
    assert len(embed(make(embedder, emulator, max_retries=1), ["a"], is_async=is_async)) == 1
    assert len(emulator.requests) == 2


@per_embedder
@per_mode
def test_failed_request_is_repeated_and_no_other_begins_after_an_error(
    embedder: Any, emulator: Emulator, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenvl_core.transport.retry._FIRST_DELAY", 0.0)
    emulator.retrieval_faults.append(Fault(status=503))
    assert len(embed(make(embedder, emulator, max_retries=2), ["a"], is_async=is_async)) == 1
    emulator.reset()
    emulator.retrieval_faults.append(Fault(status=400))
    model = make(embedder, emulator, max_concurrency=1)
    with pytest.raises(QwenVLError):
        embed(model, [f"t{index}" for index in range(100)], is_async=is_async)
    assert len(emulator.requests) == 1


@per_embedder
def test_large_image_and_local_video_are_uploaded_once(embedder: Any, emulator: Emulator, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(1000))
    model = make(embedder, emulator)
    model.embed([video])
    model.embed([["a", video]])
    assert len(emulator.uploads) == 1
    assert emulator.refusals == []
    with pytest.raises(QwenVLInputError, match='upload="never"'):
        make(embedder, emulator, upload="never").embed([video])


@per_embedder
@per_mode
def test_upload_that_the_service_lost_is_repeated_within_the_call(
    embedder: Any, emulator: Emulator, is_async: bool, tmp_path: Path
) -> None:
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(1000))
    model = make(embedder, emulator)
    first = embed(model, [video], is_async=is_async)
    emulator.uploads.clear()
    assert embed(model, [video], is_async=is_async) == first
    assert len(emulator.uploads) == 1
    assert len(emulator.refusals) == 1  # of the first attempt of the second call


@per_embedder
def test_region_and_dimensions_outside_the_row_raise_before_sending(embedder: Any) -> None:
    with pytest.raises(QwenVLInputError, match="not offered in region ap-southeast-1"):
        embedder(api_key="k", region="singapore").embed(["a"])
    with pytest.raises(QwenVLInputError, match="dimensions=7"):
        embedder(api_key="k", dimensions=7).embed(["a"])


@per_embedder
def test_key_of_environment_goes_to_the_vendor_only(
    embedder: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-environment")
    with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY"):
        embedder(base_url=emulator.compat_url).embed(["a"])
    assert emulator.requests == []
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    assert len(embedder().embed(["a"])) == 1


@pytest.mark.parametrize("cls", [*EMBEDDERS, *RERANKERS])
def test_copies_and_pickles_carry_settings_without_key(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-environment")
    model = cls(api_key="sk-explicit", instruct="find", timeout=5)
    assert "sk-" not in repr(model)
    for twin in (copy.copy(model), copy.deepcopy(model), model.model_copy()):
        assert (twin.instruct, twin.api_key.get_secret_value()) == ("find", "sk-explicit")
    data = pickle.dumps(model)
    assert b"sk-explicit" not in data
    loaded = pickle.loads(data)
    assert (loaded.instruct, loaded.timeout, loaded.api_key.get_secret_value()) == ("find", 5, "sk-environment")


@pytest.mark.parametrize("copy_model", [copy.copy, copy.deepcopy, lambda model: model.model_copy(update={"fps": 1.0})])
def test_copy_counts_its_own_usage_over_the_same_connection(copy_model: Any, emulator: Emulator) -> None:
    model = make(QwenVLEmbeddings, emulator)
    model.embed(["a"])
    twin = copy_model(model)
    twin.embed(["a"])
    twin.embed(["b"])
    assert (model.usage.requests, twin.usage.requests) == (1, 2)
    assert emulator.connections == 1


def test_forked_child_has_slots_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that a thread of the parent holds would never become free there."""
    model = QwenVLEmbeddings(api_key="k", max_concurrency=1)
    runner = model._get_runner(1)
    assert model._get_runner(1) is runner
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert model._get_runner(1) is not runner


@pytest.mark.parametrize("cls", [*EMBEDDERS, *RERANKERS])
def test_unknown_keyword_raises(cls: Any) -> None:
    with pytest.raises(ValueError, match="dimension_count"):
        cls(api_key="k", dimension_count=3)


@per_embedder
def test_dimension_in_extra_body_is_the_length_of_the_vectors(embedder: Any, emulator: Emulator) -> None:
    model = make(embedder, emulator, extra_body={"dimension": 512})
    assert [len(vector) for vector in model.embed(["a"])] == [512]
    assert model.identity == make(embedder, emulator, dimensions=512).identity


@per_embedder
def test_identity_depends_on_model_dimensions_and_instruct(embedder: Any) -> None:
    identities = {
        embedder(api_key="k", **keywords).identity
        for keywords in ({}, {"dimensions": 512}, {"instruct": "find"}, {"model": "org/other"})
    }
    assert len(identities) == 4
    assert embedder(api_key="k").identity.startswith("qwen3-vl-embedding-2560-")
    assert not any("/" in identity for identity in identities)


@per_reranker
@per_mode
def test_rerank_orders_texts_and_pictures_by_score(reranker: Any, emulator: Emulator, is_async: bool) -> None:
    emulator.eyes.learn(encode_picture(), "a total paid receipt")
    model = make(reranker, emulator)
    items = ["nothing", encode_picture(), "paid", "else"]
    ranked = asyncio.run(model.arerank("total paid", items)) if is_async else model.rerank("total paid", items)
    assert [row.index for row in ranked] == [1, 2, 0, 3]
    assert [row.index for row in model.rerank("total paid", items, top_n=1)] == [1]
    assert model.rerank("q", []) == []
    assert emulator.refusals == []


@per_reranker
def test_rerank_over_the_limit_raises_before_sending(reranker: Any, emulator: Emulator) -> None:
    with pytest.raises(QwenVLInputError, match=r"101 texts.*at most 100"):
        make(reranker, emulator).rerank("q", ["t"] * 101)
    with pytest.raises(QwenVLInputError, match="retired"):
        make(reranker, emulator, model="gte-rerank").rerank("q", ["t"])
    assert emulator.requests == []


@per_reranker
def test_flat_reranker_uses_its_own_endpoint(reranker: Any, emulator: Emulator) -> None:
    ranked = make(reranker, emulator, model="qwen3-rerank", top_n=2).rerank("b", ["a", "b", "c"])
    assert [row.index for row in ranked] == [1, 0]
    assert emulator.requests[0].route == "/compatible-api/v1/reranks"
    assert emulator.refusals == []


@pytest.mark.parametrize("url", ["file://{}", "{}"])
@pytest.mark.parametrize("field", ["image_url", "image_resource"])
def test_path_in_url_of_node_is_a_string(url: str, field: str, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode_picture())
    text = url.format(path)
    node: Any = ImageNode.model_construct(image_url=text)  # LlamaIndex's validation takes URLs only
    if field == "image_resource":
        node = Node.model_construct(image_resource=MediaResource.model_construct(url=text))
    for local_files in (None, False, str(tmp_path / "other")):
        with pytest.raises(QwenVLInputError, match="is not read"):
            make(QwenVLEmbedding, emulator, local_files=local_files)([node])
        rerank = make(QwenVLRerank, emulator, local_files=local_files)
        with pytest.raises(QwenVLInputError, match="is not read"):
            rerank.postprocess_nodes([NodeWithScore(node=node)], query_str="a")
    assert emulator.requests == []
    assert make(QwenVLEmbedding, emulator, local_files=tmp_path)([node])[0].embedding
