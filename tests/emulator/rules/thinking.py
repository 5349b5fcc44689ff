"""Check thinking and the parameters that depend on it: streaming, forced tools, partial answers."""

from __future__ import annotations

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, Rule


def _check_supported(request: ChatRequest) -> ApiError | None:
    if request.facts is None or request.facts.thinking != "never" or request.parameter("enable_thinking") is None:
        return None
    message = f"The model {request.model} does not support enable_thinking."
    code = "InvalidParameter.NotSupportEnableThinking"
    return ApiError(400, code, code, "invalid_request_error", message)


def _check_boolean(request: ChatRequest) -> ApiError | None:
    value = request.parameter("enable_thinking")
    return None if value is None or isinstance(value, bool) else invalid_parameter("'enable_thinking' must be Boolean")


def _check_not_switched_off(request: ChatRequest) -> ApiError | None:
    if request.facts and request.facts.thinking == "always" and request.parameter("enable_thinking") is False:
        return invalid_parameter("The value of the enable_thinking parameter is restricted to True.")
    return None


def _check_budget(request: ChatRequest) -> ApiError | None:
    budget = request.parameter("thinking_budget")
    if budget is None or request.facts is None or request.facts.thinking == "never":
        return None
    is_integer = isinstance(budget, int) and not isinstance(budget, bool)
    if is_integer and 1 <= budget <= request.facts.max_thinking:
        return None
    return invalid_parameter(
        f"The thinking_budget parameter must be a positive integer and not greater than {request.facts.max_thinking}"
    )


def _check_effort(request: ChatRequest) -> ApiError | None:
    effort = request.parameter("reasoning_effort")
    if effort is None or request.facts is None or effort in request.facts.efforts:
        return None
    if request.facts.efforts:
        return invalid_parameter(f"The value of reasoning_effort should be one of {list(request.facts.efforts)}")
    return invalid_parameter(f"The model {request.model} does not support reasoning_effort.")


def _check_effort_without_budget(request: ChatRequest) -> ApiError | None:
    if request.parameter("reasoning_effort") is None or request.parameter("thinking_budget") is None:
        return None
    return invalid_parameter("reasoning_effort and thinking_budget cannot be set at the same time")


def _check_effort_while_thinking(request: ChatRequest) -> ApiError | None:
    effort = request.parameter("reasoning_effort")
    if effort in (None, "none") or request.facts is None or request.thinking:
        return None
    return invalid_parameter("reasoning_effort is only supported when enable_thinking is true")


def _check_stream_only(request: ChatRequest) -> ApiError | None:
    if request.facts and request.facts.stream_only and not request.stream:
        return invalid_parameter(
            "This model only support stream mode, please enable the stream parameter to access the model.",
            from_algorithm=False,
        )
    return None


def _check_thinking_streams(request: ChatRequest) -> ApiError | None:
    is_allowed = request.thinks_without_stream and (request.facts is None or request.facts.thinks_without_stream)
    if request.thinking and not request.stream and not is_allowed:
        return invalid_parameter(
            "parameter.enable_thinking must be set to false for non-streaming calls", from_algorithm=False
        )
    return None


def _check_incremental(request: ChatRequest) -> ApiError | None:
    if request.api == "compat" or not request.stream:
        return None
    if request.facts and request.facts.stream_only:
        if request.parameter("incremental_output") in (None, True):
            return None
        return invalid_parameter("The incremental_output parameter of this model cannot be set to False.")
    if request.thinking and request.parameter("incremental_output") is not True:
        return invalid_parameter('The incremental_output parameter must be "true" when enable_thinking is true')
    return None


def _check_result_format(request: ChatRequest) -> ApiError | None:
    if request.api == "native" and request.thinking and request.parameter("result_format") not in (None, "message"):
        return invalid_parameter('The result_format parameter must be "message" when enable_thinking is true')
    return None


def _check_forced_tool(request: ChatRequest) -> ApiError | None:
    choice = request.parameter("tool_choice")
    if request.thinking and (choice == "required" or isinstance(choice, dict)):
        return invalid_parameter(
            "The tool_choice parameter does not support being set to required or object in thinking mode"
        )
    return None


def _check_partial(request: ChatRequest) -> ApiError | None:
    if request.thinking and request.messages[-1].get("partial") is True:
        return invalid_parameter("Partial mode is not supported when enable_thinking is true")
    return None


THINKING_RULES: tuple[Rule, ...] = (
    Rule("enable_thinking is a boolean", "vendor's API reference; the message by analogy", _check_boolean),
    Rule("model can think", ERROR_PAGE, _check_supported),
    Rule("model that only thinks", ERROR_PAGE, _check_not_switched_off),
    Rule("thinking_budget", ERROR_PAGE, _check_budget),
    Rule("model takes the effort", "vendor's DashScope API reference; the message by analogy", _check_effort),
    Rule("effort or budget", "vendor's DashScope API reference; the message by analogy", _check_effort_without_budget),
    Rule("effort while thinking", "stricter than the vendor's API reference", _check_effort_while_thinking),
    Rule("model that only streams", "vendor, QVQ page", _check_stream_only),
    Rule("thinking calls stream", ERROR_PAGE + " (open-source Qwen3)", _check_thinking_streams),
    Rule("thinking streams are incremental", ERROR_PAGE, _check_incremental),
    Rule("thinking answers are messages", ERROR_PAGE, _check_result_format),
    Rule("no forced tool while thinking", "cloudwego/eino#994", _check_forced_tool),
    Rule("no partial mode while thinking", "vendor's Java SDK sample", _check_partial),
)
