"""Define the errors of the vendor's error code page that a chat request can cause, with the codes of both APIs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.emulator.replies import Fault

_ALGORITHM = "InternalError.Algo.InvalidParameter: "


@dataclass(frozen=True)
class ApiError:
    """One error, independent of the API that renders it."""

    status: int
    native_code: str
    compat_code: str | int | None
    compat_type: str
    message: str
    from_algorithm: bool = False
    """Whether it comes from behind the gateway; the message then has the prefix with the status of the algorithm."""

    @property
    def text(self) -> str:
        """The message as it is sent."""
        return f"<{self.status}> {_ALGORITHM}{self.message}" if self.from_algorithm else self.message


def invalid_parameter(message: str, *, from_algorithm: bool = True) -> ApiError:
    """Make the HTTP 400 error of most rules."""
    return ApiError(
        400, "InvalidParameter", "invalid_parameter_error", "invalid_request_error", message, from_algorithm
    )


_REQUEST = "invalid_request_error"


def _define_error(
    status: int, native: str, message: str, *, compat: str | None = None, kind: str | None = None
) -> ApiError:
    """Define a known error; the compatible API repeats its code as the type unless `kind` is set."""
    return ApiError(status, native, compat or native, kind or compat or native, message)


KNOWN_ERRORS: tuple[ApiError, ...] = (
    _define_error(
        400,
        "InvalidParameter",
        "Required parameter(s) missing or invalid, please check the request parameters.",
        compat="invalid_parameter_error",
        kind=_REQUEST,
    ),
    _define_error(
        400,
        "DataInspectionFailed",
        "Input data may contain inappropriate content.",
        compat="data_inspection_failed",
    ),
    _define_error(400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    _define_error(400, "InvalidURL", "Failed to download multimodal content.", kind=_REQUEST),
    _define_error(401, "InvalidApiKey", "Incorrect API key provided.", compat="invalid_api_key", kind=_REQUEST),
    _define_error(403, "AccessDenied", "Access denied.", compat="access_denied"),
    _define_error(
        403,
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
    ),
    _define_error(403, "Model.AccessDenied", "Model access denied."),
    _define_error(403, "Workspace.AccessDenied", "Workspace access denied."),
    _define_error(
        403,
        "AllocationQuota.FreeTierOnly",
        "The free tier of the model has been exhausted. If you want to continue access the model on a paid basis, "
        'please disable the "use free tier only" mode in the management console.',
    ),
    _define_error(404, "ModelNotFound", "Model can not be found.", compat="model_not_found", kind=_REQUEST),
    _define_error(
        404,
        "ModelNotSupported",
        "Unsupported model for OpenAI compatibility mode.",
        compat="model_not_supported",
        kind=_REQUEST,
    ),
    _define_error(429, "Throttling", "Requests throttling triggered."),
    _define_error(
        429,
        "Throttling.RateQuota",
        "Requests rate limit exceeded, try again later.",
        compat="limit_requests",
    ),
    _define_error(
        429,
        "Throttling.BurstRate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale "
        "requests more smoothly over time.",
        compat="limit_burst_rate",
    ),
    _define_error(
        429,
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
        compat="insufficient_quota",
    ),
    _define_error(429, "CommodityNotPurchased", "Commodity has not purchased yet."),
    _define_error(429, "PrepaidBillOverdue", "The prepaid bill is overdue."),
    _define_error(429, "PostpaidBillOverdue", "The postpaid bill is overdue."),
    _define_error(
        500,
        "InternalError",
        "An internal error has occured, try again later or contact service support.",
        compat="internal_error",
    ),
    _define_error(500, "InternalError.Algo", "inference internal error.", kind="internal_error"),
    _define_error(500, "RequestTimeOut", "Request timed out, try again later."),
    _define_error(
        503,
        "ServiceUnavailable",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
    ),
)

_CODE_OF_STATUS = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "ModelNotFound",
    429: "Throttling.RateQuota",
    503: "ServiceUnavailable",
}


def error_from_fault(fault: Fault) -> ApiError:
    """Return the error of a fault, completed from the known errors by its code, else by its status."""
    code = fault.code if fault.code is not None else _CODE_OF_STATUS.get(fault.status or 500, "InternalError")
    known = next((row for row in KNOWN_ERRORS if code in (row.native_code, row.compat_code)), None)
    if known is None:
        status = fault.status or 500
        kind = _REQUEST if 400 <= status < 500 else "internal_error"
        return ApiError(status, str(code), code, kind, fault.message or f"The emulator fails with {code}.")
    return ApiError(
        fault.status or known.status,
        known.native_code,
        known.compat_code,
        known.compat_type,
        fault.message if fault.message is not None else known.message,
    )
