"""Check messages: presence, roles, content, and the order of tool calls and results."""

from __future__ import annotations

import json
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, NAME_MESSAGE, Rule, is_function_name

_ROLES = ("system", "assistant", "user", "tool", "function")
_NOT_A_MESSAGE = "Input should be a valid dictionary or instance of GPT3Message"
_CHARACTERS_PER_TOKEN = 4


def _schema_error(message: str) -> ApiError:
    """Make the error of the compatible API's check of the body's shape; natively it is an invalid parameter."""
    return ApiError(400, "InvalidParameter", "invalid_parameter_error", "invalid_request_error", message)


def _check_presence(request: ChatRequest) -> ApiError | None:
    if isinstance(request.input.get("messages"), list):
        return None
    if request.api == "native":
        return _schema_error('Either "prompt" or "messages" must exist and cannot both be none')
    return _schema_error("Required parameter(messages) missing or invalid, please check the request parameters.")


def _check_not_empty(request: ChatRequest) -> ApiError | None:
    return None if request.input["messages"] else _schema_error("[] is too short - 'messages'")


def _check_objects(request: ChatRequest) -> ApiError | None:
    ill_formed = len(request.messages) != len(request.input["messages"]) or any(
        not isinstance(message.get("role"), str) for message in request.messages
    )
    return invalid_parameter(_NOT_A_MESSAGE) if ill_formed else None


def _check_roles(request: ChatRequest) -> ApiError | None:
    for index, message in enumerate(request.messages):
        if message["role"] not in _ROLES:
            return _schema_error(f"{message['role']} is not one of {list(_ROLES)} - 'messages.[{index}].role'")
    return None


def _check_content(request: ChatRequest) -> ApiError | None:
    for message in request.messages:
        content, calls = message.get("content"), message.get("tool_calls")
        if content is None and not (message["role"] == "assistant" and calls):
            return invalid_parameter("The content field is a required field.")
        if content is not None and not isinstance(content, str | list):
            return invalid_parameter(_NOT_A_MESSAGE)
    return None


def _check_user(request: ChatRequest) -> ApiError | None:
    if any(message["role"] == "user" for message in request.messages):
        return None
    return invalid_parameter("The input messages do not contain elements with the role of user.")


def _check_tool_calls(request: ChatRequest) -> ApiError | None:
    for index, message in enumerate(request.messages):
        if "tool_calls" not in message or message["tool_calls"] is None:
            continue
        calls = message["tool_calls"]
        if calls == []:
            return _schema_error(f"[] is too short - 'messages.[{index}].tool_calls'")
        if not isinstance(calls, list) or not all(_is_call(call) for call in calls):
            return invalid_parameter(_NOT_A_MESSAGE)
    return None


def _check_call_names(request: ChatRequest) -> ApiError | None:
    for index, message in enumerate(request.messages):
        for call in message.get("tool_calls") or ():
            if not is_function_name(call["function"]["name"]):
                return invalid_parameter(f"Invalid 'messages[{index}].tool_calls.function.name': {NAME_MESSAGE}")
    return None


def _is_call(call: Any) -> bool:
    match call:
        case {"id": str(identity), "type": "function", "function": {"name": str(name), "arguments": str()}}:
            return bool(identity and name)
    return False


def _check_call_arguments(request: ChatRequest) -> ApiError | None:
    for message in request.messages:
        for call in message.get("tool_calls") or ():
            if not _is_json_object(call["function"]["arguments"]):
                return invalid_parameter('The "function.arguments" parameter of the code model must be in JSON format.')
    return None


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _check_results_answer_calls(request: ChatRequest) -> ApiError | None:
    open_ids: set[str] = set()
    for message in request.messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_ids:
                return invalid_parameter(
                    'Messages with role "tool" must be a response to a preceding message with "tool_calls"'
                )
            open_ids.discard(message["tool_call_id"])
        else:
            open_ids = {call["id"] for call in message.get("tool_calls") or ()}
    return None


def _check_calls_are_answered(request: ChatRequest) -> ApiError | None:
    pending: set[str] = set()
    for index, message in enumerate([*request.messages, {"role": "end"}]):
        if message["role"] == "tool":
            pending.discard(message["tool_call_id"])
            continue
        if pending:
            return invalid_parameter(
                'An assistant message with "tool_calls" must be followed by tool messages responding to each '
                '"tool_call_id". The following tool_call_ids did not have response messages: '
                f"message[{index}].role"
            )
        pending = {call["id"] for call in message.get("tool_calls") or ()}
    return None


def _check_length(request: ChatRequest) -> ApiError | None:
    """Check the input length, estimated in tokens from the number of characters."""
    if request.facts is None:
        return None
    limit = request.facts.max_input_thinking if request.thinking else request.facts.max_input
    if sum(len(text) for text in request.texts()) // _CHARACTERS_PER_TOKEN <= limit:
        return None
    return invalid_parameter(f"Range of input length should be [1, {limit}]")


MESSAGE_RULES: tuple[Rule, ...] = (
    Rule("messages are present", ERROR_PAGE, _check_presence),
    Rule("messages are not empty", ERROR_PAGE, _check_not_empty),
    Rule("messages are objects with a role", ERROR_PAGE, _check_objects),
    Rule("roles are known", "issue reports with this message", _check_roles),
    Rule("content is present", ERROR_PAGE, _check_content),
    Rule("a user message is present", ERROR_PAGE, _check_user),
    Rule("tool_calls are well-formed and not empty", "by analogy with the check of messages", _check_tool_calls),
    Rule("tool calls have valid names", "OpenAI's API reference, the form of this API", _check_call_names),
    Rule("tool call arguments are a JSON object", "issue reports with this message", _check_call_arguments),
    Rule("tool messages answer tool calls", ERROR_PAGE, _check_results_answer_calls),
    Rule("tool calls are all answered", "QwenLM/qwen-code#315 and others", _check_calls_are_answered),
    Rule("input length", ERROR_PAGE, _check_length),
)
