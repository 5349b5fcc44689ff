r"""Encode requests for vectors and decode the replies.

```
POST {base_url}/services/embeddings/multimodal-embedding/multimodal-embedding
{"model": "qwen3-vl-embedding",
 "input": {"contents": [{"text": "…"}, {"image": "…"}, {"video": "…"}]},
 "parameters": {"dimension": 1024, "fps": 0.5, "instruct": "…", "enable_fusion": true}}
{"output": {"embeddings": [{"index": 0, "embedding": [0.1, …], "type": "text"}, …]},
 "usage": {"input_tokens": 903, "input_tokens_details": {"image_tokens": 896, "text_tokens": 7},
           "output_tokens": 2, "total_tokens": 905}, "request_id": "…"}

POST {base_url}/services/embeddings/text-embedding/text-embedding        (models that read text only)
{"model": "text-embedding-v4", "input": {"texts": ["…"]}, "parameters": {"text_type": "query", "instruct": "…"}}
{"output": {"embeddings": [{"text_index": 0, "embedding": [0.1, …]}]}, "usage": {"total_tokens": 26}, "request_id": "…"}
```

`base_url` is that of the native API. With `enable_fusion` all contents become one vector. The models of 2026-03-06 fuse
the keys of one content object instead; `multi_images` there holds several images.

Sources: the vendor's pages "Multimodal embedding" and "Text embedding"; the dashscope SDK; recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts
from qwenvl_core.media.sources import DataUri
from qwenvl_core.types.messages import ImagePart
from qwenvl_core.types.retrieval import EmbeddingSettings, Item, ItemPart, RetrievalUsage
from qwenvl_core.wire.retrieval_fields import drop_unset, encode_part, is_finite, read_usage, reject_reply

_PATH = "/services/embeddings/multimodal-embedding/multimodal-embedding"
_TEXT_PATH = "/services/embeddings/text-embedding/text-embedding"


class Vectors(NamedTuple):
    """The vectors of one reply, in the order of the request's items, and the usage."""

    vectors: list[list[float]]
    usage: RetrievalUsage


def get_path(facts: EmbeddingFacts) -> str:
    """Return the path of the endpoint: models that read text only have another one."""
    return _TEXT_PATH if facts.is_text_only else _PATH


def encode(items: Sequence[Item], settings: EmbeddingSettings, facts: EmbeddingFacts) -> dict[str, Any]:
    """Encode the body of a request; media in it may be `DataUri` objects.

    Args:
        items: One fused item, or items that become a vector each.
        settings: The model and its parameters.
        facts: What the model takes.

    Raises:
        QwenVLInputError: An image or video can't be read or is too large.
    """
    parameters = {
        "dimension": settings.dimensions,
        "instruct": settings.instruct if settings.is_query else None,
        "fps": settings.fps,
    }
    if facts.is_text_only:
        parameters["text_type"] = "query" if settings.is_query else None
        content: dict[str, Any] = {"texts": [part.text for item in items for part in item.parts]}  # type: ignore[union-attr]
    else:
        content = {"contents": _encode_contents(items, facts)}
        parameters["enable_fusion"] = True if facts.fusion == "request" and items[0].is_fused else None
    return {
        "model": settings.model,
        "input": content,
        "parameters": {**drop_unset(parameters), **settings.extra_body},
    }


def _encode_contents(items: Sequence[Item], facts: EmbeddingFacts) -> list[dict[str, Any]]:
    if facts.fusion in ("content", "images"):
        return [_merge_parts(item.parts) for item in items]
    return [encode_part(part) for item in items for part in item.parts]


def _merge_parts(parts: Sequence[ItemPart]) -> dict[str, Any]:
    """Encode the parts of a fused item as one object."""
    content: dict[str, Any] = {}
    images: list[str | DataUri] = []
    for part in parts:
        encoded = encode_part(part)
        if isinstance(part, ImagePart):
            images.append(encoded["image"])
        else:
            content |= encoded
    if len(images) > 1:
        content["multi_images"] = images
    elif images:
        content["image"] = images[0]
    return content


def decode(payload: Any, count: int, dimensions: int | None) -> Vectors:
    """Decode a reply.

    Args:
        payload: The parsed JSON body.
        count: Number of vectors that the request asks for.
        dimensions: Length that each must have; `None` if only the lengths must be the same.

    Raises:
        QwenVLAPIError: A vector is missing, doubled, of another length, or holds a value that is no finite number.
    """
    try:
        embeddings = payload["output"]["embeddings"]
        vectors: list[list[float] | None] = [None] * count
        for embedding in embeddings:
            index, vector = _read_index(embedding), embedding["embedding"]
            if not 0 <= index < count:
                raise reject_reply(f"it has a vector for item {index} of {count}", payload)
            if vectors[index] is not None:
                raise reject_reply(f"it has two vectors for item {index}", payload)
            vectors[index] = _read_vector(vector, index, payload)
        usage = read_usage(payload)
    except (AttributeError, KeyError, TypeError) as error:
        raise reject_reply(f"its shape is unknown ({error!r})", payload) from error
    whole = [vector for vector in vectors if vector is not None]
    if len(whole) < count:
        raise reject_reply(f"the vector of item {vectors.index(None)} of {count} is missing", payload)
    expected = dimensions if dimensions is not None else len(whole[0])
    for index, vector in enumerate(whole):
        if len(vector) != expected:
            raise reject_reply(f"the vector of item {index} has {len(vector)} numbers, not {expected}", payload)
    return Vectors(whole, usage)


def _read_index(embedding: Mapping[str, Any]) -> int:
    index = embedding["text_index"] if "text_index" in embedding else embedding["index"]
    if type(index) is not int:
        raise TypeError(f"expected an index, not {index!r}")
    return index


def _read_vector(vector: Any, index: int, payload: Any) -> list[float]:
    if not isinstance(vector, list) or not vector:
        raise reject_reply(f"the vector of item {index} is {vector!r}", payload)
    if not set(map(type, vector)) <= {float, int} or not all(map(is_finite, vector)):
        raise reject_reply(f"the vector of item {index} holds a value that is no finite number", payload)
    return vector if set(map(type, vector)) == {float} else list(map(float, vector))
