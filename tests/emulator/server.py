"""The emulator: a loopback HTTP server, its script and its records."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from tests.emulator import uploads
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
from tests.emulator.response_renderer import ResponseRenderer, default_reply
from tests.emulator.rules import refuse, refuse_key
from tests.emulator.socket_writer import ClientGoneError, Connection
from tests.emulator.sse_framing import dump

PageTranscription = Reply | Fault
_NOT_FOUND = ApiError(404, "NotFound", "not_found", "invalid_request_error", "Not found!")
_NO_GET = invalid_parameter("Request method 'GET' is not supported.", from_algorithm=False)
_WRONG_URL = invalid_parameter("url error, please check url!", from_algorithm=False)


class Emulator:
    """The service on 127.0.0.1. Use it as a context manager; it answers as soon as it is made."""

    def __init__(
        self,
        *,
        strict: bool = True,
        quirks: Quirks | None = None,
        api_key: str | None = None,
        known_models: Collection[str] = (),
        thinks_without_stream: bool = True,
        unexpected_fields: Collection[str] = (),
        port: int = 0,
    ) -> None:
        """Bind a free port and start to answer.

        Args:
            strict: Refuse what the service refuses. Off: answer anything (self-hosted servers).
            quirks: For all replies that do not bring their own.
            api_key: The only key that is accepted; by default every key but an empty one.
            known_models: Names that are accepted besides the vendor's, with no rules about them.
            thinks_without_stream: Off: refuse every thinking call that does not stream.
            unexpected_fields: Top-level fields that are refused with HTTP 422, as transformers servers do with what
                they do not know, strict or not.
            port: By default a free one; a fixed one makes recorded URLs the same every time.
        """
        self.strict = strict
        self.quirks = quirks or Quirks()
        self.api_key = api_key
        self.known_models = frozenset(known_models)
        self.thinks_without_stream = thinks_without_stream
        self.unexpected_fields = frozenset(unexpected_fields)
        self.respond: Callable[[RecordedRequest], PageTranscription | None] | None = None
        self.upload_fault: Fault | None = None
        """Told to every request for an upload policy, and to uploads, while it is set."""
        self.requests: list[RecordedRequest] = []
        self.refusals: list[ApiError] = []
        """What the rules refused, in order."""
        self.uploads: list[uploads.Upload] = []
        self.open_connections = 0
        """Streams that are being written."""
        self.disconnects = 0
        """Answers that the client did not wait for."""
        self._script: deque[PageTranscription] = deque()
        self._lock = threading.Lock()
        self._number = 0
        self._server = HttpServer(port, self._handle)

    @property
    def origin(self) -> str:
        return self._server.origin

    @property
    def compat_url(self) -> str:
        return f"{self.origin}/compatible-mode/v1"

    @property
    def self_hosted_url(self) -> str:
        """The compatible API where other servers have it."""
        return f"{self.origin}/v1"

    @property
    def native_url(self) -> str:
        return f"{self.origin}/api/v1"

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._server.accepted

    def script(self, *answers: PageTranscription) -> None:
        """Answer the next accepted requests with these, one each, in order."""
        with self._lock:
            self._script.extend(answers)

    @property
    def unused_replies(self) -> int:
        """How many scripted answers no request has taken."""
        return len(self._script)

    def reset(self) -> None:
        """Forget the script, the records and the counters; the address and the settings stay."""
        with self._lock:
            self._script.clear()
            self.requests.clear()
            self.refusals.clear()
            self.uploads.clear()
            self.respond = self.upload_fault = None
            self.disconnects = self._server.accepted = self._number = 0

    def close(self) -> None:
        """Stop, close every connection and join every thread.

        Raises:
            BaseException: What went wrong inside the emulator itself, the first one.
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

    def _handle(self, request: RecordedRequest, connection: Connection) -> None:
        with self._lock:
            self.requests.append(request)
            self._number += 1
            number = self._number
        api: Api = "native" if request.route.startswith("/api/") else "compat"
        ask = ChatRequest(
            api,
            request,
            self.known_models,
            {upload.url: len(upload.content) for upload in self.uploads},
            self.thinks_without_stream,
        )
        answering = ResponseRenderer(ask, connection, number, self.quirks, f"00000000-0000-9000-8000-{number:012d}")
        if request.route in (COMPAT_CHAT, SELF_HOSTED_CHAT, NATIVE_CHAT, NATIVE_TEXT):
            self._chat(answering)
        elif request.route == uploads.POLICY_PATH and request.method == "GET":
            self._upload_policy(answering)
        elif request.route.startswith(uploads.HOST_PATH) and request.method == "POST":
            self._upload(answering)
        else:
            answering.refuse(_NOT_FOUND)

    def _chat(self, answering: ResponseRenderer) -> None:
        problem = self._refusal(answering.ask)
        if problem:
            self.refusals.append(problem)
            answering.refuse(problem)
            return
        answer = self._next(answering.ask)
        with self._lock:
            self.open_connections += answering.ask.stream
        try:
            answering.reply(answer) if isinstance(answer, Reply) else answering.fail(answer)
        except ClientGoneError:
            with self._lock:
                self.disconnects += 1
            raise
        finally:
            with self._lock:
                self.open_connections -= answering.ask.stream

    def _refusal(self, ask: ChatRequest) -> ApiError | None:
        if ask.request.method != "POST":
            return _NO_GET
        unexpected = sorted(self.unexpected_fields & set(ask.body))
        if unexpected:
            message = f"Unexpected fields in the request: {unexpected}"
            return ApiError(422, "InvalidParameter", "unexpected_fields", "invalid_request_error", message)
        if self.strict:
            return refuse_key(ask, self.api_key) or refuse(ask)
        return _WRONG_URL if ask.request.route == NATIVE_TEXT else None

    def _next(self, ask: ChatRequest) -> PageTranscription:
        with self._lock:
            if self._script:
                return self._script.popleft()
        answer = self.respond(ask.request) if self.respond else None
        return answer or default_reply(ask)

    def _upload_policy(self, answering: ResponseRenderer) -> None:
        problem = refuse_key(answering.ask, self.api_key) if self.strict else None
        if self.upload_fault:
            answering.fail(self.upload_fault)
        elif problem:
            answering.refuse(problem)
        else:
            body = dump(uploads.policy(answering.request_id, self.origin, answering.number))
            answering.connection.send_whole(200, {"content-type": "application/json"}, body.encode())

    def _upload(self, answering: ResponseRenderer) -> None:
        upload = uploads.received(answering.ask.request)
        if self.upload_fault:
            answering.fail(self.upload_fault)
        elif upload is not None and len(upload.content) > uploads.MAX_BYTES:
            answering.connection.send_whole(400, {"content-type": "application/xml"}, b"<Error>EntityTooLarge</Error>")
        elif upload is None:
            answering.connection.send_whole(403, {"content-type": "application/xml"}, b"<Error>AccessDenied</Error>")
        else:
            self.uploads.append(upload)
            answering.connection.send_whole(200, {}, b"")
