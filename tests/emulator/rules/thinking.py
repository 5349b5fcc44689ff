"""Rules about thinking, and what goes with it: streaming, forced tools, partial answers."""

from __future__ import annotations

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, Rule


def _supported(ask: ChatRequest) -> ApiError | None:
    if ask.facts is None or ask.facts.thinking != "never" or ask.given("enable_thinking") is None:
        return None
    message = f"The model {ask.model} does not support enable_thinking."
    code = "InvalidParameter.NotSupportEnableThinking"
    return ApiError(400, code, code, "invalid_request_error", message)


def _boolean(ask: ChatRequest) -> ApiError | None:
    value = ask.given("enable_thinking")
    return None if value is None or isinstance(value, bool) else invalid_parameter("'enable_thinking' must be Boolean")


def _not_switched_off(ask: ChatRequest) -> ApiError | None:
    if ask.facts and ask.facts.thinking == "always" and ask.given("enable_thinking") is False:
        return invalid_parameter("The value of the enable_thinking parameter is restricted to True.")
    return None


def _budget(ask: ChatRequest) -> ApiError | None:
    budget = ask.given("thinking_budget")
    if budget is None or ask.facts is None or ask.facts.thinking == "never":
        return None
    whole = isinstance(budget, int) and not isinstance(budget, bool)
    if whole and 1 <= budget <= ask.facts.max_thinking:
        return None
    return invalid_parameter(
        f"The thinking_budget parameter must be a positive integer and not greater than {ask.facts.max_thinking}"
    )


def _stream_only(ask: ChatRequest) -> ApiError | None:
    if ask.facts and ask.facts.stream_only and not ask.stream:
        return invalid_parameter(
            "This model only support stream mode, please enable the stream parameter to access the model.",
            from_algorithm=False,
        )
    return None


def _streams(ask: ChatRequest) -> ApiError | None:
    may = ask.thinks_without_stream and (ask.facts is None or ask.facts.thinks_without_stream)
    if ask.thinking and not ask.stream and not may:
        return invalid_parameter(
            "parameter.enable_thinking must be set to false for non-streaming calls", from_algorithm=False
        )
    return None


def _incremental(ask: ChatRequest) -> ApiError | None:
    if ask.api == "compat" or not ask.stream:
        return None
    if ask.facts and ask.facts.stream_only:
        if ask.given("incremental_output") in (None, True):
            return None
        return invalid_parameter("The incremental_output parameter of this model cannot be set to False.")
    if ask.thinking and ask.given("incremental_output") is not True:
        return invalid_parameter('The incremental_output parameter must be "true" when enable_thinking is true')
    return None


def _result_format(ask: ChatRequest) -> ApiError | None:
    if ask.api == "native" and ask.thinking and ask.given("result_format") not in (None, "message"):
        return invalid_parameter('The result_format parameter must be "message" when enable_thinking is true')
    return None


def _forced_tool(ask: ChatRequest) -> ApiError | None:
    choice = ask.given("tool_choice")
    if ask.thinking and (choice == "required" or isinstance(choice, dict)):
        return invalid_parameter(
            "The tool_choice parameter does not support being set to required or object in thinking mode"
        )
    return None


def _partial(ask: ChatRequest) -> ApiError | None:
    if ask.thinking and ask.messages[-1].get("partial") is True:
        return invalid_parameter("Partial mode is not supported when enable_thinking is true")
    return None


THINKING_RULES: tuple[Rule, ...] = (
    Rule("enable_thinking is a boolean", "vendor's API reference; the message by analogy", _boolean),
    Rule("model can think", ERROR_PAGE, _supported),
    Rule("model that only thinks", ERROR_PAGE, _not_switched_off),
    Rule("thinking_budget", ERROR_PAGE, _budget),
    Rule("model that only streams", "vendor, QVQ page", _stream_only),
    Rule("thinking calls stream", ERROR_PAGE + " (open-source Qwen3)", _streams),
    Rule("thinking streams are incremental", ERROR_PAGE, _incremental),
    Rule("thinking answers are messages", ERROR_PAGE, _result_format),
    Rule("no forced tool while thinking", "cloudwego/eino#994", _forced_tool),
    Rule("no partial mode while thinking", "vendor's Java SDK sample", _partial),
)
