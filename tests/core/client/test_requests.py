"""Requests over real connections, sync and async: replies, faults and timeouts."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import openai
import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInvalidRequestError,
    QwenVLModelNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, Usage
from qwenvl_core.types.reply import accumulate
from tests.core.client.scripted import CUT, CUT_TEXT, FULL, STREAM, TEXT, WHOLE, both_call_modes
from tests.emulator import Emulator, Fault, Quirks
from tests.support.pipeline import KEY, CallMode, chunk, client, events_of, reply_of, request, sse, until
from tests.support.raw_server import Step, chunked, head, raw_server

# --- replies and requests ---------------------------------------------------------------------------------------------

QUIRKS: list[dict[str, Any]] = [
    {},
    {"first_reasoning_empty": False},
    *({"content_mode": mode} for mode in ("null", "empty", "list", "missing")),
    {"reasoning_and_text_in_one_chunk": True},
    *({"answer_reasoning": mode} for mode in ("null", "empty", "absent")),
    *({"reasoning_key": key} for key in ("reasoning", "both")),
    {"finish_null_string": True},
    {"finish_missing_key": True},
    {"finish_on_last_text_chunk": True},
    {"finish_with_last_arguments": True},
    {"empty_tool_id": False},
    {"tool_fragment_without_id": True},
    {"tool_fragment_without_type": True},
    {"tool_fragment_without_arguments": True},
    {"arguments_with_name": True},
    {"empty_tool_deltas": True},
    {"two_tool_indexes_in_one_chunk": True},
    {"usage_every_chunk": True},
    {"usage_on_last_chunk": True},
    {"comments": True},
    {"crlf": True},
    {"cr": True},
    {"no_space_after_data": True},
    {"multi_line_data": True},
    {"bom": True},
    {"gzip": True},
    *({"split_bytes": size} for size in (1, 3, 7)),
    {"gzip": True, "split_bytes": 1},
    {"cr": True, "split_bytes": 1, "bom": True, "comments": True},
    {"no_done": True},
    {"set_cookie": True},
]  # fmt: skip


@both_call_modes
@pytest.mark.parametrize("quirks", QUIRKS, ids=lambda quirks: ",".join(f"{k}={v}" for k, v in quirks.items()) or "none")
def test_stream_variants_give_the_same_reply(quirks: dict[str, Any], call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(FULL, FULL)
    plain = reply_of(client(emulator.compat_url), STREAM, "sync")
    emulator.quirks = Quirks(**quirks)
    reply = reply_of(client(emulator.compat_url), STREAM, call_mode)
    assert reply.text == "Ein Löwe 😀\u2028\u0085."
    assert reply.reasoning == "Hm. 好的。"
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("c1", "crop", '{"x": 1}'),
        ("c2", "zoom", "{}"),
    ]
    assert reply.usage == plain.usage
    same: dict[str, Any] = {"request_id": "", "reply_id": ""}
    assert reply.finish._replace(**same) == plain.finish._replace(**same)
    assert reply.finish.request_id.endswith("2")


@both_call_modes
def test_stream_yields_events_in_order(call_mode: CallMode, emulator: Emulator) -> None:
    events = events_of(client(emulator.compat_url), STREAM, call_mode)
    kinds = [type(event) for event in events]
    assert kinds == sorted(kinds, key=[ReasoningDelta, TextDelta, Usage, Finish].index)
    assert {*kinds} == {ReasoningDelta, TextDelta, Usage, Finish}


@both_call_modes
def test_unstreamed_reply_equals_the_accumulated_stream(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(FULL, FULL)
    whole = reply_of(client(emulator.compat_url), WHOLE, call_mode)
    streamed = reply_of(client(emulator.compat_url), request(enable_thinking=False, stream=True), call_mode)
    same: dict[str, Any] = {"request_id": "", "reply_id": ""}
    assert whole.finish._replace(**same) == streamed.finish._replace(**same)
    assert (whole.text, whole.reasoning, whole.tool_calls, whole.usage) == (
        streamed.text,
        streamed.reasoning,
        streamed.tool_calls,
        streamed.usage,
    )
    assert [body.json.get("stream") for body in emulator.requests] == [None, True]


@both_call_modes
def test_request_headers(call_mode: CallMode, emulator: Emulator) -> None:
    events_of(client(emulator.compat_url, default_headers={"X-Mine": "1"}), STREAM, call_mode)
    (sent,) = emulator.requests
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["user-agent"].startswith("qwenvl-adapters/")
    assert sent.headers["x-mine"] == "1"
    assert sent.headers["content-type"] == "application/json"
    assert int(sent.headers["content-length"]) == len(sent.body)


@both_call_modes
def test_openai_environment_variables_are_not_sent(
    call_mode: CallMode, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-another")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: of-another\nauthorization: Bearer of-another")
    events_of(client(emulator.compat_url), STREAM, call_mode)
    assert "of-another" not in str(emulator.requests[0].headers)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {KEY}"


@both_call_modes
def test_authorization_in_default_headers_replaces_the_key(
    call_mode: CallMode, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer of-another")
    events_of(client(emulator.compat_url, default_headers={"Authorization": "Bearer own"}), STREAM, call_mode)
    assert emulator.requests[0].headers["authorization"] == "Bearer own"


# --- faults -----------------------------------------------------------------------------------------------------------

Interrupted, Timeout, Api = QwenVLStreamInterruptedError, QwenVLTimeoutError, QwenVLAPIError
Outcome = tuple[Any, type[QwenVLError], str, int | None]

FAULTS: dict[str, Outcome] = {
    # fault in a stream: class of the error, partial text, status
    "reset before the headers": (Fault(reset="before-headers"), QwenVLConnectionError, "", None),
    "reset after events": (Fault(reset="after-events", reply=CUT, after=3), Interrupted, CUT_TEXT, None),
    "reset before the first event": (Fault(reset="after-events", reply=CUT), Interrupted, "", None),
    "reset within a character": (Fault(reset="mid-character", reply=CUT, after=1), Interrupted, "Ein ", None),
    "closed without a finish reason": (
        Fault(close_without_finish=True, reply=CUT, after=3),
        Interrupted,
        CUT_TEXT,
        None,
    ),
    "closed at once": (Fault(close_without_finish=True, reply=CUT), Interrupted, "", None),
    "truncated JSON": (Fault(truncate_json=True, reply=CUT, after=3), Interrupted, CUT_TEXT, None),
    "truncated body": (Fault(truncate_body=True, reply=CUT, after=3), Interrupted, CUT_TEXT, None),
    "an error in the stream": (
        Fault(status=429, code="limit_requests", error_format="in-stream", reply=CUT, after=3),
        QwenVLRateLimitError,
        CUT_TEXT,
        None,
    ),
    "moderation in the stream": (
        Fault(code="data_inspection_failed", error_format="in-stream", reply=CUT, after=2),
        QwenVLInvalidRequestError,
        "Ein ",
        None,
    ),
    "a page with status 200": (Fault(non_json_200=True), Api, "", 200),
    "400": (Fault(status=400), QwenVLInvalidRequestError, "", 400),
    "400, too long": (
        Fault(status=400, message="Range of input length should be [1, 9]"),
        QwenVLContextOverflowError,
        "",
        400,
    ),
    "401": (Fault(status=401), QwenVLAuthenticationError, "", 401),
    "402": (Fault(status=402), QwenVLArrearageError, "", 402),
    "403": (Fault(status=403), QwenVLPermissionDeniedError, "", 403),
    "404": (Fault(status=404), QwenVLModelNotFoundError, "", 404),
    "408": (Fault(status=408, code="timeout"), Timeout, "", 408),
    "409": (Fault(status=409, code="conflict"), QwenVLInvalidRequestError, "", 409),
    "413": (Fault(status=413, code="too_large", error_format="html"), QwenVLInvalidRequestError, "", 413),
    "429": (Fault(status=429), QwenVLRateLimitError, "", 429),
    "500": (Fault(status=500), Api, "", 500),
    "502, HTML": (Fault(status=502, error_format="html"), Api, "", 502),
    "503, text": (Fault(status=503, error_format="text"), Api, "", 503),
    "504, empty": (Fault(status=504, code="x", error_format="empty"), Timeout, "", 504),
    "a redirect": (Fault(redirect="http://127.0.0.1:9/elsewhere"), Api, "", 307),
}


@both_call_modes
@pytest.mark.parametrize("name", FAULTS)
def test_stream_fault_raises_typed_error(name: str, call_mode: CallMode, emulator: Emulator) -> None:
    fault, cls, partial, status = FAULTS[name]
    emulator.script(fault)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), STREAM, call_mode)
    error = caught.value
    assert isinstance(error, cls)
    assert type(error) is cls or cls is QwenVLInvalidRequestError
    assert (error.partial, error.status_code) == (partial, status)
    assert len(emulator.requests) == 1
    if name != "reset before the headers":
        assert error.request_id == "00000000-0000-9000-8000-000000000001"
    if status not in (None, 200) or name.startswith("reset"):
        assert isinstance(error.__cause__, Exception)
        assert type(error.__cause__).__module__.partition(".")[0] in ("openai", "httpx", "httpx2")
    until(lambda: emulator.open_connections == 0)


WHOLE_FAULTS: dict[str, Outcome] = {
    "reset before the headers": (Fault(reset="before-headers"), QwenVLConnectionError, "", None),
    "reset within the body": (Fault(reset="after-events", reply=TEXT), QwenVLConnectionError, "", None),
    "truncated JSON": (Fault(truncate_json=True, reply=TEXT), Api, "", 200),
    "truncated body": (Fault(truncate_body=True, reply=TEXT), QwenVLConnectionError, "", None),
    "a page": (Fault(non_json_200=True), Api, "", 200),
    "400 as an event": (
        Fault(status=400, code="data_inspection_failed", error_format="data-body"),
        QwenVLInvalidRequestError,
        "",
        400,
    ),
    "500": (Fault(status=500), Api, "", 500),
    "a redirect": (Fault(redirect="http://127.0.0.1:9/elsewhere"), Api, "", 307),
}


@both_call_modes
@pytest.mark.parametrize("name", WHOLE_FAULTS)
def test_unstreamed_fault_raises_typed_error(name: str, call_mode: CallMode, emulator: Emulator) -> None:
    fault, cls, partial, status = WHOLE_FAULTS[name]
    emulator.script(fault)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), WHOLE, call_mode)
    assert isinstance(caught.value, cls)
    assert (caught.value.partial, caught.value.status_code) == (partial, status)
    assert len(emulator.requests) == 1


@both_call_modes
def test_connection_refused_raises_connection_error(call_mode: CallMode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(QwenVLConnectionError, match="Can't reach the server") as caught:
        events_of(client(f"http://127.0.0.1:{port}/v1"), STREAM, call_mode)
    assert isinstance(caught.value.__cause__, openai.APIConnectionError)


@both_call_modes
def test_unknown_host_raises_connection_error(call_mode: CallMode, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(QwenVLConnectionError, match="Name or service not known"):
        events_of(client("http://nowhere.invalid/v1"), STREAM, call_mode)


@both_call_modes
def test_server_without_tls_raises_connection_error(call_mode: CallMode, emulator: Emulator) -> None:
    with pytest.raises(QwenVLConnectionError, match=r"SSL|TLS|ssl"):
        events_of(client(emulator.compat_url.replace("http://", "https://")), STREAM, call_mode)


@both_call_modes
def test_redirect_is_not_followed(call_mode: CallMode, emulator: Emulator) -> None:
    with Emulator() as elsewhere:
        emulator.script(Fault(redirect=f"{elsewhere.compat_url}/chat/completions"))
        with pytest.raises(QwenVLError):
            events_of(client(emulator.compat_url), STREAM, call_mode)
        assert elsewhere.requests == []


# --- time -------------------------------------------------------------------------------------------------------------


def repeat(*steps: Step) -> list[Step]:
    return [*steps] * 40


def seconds_until_timeout(url: str, call_mode: CallMode, **limits: Any) -> tuple[float, QwenVLTimeoutError]:
    start = time.monotonic()
    with pytest.raises(QwenVLTimeoutError) as caught:
        events_of(client(url, **limits), STREAM, call_mode)
    return time.monotonic() - start, caught.value


@both_call_modes
def test_stall_before_the_headers_raises_timeout_error(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(stall=3))
    took, error = seconds_until_timeout(emulator.compat_url, call_mode, timeout=0.2, stream_chunk_timeout=5)
    assert 0.15 < took < 2.0
    assert "timeout=" in str(error)
    assert isinstance(error.__cause__, openai.APITimeoutError)


@both_call_modes
@pytest.mark.parametrize(
    "limits",
    [
        {"timeout": 5, "stream_chunk_timeout": 0.2},
        {"timeout": 0.6, "stream_chunk_timeout": 5},
        {"timeout": None, "stream_chunk_timeout": 0.2},
        {"timeout": 0.6, "stream_chunk_timeout": None},
    ],
)
@pytest.mark.parametrize(("after", "partial"), [(0, ""), (3, CUT_TEXT)])
def test_stall_between_chunks_raises_timeout_error(
    limits: Any, after: int, partial: str, call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(Fault(stall=3, reply=CUT, after=after))
    took, error = seconds_until_timeout(emulator.compat_url, call_mode, **limits)
    assert 0.15 < took < 2.5
    assert error.partial == partial
    assert error.request_id
    assert "stream_chunk_timeout=" in str(error)
    until(lambda: emulator.open_connections == 0)


@both_call_modes
@pytest.mark.parametrize("scrap", [b": keep-alive\n\n", b"x", b"\n"])
def test_data_without_events_does_not_prolong_a_stream(scrap: bytes, call_mode: CallMode) -> None:
    begun = chunked(sse(chunk(content="Ein "), done=False), end=False)
    with raw_server([head("Transfer-Encoding: chunked"), begun, *repeat(chunked(scrap, end=False), 0.05)]) as server:
        took, error = seconds_until_timeout(server.url, call_mode, stream_chunk_timeout=0.3)
    assert 0.25 < took < 1.5
    assert error.partial == "Ein "


@both_call_modes
def test_unstreamed_reply_is_limited_by_timeout_alone(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(stall=0.4, reply=TEXT))
    reply = reply_of(client(emulator.compat_url, timeout=5, stream_chunk_timeout=0.1), WHOLE, call_mode)
    assert reply.text == "Ein Löwe 😀."


@both_call_modes
def test_slow_unstreamed_reply_raises_timeout_error(call_mode: CallMode) -> None:
    with raw_server([head("Transfer-Encoding: chunked"), *repeat(chunked(b" ", end=False), 0.05)]) as server:
        start = time.monotonic()
        with pytest.raises(QwenVLTimeoutError, match="timeout="):
            events_of(client(server.url, timeout=0.3), WHOLE, call_mode)
    assert 0.25 < time.monotonic() - start < 1.5


@both_call_modes
def test_slow_consumer_does_not_raise_timeout_error(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.quirks = Quirks(comments=True)
    emulator.script(TEXT)
    core_client = client(emulator.compat_url, stream_chunk_timeout=0.2)
    texts: list[Event] = []
    if call_mode == "sync":
        for event in core_client.stream(STREAM):
            texts.append(event)
            time.sleep(0.25)
        core_client.close()
    else:

        async def collect() -> None:
            async for event in core_client.astream(STREAM):
                texts.append(event)
                await asyncio.sleep(0.25)

        asyncio.run(collect())
    assert accumulate(texts).text == "Ein Löwe 😀."
