"""Test that every fault has the same outcome in both frameworks and both APIs, in every call mode."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from qwenvl_core import errors as e
from qwenvl_core.transport import retry
from tests.emulator import Emulator, Fault, Quirks, Reply
from tests.parity.call_modes import APIS, CALL_MODES, Api, BaseUrl, CallMode, ModelPair, text_of
from tests.support.raw_server import Step, head, raw_server

ATTEMPTS = 3  # the default of two retries
LIMITS = {"timeout": 5.0, "stream_chunk_timeout": 5.0}
TEXT = Reply(text=["Ein ", "Löwe", " brüllt."])
ErrorFormat = Literal["text", "html", "empty"]
CLOSED_URL = "http://127.0.0.1:9/elsewhere"  # nothing listens on this port


@dataclass(frozen=True)
class Row:
    """A fault and its outcome.

    Attributes:
        fault: Response of the emulator to every request.
        error_class: Class of the error.
        attempts: Number of requests sent before the error is raised.
        code: Code of the error in the compatible and in the native API.
        status: HTTP status; a stream that started with 200 has only the status in its error event.
        partial: Text received before the error.
        hint: Part of the hint.
        modes: Call modes with this fault: `all`, `streamed` or `whole`.
        has_request_id: Whether the response has a request id.
    """

    fault: Fault
    error_class: type[e.QwenVLError]
    attempts: int = 1
    code: tuple[str | None, str | None] = (None, None)
    status: int | None = None
    partial: str = ""
    hint: str = ""
    modes: str = "all"
    has_request_id: bool = True

    def call_modes(self, api: Api) -> list[CallMode]:
        """Return the call modes to test; for a fault with a status, half of them for each API."""
        matching = [
            call_mode
            for call_mode in CALL_MODES
            if self.modes in ("all", "streamed" if call_mode.streamed else "whole")
        ]
        return [
            call_mode for call_mode in matching if self.fault.status is None or call_mode.is_odd == (api == "openai")
        ]


# --- errors of the service ----------------------------------------------------------------------------------

# Status, code in the compatible API, code in the native API, class, attempts, part of the hint.
SERVICE_ERRORS: list[tuple[int, str, str, type[e.QwenVLError], int, str]] = [
    (400, "invalid_parameter_error", "InvalidParameter", e.QwenVLInvalidRequestError, 1, ""),
    (400, "data_inspection_failed", "DataInspectionFailed", e.QwenVLContentFilterError, 1, "inspection"),
    (400, "Arrearage", "Arrearage", e.QwenVLArrearageError, 1, "balance"),
    (401, "invalid_api_key", "InvalidApiKey", e.QwenVLAuthenticationError, 1, "region"),
    (403, "access_denied", "AccessDenied", e.QwenVLPermissionDeniedError, 1, "console"),
    (403, "AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly", e.QwenVLQuotaExceededError, 1, "used up"),
    (404, "model_not_found", "ModelNotFound", e.QwenVLModelNotFoundError, 1, "region"),
    (429, "limit_requests", "Throttling.RateQuota", e.QwenVLRateLimitError, ATTEMPTS, "max_retries"),
    (429, "insufficient_quota", "Throttling.AllocationQuota", e.QwenVLRateLimitError, ATTEMPTS, "max_retries"),
    (429, "CommodityNotPurchased", "CommodityNotPurchased", e.QwenVLArrearageError, 1, "balance"),
    (429, "PostpaidBillOverdue", "PostpaidBillOverdue", e.QwenVLArrearageError, 1, "balance"),
    (500, "internal_error", "InternalError", e.QwenVLAPIError, ATTEMPTS, ""),
    (500, "RequestTimeOut", "RequestTimeOut", e.QwenVLTimeoutError, ATTEMPTS, "timeout="),
    (503, "ServiceUnavailable", "ServiceUnavailable", e.QwenVLAPIError, ATTEMPTS, ""),
]
# As a JSON body, as a body with one event, as the first event of a stream, and within a stream.
ROWS: dict[str, Row] = {}
for _status, _compat, _native, _class, _attempts, _hint in SERVICE_ERRORS:
    _row = Row(Fault(status=_status, code=_native), _class, _attempts, (_compat, _native), _status, hint=_hint)
    ROWS[f"{_native}, json"] = replace(_row, fault=Fault(_status, _native, error_format="json"))
    ROWS[f"{_native}, data-body"] = replace(_row, fault=Fault(_status, _native, error_format="data-body"))
    ROWS[f"{_native}, first in a stream"] = replace(
        _row, fault=Fault(_status, _native, error_format="in-stream"), modes="streamed"
    )
    ROWS[f"{_native}, within a stream"] = replace(
        _row, fault=Fault(_status, _native, error_format="in-stream", reply=TEXT, after=3), modes="streamed", attempts=1
    )

ROWS |= {
    "quota that does not refill": Row(
        Fault(429, "Throttling.AllocationQuota", "Free allocated quota exceeded."), e.QwenVLQuotaExceededError,
        code=("insufficient_quota", "Throttling.AllocationQuota"), status=429, hint="used up"),
    "context": Row(
        Fault(400, "InvalidParameter", "Range of input length should be [1, 258048]", error_format="json"),
        e.QwenVLContextOverflowError, code=("invalid_parameter_error", "InvalidParameter"), status=400, hint="fewer"),
}  # fmt: skip

# --- gateways and other servers ---------------------------------------------------------------------------------

_GATEWAY_ERRORS: list[tuple[int, ErrorFormat, type[e.QwenVLError], int, str]] = [
    (402, "text", e.QwenVLArrearageError, 1, "balance"),
    (404, "html", e.QwenVLNotFoundError, 1, "base_url"),
    (405, "empty", e.QwenVLInvalidRequestError, 1, ""),
    (408, "empty", e.QwenVLTimeoutError, ATTEMPTS, "timeout="),
    (409, "text", e.QwenVLInvalidRequestError, ATTEMPTS, ""),
    (413, "html", e.QwenVLInvalidRequestError, 1, ""),
    (422, "text", e.QwenVLInvalidRequestError, 1, ""),
    (429, "html", e.QwenVLRateLimitError, ATTEMPTS, "max_retries"),
    (500, "empty", e.QwenVLAPIError, ATTEMPTS, ""),
    (502, "html", e.QwenVLAPIError, ATTEMPTS, ""),
    (503, "text", e.QwenVLAPIError, ATTEMPTS, ""),
    (504, "html", e.QwenVLTimeoutError, ATTEMPTS, "timeout="),
    (529, "empty", e.QwenVLAPIError, ATTEMPTS, ""),
]

ROWS |= {
    f"{status}, {error_format}": Row(
        Fault(status, "Odd", error_format=error_format), error_class, attempts, status=status, hint=hint
    )
    for status, error_format, error_class, attempts, hint in _GATEWAY_ERRORS
}
ROWS |= {
    "redirect": Row(Fault(redirect=CLOSED_URL), e.QwenVLAPIError, status=307, hint="base_url="),
    "HTML page with 200": Row(Fault(non_json_200=True), e.QwenVLAPIError, status=200),
    "Retry-After of an hour": Row(
        Fault(503, headers={"Retry-After": "3600"}), e.QwenVLAPIError, code=("ServiceUnavailable",) * 2, status=503,
        hint="3600 seconds"),
    "broken JSON with 400": Row(
        Fault(400, error_format="json", quirks=Quirks(broken_error=True)), e.QwenVLInvalidRequestError, status=400),
}  # fmt: skip

# --- connections ----------------------------------------------------------------------------------------------

_broken = Row(Fault(), e.QwenVLStreamInterruptedError, partial="Ein Löwe", hint=".partial", modes="streamed")
# The compatible API sends an event with only the role before the text; `adapt_to_native` accounts for it.
ROWS |= {
    "reset before the headers": Row(
        Fault(reset="before-headers"), e.QwenVLConnectionError, ATTEMPTS, has_request_id=False),
    "reset within a stream": replace(_broken, fault=Fault(reply=TEXT, after=3, reset="after-events")),
    "reset within a character": replace(_broken, fault=Fault(reply=TEXT, after=3, reset="mid-character")),
    "closed within a stream": replace(_broken, fault=Fault(reply=TEXT, after=3, close_without_finish=True)),
    "cut within a stream": replace(_broken, fault=Fault(reply=TEXT, after=3, truncate_body=True)),
    "cut within an event": replace(_broken, fault=Fault(reply=TEXT, after=3, truncate_json=True)),
    "cut within gzip": replace(
        _broken, fault=Fault(reply=replace(TEXT, quirks=Quirks(gzip=True)), after=3, truncate_body=True)),
    "empty stream": replace(_broken, fault=Fault(reply=TEXT, close_without_finish=True), partial=""),
    "reset within a whole answer": Row(
        Fault(reply=TEXT, reset="after-events"), e.QwenVLStreamInterruptedError, hint=".partial", modes="whole"),
    "cut within a whole answer": Row(
        Fault(reply=TEXT, truncate_body=True), e.QwenVLStreamInterruptedError, hint=".partial", modes="whole"),
    "truncated JSON": Row(Fault(reply=TEXT, truncate_json=True), e.QwenVLAPIError, status=200, modes="whole"),
}  # fmt: skip


def adapt_to_native(row: Row) -> Row:
    """Adapt a row to the native API, which sends no event with only the role."""
    fault = row.fault
    return replace(row, fault=replace(fault, after=max(fault.after - 1, 0)))


@pytest.fixture(scope="module", autouse=True)
def fast_clients() -> Iterator[None]:
    """Retry without a delay of our own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_DELAY", 0.0)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def models(server: Emulator) -> Iterator[dict[Api, ModelPair]]:
    pairs: dict[Api, ModelPair] = {api: ModelPair(server, api, **LIMITS) for api in APIS}
    yield pairs
    for pair in pairs.values():
        pair.close()


