"""Force a tool or JSON output, or ask for it where the service does not force it: while the model thinks.

Both are rules of the policy (`request.policy`): they set the `Demand` of the request, against which
`request.reply_check` checks the reply. A request that only asks for its demand may be followed by one that forces it
(`request.follow_up`).

Sources: the vendor's pages "Structured output", "Function calling" and "Error codes"; cloudwego/eino#994 (the text of
the refusal).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.request import thinking
from qwenvl_core.request.output_schema import ROOT_PROPERTY, get_root_type, inline_root
from qwenvl_core.types.messages import Message, Part, TextPart
from qwenvl_core.types.request import Demand, PreparedRequest
from qwenvl_core.types.settings import ModelSettings, NamedTool
from qwenvl_core.wire.tool_names import to_wire_name


def resolve_forced_tool(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Force a tool, or ask for its call where the service rejects a forced tool."""
    settings = prepared.settings
    choice = settings.tool_choice
    if not settings.tools or not (choice == "required" or isinstance(choice, NamedTool)):
        return prepared
    name = find_forced_name(settings)
    label = repr(choice.name) if isinstance(choice, NamedTool) else "'required'"
    demand = Demand(kind="call", tool=name, description=f"required by tool_choice {label}")
    offered = tuple(tool for tool in settings.tools if read_tool_name(tool) == name) if name else settings.tools
    forced = replace(settings, tool_choice=NamedTool(name) if name else "required")
    if name and "named" not in facts.tool_choices:
        forced = replace(settings, tool_choice="required", tools=offered)
    can_force = can_force_tool(demand, facts)
    is_thinking = thinking.is_thinking(prepared, facts)
    if can_force and (facts.forced_tools_thinking or not is_thinking):
        return replace(prepared, settings=forced, demand=demand)
    if can_force and prepared.enable_thinking and settings.forced_output == "no_thinking":
        return prepared.adjust(
            f"enable_thinking=False: the service rejects tool_choice {label} while the model thinks",
            enable_thinking=False, settings=forced, demand=demand,
        )  # fmt: skip
    reason = "while the model thinks" if can_force else "at this server"
    if facts.thinking == "always" or settings.forced_output == "ask":
        when = f"while {settings.model} thinks" if can_force else "to this server"
        demand = replace(demand, description=f"tool_choice {label} could only be sent as 'auto' {when}")
    return prepared.adjust(
        f"tool_choice='auto' instead of {label}: a tool can't be forced {reason}; the prompt asks for the call",
        messages=append_instruction(prepared.messages, build_call_instruction(name)),
        settings=replace(settings, tool_choice="auto", tools=offered),
        demand=replace(demand, is_repeated=settings.forced_output != "ask"),
    )


