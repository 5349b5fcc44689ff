"""Rules about sampling parameters, tools and the format of the answer. Unknown parameters are no one's concern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, Rule

_MAX_SEED = {"compat": 2**31 - 1, "native": 2**63 - 1}
_STOP = (
    'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", '
    "and all elements within the list must be of the same type."
)
_CHOICE = 'tool_choice is one of the strings that should be ["none", "auto"]'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(
    name: str, kind: str, within: Callable[[Any], bool], message: str
) -> Callable[[ChatRequest], ApiError | None]:
    """A rule for one number; ``kind`` is the type that the service names."""
    is_kind = _is_integer if kind == "Integer" else _is_number

    def check(ask: ChatRequest) -> ApiError | None:
        value = ask.given(name)
        if value is None:
            return None
        if not is_kind(value):
            return invalid_parameter(f"'{name}' must be {kind}")
        return None if within(value) else invalid_parameter(message)

    return check


def _max_tokens(ask: ChatRequest) -> ApiError | None:
    value = ask.given("max_tokens")
    most = ask.facts.max_output if ask.facts else None
    if value is None:
        return None
    if not _is_integer(value):
        return invalid_parameter("'max_tokens' must be Integer")
    if value >= 1 and (most is None or value <= most):
        return None
    return invalid_parameter(f"Range of max_tokens should be [1, {most or 'xxx'}]")


def _seed(ask: ChatRequest) -> ApiError | None:
    seed, most = ask.given("seed"), _MAX_SEED[ask.api]
    if seed is None or (_is_integer(seed) and 0 <= seed <= most):
        return None
    if ask.api == "native":
        integer = _is_integer(seed)
        return invalid_parameter(f"Range of seed should be [0, {most}]" if integer else "'seed' must be Integer")
    message = "'seed' must be Integer"
    if _is_integer(seed):
        limit = "lesser than the minimum of 0" if seed < 0 else f"greater than the maximum of {most}"
        message = f"{seed} is {limit} - 'seed'"
    return ApiError(400, "InvalidParameter", "invalid_value", "invalid_request_error", message)


def _stop(ask: ChatRequest) -> ApiError | None:
    stop = ask.given("stop")
    if stop is None or isinstance(stop, str):
        return None
    kinds: tuple[Callable[[Any], bool], ...] = (
        lambda item: isinstance(item, str),
        _is_integer,
        lambda item: isinstance(item, list) and all(_is_integer(token) for token in item),
    )
    fits = isinstance(stop, list) and any(all(kind(item) for item in stop) for kind in kinds)
    return None if fits else invalid_parameter(_STOP)


def _tools_supported(ask: ChatRequest) -> ApiError | None:
    uses_tools = ask.given("tools") or any(message["role"] == "tool" for message in ask.messages)
    if uses_tools and ask.facts and not ask.facts.tools:
        return invalid_parameter("The tool call is not supported.")
    return None


def _tools_shape(ask: ChatRequest) -> ApiError | None:
    tools = ask.given("tools")
    if tools is None:
        return None
    if tools == []:
        return invalid_parameter("[] is too short - 'tools'", from_algorithm=False)
    if not isinstance(tools, list) or not all(_tool_name(tool) for tool in tools):
        return invalid_parameter("Required parameter(tools) missing or invalid, please check the request parameters.")
    if any(_tool_name(tool) == "search" for tool in tools):
        return invalid_parameter("Tool names are not allowed to be [search]")
    return None


def _tool_name(tool: Any) -> str | None:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
    return None


def _tool_choice(ask: ChatRequest) -> ApiError | None:
    match ask.given("tool_choice"):
        case None | "auto" | "none" | "required":
            return None
        case {"type": "function", "function": {"name": str(name)}}:
            names = [_tool_name(tool) for tool in ask.given("tools") or ()]
            return None if name in names else invalid_parameter(_CHOICE)
    return invalid_parameter(_CHOICE)


def _parallel(ask: ChatRequest) -> ApiError | None:
    value = ask.given("parallel_tool_calls")
    return (
        None if value is None or isinstance(value, bool) else invalid_parameter("'parallel_tool_calls' must be Boolean")
    )


def _format_type(ask: ChatRequest) -> str | None:
    """None if there is no response format, else its type, or the format itself if it has none."""
    given = ask.given("response_format")
    if given is None:
        return None
    return str(given.get("type")) if isinstance(given, dict) else str(given)


def _format_known(ask: ChatRequest) -> ApiError | None:
    kind = _format_type(ask)
    supported = {None, "text"}
    if ask.facts is None or ask.facts.json_object:
        supported.add("json_object")
    if ask.facts is None or ask.facts.json_schema:
        supported.add("json_schema")
    if kind in supported or (ask.thinking and kind in ("json_object", "json_schema")):
        return None  # while thinking, another rule refuses JSON with its own words
    return invalid_parameter(
        "Unknown format of response_format, response_format should be a dict, includes 'type' and an optional "
        f"key 'json_schema'. The response_format type from user is {kind}."
    )


def _format_not_thinking(ask: ChatRequest) -> ApiError | None:
    if ask.thinking and _format_type(ask) in ("json_object", "json_schema"):
        return invalid_parameter("Json mode response is not supported when enable_thinking is true")
    return None


def _format_named(ask: ChatRequest) -> ApiError | None:
    if _format_type(ask) != "json_object" or any("json" in text.lower() for text in ask.texts()):
        return None
    return invalid_parameter(
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    )


_RANGES: tuple[tuple[str, str, Callable[[Any], bool], str], ...] = (
    ("temperature", "Float", lambda value: 0 <= value < 2, "Temperature should be in [0.0, 2.0)"),
    ("top_p", "Float", lambda value: 0 < value <= 1, "Range of top_p should be (0.0, 1.0]"),
    ("top_k", "Integer", lambda value: value >= 0, "Parameter top_k be greater than or equal to 0"),
    ("repetition_penalty", "Float", lambda value: value > 0, "Repetition_penalty should be greater than 0.0"),
    ("presence_penalty", "Float", lambda value: -2 <= value <= 2, "Presence_penalty should be in [-2.0, 2.0]"),
    ("n", "Integer", lambda value: 1 <= value <= 4, "Range of n should be [1, 4]"),
)

PARAMETER_RULES: tuple[Rule, ...] = (
    *(Rule(f"range of {row[0]}", ERROR_PAGE, _number(*row)) for row in _RANGES),
    Rule("range of max_tokens", ERROR_PAGE, _max_tokens),
    Rule("range of seed", ERROR_PAGE + "; each API has its own", _seed),
    Rule("type of stop", ERROR_PAGE, _stop),
    Rule("model supports tools", ERROR_PAGE, _tools_supported),
    Rule("tools are whole, named, not 'search'", ERROR_PAGE, _tools_shape),
    Rule("tool_choice is known", ERROR_PAGE, _tool_choice),
    Rule("parallel_tool_calls is a boolean", "vendor's API reference; the message by analogy", _parallel),
    Rule("response_format is supported", ERROR_PAGE, _format_known),
    Rule("no JSON output while thinking", ERROR_PAGE, _format_not_thinking),
    Rule("JSON output is asked for in words", ERROR_PAGE, _format_named),
)