every_api = pytest.mark.parametrize("api", APIS)


@every_api
@pytest.mark.parametrize("name", ROWS)
def test_fault_raises_same_error_in_every_mode(
    name: str, api: Api, server: Emulator, models: dict[Api, ModelPair]
) -> None:
    row = ROWS[name] if api == "openai" else adapt_to_native(ROWS[name])
    for call_mode in row.call_modes(api):
        server.reset()
        server.respond = lambda request: row.fault
        with pytest.raises(e.QwenVLError) as caught:
            models[api].send(call_mode)
        check_error(caught.value, row, api, call_mode)
        assert len(server.requests) == row.attempts, call_mode
        assert len({request.body for request in server.requests}) == 1
        if row.has_request_id:
            assert caught.value.request_id == f"00000000-0000-9000-8000-{row.attempts:012d}", call_mode


def check_error(error: e.QwenVLError, row: Row, api: Api, call_mode: CallMode) -> None:
    in_stream = row.fault.error_format == "in-stream"
    assert isinstance(error, row.error_class), call_mode
    assert type(error).__name__ == row.error_class.__name__
    assert error.code == row.code[api == "dashscope"], call_mode
    # In a stream that started with 200, only the native API states another status, in a comment line.
    assert error.status_code == (None if in_stream and api == "openai" else row.status), call_mode
    assert error.partial == ("Ein Löwe" if in_stream and row.fault.reply else row.partial), call_mode
    assert row.hint in error.hint
    for field in (error.message, error.hint, error.code, error.request_id):
        assert str(field or "") in str(error)
    assert error.message
    assert (row.attempts > 1) <= (error.retryable or row.status == 409)


