"""Validate the tools and the response format of a request.

Unknown models, and models on another server (`org/name`, `name:tag`), are not checked: other servers have other rules.

Source: the vendor's page "Error codes" (the texts of the refusals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.names import is_service_name
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.types.request import PreparedRequest

_RESERVED_NAME = "search"
_FORMATS = ("text", "json_object", "json_schema")


def find_violations(prepared: PreparedRequest, facts: ModelFacts) -> Iterator[str]:
    """Yield a sentence for each violation in the tools and the response format of a request."""
    settings = prepared.settings
    if not facts.known or not is_service_name(settings.model) or not get_provider(settings.provider).is_model_studio:
        return
    response_format = prepared.settings.response_format
    if response_format is not None and response_format.get("type") not in _FORMATS:
        yield f"response_format={response_format!r}: the service accepts the types {', '.join(_FORMATS)}."
    for index, tool in enumerate(prepared.settings.tools):
        yield from (f"tools[{index}]: {violation}" for violation in _check_tool(tool))


def _check_tool(tool: Mapping[str, Any]) -> Iterator[str]:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    if not name or not isinstance(name, str):
        yield (
            "this tool is not a function with a name. The service accepts no other tools. Its own abilities, such as a "
            'web search, go into extra_body={"enable_search": True}.'
        )
    elif name == _RESERVED_NAME:
        yield f"the tool name {_RESERVED_NAME!r} is reserved by the service. Rename the tool."
