"""Encode the elements, and read the usage, that embeddings and reranking share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from qwenvl_core.errors import QwenVLAPIError, QwenVLError
from qwenvl_core.media.sources import DataUri, to_url_or_data_uri
from qwenvl_core.types.media import FileSource, Source, UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart
from qwenvl_core.types.retrieval import Item, ItemPart, RetrievalUsage
from qwenvl_core.wire.error_classes import error_from_payload
from qwenvl_core.wire.errors import is_error_payload, parse_error_payload
from qwenvl_core.wire.fields import read_count


def encode_part(part: ItemPart) -> dict[str, str | DataUri]:
    """Encode a text, an image or a video as an object with one key.

    Raises:
        QwenVLInputError: The medium can't be read, is not of its kind, or is too large to inline.
    """
    if isinstance(part, TextPart):
        return {"text": part.text}
    kind: Any = "image" if isinstance(part, ImagePart) else "video"
    return {kind: to_url_or_data_uri(part.source, kind, part.location)}


def build_headers(items: Iterable[Item]) -> dict[str, str]:
    """Return the header that makes the service read `oss://` URLs, if there are any."""
    if any(isinstance(source, UrlSource) and source.url[:6].lower() == "oss://" for source in _list_sources(items)):
        return {"X-DashScope-OssResourceResolve": "enable"}
    return {}


def has_files(items: Iterable[Item]) -> bool:
    """Return whether media of the items are read from disk while the body is built and sent."""
    return any(isinstance(source, FileSource) for source in _list_sources(items))


def _list_sources(items: Iterable[Item]) -> list[Source]:
    return [part.source for item in items for part in item.parts if not isinstance(part, TextPart)]


def drop_unset(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that have a value."""
    return {name: value for name, value in parameters.items() if value is not None}


def read_usage(payload: Mapping[str, Any]) -> RetrievalUsage:
    """Read the tokens of one reply: in `usage` itself or in its details; some replies have the total only.

    Raises:
        TypeError: A value is no number of tokens.
    """
    usage = payload.get("usage") or {}
    details = usage.get("input_tokens_details") or {}
    image = read_count(details.get("image_tokens", usage.get("image_tokens"))) or 0
    image += read_count(details.get("video_tokens", usage.get("video_tokens"))) or 0
    total = read_count(usage.get("total_tokens"))
    input_tokens = read_count(usage.get("input_tokens", usage.get("prompt_tokens")))
    if input_tokens is None:
        input_tokens = total or 0
    if image > input_tokens:  # older replies count the texts only
        input_tokens += image
    text = read_count(details.get("text_tokens"))
    return RetrievalUsage(
        input_tokens=input_tokens,
        image_tokens=image,
        text_tokens=max(input_tokens - image, 0) if text is None else text,
        total_tokens=input_tokens if total is None else total,
        requests=1,
    )


def parse_reply(body: bytes) -> Any:
    """Parse the JSON of a whole reply.

    Raises:
        QwenVLAPIError: It is not JSON.
        QwenVLError: It reports an error with status 200. The error has no status, so that one which may pass is retried
            like those of chats.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise QwenVLAPIError(f"The reply is not valid JSON: {error}.", status_code=200) from None
    if isinstance(payload, dict) and not _has_answer(payload) and is_error_payload(payload):
        raise error_from_payload(parse_error_payload(payload))
    return payload


def _has_answer(payload: Mapping[str, Any]) -> bool:
    """Return whether a reply has vectors or scores."""
    output = payload.get("output")
    output = output if isinstance(output, Mapping) else {}
    return bool(payload.get("results") or output.get("results") or output.get("embeddings"))


def is_finite(number: float) -> bool:
    """Return whether a number is finite; a whole number that no `float` can hold is not."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def reject_reply(reason: str, payload: Any) -> QwenVLError:
    """Build the error for a reply that does not answer the request; it is the server's, if the reply has one too."""
    if isinstance(payload, Mapping) and is_error_payload(payload):
        stated = parse_error_payload(payload)
        return error_from_payload(replace(stated, message=f"{stated.message} Besides, {reason}."))
    request_id = payload.get("request_id", payload.get("id")) if isinstance(payload, Mapping) else None
    return QwenVLAPIError(
        f"The reply does not answer the request: {reason}.",
        status_code=200,
        request_id=request_id if isinstance(request_id, str) else None,
    )
