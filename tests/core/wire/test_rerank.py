"""Encode requests for scores, and read the replies."""

from __future__ import annotations

import math
from typing import Any

import pytest

from qwenvl_core.catalog.retrieval_models import describe_reranker
from qwenvl_core.errors import QwenVLAPIError
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart
from qwenvl_core.types.retrieval import Item, Ranked, RerankSettings
from qwenvl_core.wire import rerank

TEXT = Item((TextPart("a"),), "items[0]")
IMAGE = Item((ImagePart(UrlSource("https://a/i.png")),), "items[1]")


def encode(model: str, query: Item, *documents: Item, **settings: Any) -> Any:
    return rerank.encode(query, documents, RerankSettings(model=model, **settings), describe_reranker(model))


def test_encode_for_seeing_model_gives_objects() -> None:
    body = encode("qwen3-vl-rerank", TEXT, TEXT, IMAGE, top_n=1, instruct="find", fps=0.5)
    assert body == {
        "model": "qwen3-vl-rerank",
        "input": {"query": "a", "documents": [{"text": "a"}, {"image": "https://a/i.png"}]},
        "parameters": {"top_n": 1, "instruct": "find", "fps": 0.5},
    }
    assert encode("qwen3-vl-rerank", IMAGE, TEXT)["input"]["query"] == {"image": "https://a/i.png"}


def test_encode_for_text_models_gives_strings() -> None:
    assert encode("gte-rerank-v2", TEXT, TEXT)["input"] == {"query": "a", "documents": ["a"]}
    assert encode("qwen3-rerank", TEXT, TEXT, top_n=2, extra_body={"return_documents": True}) == {
        "model": "qwen3-rerank", "query": "a", "documents": ["a"], "top_n": 2, "return_documents": True,
    }  # fmt: skip


def test_build_url_depends_on_model() -> None:
    base_url = "https://a/api/v1"
    assert rerank.build_url(describe_reranker("qwen3-rerank"), base_url) == "https://a/compatible-api/v1/reranks"
    native = "https://a/api/v1/services/rerank/text-rerank/text-rerank"
    assert rerank.build_url(describe_reranker("qwen3-vl-rerank"), base_url) == native


def make_reply(*results: tuple[Any, Any]) -> dict[str, Any]:
    rows = [{"index": index, "relevance_score": score} for index, score in results]
    return {"output": {"results": rows}, "request_id": "r-1", "usage": {"total_tokens": 3}}


def test_decode_sorts_by_score_and_keeps_order_of_ties() -> None:
    ranking = rerank.decode(make_reply((2, 0.5), (0, 0.1), (1, 0.5)), 3, 3)
    assert ranking.ranked == [Ranked(1, 0.5), Ranked(2, 0.5), Ranked(0, 0.1)]
    assert ranking.usage.total_tokens == 3
    assert rerank.decode({"results": make_reply((0, 1))["output"]["results"], "id": "r"}, 1, 1).ranked == [Ranked(0, 1)]


def test_decode_of_more_scores_than_requested_keeps_the_best() -> None:
    assert rerank.decode(make_reply((0, 0.1), (1, 0.9)), 2, 1).ranked == [Ranked(1, 0.9)]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (make_reply((0, 0.1)), "1 scores, not 2"),
        (make_reply((0, 0.1), (0, 0.2)), "two scores"),
        (make_reply((0, 0.1), (2, 0.2)), "document 2 of 2"),
        (make_reply((0, 0.1), ("1", 0.2)), "document '1' of 2"),
        (make_reply((0, 0.1), (1, None)), "document 1 is None"),
        (make_reply((0, 0.1), (1, math.nan)), "document 1 is nan"),
        (make_reply((0, 0.1), (1, 10**400)), "document 1 is 1000"),
        ({"output": {"results": None}}, "shape is unknown"),
        ("x", "shape is unknown"),
    ],
)
def test_decode_of_incomplete_reply_raises(reply: Any, words: str) -> None:
    with pytest.raises(QwenVLAPIError, match=words):
        rerank.decode(reply, 2, 2)
