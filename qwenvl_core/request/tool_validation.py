"""What the service would refuse of tools and of the answer's format, found before anything is sent.

Of a model that no row knows, and of a checkpoint on a server of its own (`org/name`), nothing is: other servers have
other rules.

Source: the vendor's page "Error codes" (the refusals' texts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.types.request import PreparedRequest

_RESERVED = "search"
_FORMATS = ("text", "json_object", "json_schema")


def violations(prepared: PreparedRequest, facts: ModelFacts) -> Iterator[str]:
    """What is wrong with a request's tools and format, a sentence each."""
    if not facts.known or "/" in prepared.settings.model:
        return
    wanted = prepared.settings.response_format
    if wanted is not None and wanted.get("type") not in _FORMATS:
        yield f"response_format={wanted!r}: the service takes the types {', '.join(_FORMATS)}."
    for at, tool in enumerate(prepared.settings.tools):
        yield from (f"tools[{at}]: {finding}" for finding in _of_tool(tool))


def _of_tool(tool: Mapping[str, Any]) -> Iterator[str]:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if not name or not isinstance(name, str):
        yield (
            "the service takes functions with a name only. What it does by itself, such as a web search, goes into "
            'extra_body={"enable_search": True}.'
        )
    elif name == _RESERVED:
        yield f"the service takes no tool by the name of {_RESERVED!r}; give it another."
