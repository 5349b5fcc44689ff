"""What the service refuses: all rules, in the order in which they are asked."""

from __future__ import annotations

from tests.emulator.chat_request import NATIVE_TEXT, ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.media import MEDIA_RULES
from tests.emulator.rules.messages import MESSAGE_RULES
from tests.emulator.rules.parameters import PARAMETER_RULES
from tests.emulator.rules.rule import ERROR_PAGE, Rule
from tests.emulator.rules.thinking import THINKING_RULES

_NO_KEY = ApiError(401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "No API-key provided.")
_WRONG_KEY = ApiError(401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "Invalid API-key provided.")
_WRONG_KEY_COMPAT = ApiError(
    401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "Incorrect API key provided."
)


def refuse_key(ask: ChatRequest, only_key: str | None) -> ApiError | None:
    """HTTP 401: no key, an empty one, or another than the only one that is accepted."""
    scheme, _, key = ask.request.headers.get("authorization", "").partition(" ")
    wrong = _WRONG_KEY_COMPAT if ask.api == "compat" else _WRONG_KEY
    if scheme.lower() != "bearer" or not key.strip():
        return wrong if ask.api == "compat" else _NO_KEY
    return wrong if only_key is not None and key.strip() != only_key else None


def refuse(ask: ChatRequest) -> ApiError | None:
    """The first rule that the request breaks."""
    return next((problem for rule in RULES if (problem := rule.check(ask))), None)


def _body(ask: ChatRequest) -> ApiError | None:
    if isinstance(ask.request.json, dict):
        return None
    return invalid_parameter("Required body invalid, please check the request body format.", from_algorithm=False)


def _model(ask: ChatRequest) -> ApiError | None:
    if ask.model:
        return None
    if ask.api == "compat":
        return ApiError(400, "InvalidParameter", None, "invalid_request_error", "you must provide a model parameter.")
    message = 'Required parameter "model" missing from request.'
    return ApiError(400, "BadRequest.EmptyModel", "BadRequest.EmptyModel", "invalid_request_error", message)


def _model_exists(ask: ChatRequest) -> ApiError | None:
    if ask.facts or ask.model in ask.known_models:
        return None
    message = f"The model {ask.model} does not exist or you do not have access to it."
    return ApiError(404, "ModelNotFound", "model_not_found", "invalid_request_error", message)


def _endpoint(ask: ChatRequest) -> ApiError | None:
    text_endpoint = ask.request.route == NATIVE_TEXT
    text_model = ask.facts is not None and not ask.facts.vision
    if ask.api == "compat" or (not text_endpoint and not text_model):
        return None
    return invalid_parameter("url error, please check url!", from_algorithm=False)


RULES: tuple[Rule, ...] = (
    Rule("body is a JSON object", ERROR_PAGE, _body),
    Rule("model is given", ERROR_PAGE, _model),
    Rule("model exists", ERROR_PAGE, _model_exists),
    Rule("endpoint fits the model", ERROR_PAGE + "; this emulator serves no text endpoint", _endpoint),
    *MESSAGE_RULES,
    *MEDIA_RULES,
    *PARAMETER_RULES,
    *THINKING_RULES,
)
