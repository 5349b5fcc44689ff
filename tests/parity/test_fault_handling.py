"""Every fault has one right outcome, the same in both frameworks and both APIs, sync and async, streamed and whole."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from qwenvl_core import errors as e
from qwenvl_core.transport import retry
from tests.emulator import Emulator, Fault, Quirks, Reply
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair, Raw, text_of
from tests.support.raw_server import head, raw_server

TRIES = 3  # with the default of two retries
QUICK = {"timeout": 5.0, "stream_chunk_timeout": 5.0}
SAID = Reply(text=["Ein ", "Löwe", " brüllt."])
PAGE = "http://127.0.0.1:9/elsewhere"  # nobody listens there


@dataclass(frozen=True)
class Row:
    """A fault and its outcome.

    Attributes:
        fault: What the emulator does, each time that it is asked.
        kind: Class of the error.
        tries: Requests that are sent before the error is raised.
        code: The server's code in the words of each API; one for both, or none.
        status: HTTP status; a stream that began with 200 has none but what it tells itself.
        partial: The text so far.
        hint: A word of what to do.
        where: The ways that meet this fault: all, `streamed`, `whole`.
        has_id: Whether anything came that has a request id.
    """

    fault: Fault
    kind: type[e.QwenVLError]
    tries: int = 1
    code: tuple[str | None, str | None] = (None, None)
    status: int | None = None
    partial: str = ""
    hint: str = ""
    where: str = "all"
    has_id: bool = True

    def call_every_mode(self, api: Api) -> list[CallMode]:
        """The ways that meet this fault. Of what the service tells by a status, half of them for each API."""
        met = [
            call_mode
            for call_mode in CALL_MODES
            if self.where in ("all", "streamed" if call_mode.streamed else "whole")
        ]
        return [call_mode for call_mode in met if self.fault.status is None or call_mode.odd == (api == "openai")]


# --- what the service says ----------------------------------------------------------------------------------

# Status, the code in each API's words (compatible, native), class, tries, a word of the hint.
SAYS: list[tuple[int, str, str, type[e.QwenVLError], int, str]] = [
    (400, "invalid_parameter_error", "InvalidParameter", e.QwenVLInvalidRequestError, 1, ""),
    (400, "data_inspection_failed", "DataInspectionFailed", e.QwenVLContentFilterError, 1, "inspection"),
    (400, "Arrearage", "Arrearage", e.QwenVLArrearageError, 1, "balance"),
    (401, "invalid_api_key", "InvalidApiKey", e.QwenVLAuthenticationError, 1, "region"),
    (403, "access_denied", "AccessDenied", e.QwenVLPermissionDeniedError, 1, "console"),
    (403, "AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly", e.QwenVLQuotaExceededError, 1, "used up"),
    (404, "model_not_found", "ModelNotFound", e.QwenVLModelNotFoundError, 1, "region"),
    (429, "limit_requests", "Throttling.RateQuota", e.QwenVLRateLimitError, TRIES, "max_retries"),
    (429, "insufficient_quota", "Throttling.AllocationQuota", e.QwenVLRateLimitError, TRIES, "max_retries"),
    (429, "CommodityNotPurchased", "CommodityNotPurchased", e.QwenVLArrearageError, 1, "balance"),
    (429, "PostpaidBillOverdue", "PostpaidBillOverdue", e.QwenVLArrearageError, 1, "balance"),
    (500, "internal_error", "InternalError", e.QwenVLAPIError, TRIES, ""),
    (500, "RequestTimeOut", "RequestTimeOut", e.QwenVLTimeoutError, TRIES, "timeout="),
    (503, "ServiceUnavailable", "ServiceUnavailable", e.QwenVLAPIError, TRIES, ""),
]
# A JSON body, a body that is one event, an error event as a stream's first word, one within a stream.
ROWS: dict[str, Row] = {}
for _status, _compat, _native, _kind, _tries, _hint in SAYS:
    _row = Row(Fault(status=_status, code=_native), _kind, _tries, (_compat, _native), _status, hint=_hint)
    for _carrier in ("json", "data-body"):
        ROWS[f"{_native}, {_carrier}"] = replace(_row, fault=Fault(_status, _native, error_format=_carrier))  # type: ignore[arg-type]
    ROWS[f"{_native}, first in a stream"] = replace(
        _row, fault=Fault(_status, _native, error_format="in-stream"), where="streamed"
    )
    ROWS[f"{_native}, within a stream"] = replace(
        _row, fault=Fault(_status, _native, error_format="in-stream", reply=SAID, after=3), where="streamed", tries=1
    )

ROWS |= {
    "quota that no waiting refills": Row(
        Fault(429, "Throttling.AllocationQuota", "Free allocated quota exceeded."), e.QwenVLQuotaExceededError,
        code=("insufficient_quota", "Throttling.AllocationQuota"), status=429, hint="used up"),
    "context": Row(
        Fault(400, "InvalidParameter", "Range of input length should be [1, 258048]", error_format="json"),
        e.QwenVLContextOverflowError, code=("invalid_parameter_error", "InvalidParameter"), status=400, hint="fewer"),
}  # fmt: skip

# --- what stands between: gateways, other servers ---------------------------------------------------------------------

ROWS |= {
    f"{status}, {error_format}": Row(
        Fault(status, "Odd", error_format=error_format), kind, tries, status=status, hint=hint
    )  # type: ignore[arg-type]
    for status, error_format, kind, tries, hint in (
        (402, "text", e.QwenVLArrearageError, 1, "balance"),
        (404, "html", e.QwenVLNotFoundError, 1, "base_url"),
        (405, "empty", e.QwenVLInvalidRequestError, 1, ""),
        (408, "empty", e.QwenVLTimeoutError, TRIES, "timeout="),
        (409, "text", e.QwenVLInvalidRequestError, TRIES, ""),
        (413, "html", e.QwenVLInvalidRequestError, 1, ""),
        (422, "text", e.QwenVLInvalidRequestError, 1, ""),
        (429, "html", e.QwenVLRateLimitError, TRIES, "max_retries"),
        (500, "empty", e.QwenVLAPIError, TRIES, ""),
        (502, "html", e.QwenVLAPIError, TRIES, ""),
        (503, "text", e.QwenVLAPIError, TRIES, ""),
        (504, "html", e.QwenVLTimeoutError, TRIES, "timeout="),
        (529, "empty", e.QwenVLAPIError, TRIES, ""),
    )
}
ROWS |= {
    "redirect": Row(Fault(redirect=PAGE), e.QwenVLAPIError, status=307, hint="base_url="),
    "a page with 200": Row(Fault(non_json_200=True), e.QwenVLAPIError, status=200),
    "asks for an hour": Row(
        Fault(503, headers={"Retry-After": "3600"}), e.QwenVLAPIError, code=("ServiceUnavailable",) * 2, status=503,
        hint="3600 seconds"),
    "broken JSON with 400": Row(
        Fault(400, error_format="json", quirks=Quirks(broken_error=True)), e.QwenVLInvalidRequestError, status=400),
}  # fmt: skip

# --- connections ----------------------------------------------------------------------------------------------

_broken = Row(Fault(), e.QwenVLStreamInterruptedError, partial="Ein Löwe", hint=".partial", where="streamed")
# The compatible API has an event with the role alone before the text; `native` takes that into account.
ROWS |= {
    "reset before the headers": Row(
        Fault(reset="before-headers"), e.QwenVLConnectionError, TRIES, has_id=False),
    "reset within a stream": replace(_broken, fault=Fault(reply=SAID, after=3, reset="after-events")),
    "reset within a character": replace(_broken, fault=Fault(reply=SAID, after=3, reset="mid-character")),
    "closed within a stream": replace(_broken, fault=Fault(reply=SAID, after=3, close_without_finish=True)),
    "cut within a stream": replace(_broken, fault=Fault(reply=SAID, after=3, truncate_body=True)),
    "cut within an event": replace(_broken, fault=Fault(reply=SAID, after=3, truncate_json=True)),
    "cut within gzip": replace(
        _broken, fault=Fault(reply=replace(SAID, quirks=Quirks(gzip=True)), after=3, truncate_body=True)),
    "nothing but an end": replace(_broken, fault=Fault(reply=SAID, close_without_finish=True), partial=""),
    "reset within a whole answer": Row(
        Fault(reply=SAID, reset="after-events"), e.QwenVLStreamInterruptedError, hint=".partial", where="whole"),
    "cut within a whole answer": Row(
        Fault(reply=SAID, truncate_body=True), e.QwenVLStreamInterruptedError, hint=".partial", where="whole"),
    "truncated JSON": Row(Fault(reply=SAID, truncate_json=True), e.QwenVLAPIError, status=200, where="whole"),
}  # fmt: skip


def native(row: Row) -> Row:
    """The row as the native API meets it: it tells the status in a stream, and no event with the role alone."""
    fault = row.fault
    return replace(row, fault=replace(fault, after=max(fault.after - 1, 0)))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Retries do not wait, but where a server asks for it; nothing here speaks TLS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_PAUSE", 0.0)
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def models(server: Emulator) -> Iterator[dict[Api, ModelPair]]:
    made: dict[Api, ModelPair] = {api: ModelPair(server, api, **QUICK) for api in APIS}
    yield made
    for asking in made.values():
        asking.close()


every_api = pytest.mark.parametrize("api", APIS)


@every_api
@pytest.mark.parametrize("name", ROWS)
def test_one_outcome(name: str, api: Api, server: Emulator, models: dict[Api, ModelPair]) -> None:
    row = ROWS[name] if api == "openai" else native(ROWS[name])
    for call_mode in row.call_every_mode(api):
        server.reset()
        server.respond = lambda request: row.fault
        with pytest.raises(e.QwenVLError) as caught:
            models[api].ask(call_mode)
        check(caught.value, row, api, call_mode)
        assert len(server.requests) == row.tries, call_mode
        assert len({request.body for request in server.requests}) == 1
        if row.has_id:
            assert caught.value.request_id == f"00000000-0000-9000-8000-{row.tries:012d}", call_mode


def check(error: e.QwenVLError, row: Row, api: Api, call_mode: CallMode) -> None:
    in_stream = row.fault.error_format == "in-stream"
    assert isinstance(error, row.kind), call_mode
    assert type(error).__name__ == row.kind.__name__
    assert error.code == row.code[api == "dashscope"], call_mode
    # A stream that began with 200 has another status only in the native API, which tells it in a comment.
    assert error.status_code == (None if in_stream and api == "openai" else row.status), call_mode
    assert error.partial == ("Ein Löwe" if in_stream and row.fault.reply else row.partial), call_mode
    assert row.hint in error.hint
    for words in (error.message, error.hint, error.code, error.request_id):
        assert str(words or "") in str(error)
    assert error.message
    assert (row.tries > 1) <= (error.retryable or row.status == 409)


# --- time -------------------------------------------------------------------------------------------------------

STALLS: dict[str, tuple[Row, dict[str, float]]] = {
    "before the first byte": (
        Row(Fault(stall=5), e.QwenVLTimeoutError, 2, hint="timeout=", has_id=False), {"timeout": 0.5}),
    "between chunks, timeout": (
        Row(Fault(reply=SAID, after=3, stall=5), e.QwenVLTimeoutError, partial="Ein Löwe", hint="stream_chunk_timeout=",
            where="streamed"),
        {"timeout": 1.0, "stream_chunk_timeout": 5.0}),
    "between chunks, stream_chunk_timeout": (
        Row(Fault(reply=SAID, after=3, stall=5), e.QwenVLTimeoutError, partial="Ein Löwe", hint="stream_chunk_timeout=",
            where="streamed"),
        {"timeout": 5.0, "stream_chunk_timeout": 0.3}),
}  # fmt: skip


@every_api
@pytest.mark.parametrize("name", STALLS)
def test_a_stall_is_an_error_in_time(name: str, api: Api, server: Emulator) -> None:
    """All ways at a time: each waits for the limit."""
    row, limits = STALLS[name]
    row = row if api == "openai" else native(row)
    server.reset()
    server.respond = lambda request: row.fault

    def outcome(call_mode: CallMode) -> BaseException | None:
        asking = ModelPair(server, api, max_retries=1, **limits)
        try:
            asking.ask(call_mode)
        except e.QwenVLError as error:
            return error
        finally:
            asking.close()
        return None

    began = time.monotonic()
    with ThreadPoolExecutor(len(CALL_MODES)) as pool:
        errors = list(pool.map(outcome, row.call_every_mode(api)))
    assert time.monotonic() - began < 4.5
    for call_mode, error in zip(row.call_every_mode(api), errors, strict=True):
        assert isinstance(error, e.QwenVLError), call_mode
        check(error, row, api, call_mode)
        assert bool(error.request_id) == row.has_id
    assert len(server.requests) == row.tries * len(errors)


# --- no server --------------------------------------------------------------------------------------------------


@every_api
def test_nobody_listens(api: Api, server: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    asking = ModelPair(server, api, **QUICK)
    for model in (asking.langchain, asking.llama_index):
        model.base_url = f"http://127.0.0.1:{port}/v1"  # type: ignore[attr-defined]
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match="Can't reach the server") as caught:
            asking.ask(call_mode)
        assert (caught.value.status_code, caught.value.request_id, caught.value.partial) == (None, None, "")
    asking.close()


@every_api
def test_no_such_host(api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asking = ModelPair(server, api, **QUICK)
    for model in (asking.langchain, asking.llama_index):
        model.base_url = "http://nowhere.invalid/v1"  # type: ignore[attr-defined]
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match="Name or service not known"):
            asking.ask(call_mode)
    asking.close()


def place(server: Emulator, api: Api) -> str:
    return server.compat_url if api == "openai" else server.native_url


@every_api
def test_no_tls_on_the_other_side(api: Api, server: Emulator) -> None:
    asking = ModelPair(Raw(place(server, api).replace("http://", "https://")), api, max_retries=0, **QUICK)
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLConnectionError, match=r"SSL|TLS|ssl"):
            asking.ask(call_mode)
    asking.close()


@every_api
def test_a_proxy_of_the_environment_is_used(api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, server.origin)
    asking = ModelPair(
        Raw(place(server, api).replace(server.origin, "http://service.invalid")), api, max_retries=0, **QUICK
    )
    server.reset()
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLNotFoundError):  # the emulator is no proxy
            asking.ask(call_mode)
        assert server.requests[-1].path.startswith("http://service.invalid/")
    asking.close()


# --- what is no fault ---------------------------------------------------------------------------------------------

HARMLESS: dict[str, Any] = {
    "gzip": Reply(text="Ja.", quirks=Quirks(gzip=True)),
    "throttled once": [Fault(429, "Throttling.RateQuota", headers={"Retry-After": "0"}), Reply(text="Ja.")],
    "throttled in a stream": [Fault(429, "Throttling.RateQuota", error_format="in-stream"), Reply(text="Ja.")],
    "a reset, then an answer": [Fault(reset="before-headers"), Reply(text="Ja.")],
    "no end but a reset": Fault(reply=Reply(text="Ja."), after=9, reset="after-events"),
}


@every_api
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_fault(name: str, api: Api, server: Emulator, models: dict[Api, ModelPair]) -> None:
    answers = HARMLESS[name] if isinstance(HARMLESS[name], list) else [HARMLESS[name]]
    for call_mode in CALL_MODES:
        if name == "no end but a reset" and not call_mode.streamed:
            continue
        server.reset()
        server.script(*answers)
        assert text_of(models[api].ask(call_mode)) == "Ja.", call_mode
        assert len(server.requests) == len(answers)


BAD_KEY = b'{"error": {"message": "No such key.", "code": "invalid_api_key"}}'
# What the server sends, the status, the class and the number of tries.
REFUSALS: dict[str, tuple[list[Any], int, type[e.QwenVLError], int]] = {
    "a cut text": (
        [head("Content-Length: 500", status="401 No", kind="application/json") + BAD_KEY, b""],
        401, e.QwenVLAuthenticationError, 1),
    "a cut text, throttled": (
        [head("Content-Length: 500", "Retry-After: 0", status="429 Slow", kind="application/json") + b"{", b""],
        429, e.QwenVLRateLimitError, TRIES),
    "no gzip": (
        [head("Content-Length: 8", "Content-Encoding: gzip", status="403 No", kind="application/json") + b"not gzip"],
        403, e.QwenVLPermissionDeniedError, 1),
    "a code and a message that are no text": (
        [head("Content-Length: 29", status="400 No", kind="application/json") + b'{"code": ["x"], "message": 5}'],
        400, e.QwenVLInvalidRequestError, 1),
    "hints before": (
        [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head("Content-Length: 0", status="401 No")],
        401, e.QwenVLAuthenticationError, 1),
    "nothing new": ([head(status="304 Not Modified")], 304, e.QwenVLAPIError, 1),
    "a teapot": ([head("Content-Length: 0", status="418 I'm a teapot")], 418, e.QwenVLInvalidRequestError, 1),
}  # fmt: skip


@every_api
@pytest.mark.parametrize("name", REFUSALS)
def test_the_status_counts_where_the_text_can_not_be_read(name: str, api: Api) -> None:
    script, status, kind, tries = REFUSALS[name]
    with raw_server(script) as server:
        asking = ModelPair(Raw(server.url), api, **QUICK)
        for call_mode in CALL_MODES:
            server.bodies.clear()
            with pytest.raises(kind, match=str(status)) as caught:
                asking.ask(call_mode)
            assert (type(caught.value).__name__, caught.value.status_code) == (kind.__name__, status), call_mode
            assert len(server.bodies) == tries
        asking.close()


@every_api
def test_the_status_counts_where_the_text_does_not_come(api: Api) -> None:
    script = [head("Content-Length: 500", status="401 No", kind="application/json") + b"{", 1.0]
    with raw_server(script) as server:
        asking = ModelPair(Raw(server.url), api, timeout=0.2)
        for call_mode in CALL_MODES:
            with pytest.raises(e.QwenVLAuthenticationError) as caught:
                asking.ask(call_mode)
            assert caught.value.status_code == 401, call_mode
        asking.close()


@every_api
def test_a_redirect_that_leads_nowhere(api: Api) -> None:
    script = [head("Content-Length: 0", "Location: javascript:alert(1)", status="302 Found")]
    with raw_server(script) as server:
        asking = ModelPair(Raw(server.url), api, max_retries=0, **QUICK)
        for call_mode in CALL_MODES:
            server.bodies.clear()
            with pytest.raises(e.QwenVLError):
                asking.ask(call_mode)
            assert len(server.bodies) == 1
        asking.close()


@every_api
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "ftp://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTP_PROXY", "http://[::1"),
    ],
)
def test_an_environment_that_makes_no_client_is_an_error_that_names_it(
    name: str, value: str, api: Api, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    server.reset()
    asking = ModelPair(server, api, **QUICK)
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLInputError, match="can't be set up") as caught:
            asking.ask(call_mode)
        assert name in caught.value.hint
    assert server.requests == []
    asking.close()
