"""Test that the emulator refuses requests for vectors and scores as the service does, and recognises pictures."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.emulator import Emulator
from tests.emulator.retrieval_rules import EMBED_MEDIA, EMBED_TEXT, RERANK, RERANK_FLAT

_PICTURE = "data:image/png;base64," + base64.b64encode(b"a picture").decode()


def post(emulator: Emulator, route: str, body: Any) -> tuple[int, Any]:
    """Send a body, and return the status and the reply."""
    request = urllib.request.Request(
        emulator.origin + route,
        json.dumps(body).encode(),
        {"Authorization": "Bearer sk-test", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def build(contents: Any, model: str = "qwen3-vl-embedding", **parameters: Any) -> dict[str, Any]:
    return {"model": model, "input": {"contents": contents}, "parameters": parameters}


TEXT = {"text": "a"}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (EMBED_MEDIA, build([])),
        (EMBED_MEDIA, build([TEXT] * 21)),
        (EMBED_MEDIA, build([{"image": _PICTURE}] * 6)),
        (EMBED_MEDIA, build([{"video": "https://a.invalid/v.mp4"}] * 2)),
        (EMBED_MEDIA, build([{"video": "data:video/mp4;base64,AAAA"}])),
        (EMBED_MEDIA, build([{"image": "photo.png"}])),
        (EMBED_MEDIA, build([{"image": "oss://lost.png"}])),
        (EMBED_MEDIA, build([{"text": " "}])),
        (EMBED_MEDIA, build([{"text": "a", "image": _PICTURE}])),
        (EMBED_MEDIA, build([TEXT], dimension=300)),
        (EMBED_MEDIA, build([TEXT], fps=2)),
        (EMBED_MEDIA, build([TEXT], top_k=1)),
        (EMBED_MEDIA, build([TEXT], "tongyi-embedding-vision-plus", enable_fusion=True)),
        (EMBED_MEDIA, build([TEXT], "text-embedding-v4")),
        (EMBED_MEDIA, build([TEXT], "qwen9-embedding")),
        (EMBED_TEXT, {"model": "text-embedding-v4", "input": {"texts": ["a"] * 11}, "parameters": {}}),
        (EMBED_TEXT, {"model": "text-embedding-v4", "input": {"texts": ["a"]}, "parameters": {"instruct": "find"}}),
        (EMBED_TEXT, {"model": "qwen3-vl-embedding", "input": {"texts": ["a"]}, "parameters": {}}),
        (RERANK, {"model": "qwen3-vl-rerank", "input": {"query": "q", "documents": [TEXT] * 101}, "parameters": {}}),
        (RERANK, {"model": "qwen3-vl-rerank", "input": {"query": "q", "documents": []}, "parameters": {}}),
        (RERANK, {"model": "gte-rerank", "input": {"query": "q", "documents": [TEXT]}, "parameters": {}}),
        (RERANK, {"model": "qwen3-rerank", "input": {"query": "q", "documents": ["a"]}, "parameters": {}}),
        (RERANK_FLAT, {"model": "qwen3-rerank", "input": {"query": "q", "documents": ["a"]}}),
    ],
)
def test_wrong_request_is_refused(emulator: Emulator, route: str, body: Any) -> None:
    status, reply = post(emulator, route, body)
    assert status in (400, 404)
    assert reply.get("message") or reply["error"]["message"]
    assert len(emulator.refusals) == 1


def test_picture_and_its_caption_have_the_same_vector(emulator: Emulator) -> None:
    emulator.eyes.learn(b"a picture", "a red rose")
    contents = [{"text": "a red rose"}, {"image": _PICTURE}, {"text": "the sea"}]
    status, reply = post(emulator, EMBED_MEDIA, build(contents, dimension=256))
    assert status == 200
    caption, picture, other = (row["embedding"] for row in reply["output"]["embeddings"])
    assert caption == picture != other
    assert [row["type"] for row in reply["output"]["embeddings"]] == ["text", "image", "text"]
    _, ranked = post(
        emulator,
        RERANK,
        {"model": "qwen3-vl-rerank", "input": {"query": "rose", "documents": contents}, "parameters": {"top_n": 2}},
    )
    assert [row["index"] for row in ranked["output"]["results"]] == [0, 1]
