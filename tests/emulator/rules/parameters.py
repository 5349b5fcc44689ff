"""Check sampling parameters, tools and the response format; unknown parameters are ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, NAME_MESSAGE, Rule, is_function_name

_MAX_SEED = {"compat": 2**31 - 1, "native": 2**63 - 1}
_STOP_MESSAGE = (
    'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", '
    "and all elements within the list must be of the same type."
)
_TOOL_CHOICE_MESSAGE = 'tool_choice is one of the strings that should be ["none", "auto"]'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _make_number_check(
    name: str, kind: str, within: Callable[[Any], bool], message: str
) -> Callable[[ChatRequest], ApiError | None]:
    """Make a check of one number; ``kind`` is the type in the message of the service."""
    is_kind = _is_integer if kind == "Integer" else _is_number

    def check(request: ChatRequest) -> ApiError | None:
        value = request.parameter(name)
        if value is None:
            return None
        if not is_kind(value):
            return invalid_parameter(f"'{name}' must be {kind}")
        return None if within(value) else invalid_parameter(message)

    return check


def _check_max_tokens(request: ChatRequest) -> ApiError | None:
    value = request.parameter("max_tokens")
    maximum = request.facts.max_output if request.facts else None
    if request.facts and request.thinking:
        maximum = request.facts.max_tokens_thinking or maximum
    if value is None:
        return None
    if not _is_integer(value):
        return invalid_parameter("'max_tokens' must be Integer")
    if value >= 1 and (maximum is None or value <= maximum):
        return None
    return invalid_parameter(f"Range of max_tokens should be [1, {maximum or 'xxx'}]")


def _check_seed(request: ChatRequest) -> ApiError | None:
    seed, maximum = request.parameter("seed"), _MAX_SEED[request.api]
    if seed is None or (_is_integer(seed) and 0 <= seed <= maximum):
        return None
    if request.api == "native":
        integer = _is_integer(seed)
        return invalid_parameter(f"Range of seed should be [0, {maximum}]" if integer else "'seed' must be Integer")
    message = "'seed' must be Integer"
    if _is_integer(seed):
        limit = "lesser than the minimum of 0" if seed < 0 else f"greater than the maximum of {maximum}"
        message = f"{seed} is {limit} - 'seed'"
    return ApiError(400, "InvalidParameter", "invalid_value", "invalid_request_error", message)


def _check_stop(request: ChatRequest) -> ApiError | None:
    stop = request.parameter("stop")
    if stop is None or isinstance(stop, str):
        return None
    kinds: tuple[Callable[[Any], bool], ...] = (
        lambda item: isinstance(item, str),
        _is_integer,
        lambda item: isinstance(item, list) and all(_is_integer(token) for token in item),
    )
    fits = isinstance(stop, list) and any(all(kind(item) for item in stop) for kind in kinds)
    return None if fits else invalid_parameter(_STOP_MESSAGE)


def _check_tools_supported(request: ChatRequest) -> ApiError | None:
    uses_tools = request.parameter("tools") or any(message["role"] == "tool" for message in request.messages)
    if uses_tools and request.facts and not request.facts.tools:
        return invalid_parameter("The tool call is not supported.")
    return None


def _check_tools(request: ChatRequest) -> ApiError | None:
    tools = request.parameter("tools")
    if tools is None:
        return None
    if tools == []:
        return invalid_parameter("[] is too short - 'tools'", from_algorithm=False)
    if not isinstance(tools, list) or not all(_tool_name(tool) for tool in tools):
        return invalid_parameter("Required parameter(tools) missing or invalid, please check the request parameters.")
    if any(_tool_name(tool) == "search" for tool in tools):
        return invalid_parameter("Tool names are not allowed to be [search]")
    return None


def _check_tool_names(request: ChatRequest) -> ApiError | None:
    for index, tool in enumerate(request.parameter("tools") or ()):
        if not is_function_name(_tool_name(tool)):
            return invalid_parameter(f"Invalid 'tools[{index}].function.name': {NAME_MESSAGE}")
    match request.parameter("response_format"):
        case {"json_schema": {"name": name}} if not is_function_name(name):
            return invalid_parameter(f"Invalid 'response_format.json_schema.name': {NAME_MESSAGE}")
    return None


def _check_schemas(request: ChatRequest) -> ApiError | None:
    """Check that each schema describes an object and that all its references resolve."""
    schemas = {
        f"tools[{index}].function.parameters": tool["function"].get("parameters")
        for index, tool in enumerate(request.parameter("tools") or ())
    }
    match request.parameter("response_format"):
        case {"json_schema": {"schema": schema}}:
            schemas["response_format.json_schema.schema"] = schema
    for place, schema in schemas.items():
        if schema and schema.get("type") != "object":
            return invalid_parameter(f"Invalid schema for {place}: schema must be a JSON Schema of 'type: \"object\"'")
        if broken := [path for path in _references(schema) if not _resolves(path, schema)]:
            return invalid_parameter(f"Invalid schema for {place}: reference {broken[0]} not found")
    return None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _resolves(path: str, schema: Any) -> bool:
    for key in path.removeprefix("#").split("/")[1:]:
        if not isinstance(schema, dict) or key not in schema:
            return False
        schema = schema[key]
    return path.startswith("#")


def _tool_name(tool: Any) -> str | None:
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
    return None


def _check_tool_choice(request: ChatRequest) -> ApiError | None:
    match request.parameter("tool_choice"):
        case None | "auto" | "none" | "required":
            return None
        case {"type": "function", "function": {"name": str(name)}}:
            names = [_tool_name(tool) for tool in request.parameter("tools") or ()]
            return None if name in names else invalid_parameter(_TOOL_CHOICE_MESSAGE)
    return invalid_parameter(_TOOL_CHOICE_MESSAGE)


def _check_parallel_tool_calls(request: ChatRequest) -> ApiError | None:
    value = request.parameter("parallel_tool_calls")
    return (
        None if value is None or isinstance(value, bool) else invalid_parameter("'parallel_tool_calls' must be Boolean")
    )


def _response_format_type(request: ChatRequest) -> str | None:
    """Return the type of the response format, or the format itself if it is not an object; None without a format."""
    response_format = request.parameter("response_format")
    if response_format is None:
        return None
    return str(response_format.get("type")) if isinstance(response_format, dict) else str(response_format)


def _check_format_supported(request: ChatRequest) -> ApiError | None:
    kind = _response_format_type(request)
    supported = {None, "text"}
    if request.facts is None or request.facts.json_object:
        supported.add("json_object")
    if request.facts is None or request.facts.json_schema:
        supported.add("json_schema")
    if kind in supported or (request.thinking and kind in ("json_object", "json_schema")):
        return None  # while thinking, another rule refuses JSON
    return invalid_parameter(
        "Unknown format of response_format, response_format should be a dict, includes 'type' and an optional "
        f"key 'json_schema'. The response_format type from user is {kind}."
    )


def _check_no_json_while_thinking(request: ChatRequest) -> ApiError | None:
    if request.thinking and _response_format_type(request) in ("json_object", "json_schema"):
        return invalid_parameter("Json mode response is not supported when enable_thinking is true")
    return None


def _check_json_mentioned(request: ChatRequest) -> ApiError | None:
    if _response_format_type(request) != "json_object" or any("json" in text.lower() for text in request.texts()):
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
    (
        "max_completion_tokens",
        "Integer",
        lambda value: value >= 1,
        "Range of max_completion_tokens should be greater than or equal to 1",
    ),
    ("n", "Integer", lambda value: 1 <= value <= 4, "Range of n should be [1, 4]"),
)

PARAMETER_RULES: tuple[Rule, ...] = (
    *(Rule(f"range of {row[0]}", ERROR_PAGE, _make_number_check(*row)) for row in _RANGES),
    Rule("range of max_tokens", ERROR_PAGE, _check_max_tokens),
    Rule("range of seed", ERROR_PAGE + "; each API has its own", _check_seed),
    Rule("type of stop", ERROR_PAGE, _check_stop),
    Rule("model supports tools", ERROR_PAGE, _check_tools_supported),
    Rule("tools are well-formed, named, not 'search'", ERROR_PAGE, _check_tools),
    Rule("tools and schemas have valid names", "OpenAI's API reference, the form of this API", _check_tool_names),
    Rule("schemas are objects without broken references", "OpenAI's API reference", _check_schemas),
    Rule("tool_choice is known", ERROR_PAGE, _check_tool_choice),
    Rule(
        "parallel_tool_calls is a boolean", "vendor's API reference; the message by analogy", _check_parallel_tool_calls
    ),
    Rule("response_format is supported", ERROR_PAGE, _check_format_supported),
    Rule("no JSON output while thinking", ERROR_PAGE, _check_no_json_while_thinking),
    Rule("messages mention JSON for JSON output", ERROR_PAGE, _check_json_mentioned),
)
