"""Convert the names of tools and schemas to those that the service accepts, and back.

The API accepts ASCII letters, digits, `_` and `-`, at most 64 characters, as that of OpenAI does; frameworks take any
name of a class or a tool. Only JSON bodies contain converted names: everywhere else the caller's names are used.

Source: OpenAI's API reference, the field `name` of a function.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_VALID_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INVALID_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_MAX_PREFIX = 58
_DIGEST_LENGTH = 6  # hexadecimal digits: with the prefix, 64 characters


def to_wire_name(name: str) -> str:
    """Return the name that is sent for a caller's name: the same if it is valid.

    Otherwise each invalid character becomes `_`, and the first 58 characters are followed by 6 digits of the name's
    SHA-256, so that different names stay different.
    """
    if not name or _VALID_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return _INVALID_CHARACTER.sub("_", name)[:_MAX_PREFIX] + digest[:_DIGEST_LENGTH]


def read_caller_names(tools: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the callers' names of the tools of a request, by the names that are sent, where these differ."""
    functions = [tool.get("function") for tool in tools]
    names = [function.get("name") for function in functions if isinstance(function, Mapping)]
    return {wire_name: name for name in names if isinstance(name, str) and (wire_name := to_wire_name(name)) != name}


def encode_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Encode the definition of a tool."""
    function = tool.get("function")
    return {**tool, "function": _encode_named(function)} if isinstance(function, Mapping) else tool


def encode_response_format(response_format: Mapping[str, Any]) -> Mapping[str, Any]:
    """Encode a response format, whose schema may have a name."""
    schema = response_format.get("json_schema")
    return {**response_format, "json_schema": _encode_named(schema)} if isinstance(schema, Mapping) else response_format


def _encode_named(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert the name in a definition; the description then begins with the caller's name, which tells the model."""
    name = fields.get("name")
    if not isinstance(name, str) or (wire_name := to_wire_name(name)) == name:
        return fields
    description = fields.get("description")
    return {**fields, "name": wire_name, "description": f"{name}: {description}" if description else name}