def resolve_json_output(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Send the response format, or ask for JSON in the prompt where the service rejects the format."""
    kind = get_json_type(prepared.settings)
    if kind is None:
        return prepared
    settings = prepared.settings
    is_thinking = thinking.is_thinking(prepared, facts)
    has_format = facts.json_object or facts.json_schema
    is_sent = has_format and (facts.json_thinking or not is_thinking)
    demand = prepared.demand or build_json_demand(settings)
    if is_sent:
        return replace(prepared, demand=demand)
    if has_format and prepared.enable_thinking and settings.forced_output == "no_thinking":
        return prepared.adjust(
            f"enable_thinking=False: the service rejects response_format {kind} while the model thinks",
            enable_thinking=False, demand=demand,
        )  # fmt: skip
    reason = "always thinks" if facts.thinking == "always" else "thinks" if has_format else "has no JSON mode"
    without_format = replace(settings, response_format=None)
    if demand.kind == "call":
        return prepared.adjust(
            f"response_format {kind} not sent: {settings.model} {reason}; a tool call is required instead of JSON",
            settings=without_format,
        )
    if not (has_format and prepared.enable_thinking and settings.forced_output == "think_first"):
        why = f"{settings.model} {reason}, so JSON could only be requested in the prompt"
        demand = replace(demand, description=why)
    return prepared.adjust(
        f"response_format {kind} not sent: {settings.model} {reason}; the prompt requests JSON instead",
        messages=append_instruction(prepared.messages, build_json_instruction(settings)),
        settings=without_format,
        demand=replace(demand, is_checked=True, is_repeated=is_thinking and settings.forced_output != "ask"),
    )


def move_json_schema_to_prompt(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Move the JSON schema to the prompt where the model supports JSON objects only."""
    if get_json_type(prepared.settings) != "json_schema" or facts.json_schema:
        return prepared
    return prepared.adjust(
        f"response_format json_object instead of json_schema: {prepared.settings.model} does not support schemas; "
        "the prompt has the schema instead",
        messages=append_instruction(prepared.messages, build_json_instruction(prepared.settings)),
        settings=replace(prepared.settings, response_format={"type": "json_object"}),
    )


def widen_json_object(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Request a JSON object by a schema where the server takes schemas only."""
    if get_json_type(prepared.settings) != "json_object" or facts.json_object or not facts.json_schema:
        return prepared
    any_object = {"name": "answer", "schema": {"type": "object"}}
    return prepared.adjust(
        "response_format json_schema instead of json_object, which the server does not take",
        settings=replace(prepared.settings, response_format={"type": "json_schema", "json_schema": any_object}),
    )


def add_json_word(prepared: PreparedRequest, facts: ModelFacts) -> PreparedRequest:
    """Add the word "json" to the prompt where it is missing: JSON mode requires it. Source: "Error codes"."""
    needs_word = get_provider(prepared.settings.provider).needs_json_word
    if not needs_word or get_json_type(prepared.settings) is None:
        return prepared
    if any("json" in message.text.lower() for message in prepared.messages):
        return prepared
    return prepared.adjust(
        'instruction for JSON added to the prompt: response_format requires the word "json" in it',
        messages=append_instruction(prepared.messages, build_json_instruction(prepared.settings)),
    )


def can_force_tool(demand: Demand, facts: ModelFacts) -> bool:
    """Return whether a call can be forced; that of a named tool also by requiring a call and offering no other."""
    return "required" in facts.tool_choices or (demand.tool is not None and "named" in facts.tool_choices)


def find_forced_name(settings: ModelSettings) -> str | None:
    """Return the name of the tool that must be called; `None` if any of several tools may be.

    The service does not guarantee a call for `required`, so the only tool is forced by its name.
    """
    if isinstance(settings.tool_choice, NamedTool):
        return settings.tool_choice.name
    return read_tool_name(settings.tools[0]) or None if len(settings.tools) == 1 else None


def build_call_instruction(name: str | None) -> str:
    """Build the instruction to call a tool: the one of this name, or any."""
    return f"Answer with a call of the tool {to_wire_name(name)}." if name else "Answer with a tool call."


def get_json_type(settings: ModelSettings) -> str | None:
    """Return the type of a response format that requests JSON, `None` for other answers."""
    kind = (settings.response_format or {}).get("type")
    return kind if kind in ("json_object", "json_schema") else None


def build_json_demand(settings: ModelSettings) -> Demand:
    """Build the demand of a response format. A format that is sent is not checked: the service keeps it."""
    schema = inline_root(read_json_schema(settings) or {})
    properties, required = schema.get("properties"), schema.get("required")
    is_wrapped = isinstance(properties, Mapping) and properties.keys() == {ROOT_PROPERTY}
    types: tuple[type, ...] = (dict, list)
    if schema and not is_wrapped:  # a list is accepted without its wrapping, and where nothing describes the JSON
        types = {"object": (dict,), "array": (list,)}.get(get_root_type(schema), types)
    return Demand(
        kind="json",
        types=types,
        required=tuple(map(str, required)) if isinstance(required, (list, tuple)) and not is_wrapped else (),
        description=f"required by response_format {get_json_type(settings)}",
        is_checked=False,
    )


def read_json_schema(settings: ModelSettings) -> Mapping[str, Any] | None:
    """Return the JSON schema of a response format, if it has one."""
    json_schema = (settings.response_format or {}).get("json_schema")
    schema = json_schema.get("schema") if isinstance(json_schema, Mapping) else None
    return schema if isinstance(schema, Mapping) and schema else None


def build_json_instruction(settings: ModelSettings) -> str:
    """Build the instruction to answer in JSON, with the schema if there is one."""
    kind = "array" if build_json_demand(settings).types == (list,) else "object"
    instruction = f"Answer with one JSON {kind} and nothing else."
    if settings.tools and settings.tool_choice != "none":
        instruction = f"Unless you call a tool, answer with one JSON {kind} and nothing else."
    schema = read_json_schema(settings)
    if schema:
        instruction += f" It must match this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    return instruction


def append_instruction(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    """Append an instruction to the last user message; add one where there is none."""
    last = next((index for index in reversed(range(len(messages))) if messages[index].role == "user"), None)
    if last is None:
        return (*messages, Message("user", (TextPart(instruction),)))
    changed = replace(messages[last], parts=_append_text(messages[last].parts, instruction))
    return (*messages[:last], changed, *messages[last + 1 :])


def _append_text(parts: tuple[Part, ...], text: str) -> tuple[Part, ...]:
    last = parts[-1] if parts else None
    if isinstance(last, TextPart) and not last.cache:  # a cached text must stay the same
        return (*parts[:-1], replace(last, text=f"{last.text}\n\n{text}"))
    return (*parts, TextPart(text))


def list_tool_names(settings: ModelSettings) -> list[str]:
    """Return the names of the tools of a request."""
    return [name for tool in settings.tools if (name := read_tool_name(tool))]


def read_tool_name(tool: Mapping[str, Any]) -> str:
    """Return the name of a tool; an empty string for a tool that is not a function."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else ""