# --- time -------------------------------------------------------------------------------------------------------

STALLS: dict[str, tuple[Row, dict[str, float]]] = {
    "before the first byte": (
        Row(Fault(stall=5), e.QwenVLTimeoutError, 2, hint="timeout=", has_request_id=False), {"timeout": 0.5}),
    "between chunks, timeout": (
        Row(Fault(reply=TEXT, after=3, stall=5), e.QwenVLTimeoutError, partial="Ein Löwe", hint="stream_chunk_timeout=",
            modes="streamed"),
        {"timeout": 1.0, "stream_chunk_timeout": 5.0}),
    "between chunks, stream_chunk_timeout": (
        Row(Fault(reply=TEXT, after=3, stall=5), e.QwenVLTimeoutError, partial="Ein Löwe", hint="stream_chunk_timeout=",
            modes="streamed"),
        {"timeout": 5.0, "stream_chunk_timeout": 0.3}),
}  # fmt: skip


@every_api
@pytest.mark.parametrize("name", STALLS)
def test_stall_raises_timeout_error_within_limit(name: str, api: Api, server: Emulator) -> None:
    """All call modes run concurrently, because each waits for the limit."""
    row, limits = STALLS[name]
    row = row if api == "openai" else adapt_to_native(row)
    server.reset()
    server.respond = lambda request: row.fault

    def capture_error(call_mode: CallMode) -> BaseException | None:
        pair = ModelPair(server, api, max_retries=1, **limits)
        try:
            pair.send(call_mode)
        except e.QwenVLError as error:
            return error
        finally:
            pair.close()
        return None

    start = time.monotonic()
    with ThreadPoolExecutor(len(CALL_MODES)) as pool:
        errors = list(pool.map(capture_error, row.call_modes(api)))
    assert time.monotonic() - start < 4.5
    for call_mode, error in zip(row.call_modes(api), errors, strict=True):
        assert isinstance(error, e.QwenVLError), call_mode
        check_error(error, row, api, call_mode)
        assert bool(error.request_id) == row.has_request_id
    assert len(server.requests) == row.attempts * len(errors)


