"""Send requests to the OpenAI-compatible API over the client of the openai SDK: 2.x with httpx, 3.x with httpx2."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import openai

from qwenvl_core.transport.http_client import map_setup_errors, preload_modules
from qwenvl_core.transport.http_transport import Endpoint, HttpTransport

_http_library = importlib.import_module(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
preload_modules(_http_library.__name__.replace("httpx", "httpcore"))

_STATUS_ERRORS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


class OpenAITransport(HttpTransport):
    """Send requests over the openai SDK's client."""

    http_library: ClassVar[Any] = _http_library

    def _create_endpoint(self, http: Any, *, is_async: bool) -> Endpoint:
        create: Any = openai.AsyncOpenAI if is_async else openai.OpenAI
        connection = self.connection
        with map_setup_errors():
            client = create(api_key=connection.api_key, base_url=connection.base_url, http_client=http, max_retries=0)
        # Not its `default_headers`, which are read from another vendor's environment variables (OPENAI_CUSTOM_HEADERS,
        # OPENAI_ORG_ID, OPENAI_PROJECT_ID).
        headers = {"Accept": "application/json", **client.auth_headers}
        return Endpoint(http, str(client.base_url).rstrip("/"), headers)

    def _build_sdk_connection_error(self, error: Exception, request: Any) -> Exception:
        return openai.APIConnectionError(request=request)

    def _build_sdk_timeout_error(self, error: Exception, request: Any) -> Exception:
        return openai.APITimeoutError(request)

    def _build_sdk_status_error(self, message: str, response: Any) -> Exception:
        default = openai.InternalServerError if response.status_code >= 500 else openai.APIStatusError
        return _STATUS_ERRORS.get(response.status_code, default)(message, response=response, body=None)
