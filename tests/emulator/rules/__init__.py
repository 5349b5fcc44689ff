"""Check requests against all rules of the service, in a fixed order."""

from __future__ import annotations

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.media import MEDIA_RULES
from tests.emulator.rules.messages import MESSAGE_RULES
from tests.emulator.rules.ocr import OCR_RULES
from tests.emulator.rules.parameters import PARAMETER_RULES
from tests.emulator.rules.rule import ERROR_PAGE, Rule
from tests.emulator.rules.thinking import THINKING_RULES

_NO_KEY = ApiError(401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "No API-key provided.")
_WRONG_KEY = ApiError(401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "Invalid API-key provided.")
_WRONG_KEY_COMPAT = ApiError(
    401, "InvalidApiKey", "invalid_api_key", "invalid_request_error", "Incorrect API key provided."
)


def refuse_key(request: ChatRequest, only_key: str | None) -> ApiError | None:
    """Return the HTTP 401 error of a missing or empty key, or of any key other than ``only_key``."""
    scheme, _, key = request.http_request.headers.get("authorization", "").partition(" ")
    wrong = _WRONG_KEY_COMPAT if request.api == "compat" else _WRONG_KEY
    if scheme.lower() != "bearer" or not key.strip():
        return wrong if request.api == "compat" else _NO_KEY
    return wrong if only_key is not None and key.strip() != only_key else None


def refuse(request: ChatRequest) -> ApiError | None:
    """Return the error of the first rule that the request violates; None if it violates none."""
    return next((error for rule in RULES if (error := rule.check(request))), None)


def _check_body(request: ChatRequest) -> ApiError | None:
    if isinstance(request.http_request.json, dict):
        return None
    return invalid_parameter("Required body invalid, please check the request body format.", from_algorithm=False)


def _check_model(request: ChatRequest) -> ApiError | None:
    if request.model:
        return None
    if request.api == "compat":
        return ApiError(400, "InvalidParameter", None, "invalid_request_error", "you must provide a model parameter.")
    message = 'Required parameter "model" missing from request.'
    return ApiError(400, "BadRequest.EmptyModel", "BadRequest.EmptyModel", "invalid_request_error", message)


def _check_model_exists(request: ChatRequest) -> ApiError | None:
    if request.facts or request.model in request.known_models:
        return None
    message = f"The model {request.model} does not exist or you do not have access to it."
    return ApiError(404, "ModelNotFound", "model_not_found", "invalid_request_error", message)


def _check_endpoint(request: ChatRequest) -> ApiError | None:
    text_model = request.facts is not None and not request.facts.vision
    if request.api == "compat" or request.is_text_endpoint == text_model:
        return None
    return invalid_parameter("url error, please check url!", from_algorithm=False)


RULES: tuple[Rule, ...] = (
    Rule("body is a JSON object", ERROR_PAGE, _check_body),
    Rule("model is set", ERROR_PAGE, _check_model),
    Rule("model exists", ERROR_PAGE, _check_model_exists),
    Rule("endpoint fits the model", ERROR_PAGE, _check_endpoint),
    *MESSAGE_RULES,
    *MEDIA_RULES,
    *PARAMETER_RULES,
    *OCR_RULES,
    *THINKING_RULES,
)