# --- no server --------------------------------------------------------------------------------------------------


@every_api
def test_connection_refused_raises_connection_error(api: Api, server: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    pair = ModelPair(server, api, **LIMITS)
    for model in (pair.langchain, pair.llama_index):
        model.base_url = f"http://127.0.0.1:{port}/v1"
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match="Can't reach the server") as caught:
            pair.send(call_mode)
        assert (caught.value.status_code, caught.value.request_id, caught.value.partial) == (None, None, "")
    pair.close()


@every_api
def test_unknown_host_raises_connection_error(api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_lookup(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail_lookup)
    pair = ModelPair(server, api, **LIMITS)
    for model in (pair.langchain, pair.llama_index):
        model.base_url = "http://nowhere.invalid/v1"
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match="Name or service not known"):
            pair.send(call_mode)
    pair.close()


def base_url_of(server: Emulator, api: Api) -> str:
    return server.compat_url if api == "openai" else server.native_url


@every_api
def test_https_to_plain_server_raises_connection_error(api: Api, server: Emulator) -> None:
    pair = ModelPair(BaseUrl(base_url_of(server, api).replace("http://", "https://")), api, max_retries=0, **LIMITS)
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match=r"SSL|TLS|ssl"):
            pair.send(call_mode)
    pair.close()


@every_api
def test_proxy_in_environment_is_used(api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.origin)
    pair = ModelPair(
        BaseUrl(base_url_of(server, api).replace(server.origin, "http://service.invalid")), api, max_retries=0, **LIMITS
    )
    server.reset()
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLNotFoundError):  # the emulator does not act as a proxy
            pair.send(call_mode)
        assert server.requests[-1].path.startswith("http://service.invalid/")
    pair.close()


# --- harmless faults ----------------------------------------------------------------------------------------------

HARMLESS: dict[str, Any] = {
    "gzip": Reply(text="Ja.", quirks=Quirks(gzip=True)),
    "throttled once": [Fault(429, "Throttling.RateQuota", headers={"Retry-After": "0"}), Reply(text="Ja.")],
    "throttled in a stream": [Fault(429, "Throttling.RateQuota", error_format="in-stream"), Reply(text="Ja.")],
    "reset before the first answer": [Fault(reset="before-headers"), Reply(text="Ja.")],
    "reset after the end": Fault(reply=Reply(text="Ja."), after=9, reset="after-events"),
}


