"""Run the emulator: a loopback HTTP server with scripted responses that records its requests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tests.emulator import batches, retrieval_replies, retrieval_rules, uploads
from tests.emulator.chat_request import (
    COMPAT_CHAT,
    NATIVE_CHAT,
    NATIVE_TEXT,
    SELF_HOSTED_CHAT,
    Api,
    ChatRequest,
    RecordedRequest,
)
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.http_server import HttpServer
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Fault, Reply
from tests.emulator.response_renderer import ResponseRenderer, make_default_reply
from tests.emulator.rules import refuse, refuse_key
from tests.emulator.socket_writer import ClientGoneError, Connection
from tests.emulator.sse_framing import to_json

ScriptedResponse = Reply | Fault
_NOT_FOUND = ApiError(404, "NotFound", "not_found", "invalid_request_error", "Not found!")
_NO_GET = invalid_parameter("Request method 'GET' is not supported.", from_algorithm=False)


class Emulator:
    """The service on 127.0.0.1.

    It accepts requests from the moment it is created; use it as a context manager to stop it.
    """

    def __init__(
        self,
        *,
        strict: bool = True,
        quirks: Quirks | None = None,
        api_key: str | None = None,
        known_models: Collection[str] = (),
        thinks_without_stream: bool = True,
        unexpected_fields: Collection[str] = (),
        has_storage: bool = True,
        port: int = 0,
    ) -> None:
        """Bind a port and start to serve.

        Args:
            strict: Refuse the requests that the service refuses. If false, reply to any request, as self-hosted
                servers do.
            quirks: Quirks of all replies and faults that have none of their own.
            api_key: The only key to accept; by default any key that is not empty.
            known_models: Model names to accept besides the vendor's; no model-specific rule applies to them.
            thinks_without_stream: If false, refuse each thinking request that does not stream.
            unexpected_fields: Top-level fields to refuse with HTTP 422, strict or not, as transformers servers refuse
                unknown fields.
            has_storage: Whether there is temporary storage for uploads.
            port: A free port by default; a fixed port keeps recorded URLs the same.
        """
        self.strict = strict
        self.quirks = quirks or Quirks()
        self.api_key = api_key
        self.known_models = frozenset(known_models)
        self.thinks_without_stream = thinks_without_stream
        self.unexpected_fields = frozenset(unexpected_fields)
        self.respond: Callable[[RecordedRequest], ScriptedResponse | None] | None = None
        """Computes the response when the script is empty; None means the default reply."""
        self.upload_fault: Fault | None = None
        """While set, the response to each request for an upload policy and to each upload."""
        self.retrieval_faults: deque[Fault] = deque()
        """Responses to the next requests for vectors or scores."""
        self.alter_retrieval: Callable[[Any], Any] | None = None
        """Changes each reply to a request for vectors or scores."""
        self.batch_store = batches.BatchStore()
        self.eyes = retrieval_replies.Eyes()
        self.requests: list[RecordedRequest] = []
        self.refusals: list[ApiError] = []
        """Errors of the requests that a rule refused, in order."""
        self.storage = uploads.Storage()
        self.has_storage = has_storage
        self.open_connections = 0
        """Number of streams that are being written."""
        self.disconnects = 0
        """Number of responses that the client abandoned."""
        self._script: deque[ScriptedResponse] = deque()
        self._lock = threading.Lock()
        self._number = 0
        self._server = HttpServer(port, self._handle)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self._server.origin

    @property
    def compat_url(self) -> str:
        """Base URL of the OpenAI-compatible API."""
        return f"{self.origin}/compatible-mode/v1"

    @property
    def self_hosted_url(self) -> str:
        """Base URL of the compatible API at the path that other servers use."""
        return f"{self.origin}/v1"

    @property
    def native_url(self) -> str:
        """Base URL of the native API."""
        return f"{self.origin}/api/v1"

    @property
    def connections(self) -> int:
        """Number of TCP connections accepted so far."""
        return self._server.accepted

    def script(self, *responses: ScriptedResponse) -> None:
        """Append responses to the script; each accepted chat request takes one, in order."""
        with self._lock:
            self._script.extend(responses)

    @property
    def uploads(self) -> list[uploads.Upload]:
        """The files in temporary storage, in order."""
        return self.storage.files

    @property
    def unused_replies(self) -> int:
        """Number of scripted responses that no request has taken."""
        return len(self._script)

    def reset(self) -> None:
        """Clear the script, the records and the counters; keep the address and the settings."""
        with self._lock:
            self._script.clear()
            self.requests.clear()
            self.refusals.clear()
            self.storage.reset()
            self.respond = self.upload_fault = self.alter_retrieval = None
            self.retrieval_faults.clear()
            self.eyes.known.clear()
            self.batch_store = batches.BatchStore()
            self.disconnects = self._server.accepted = self._number = 0

    def close(self) -> None:
        """Stop the server, close every connection and join every thread.

        Raises:
            BaseException: The first unexpected error of the emulator itself, if there was one.
        """
        self._server.stop()
        if self._server.failures:
            raise self._server.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:
                raise

    def _handle(self, http_request: RecordedRequest, connection: Connection) -> None:
        with self._lock:
            self.requests.append(http_request)
            self._number += 1
            number = self._number
        api: Api = "native" if http_request.route.startswith("/api/") else "compat"
        request = ChatRequest(
            api,
            http_request,
            self.known_models,
            self.storage.find_readable(http_request.headers.get("authorization", "")),
            self.thinks_without_stream,
        )
        renderer = ResponseRenderer(request, connection, number, self.quirks, f"00000000-0000-9000-8000-{number:012d}")
        if http_request.route in (COMPAT_CHAT, SELF_HOSTED_CHAT, NATIVE_CHAT, NATIVE_TEXT):
            self._handle_chat(renderer)
        elif http_request.route.startswith((batches.FILES, batches.BATCHES)):
            self._handle_batches(renderer)
        elif http_request.route in retrieval_rules.ROUTES and http_request.method == "POST":
            self._handle_retrieval(renderer)
        elif http_request.route == uploads.POLICY_PATH and http_request.method == "GET" and self.has_storage:
            self._handle_upload_policy(renderer)
        elif http_request.route.startswith(uploads.HOST_PATH) and http_request.method == "POST":
            self.handle_upload(renderer)
        else:
            renderer.send_error(_NOT_FOUND)

    def _handle_chat(self, renderer: ResponseRenderer) -> None:
        error = self._find_error(renderer.request)
        if error:
            self.refusals.append(error)
            renderer.send_error(error)
            return
        response = self._next_response(renderer.request)
        with self._lock:
            self.open_connections += renderer.request.stream
        try:
            renderer.send_reply(response) if isinstance(response, Reply) else renderer.send_fault(response)
        except ClientGoneError:
            with self._lock:
                self.disconnects += 1
            raise
        finally:
            with self._lock:
                self.open_connections -= renderer.request.stream

    def _find_error(self, request: ChatRequest) -> ApiError | None:
        if request.http_request.method != "POST":
            return _NO_GET
        unexpected = sorted(self.unexpected_fields & set(request.body))
        if unexpected:
            message = f"Unexpected fields in the request: {unexpected}"
            return ApiError(422, "InvalidParameter", "unexpected_fields", "invalid_request_error", message)
        if self.strict:
            return refuse_key(request, self.api_key) or refuse(request)
        return None

    def _next_response(self, request: ChatRequest) -> ScriptedResponse:
        with self._lock:
            if self._script:
                return self._script.popleft()
        response = self.respond(request.http_request) if self.respond else None
        return response or make_default_reply(request)

    def _handle_batches(self, renderer: ResponseRenderer) -> None:
        def answer(body: dict[str, Any]) -> tuple[int, Any]:
            """Answer one request of a batch as the chat endpoint does."""
            recorded = RecordedRequest(
                "POST", COMPAT_CHAT, renderer.request.http_request.headers, to_json(body).encode()
            )
            request = ChatRequest("compat", recorded, self.known_models, {}, self.thinks_without_stream)
            outcome = self._find_error(request) or self._next_response(request)
            return replace(renderer, request=request).render_outcome(outcome)

        error = refuse_key(renderer.request, self.api_key)
        response = None if error else self.batch_store.respond(renderer.request.http_request, answer)
        if response is None:
            renderer.send_error(error or _NOT_FOUND)
        else:
            status, content = response
            renderer.connection.send_whole(status, {"content-type": "application/json"}, content)

    def _handle_retrieval(self, renderer: ResponseRenderer) -> None:
        http_request = renderer.request.http_request
        stored = {upload.url: upload.content for upload in self.uploads}
        error = self.strict and (
            refuse_key(renderer.request, self.api_key) or retrieval_rules.refuse_retrieval(http_request, stored)
        )
        with self._lock:
            fault = self.retrieval_faults.popleft() if self.retrieval_faults and not error else None
        if error:
            self.refusals.append(error)
            renderer.send_error(error)
        elif fault:
            renderer.send_fault(fault)
        else:
            payload = retrieval_replies.build_reply(
                http_request.route, http_request.json, self.eyes, stored, renderer.request_id
            )
            payload = self.alter_retrieval(payload) if self.alter_retrieval else payload
            renderer.connection.send_whole(200, {"content-type": "application/json"}, to_json(payload).encode())

    def _handle_upload_policy(self, renderer: ResponseRenderer) -> None:
        error = refuse_key(renderer.request, self.api_key) if self.strict else None
        if self.upload_fault:
            renderer.send_fault(self.upload_fault)
        elif error:
            renderer.send_error(error)
        else:
            with self._lock:
                policy = self.storage.issue_policy(
                    renderer.request.http_request, renderer.request_id, self.origin, renderer.number
                )
            renderer.connection.send_whole(200, {"content-type": "application/json"}, to_json(policy).encode())

    def handle_upload(self, renderer: ResponseRenderer) -> None:
        """Receive an upload; tests replace this method to fail or delay uploads."""
        if self.upload_fault:
            renderer.send_fault(self.upload_fault)
            return
        with self._lock:
            status, body = self.storage.receive(renderer.request.http_request)
        renderer.connection.send_whole(status, {"content-type": "application/xml"}, body)
