"""The native API end to end: requests, retries, failures, and that both APIs answer alike."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gc
import logging
import math
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import dashscope
import httpx
import pytest
from dashscope.v2.errors import APIConnectionError, APITimeoutError, DashScopeError

from qwenvl_core.catalog.endpoints import endpoint
from qwenvl_core.client.client import Client
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLContentFilterError,
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLMissingKeyError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.transport import retry
from qwenvl_core.transport.connection import Connection
from qwenvl_core.transport.retry import RetryPolicy, retry_after
from qwenvl_core.types.events import Event, Usage
from qwenvl_core.types.media import InlineSource
from qwenvl_core.types.messages import ImagePart, Message, TextPart
from qwenvl_core.types.reply import Reply, ReplyAccumulator, accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from tests.emulator import Emulator, Fault, Quirks, ToolCall
from tests.emulator import Reply as Scripted

KEY = "sk-emulator-0123456789abcdef"
CHAT = "/api/v1/services/aigc/multimodal-generation/generation"
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not wait; what a server asks for is obeyed as ever."""
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.0)


def connect(url: str, api: Any = "dashscope", **options: Any) -> Client:
    return Client(Connection(api=api, base_url=url, **{"api_key": KEY, **options}))


def ask(*, stream: bool = True, parts: tuple[Any, ...] = (TextPart("Hi"),), **settings: Any) -> Request:
    settings = {"enable_thinking": False, **settings}
    return Request(messages=(Message("user", parts),), settings=ModelSettings(**settings), stream=stream)


def run(client: Client, request: Request, mode: str) -> Reply:
    """The folded reply, asked for in a sync or an async way."""
    if mode == "sync":
        try:
            return accumulate(client.stream(request))
        finally:
            client.close()

    async def arun() -> Reply:
        accumulator = ReplyAccumulator()
        async for event in client.astream(request):
            accumulator.add(event)
        return accumulator.reply()

    return asyncio.run(arun())


both_ways = pytest.mark.parametrize("mode", ["sync", "async"])


# --- what is sent -----------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("stream", [True, False])
def test_request(emulator: Emulator, mode: str, stream: bool) -> None:
    client = connect(emulator.native_url, default_headers={"X-Mine": "1"})
    reply = run(client, ask(stream=stream), mode)
    (request,) = emulator.requests
    assert (request.method, request.path) == ("POST", CHAT)
    assert request.json == {
        "model": "qwen3-vl-plus",
        "input": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        "parameters": {"result_format": "message", "incremental_output": True, "enable_thinking": False},
    }
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("qwenvl-adapters/")
    assert request.headers["x-mine"] == "1"
    assert request.headers.get("x-dashscope-sse") == ("enable" if stream else None)
    assert "x-dashscope-ossresourceresolve" not in request.headers
    assert "x-dashscope-workspace" not in request.headers
    assert reply.text == "This is the emulator's answer: 你好 😀."
    assert reply.finish.request_id.startswith("00000000-")


def test_without_a_key_nothing_is_sent(emulator: Emulator) -> None:
    with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY"):
        accumulate(connect(emulator.native_url, api_key="").stream(ask()))
    assert not emulator.requests


@both_ways
def test_a_large_body_is_sent_whole_again_after_a_refusal(emulator: Emulator, mode: str) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0"}), Fault(reset="before-headers"), Scripted(text="ok"))
    image = ImagePart(InlineSource(PNG + bytes(range(256)) * 8192), location="here")
    assert run(connect(emulator.native_url), ask(parts=(image, TextPart("Hi"))), mode).text == "ok"
    first, *others = emulator.requests
    assert len(others) == 2
    assert len(first.body) > 2_700_000
    assert first.headers["content-length"] == str(len(first.body))
    assert all(request.body == first.body for request in others)


