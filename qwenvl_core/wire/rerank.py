r"""Encode requests for scores and decode the replies.

```
POST {base_url}/services/rerank/text-rerank/text-rerank
{"model": "qwen3-vl-rerank",
 "input": {"query": "…", "documents": [{"text": "…"}, {"image": "…"}, {"video": "…"}]},
 "parameters": {"top_n": 3, "instruct": "…", "fps": 0.5}}
{"output": {"results": [{"index": 1, "relevance_score": 0.82}, …]}, "usage": {"total_tokens": 905}, "request_id": "…"}

POST {prefix}/compatible-api/v1/reranks                                  (qwen3-rerank)
{"model": "qwen3-rerank", "query": "…", "documents": ["…"], "top_n": 3, "instruct": "…"}
{"results": [{"index": 1, "relevance_score": 0.82}, …], "usage": {"total_tokens": 905}, "id": "…"}
```

`base_url` is that of the native API; `prefix` is what the endpoints of one deployment share. Models that read text only
take documents as strings. A query that is an image or a video is an object like a document.

Sources: the vendor's page "Rerank"; the dashscope SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from qwenvl_core.catalog.retrieval_facts import RerankFacts
from qwenvl_core.types.messages import TextPart
from qwenvl_core.types.retrieval import Item, Ranked, RerankSettings, RetrievalUsage
from qwenvl_core.wire.retrieval_fields import drop_unset, encode_part, is_finite, read_usage, reject_reply

_PATH = "/services/rerank/text-rerank/text-rerank"
_NATIVE_PATH = "/api/v1"
_FLAT_PATH = "/compatible-api/v1/reranks"


class Ranking(NamedTuple):
    """The scores of one reply, best first, and the usage."""

    ranked: list[Ranked]
    usage: RetrievalUsage


def build_url(facts: RerankFacts, base_url: str) -> str:
    """Return the URL of the endpoint, given the base URL of the native API."""
    return base_url.removesuffix(_NATIVE_PATH) + _FLAT_PATH if facts.flat else base_url + _PATH


def encode(query: Item, documents: Sequence[Item], settings: RerankSettings, facts: RerankFacts) -> dict[str, Any]:
    """Encode the body of a request; media in it may be `DataUri` objects.

    Raises:
        QwenVLInputError: An image or video can't be read or is too large.
    """
    parameters = drop_unset({"top_n": settings.top_n, "instruct": settings.instruct, "fps": settings.fps})
    parameters |= settings.extra_body
    content = {
        "query": query.parts[0].text if isinstance(query.parts[0], TextPart) else encode_part(query.parts[0]),
        "documents": [_encode_document(document, facts) for document in documents],
    }
    if facts.flat:
        return {"model": settings.model, **content, **parameters}
    return {"model": settings.model, "input": content, "parameters": parameters}


def _encode_document(document: Item, facts: RerankFacts) -> Any:
    encoded = encode_part(document.parts[0])
    return encoded["text"] if facts.is_text_only else encoded


def decode(payload: Any, count: int, expected: int) -> Ranking:
    """Decode a reply.

    Args:
        payload: The parsed JSON body.
        count: Number of documents of the request.
        expected: Number of scores that the request asks for.

    Returns:
        The scores, best first; documents with the same score stay in their order.

    Raises:
        QwenVLAPIError: A score is missing, doubled, or no finite number.
    """
    try:
        results = payload["results"] if "results" in payload else payload["output"]["results"]
        ranked = [_read_result(result, count, payload) for result in results]
        usage = read_usage(payload)
    except (AttributeError, KeyError, TypeError) as error:
        raise reject_reply(f"its shape is unknown ({error!r})", payload) from error
    if len({index for index, _ in ranked}) < len(ranked):
        raise reject_reply("it has two scores for one document", payload)
    if len(ranked) < expected:
        raise reject_reply(f"it has {len(ranked)} scores, not {expected}", payload)
    return Ranking(sorted(ranked, key=lambda item: (-item.score, item.index))[:expected], usage)


def _read_result(result: Any, count: int, payload: Any) -> Ranked:
    index, score = result["index"], result["relevance_score"]
    if type(index) is not int or not 0 <= index < count:
        raise reject_reply(f"it has a score for document {index!r} of {count}", payload)
    if type(score) not in (float, int) or not is_finite(score):
        raise reject_reply(f"the score of document {index} is {score!r}", payload)
    return Ranked(index, float(score))
