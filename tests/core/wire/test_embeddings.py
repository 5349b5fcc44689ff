"""Encode requests for vectors, and read the replies."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from qwenvl_core.catalog.retrieval_models import describe_embedding_model
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLContentFilterError,
    QwenVLError,
    QwenVLRateLimitError,
)
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart, VideoPart
from qwenvl_core.types.retrieval import EmbeddingSettings, Item, ItemPart, RetrievalUsage
from qwenvl_core.wire import embeddings
from qwenvl_core.wire.retrieval_fields import parse_reply

A = TextPart("a")
B = TextPart("b")
IMAGE = ImagePart(UrlSource("https://a/i.png"))
OTHER_IMAGE = ImagePart(UrlSource("https://a/j.png"))
VIDEO = VideoPart(UrlSource("https://a/v.mp4"))


def make_items(*groups: tuple[ItemPart, ...]) -> list[Item]:
    return [Item(parts, f"items[{index}]") for index, parts in enumerate(groups)]


def encode(model: str, *groups: tuple[ItemPart, ...], **settings: Any) -> Any:
    facts = describe_embedding_model(model)
    return embeddings.encode(make_items(*groups), EmbeddingSettings(model=model, **settings), facts)


@pytest.mark.parametrize(
    ("model", "groups", "settings", "content", "parameters"),
    [
        (
            "qwen3-vl-embedding",
            [(A,), (IMAGE,), (VIDEO,)],
            {"dimensions": 512, "fps": 0.5, "instruct": "find"},
            {"contents": [{"text": "a"}, {"image": "https://a/i.png"}, {"video": "https://a/v.mp4"}]},
            {"dimension": 512, "fps": 0.5},
        ),
        (
            "qwen3-vl-embedding",
            [(A,)],
            {"instruct": "find", "is_query": True},
            {"contents": [{"text": "a"}]},
            {"instruct": "find"},
        ),
        (
            "qwen3-vl-embedding",
            [(A, IMAGE)],
            {},
            {"contents": [{"text": "a"}, {"image": "https://a/i.png"}]},
            {"enable_fusion": True},
        ),
        (
            "qwen2.5-vl-embedding",
            [(A, IMAGE)],
            {},
            {"contents": [{"text": "a"}, {"image": "https://a/i.png"}]},
            {},
        ),
        (
            "tongyi-embedding-vision-plus",
            [(IMAGE, OTHER_IMAGE), (A,)],
            {},
            {"contents": [{"multi_images": ["https://a/i.png", "https://a/j.png"]}, {"text": "a"}]},
            {},
        ),
        (
            "tongyi-embedding-vision-flash-2026-03-06",
            [(A, IMAGE), (B,)],
            {"extra_body": {"res_level": 2}},
            {"contents": [{"text": "a", "image": "https://a/i.png"}, {"text": "b"}]},
            {"res_level": 2},
        ),
        ("text-embedding-v4", [(A,), (B,)], {"instruct": "find"}, {"texts": ["a", "b"]}, {}),
        (
            "text-embedding-v4",
            [(A,)],
            {"instruct": "find", "is_query": True, "dimensions": 64},
            {"texts": ["a"]},
            {"dimension": 64, "instruct": "find", "text_type": "query"},
        ),
    ],
)
def test_encode_gives_exact_body(model: str, groups: Any, settings: Any, content: Any, parameters: Any) -> None:
    assert encode(model, *groups, **settings) == {"model": model, "input": content, "parameters": parameters}


def make_reply(*vectors: Any, key: str = "index", **fields: Any) -> dict[str, Any]:
    rows = [{key: index, "embedding": vector} for index, vector in vectors]
    return {"output": {"embeddings": rows}, "request_id": "r-1", **fields}


def test_decode_orders_vectors_by_index() -> None:
    reply = make_reply((1, [3.0, 4]), (0, [1.0, 2.0]))
    assert embeddings.decode(reply, 2, 2).vectors == [[1.0, 2.0], [3.0, 4]]
    assert embeddings.decode(make_reply((0, [1.0]), key="text_index"), 1, None).vectors == [[1.0]]


def test_decode_gives_floats_for_whole_numbers() -> None:
    vectors = embeddings.decode(make_reply((0, [1, 0.5])), 1, 2).vectors
    assert [type(number) for number in vectors[0]] == [float, float]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "input_tokens": 903,
                "input_tokens_details": {"image_tokens": 896, "text_tokens": 7},
                "output_tokens": 2,
                "total_tokens": 905,
            },
            RetrievalUsage(903, 896, 7, 905, 1),
        ),
        ({"input_tokens": 10, "image_tokens": 8}, RetrievalUsage(10, 8, 2, 10, 1)),
        ({"input_tokens": 7, "image_tokens": 896}, RetrievalUsage(903, 896, 7, 903, 1)),
        ({"total_tokens": 26}, RetrievalUsage(26, 0, 26, 26, 1)),
        (None, RetrievalUsage(0, 0, 0, 0, 1)),
    ],
)
def test_decode_reads_usage_of_every_shape(usage: Any, expected: RetrievalUsage) -> None:
    assert embeddings.decode(make_reply((0, [1.0]), usage=usage), 1, None).usage == expected


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (make_reply((0, [1.0, 2.0])), "item 1 of 2 is missing"),
        (make_reply((0, [1.0, 2.0]), (0, [1.0, 2.0])), "two vectors for item 0"),
        (make_reply((0, [1.0, 2.0]), (2, [1.0, 2.0])), "item 2 of 2"),
        (make_reply((0, [1.0, 2.0]), (-1, [1.0, 2.0])), "item -1 of 2"),
        (make_reply((0, [1.0, 2.0]), (1, None)), "item 1 is None"),
        (make_reply((0, [1.0, 2.0]), (1, [])), "item 1 is"),
        (make_reply((0, [1.0, 2.0]), (1, [1.0, None])), "no finite number"),
        (make_reply((0, [1.0, 2.0]), (1, [1.0, math.nan])), "no finite number"),
        (make_reply((0, [1.0, 2.0]), (1, [True, 1.0])), "no finite number"),
        (make_reply((0, [1.0, 2.0]), (1, [10**400, 1.0])), "no finite number"),
        (make_reply((0, [1.0, 2.0]), (1, [1.0])), "has 1 numbers, not 2"),
        (make_reply((0, [1.0, 2.0]), (None, [1.0])), "shape is unknown"),
        ({"output": {"embedding": [1.0]}}, "shape is unknown"),
        ([], "shape is unknown"),
        ({"output": None}, "shape is unknown"),
    ],
)
def test_decode_of_incomplete_reply_raises_with_request_id(reply: Any, words: str) -> None:
    with pytest.raises(QwenVLAPIError, match=words) as caught:
        embeddings.decode(reply, 2, 2)
    assert caught.value.request_id == (reply.get("request_id") if isinstance(reply, dict) else None)


def test_decode_without_known_length_requires_equal_lengths() -> None:
    with pytest.raises(QwenVLAPIError, match="item 1 has 1 numbers, not 2"):
        embeddings.decode(make_reply((0, [1.0, 2.0]), (1, [1.0])), 2, None)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (make_reply((0, [1.0]), code="InternalError", message="One failed."), QwenVLAPIError),
        (make_reply((0, [1.0]), code="Throttling.RateQuota", message="One failed."), QwenVLRateLimitError),
        (make_reply(code="DataInspectionFailed", message="One failed."), QwenVLContentFilterError),
        ({"output": {}, "code": "Arrearage", "message": "One failed.", "request_id": "r-1"}, QwenVLArrearageError),
    ],
)
def test_reply_with_error_and_without_all_vectors_raises_that_error(reply: Any, error: type[QwenVLError]) -> None:
    with pytest.raises(error, match="One failed") as caught:
        embeddings.decode(parse_reply(json.dumps(reply).encode()), 2, 1)
    assert (type(caught.value), caught.value.code, caught.value.request_id) == (error, reply["code"], "r-1")