def test_the_sdk_s_own_settings_environment_and_files_do_not_leak_in(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / ".dashscope"
    home.mkdir()
    (home / "api_key").write_text("sk-of-a-file")
    (home / "config.toml").write_text(
        'base_url = "http://127.0.0.1:9/file"\nworkspace = "of-file"\nprotocol = "openai"'
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "DASHSCOPE_API_KEY": "sk-of-the-environment",
        "DASHSCOPE_BASE_URL": "http://127.0.0.1:9/env",
        "DASHSCOPE_HTTP_BASE_URL": "http://127.0.0.1:9/old",
        "DASHSCOPE_WORKSPACE": "of-env",
        "DASHSCOPE_REGION": "singapore",  # an alias of ours, which the SDK does not know
        "DASHSCOPE_PROTOCOL": "openai",
        "DASHSCOPE_TIMEOUT": "0.000001",
        "DASHSCOPE_MAX_RETRIES": "9",
        "DASHSCOPE_HTTP_MAX_CONNECTIONS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dashscope, "api_key", "sk-of-the-module")
    monkeypatch.setattr(dashscope, "base_http_api_url", "http://127.0.0.1:9/module")
    try:
        for name, value in (("api_key", "sk-set"), ("base_url", "http://127.0.0.1:9/set"), ("workspace", "of-set")):
            setattr(dashscope.settings, name, value)
        dashscope.settings.protocol = "openai"
        emulator.script(Fault(status=503), Fault(status=503))
        with pytest.raises(QwenVLAPIError):
            run(connect(emulator.native_url, max_retries=1), ask(), "sync")
        assert run(connect(emulator.native_url), ask(), "async").text
    finally:
        dashscope.settings.clear()
    assert [request.path for request in emulator.requests] == [CHAT] * 3
    for request in emulator.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert "x-dashscope-workspace" not in request.headers


def test_an_environment_the_sdk_can_t_read_is_an_error_that_says_so(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_TIMEOUT", "soon")
    with pytest.raises(QwenVLInputError, match="DASHSCOPE_TIMEOUT"):
        run(connect(emulator.native_url), ask(), "sync")


@both_ways
def test_two_clients_never_mix(mode: str) -> None:
    with Emulator(api_key="sk-one") as one, Emulator(api_key="sk-two") as two:
        clients = [
            connect(one.native_url, api_key="sk-one"),
            connect(two.native_url, api_key="sk-two"),
            connect(one.compat_url, api="openai", api_key="sk-one"),
        ]
        for _ in range(2):
            for client in clients:
                assert run(client, ask(), mode).text
        assert {request.headers["authorization"] for request in one.requests} == {"Bearer sk-one"}
        assert {request.headers["authorization"] for request in two.requests} == {"Bearer sk-two"}
        assert (len(one.requests), len(two.requests)) == (4, 2)
        assert not one.refusals
        assert not two.refusals


@pytest.mark.parametrize(
    ("region", "workspace", "url"),
    [
        ("cn-beijing", None, "https://dashscope.aliyuncs.com/api/v1"),
        ("singapore", None, "https://dashscope-intl.aliyuncs.com/api/v1"),
        ("us", None, "https://dashscope-us.aliyuncs.com/api/v1"),
        ("cn-hongkong", None, "https://cn-hongkong.dashscope.aliyuncs.com/api/v1"),
        ("eu-central-1", "ws1", "https://ws1.eu-central-1.maas.aliyuncs.com/api/v1"),
    ],
)
def test_regions(region: str, workspace: str | None, url: str) -> None:
    seen: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400, json={"code": "InvalidParameter", "message": "No.", "request_id": "r"})

    client = connect(
        endpoint("dashscope", region=region, workspace=workspace),
        http_client=httpx.Client(transport=httpx.MockTransport(refuse)),
    )
    with pytest.raises(QwenVLInvalidRequestError):
        run(client, ask(), "sync")
    assert [str(request.url) for request in seen] == [url + CHAT.removeprefix("/api/v1")]


@both_ways
def test_the_caller_s_own_client_is_used_and_left_open(emulator: Emulator, mode: str) -> None:
    class Counting(httpx.HTTPTransport):
        calls = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            Counting.calls += 1
            return super().handle_request(request)

    class AsyncCounting(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            Counting.calls += 1
            return await super().handle_async_request(request)

    async def use(client: Client) -> None:
        with pytest.raises(QwenVLAPIError):
            await anext(client.astream(ask()))
        assert [event async for event in client.astream(ask())]
        await client.aclose()
        assert not other.is_closed
        await other.aclose()

    emulator.script(Fault(redirect="http://127.0.0.1:9/elsewhere"))
    with httpx.Client(transport=Counting(), follow_redirects=True) as own:
        other = httpx.AsyncClient(transport=AsyncCounting(), follow_redirects=True)
        client = connect(emulator.native_url, http_client=own, http_async_client=other)
        if mode == "async":
            asyncio.run(use(client))
        else:
            with pytest.raises(QwenVLAPIError):
                run(client, ask(), mode)
            assert run(client, ask(), mode).text
            assert not own.is_closed
        assert Counting.calls == 2


# --- failures and retries ---------------------------------------------------------------------------------------

RETRIED: list[tuple[Fault, type[QwenVLError]]] = [
    (Fault(status=429), QwenVLRateLimitError),
    (Fault(status=429, headers={"Retry-After": "0.01"}), QwenVLRateLimitError),
    (Fault(status=429, headers={"retry-after-ms": "10"}), QwenVLRateLimitError),
    (Fault(status=429, code="Throttling.AllocationQuota"), QwenVLRateLimitError),
    (Fault(status=408), QwenVLTimeoutError),
    (Fault(status=409), QwenVLInvalidRequestError),
    (Fault(status=500), QwenVLAPIError),
    (Fault(status=500, code="RequestTimeOut"), QwenVLTimeoutError),
    (Fault(status=502, error_format="html"), QwenVLAPIError),
    (Fault(status=503, error_format="empty"), QwenVLAPIError),
    (Fault(status=504), QwenVLTimeoutError),
    (Fault(reset="before-headers"), QwenVLConnectionError),
    (Fault(stall=1.0), QwenVLTimeoutError),
    # A response that says nothing but that the request failed.
    (Fault(status=429, error_format="in-stream"), QwenVLRateLimitError),
    (Fault(status=500, error_format="in-stream"), QwenVLAPIError),
]
NOT_RETRIED: list[tuple[Fault, type[QwenVLError]]] = [
    (Fault(status=400, error_format="json"), QwenVLInvalidRequestError),
    (Fault(status=400), QwenVLInvalidRequestError),
    (Fault(status=400, code="DataInspectionFailed", error_format="data-body"), QwenVLContentFilterError),
    (Fault(status=400, code="Arrearage", error_format="json"), QwenVLArrearageError),
    (Fault(status=429, code="CommodityNotPurchased", error_format="in-stream"), QwenVLArrearageError),
    (Fault(status=401), QwenVLAuthenticationError),
    (Fault(status=429, code="CommodityNotPurchased"), QwenVLArrearageError),
    (Fault(status=429, code="PrepaidBillOverdue"), QwenVLArrearageError),
    (Fault(status=429, message="Free allocated quota exceeded."), QwenVLQuotaExceededError),
    (Fault(status=429, headers={"Retry-After": "1"}), QwenVLRateLimitError),  # longer than the timeout
    (Fault(redirect="http://127.0.0.1:9/elsewhere"), QwenVLAPIError),
    (Fault(non_json_200=True), QwenVLAPIError),
    # Something of the answer was there.
    (Fault(status=500, error_format="in-stream", reply=Scripted(text=["So"]), after=1), QwenVLAPIError),
    (Fault(status=429, error_format="in-stream", reply=Scripted(text=["So"]), after=1), QwenVLRateLimitError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, reset="after-events"), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, close_without_finish=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, truncate_json=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, truncate_body=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, stall=1.0), QwenVLTimeoutError),
]


@both_ways
@pytest.mark.parametrize(("fault", "cls"), RETRIED, ids=lambda value: getattr(value, "__name__", None))
def test_failures_that_may_pass_are_retried(
    emulator: Emulator, fault: Fault, cls: type[QwenVLError], mode: str
) -> None:
    client = connect(emulator.native_url, timeout=0.5)
    emulator.script(fault, fault, Scripted(text="ok"))
    assert run(client, ask(), mode).text == "ok"
    assert len(emulator.requests) == 3

    emulator.script(fault, fault, fault)
    with pytest.raises(cls) as caught:
        run(client, ask(), mode)
    assert type(caught.value) is cls
    assert len(emulator.requests) == 6
    assert fault.error_format == "in-stream" or isinstance(caught.value.__cause__, DashScopeError)

    emulator.script(fault)
    with pytest.raises(cls):
        run(connect(emulator.native_url, timeout=0.5, max_retries=0), ask(), mode)
    assert len(emulator.requests) == 7


@both_ways
@pytest.mark.parametrize(("fault", "cls"), NOT_RETRIED, ids=lambda value: getattr(value, "__name__", None))
def test_failures_that_are_not(emulator: Emulator, fault: Fault, cls: type[QwenVLError], mode: str) -> None:
    emulator.script(fault, Scripted(text="never said"))
    with pytest.raises(cls) as caught:
        run(connect(emulator.native_url, timeout=0.5), ask(), mode)
    assert type(caught.value) is cls
    assert len(emulator.requests) == 1
    assert caught.value.partial == ("So" if fault.reply else "")
    if not fault.non_json_200 and fault.reset is None and not fault.stall:
        assert caught.value.request_id
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"


@both_ways
def test_an_error_says_what_is_known_of_it(emulator: Emulator, mode: str) -> None:
    emulator.script(Fault(status=401))
    with pytest.raises(QwenVLAuthenticationError, match="region=") as caught:
        run(connect(emulator.native_url), ask(), mode)
    error = caught.value
    assert (error.code, error.status_code) == ("InvalidApiKey", 401)
    assert error.request_id == "00000000-0000-9000-8000-000000000001"
    cause = error.__cause__
    assert isinstance(cause, dashscope.v2.errors.AuthenticationError)


@both_ways
def test_a_server_that_is_not_there(mode: str) -> None:
    with pytest.raises(QwenVLConnectionError) as caught:
        run(connect("http://127.0.0.1:9/api/v1"), ask(), mode)
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert isinstance(caught.value.__cause__.__cause__, httpx.ConnectError)


@both_ways
def test_a_gap_between_chunks_has_its_own_limit(emulator: Emulator, mode: str) -> None:
    emulator.script(Fault(reply=Scripted(text=["So", "far"]), after=1, stall=5))
    began = time.monotonic()
    with pytest.raises(QwenVLTimeoutError, match="stopped sending") as caught:
        run(connect(emulator.native_url, timeout=60, stream_chunk_timeout=0.2), ask(), mode)
    assert time.monotonic() - began < 3
    assert caught.value.partial == "So"
    emulator.script(Scripted(text=["It", "takes", "longer"], delay=0.25))
    assert run(connect(emulator.native_url, timeout=60, stream_chunk_timeout=0.6), ask(), mode).text == "Ittakeslonger"


@both_ways
def test_no_first_response_in_time(emulator: Emulator, mode: str) -> None:
    emulator.script(Fault(stall=5))
    with pytest.raises(QwenVLTimeoutError, match="did not respond") as caught:
        run(connect(emulator.native_url, timeout=0.2, max_retries=0), ask(), mode)
    assert isinstance(caught.value.__cause__, APITimeoutError)


def test_a_broken_end_after_the_finish_reason_is_no_error(emulator: Emulator) -> None:
    emulator.script(Fault(reply=Scripted(text=["Whole"]), after=9, reset="after-events"))
    assert run(connect(emulator.native_url), ask(), "sync").text == "Whole"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 99 Foo 2020 00:00:00 GMT"}, None),
        ({"retry-after": email.utils.formatdate(0, usegmt=True)}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_a_date() -> None:
    seconds = retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert seconds is not None
    assert 28 < seconds <= 30


def rule(most: int, timeout: float | None = 300.0) -> RetryPolicy:
    return RetryPolicy(Connection(api="openai", base_url="", api_key="", max_retries=most, timeout=timeout))


def throttled(seconds: float | None) -> QwenVLRateLimitError:
    error = QwenVLRateLimitError(status_code=429)
    error.retry_after = seconds
    return error


def test_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.5)
    error = QwenVLConnectionError("gone")
    for timeout in (300.0, None, 3.0):
        counted = rule(7, timeout)
        pauses = [counted.next_delay(error) for _ in range(7)]
        for pause, longest in zip(pauses, (0.5, 1, 2, 4, 8, 8, 8), strict=True):
            assert min(longest * 0.75, timeout or 300) <= pause <= min(longest, timeout or 300)
        with pytest.raises(QwenVLConnectionError) as caught:
            counted.next_delay(error)
        assert caught.value is error


@pytest.mark.parametrize(
    ("timeout", "asked"), [(300.0, 300.0), (300.0, 301.0), (3.0, 3.1), (0.5, 0.5), (None, 300.0), (None, math.inf)]
)
def test_no_pause_is_longer_than_the_timeout(timeout: float | None, asked: float) -> None:
    error = throttled(asked)
    if asked <= (timeout or 300):
        assert rule(1, timeout).next_delay(error) == asked
        return
    with pytest.raises(QwenVLRateLimitError, match=f"asks to wait for {asked:.0f} seconds") as caught:
        rule(1, timeout).next_delay(error)
    assert caught.value is error
    assert "timeout=" in error.hint
    assert QwenVLRateLimitError.hint in error.hint


@both_ways
def test_a_server_s_pause_is_obeyed(emulator: Emulator, mode: str) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0.4"}), Scripted(text="ok"))
    began = time.monotonic()
    assert run(connect(emulator.native_url), ask(), mode).text == "ok"
    assert time.monotonic() - began >= 0.4


def test_the_key_is_in_no_log(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    emulator.script(Fault(status=429), Scripted(text="ok"), Fault(status=401))
    client = connect(emulator.native_url)
    assert run(client, ask(), "sync").text == "ok"
    with pytest.raises(QwenVLAuthenticationError):
        run(client, ask(), "async")
    assert KEY not in caplog.text
    assert KEY not in repr(client._connection)


# --- streams ----------------------------------------------------------------------------------------------------

FRAMINGS = {
    "crlf": Quirks(crlf=True, comments=True),
    "cr": Quirks(cr=True),
    "a byte at a time": Quirks(split_bytes=1),
    "gzip": Quirks(gzip=True, comments=True),
    "byte order mark": Quirks(bom=True),
    "data on many lines": Quirks(multi_line_data=True),
    "a space after data": Quirks(no_space_after_data=False),
    "no reasoning key, empty content": Quirks(answer_reasoning="empty", content_mode="null"),
    "one chunk with reasoning and text": Quirks(reasoning_and_text_in_one_chunk=True),
    "no total, no details": Quirks(usage_details_absent=True, no_total_tokens=True),
    "usage at the end": Quirks(usage_every_chunk=False),
    "no finish reason until the end": Quirks(finish_missing_key=True),
    "finish alone": Quirks(finish_on_last_text_chunk=False),
}


@both_ways
@pytest.mark.parametrize("name", FRAMINGS)
def test_framings(emulator: Emulator, name: str, mode: str) -> None:
    emulator.script(Scripted(reasoning="我想想 🤔", text="好的\u2028😀 ok.", quirks=FRAMINGS[name]))
    reply = run(connect(emulator.native_url), ask(enable_thinking=True), mode)
    assert (reply.reasoning, reply.text, reply.finish.finish_reason) == ("我想想 🤔", "好的\u2028😀 ok.", "stop")
    assert reply.usage is not None
    assert reply.usage.total == reply.usage.input + reply.usage.output


@both_ways
def test_a_line_of_a_megabyte(emulator: Emulator, mode: str) -> None:
    text = "好" * 350_000
    emulator.script(Scripted(text=[text]))
    assert run(connect(emulator.native_url), ask(), mode).text == text


def test_each_delta_is_there_before_the_next_is_sent(emulator: Emulator) -> None:
    gates = [threading.Event() for _ in range(3)]
    gates[0].set()
    emulator.script(Scripted(text=["a", "b", "c"], gates=gates))
    events = connect(emulator.native_url).stream(ask())
    for gate, text in zip(gates, "abc", strict=True):
        gate.set()
        assert next(events)[0] == text
    assert [type(event).__name__ for event in events] == ["Usage", "Finish"]


def wait_until(condition: Any, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("how", ["close", "forget", "raise"])
def test_an_abandoned_stream_closes(emulator: Emulator, how: str) -> None:
    emulator.script(Scripted(text=["word "] * 2000, delay=0.01))
    events: Iterator[Event] | None = connect(emulator.native_url).stream(ask())
    assert events is not None
    next(events)
    if how == "raise":
        with contextlib.suppress(KeyError), contextlib.closing(events):
            raise KeyError
    elif how == "close":
        events.close()
    events = None
    gc.collect()
    wait_until(lambda: emulator.disconnects == 1 and not emulator.open_connections)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_an_abandoned_async_stream_closes(emulator: Emulator, how: str) -> None:
    emulator.script(Scripted(text=["word "] * 2000, delay=0.01))
    begun = asyncio.Event()

    async def consume(events: AsyncIterator[Event]) -> None:
        async for _ in events:
            begun.set()

    client = connect(emulator.native_url)
    events = client.astream(ask())
    if how == "aclose":
        await anext(events)
        await events.aclose()
    else:
        task = asyncio.create_task(consume(events))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.to_thread(wait_until, lambda: emulator.disconnects == 1 and not emulator.open_connections)
    assert (await anext(client.astream(ask())))[0]
    await client.aclose()


def test_connections_are_used_again(emulator: Emulator) -> None:
    client = connect(emulator.native_url)
    for stream in (True, False, True):
        assert accumulate(client.stream(ask(stream=stream))).text
    assert emulator.connections == 1
    client.close()
    assert accumulate(client.stream(ask())).text
    assert emulator.connections == 2
    client.close()


def test_a_client_that_is_forgotten_closes_its_connections(emulator: Emulator) -> None:
    client = connect(emulator.native_url)
    assert accumulate(client.stream(ask())).text
    http = client._transport._sync.http
    del client
    gc.collect()
    assert http.is_closed


async def test_many_streams_at_once(emulator: Emulator) -> None:
    client = connect(emulator.native_url)

    async def one() -> int:
        return len([event async for event in client.astream(ask())])

    assert len(set(await asyncio.gather(*(one() for _ in range(120))))) == 1
    await client.aclose()


# --- both APIs --------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[Scripted, dict[str, Any]]] = {
    "text": (Scripted(text="好的 ok"), {}),
    "thinking": (Scripted(reasoning="Hm, 好", text="Yes."), {"enable_thinking": True}),
    "only thinking": (Scripted(reasoning="Hm", finish="length"), {"enable_thinking": True}),
    "tools": (
        Scripted(
            reasoning="Two.",
            text="Wait.",
            tool_calls=[ToolCall("call_1", "crop", '{"x": "好"}'), ToolCall("call_2", "crop", "{}")],
        ),
        {"enable_thinking": True, "tools": (TOOL,)},
    ),
    "usage": (
        Scripted(text="A", usage={"prompt": 9, "completion": 4, "reasoning": 2, "image": 3, "video": 1, "cached": 5}),
        {},
    ),
    "log probabilities": (
        Scripted(text=["A", "B"], choice_extra={"logprobs": {"content": [{"token": "A"}]}}),
        {"logprobs": True},
    ),
    "search": (Scripted(text="A", quirks=Quirks(search_info=True)), {}),
}


@both_ways
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_folded_reply_is_the_same_over_both_apis(emulator: Emulator, name: str, stream: bool, mode: str) -> None:
    answer, settings = ANSWERS[name]
    replies = []
    for api, url in (("openai", emulator.compat_url), ("dashscope", emulator.native_url)):
        emulator.reset()
        emulator.script(answer)
        replies.append(run(connect(url, api=api), ask(stream=stream, **settings), mode))
    compatible, native = (comparable(reply) for reply in replies)
    assert native == compatible
    assert native["request_id"]


def comparable(reply: Reply) -> dict[str, Any]:
    """All of a reply but the server's own words: the ids' prefix, and the usage as it was written."""
    assert isinstance(reply.usage, Usage)
    finish = reply.finish
    return {
        "reasoning": reply.reasoning,
        "text": reply.text,
        "calls": reply.tool_calls,
        "usage": reply.usage._replace(raw={}),
        "reason": finish.finish_reason,
        "model": finish.model,
        "request_id": finish.request_id,
        "adjustments": finish.adjustments,
        "extras": finish.extras,
    }


@both_ways
@pytest.mark.parametrize("call_mode", ["stream", "invoke"])
@pytest.mark.parametrize("name", ["text", "thinking", "tools", "usage"])
def test_langchain_messages_are_the_same_over_both_apis(
    emulator: Emulator, name: str, call_mode: str, mode: str
) -> None:
    from langchain_qwenvl import ChatQwenVL  # here, so that all the rest needs the core alone

    answer, settings = ANSWERS[name]
    messages = []
    for api, url in (("openai", emulator.compat_url), ("dashscope", emulator.native_url)):
        emulator.reset()
        emulator.script(answer)
        llm = ChatQwenVL(api=api, base_url=url, api_key=KEY)
        messages.append(
            asyncio.run(answer_of(llm, call_mode, settings))
            if mode == "async"
            else answer_now(llm, call_mode, settings)
        )
        llm.close()
    compatible, native = (shown(message) for message in messages)
    assert native == compatible


def answer_now(llm: Any, call_mode: str, settings: dict[str, Any]) -> Any:
    if call_mode == "invoke":
        return llm.invoke("Hi", **settings)
    first, *rest = llm.stream("Hi", **settings)
    return sum(rest, first)


async def answer_of(llm: Any, call_mode: str, settings: dict[str, Any]) -> Any:
    if call_mode == "invoke":
        return await llm.ainvoke("Hi", **settings)
    first, *rest = [chunk async for chunk in llm.astream("Hi", **settings)]
    return sum(rest, first)


def shown(message: Any) -> dict[str, Any]:
    metadata = {name: value for name, value in message.response_metadata.items() if name not in ("id", "token_usage")}
    return {
        "content": message.content,
        "blocks": message.content_blocks,
        "kwargs": message.additional_kwargs,
        "calls": message.tool_calls,
        "usage": message.usage_metadata,
        "metadata": metadata,
    }


# --- the SDK is optional ----------------------------------------------------------------------------------------


@both_ways
def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, mode: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "dashscope"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dashscope", None)
    monkeypatch.delitem(sys.modules, "qwenvl_core.transport.dashscope", raising=False)
    with pytest.raises(QwenVLInputError, match=r'pip install "qwenvl-adapters\[dashscope\]"'):
        run(connect(emulator.native_url), ask(), mode)
    assert not emulator.requests
    assert run(connect(emulator.compat_url, api="openai"), ask(), mode).text
