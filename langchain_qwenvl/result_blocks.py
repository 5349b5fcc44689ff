"""Convert the content of tool results: what any tool, MCP server or middleware may return.

Nothing raises, since a tool result must not end an agent: what the model can't see is described in words and reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from langchain_qwenvl.answer_blocks import read_transcript
from langchain_qwenvl.foreign_blocks import TEXT_KEYS, find_omission, get_type, unwrap
from langchain_qwenvl.input_blocks import convert_block
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.descriptions import describe_unseen, get_reason, shorten_strings
from qwenvl_core.types.location import Location
from qwenvl_core.types.messages import Omission, Part, TextPart
from qwenvl_core.types.omissions import UNSEEN_DESCRIBED

_NAME_KEYS = ("name", "filename", "file_filename", "file_name", "title")
_MIME_KEYS = ("mime_type", "mimeType", "media_type", "mediaType")
_URI_KEYS = ("url", "uri", "file_uri", "path", "file_id")
_NESTED_KEYS = ("file", "source", "resource", "image_url", "video_url", "input_audio", "extras", "metadata")
_FILE_TYPES = frozenset(
    {"image", "image_url", "video", "video_url", "file", "document", "audio", "input_audio", "media", "resource",
     "resource_link"}
)  # fmt: skip

_Items = Iterator[Part | Omission]


def convert_result_block(block: Any, location: Location) -> _Items:
    """Convert a block of a tool result; never raises.

    Args:
        block: A string or a dict of any form.
        location: Where the block is.
    """
    block = unwrap(block)
    if isinstance(block, str):
        yield TextPart(block)
        return
    block_type = get_type(block)
    location = location.with_type(block_type or "no type")
    if omission := find_omission(block, location):
        yield omission
    elif block_type in TEXT_KEYS:
        yield TextPart(str(block.get(TEXT_KEYS[block_type]) or ""))
    elif block_type in _CONVERTERS and isinstance(block, Mapping):
        yield from _CONVERTERS[block_type](block, location)
    else:
        yield from _convert_supported(block, location)


def _convert_supported(block: Any, location: Location) -> _Items:
    """Convert a block that user messages may have as well; describe it where that fails."""
    try:
        yield convert_block(block, location)
    except QwenVLInputError as error:
        yield from _describe(block, location, get_reason(error.message, str(location)))


def _describe(block: Any, location: Location, reason: str = "") -> _Items:
    """Describe a file by its name, type and URI, and another block by its JSON."""
    if get_type(block) in _FILE_TYPES:
        details = {
            "name": _find_detail(block, _NAME_KEYS),
            "mime": _find_detail(block, _MIME_KEYS),
            "uri": _find_detail(block, _URI_KEYS),
        }
        yield TextPart(describe_unseen(get_type(block).removesuffix("_url"), reason=reason, **details))
    else:
        yield TextPart(_dump(block))
    yield Omission(UNSEEN_DESCRIBED, f"{location}{f': {reason}' if reason else ''}")


def _find_detail(block: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Find a detail of a block, in the block itself or one level below; a nested string is a URI."""
    nested = [block.get(key) for key in _NESTED_KEYS]
    for mapping in (block, *(item for item in nested if isinstance(item, Mapping))):
        for key in keys:
            if isinstance(mapping.get(key), str) and mapping[key]:
                return str(mapping[key])
    return next((item for item in nested if isinstance(item, str)), "") if "url" in keys else ""


def _dump(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(shorten_strings(value), ensure_ascii=False, default=str)


def _convert_json(block: Mapping[str, Any], location: Location) -> _Items:
    data = block["json"] if "json" in block else {name: value for name, value in block.items() if name != "type"}
    yield TextPart(data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, default=str))
    yield Omission(UNSEEN_DESCRIBED, str(location))


def _convert_search_result(block: Mapping[str, Any], location: Location) -> _Items:
    heading = [str(block[name]) for name in ("title", "source", "url") if isinstance(block.get(name), str)]
    yield TextPart("\n".join(dict.fromkeys(heading)))
    yield from _convert_nested(block.get("content") or block.get("text"), location)
    yield Omission(UNSEEN_DESCRIBED, str(location))


def _convert_output(block: Mapping[str, Any], location: Location) -> _Items:
    """Convert the result of a tool as OpenAI's or Anthropic's integration writes it."""
    yield from _convert_nested(block.get("output", block.get("content")), location)


def _convert_document(block: Mapping[str, Any], location: Location) -> _Items:
    source = block.get("source")
    if not isinstance(source, Mapping) or source.get("type") != "content":  # not Anthropic's list of blocks
        yield from _convert_supported(block, location)
        return
    yield from (TextPart(str(block[name])) for name in ("title", "context") if block.get(name))
    yield from _convert_nested(source.get("content"), location)


def _convert_nested(content: Any, location: Location) -> _Items:
    match content:
        case None:
            return
        case str():
            yield TextPart(content)
        case list() | tuple():
            for item in content:
                yield from convert_result_block(item, location)
        case _:
            yield from convert_result_block(content, location)


def _convert_resource(block: Mapping[str, Any], location: Location) -> _Items:
    """Convert a resource in MCP's own form: its text, its bytes, or a link to it."""
    nested = block.get("resource")
    resource = nested if isinstance(nested, Mapping) else block
    mime = _find_detail(block, _MIME_KEYS)
    if isinstance(resource.get("text"), str):
        yield TextPart(resource["text"])
    elif resource.get("blob") or mime.startswith(("image/", "video/")):
        data = {"base64": resource["blob"]} if resource.get("blob") else {"url": resource.get("uri")}
        file = {"type": "file", "mime_type": mime, "name": _find_detail(block, _NAME_KEYS), **data}
        yield from _convert_supported(file, location)
    else:
        yield from _describe(block, location)


def _convert_audio(block: Mapping[str, Any], location: Location) -> _Items:
    transcript = read_transcript(block)
    if transcript:
        yield TextPart(transcript)
        yield Omission(UNSEEN_DESCRIBED, str(location))
    else:
        yield from _describe(block, location)


_CONVERTERS: dict[str, Callable[[Mapping[str, Any], Location], _Items]] = {
    "json": _convert_json,
    "search_result": _convert_search_result,
    "custom_tool_call_output": _convert_output,
    "function_call_output": _convert_output,
    "tool_result": _convert_output,
    "document": _convert_document,
    "resource": _convert_resource,
    "resource_link": _convert_resource,
    "audio": _convert_audio,
    "input_audio": _convert_audio,
}
"""Converters of blocks that only tool results have: LangChain's, those of providers, and MCP's."""
