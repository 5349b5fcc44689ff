"""Send requests to the native API over the client of the dashscope SDK (2.x)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, ClassVar

import httpx
from dashscope.v2 import AsyncClient, Client
from dashscope.v2 import errors as sdk_errors

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.http_client import preload_modules
from qwenvl_core.transport.http_transport import Endpoint, HttpTransport

preload_modules("httpcore")


class DashScopeTransport(HttpTransport):
    """Send requests over the dashscope SDK's client."""

    http_library: ClassVar[Any] = httpx

    def _create_endpoint(self, http: Any, *, is_async: bool) -> Endpoint:
        create: Any = AsyncClient if is_async else Client
        connection = self.connection
        try:
            # All arguments are passed: the SDK reads missing ones from its settings, environment variables and files.
            client = create(
                api_key=connection.api_key,
                base_url=connection.base_url,
                workspace="",
                region="cn-beijing",  # unused with base_url; unset, an alias in the environment would fail
                protocol="native",
                timeout=connection.timeout or 300.0,
                max_retries=0,
                config_path=os.devnull,
                http_client=http,
            )
        except ValueError as error:  # the SDK parses all of its environment variables, even those it does not need
            raise QwenVLInputError(f"The dashscope SDK can't be set up: {error}.") from error
        headers = {"Authorization": f"Bearer {client.config.api_key}"}
        return Endpoint(client.transport.http_client, client.config.base_url, headers)

    def _build_sdk_connection_error(self, error: Exception, request: Any) -> Exception:
        return sdk_errors.APIConnectionError(str(error))

    def _build_sdk_timeout_error(self, error: Exception, request: Any) -> Exception:
        return sdk_errors.APITimeoutError(str(error))

    def _build_sdk_status_error(self, message: str, response: Any) -> Exception | None:
        with suppress(TypeError):  # the SDK fails on a code that is not text
            error = sdk_errors.response_error(response)
            if error is not None:  # its message is the whole body, which may repeat the request
                error.message, error.args, error.body = message, (message,), None
            return error
        return None