@every_api
@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_fault_returns_answer(name: str, api: Api, server: Emulator, models: dict[Api, ModelPair]) -> None:
    responses = HARMLESS[name] if isinstance(HARMLESS[name], list) else [HARMLESS[name]]
    for call_mode in CALL_MODES:
        if name == "reset after the end" and not call_mode.streamed:
            continue
        server.reset()
        server.script(*responses)
        assert text_of(models[api].send(call_mode)) == "Ja.", call_mode
        assert len(server.requests) == len(responses)


BAD_KEY = b'{"error": {"message": "No such key.", "code": "invalid_api_key"}}'
# Script of the server, status, class of the error, number of attempts.
REFUSALS: dict[str, tuple[list[Any], int, type[e.QwenVLError], int]] = {
    "truncated body": (
        [head("Content-Length: 500", status="401 No", kind="application/json") + BAD_KEY, b""],
        401, e.QwenVLAuthenticationError, 1),
    "truncated body, throttled": (
        [head("Content-Length: 500", "Retry-After: 0", status="429 Slow", kind="application/json") + b"{", b""],
        429, e.QwenVLRateLimitError, ATTEMPTS),
    "invalid gzip": (
        [head("Content-Length: 8", "Content-Encoding: gzip", status="403 No", kind="application/json") + b"not gzip"],
        403, e.QwenVLPermissionDeniedError, 1),
    "code and message of other types": (
        [head("Content-Length: 29", status="400 No", kind="application/json") + b'{"code": ["x"], "message": 5}'],
        400, e.QwenVLInvalidRequestError, 1),
    "early hints": (
        [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head("Content-Length: 0", status="401 No")],
        401, e.QwenVLAuthenticationError, 1),
    "not modified": ([head(status="304 Not Modified")], 304, e.QwenVLAPIError, 1),
    "teapot": ([head("Content-Length: 0", status="418 I'm a teapot")], 418, e.QwenVLInvalidRequestError, 1),
}  # fmt: skip


@every_api
@pytest.mark.parametrize("name", REFUSALS)
def test_unreadable_error_body_raises_error_of_status(name: str, api: Api) -> None:
    script, status, error_class, attempts = REFUSALS[name]
    with raw_server(script) as server:
        pair = ModelPair(BaseUrl(server.url), api, **LIMITS)
        for call_mode in CALL_MODES:
            server.bodies.clear()
            with pytest.raises(error_class, match=str(status)) as caught:
                pair.send(call_mode)
            assert (type(caught.value).__name__, caught.value.status_code) == (error_class.__name__, status), call_mode
            assert len(server.bodies) == attempts
        pair.close()


@every_api
def test_missing_error_body_raises_error_of_status(api: Api) -> None:
    script: list[Step] = [head("Content-Length: 500", status="401 No", kind="application/json") + b"{", 1.0]
    with raw_server(script) as server:
        pair = ModelPair(BaseUrl(server.url), api, timeout=0.2)
        for call_mode in CALL_MODES:
            with pytest.raises(e.QwenVLAuthenticationError) as caught:
                pair.send(call_mode)
            assert caught.value.status_code == 401, call_mode
        pair.close()


@every_api
def test_redirect_to_invalid_url_raises_without_second_request(api: Api) -> None:
    script = [head("Content-Length: 0", "Location: javascript:alert(1)", status="302 Found")]
    with raw_server(script) as server:
        pair = ModelPair(BaseUrl(server.url), api, max_retries=0, **LIMITS)
        for call_mode in CALL_MODES:
            server.bodies.clear()
            with pytest.raises(e.QwenVLError):
                pair.send(call_mode)
            assert len(server.bodies) == 1
        pair.close()


@every_api
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "ftp://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "http://[::1"),
    ],
)
def test_invalid_proxy_in_environment_raises_error_naming_variable(
    name: str, value: str, api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    server.reset()
    pair = ModelPair(server, api, **LIMITS)
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLInputError, match="can't be set up") as caught:
            pair.send(call_mode)
        assert name in caught.value.hint
    assert server.requests == []
    pair.close()
