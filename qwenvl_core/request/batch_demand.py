"""Keep of a request in a batch what checks its reply, or read it back from the request's body.

A batch makes no second request: a reply that does not keep the demand is an error in its place.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from qwenvl_core.request.forced_output import (
    build_call_instruction,
    build_json_demand,
    find_forced_name,
    get_json_type,
    list_tool_names,
)
from qwenvl_core.types.batch import BatchRequest
from qwenvl_core.types.messages import Message
from qwenvl_core.types.request import Demand, PreparedRequest
from qwenvl_core.types.settings import ModelSettings, NamedTool, parse_tool_choice

_JSON_INSTRUCTION = re.compile(
    r"(?:\A|\n\n)(?:A|Unless you call a tool, a)nswer with one JSON (?:object|array) and nothing else\."
    r"(?: It must match this JSON schema:\n(?P<schema>.*))?\Z",
    re.DOTALL,
)  # as `forced_output.build_json_instruction` writes it
_CONTINUED = (Message("assistant", (), partial=True),)


def reduce_request(prepared: PreparedRequest) -> PreparedRequest:
    """Return the request without its conversation, and with a demand that no second request follows."""
    settings = prepared.settings
    is_continued = bool(prepared.messages) and prepared.messages[-1].partial
    return replace(
        prepared,
        messages=_CONTINUED if is_continued else (),
        settings=ModelSettings(
            model=settings.model,
            tools=settings.tools,
            tool_choice=settings.tool_choice,
            parallel_tool_calls=settings.parallel_tool_calls,
            output_retries=0,
        ),
        demand=prepared.demand and replace(prepared.demand, is_repeated=False),
        forced=None,
    )


def build_request(fields: BatchRequest) -> PreparedRequest:
    """Return the reduced request of a body, as `reduce_request` would."""
    settings = ModelSettings(
        model=fields.model,
        tools=fields.tools,
        tool_choice=parse_tool_choice(fields.tool_choice, fields.tools) if fields.tools else None,
        parallel_tool_calls=fields.parallel_tool_calls,
        response_format=fields.response_format,
        output_retries=0,
    )
    return PreparedRequest(
        messages=_CONTINUED if fields.is_continued else (),
        settings=settings,
        enable_thinking=fields.enable_thinking,
        stream=False,
        demand=_read_demand(settings, fields.instruction),
    )


def build_unchecked_request(model: str) -> PreparedRequest:
    """Return the request for a reply whose own request is not known any more."""
    note = "reply not checked: the input file of the batch is gone, and with it what was required of the reply"
    settings = ModelSettings(model=model, output_retries=0)
    return PreparedRequest(messages=(), settings=settings, enable_thinking=None, stream=False, adjustments=(note,))


def _read_demand(settings: ModelSettings, text: str) -> Demand | None:
    """Read the demand of a request: what it forces, or what its last user message asks for."""
    choice = settings.tool_choice
    names = list_tool_names(settings)
    if names and (choice == "required" or isinstance(choice, NamedTool)):
        name = find_forced_name(settings)
        return Demand(kind="call", tool=name, description=f"required by tool_choice {name or 'required'!r}")
    if get_json_type(settings):
        return build_json_demand(settings)
    name = names[0] if len(names) == 1 else None
    if names and text.endswith(build_call_instruction(name)):
        return Demand(kind="call", tool=name, description="the prompt asks for the call")
    match = _JSON_INSTRUCTION.search(text)
    if match is None:
        return None
    response_format = _build_response_format(match["schema"])
    demand = build_json_demand(replace(settings, response_format=response_format))
    return replace(demand, description="the prompt requests JSON", is_checked=True)


def _build_response_format(schema: str | None) -> dict[str, Any]:
    try:
        return {"type": "json_schema", "json_schema": {"schema": json.loads(schema or "")}}
    except ValueError:
        return {"type": "json_object"}
