"""Answer requests for vectors and scores: the same input gets the same vector, and a picture is near its caption."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.emulator.retrieval_models import EMBEDDING_MODELS
from tests.emulator.retrieval_rules import EMBED_TEXT, RERANK_FLAT

_TOKENS_PER_IMAGE = 300
_WORD = re.compile(r"\w+")


@dataclass
class Eyes:
    """What the emulator sees in pictures: the caption of the known picture that looks most alike."""

    shrink: Callable[[bytes], bytes] = lambda picture: hashlib.sha256(picture).digest()
    """Makes bytes of a fixed length from a picture, similar ones from similar pictures."""
    known: list[tuple[bytes, str]] = field(default_factory=list)

    def learn(self, picture: bytes, caption: str) -> None:
        """Remember what a picture shows."""
        self.known.append((self.shrink(picture), caption))

    def describe(self, picture: bytes) -> str:
        """Return the caption of the known picture that is most alike; a digest if none is known."""
        if not self.known:
            return hashlib.sha256(picture).hexdigest()
        shrunk = self.shrink(picture)
        return min(self.known, key=lambda known: sum((a - b) ** 2 for a, b in zip(known[0], shrunk, strict=True)))[1]


def build_reply(route: str, body: dict[str, Any], eyes: Eyes, stored: dict[str, bytes], request_id: str) -> Any:
    """Build the reply to a request that no rule refuses.

    Args:
        route: The path of the request.
        body: Its parsed body.
        eyes: What pictures show.
        stored: The files in temporary storage by their oss:// URLs.
        request_id: Id of the reply.
    """
    if route == RERANK_FLAT:
        results = _rank(body["query"], body["documents"], body, eyes, stored)
        return {"results": results, "usage": {"total_tokens": 40}, "id": request_id, "object": "list"}
    content, parameters = body["input"], body.get("parameters", {})
    if "documents" in content:
        output: dict[str, Any] = {"results": _rank(content["query"], content["documents"], parameters, eyes, stored)}
        return {"output": output, "usage": {"total_tokens": 40}, "request_id": request_id}
    model = EMBEDDING_MODELS[body["model"]]
    length = parameters.get("dimension", model.dimensions[0])
    if route == EMBED_TEXT:
        vectors = [{"embedding": _embed(text, length), "text_index": i} for i, text in enumerate(content["texts"])]
        return {"output": {"embeddings": vectors}, "usage": {"total_tokens": 7}, "request_id": request_id}
    contents = content["contents"]
    texts = [_read_content(item, eyes, stored) for item in contents]
    if parameters.get("enable_fusion") or model.fuses_always:
        vectors = [{"index": 0, "embedding": _embed(" ".join(texts), length), "type": "fusion"}]
    else:
        vectors = [
            {"index": index, "embedding": _embed(text, length), "type": next(iter(item))}
            for index, (item, text) in enumerate(zip(contents, texts, strict=True))
        ]
    images = sum("text" not in item for item in contents) * _TOKENS_PER_IMAGE
    words = sum(len(item.get("text", "").split()) for item in contents)
    usage = {
        "input_tokens": images + words,
        "input_tokens_details": {"image_tokens": images, "text_tokens": words},
        "output_tokens": 2,
        "total_tokens": images + words + 2,
    }
    return {"output": {"embeddings": vectors}, "usage": usage, "request_id": request_id}


def _read_content(content: Any, eyes: Eyes, stored: dict[str, bytes]) -> str:
    """Return the words of a text, and what a picture shows."""
    if isinstance(content, str):
        return content
    words = []
    for key, value in content.items():
        if key == "text":
            words.append(value)
        else:
            words += [_look(url, eyes, stored) for url in ([value] if isinstance(value, str) else value)]
    return " ".join(words)


def _look(url: str, eyes: Eyes, stored: dict[str, bytes]) -> str:
    data = base64.b64decode(url.partition(",")[2]) if url.startswith("data:") else stored.get(url)
    return eyes.describe(data) if data is not None else url


def _embed(text: str, length: int) -> list[float]:
    """Return a unit vector that adds up one direction a word."""
    vector = [0.0] * length
    for word in _WORD.findall(text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        for start in (0, 8):
            position = int.from_bytes(digest[start : start + 4]) % length
            vector[position] += 1.0 if digest[start + 4] % 2 else -1.0
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [round(value / norm, 6) for value in vector]


def _rank(query: Any, documents: Sequence[Any], parameters: Any, eyes: Eyes, stored: dict[str, bytes]) -> list[Any]:
    words = set(_WORD.findall(_read_content(query, eyes, stored).lower()))
    scores = []
    for index, document in enumerate(documents):
        found = set(_WORD.findall(_read_content(document, eyes, stored).lower()))
        scores.append((round(len(words & found) / (len(words) or 1), 4), index))
    best = sorted(scores, key=lambda score: -score[0])[: parameters.get("top_n", len(scores))]
    return [{"index": index, "relevance_score": score} for score, index in best]
