"""Requests over the native API: what is sent, which failures are retried, and which errors they become."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from pathlib import Path

import dashscope
import httpx
import pytest
from dashscope.v2.errors import APIConnectionError, APITimeoutError, DashScopeError

from qwenvl_core.catalog.endpoints import resolve_endpoint
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
from qwenvl_core.types.media import InlineSource
from qwenvl_core.types.messages import ImagePart, TextPart
from qwenvl_core.types.reply import accumulate
from tests.core.client.scripted import both_call_modes
from tests.core.transport.native import CHAT, KEY, PNG, create_client, fetch_reply, make_request
from tests.emulator import Emulator, Fault
from tests.emulator import Reply as Scripted
from tests.support.pipeline import CallMode

# --- what is sent -----------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize("stream", [True, False])
def test_request_body_and_headers(emulator: Emulator, call_mode: CallMode, stream: bool) -> None:
    client = create_client(emulator.native_url, default_headers={"X-Mine": "1"})
    reply = fetch_reply(client, make_request(stream=stream), call_mode)
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


def test_missing_key_raises_before_sending(emulator: Emulator) -> None:
    with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY"):
        accumulate(create_client(emulator.native_url, api_key="").stream(make_request()))
    assert not emulator.requests


@both_call_modes
def test_retry_sends_a_large_body_again(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0"}), Fault(reset="before-headers"), Scripted(text="ok"))
    image = ImagePart(InlineSource(PNG + bytes(range(256)) * 8192), location="here")
    assert (
        fetch_reply(create_client(emulator.native_url), make_request(parts=(image, TextPart("Hi"))), call_mode).text
        == "ok"
    )
    first, *retries = emulator.requests
    assert len(retries) == 2
    assert len(first.body) > 2_700_000
    assert first.headers["content-length"] == str(len(first.body))
    assert all(request.body == first.body for request in retries)


def test_sdk_settings_environment_and_files_are_ignored(
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
        "DASHSCOPE_REGION": "singapore",  # one of our aliases, which the SDK does not know
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
            fetch_reply(create_client(emulator.native_url, max_retries=1), make_request(), "sync")
        assert fetch_reply(create_client(emulator.native_url), make_request(), "async").text
    finally:
        dashscope.settings.clear()
    assert [request.path for request in emulator.requests] == [CHAT] * 3
    for request in emulator.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert "x-dashscope-workspace" not in request.headers


def test_invalid_sdk_environment_variable_raises_input_error(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_TIMEOUT", "soon")
    with pytest.raises(QwenVLInputError, match="DASHSCOPE_TIMEOUT"):
        fetch_reply(create_client(emulator.native_url), make_request(), "sync")


@both_call_modes
def test_clients_do_not_share_keys_or_hosts(call_mode: CallMode) -> None:
    with Emulator(api_key="sk-one") as one, Emulator(api_key="sk-two") as two:
        clients = [
            create_client(one.native_url, api_key="sk-one"),
            create_client(two.native_url, api_key="sk-two"),
            create_client(one.compat_url, api="openai", api_key="sk-one"),
        ]
        for _ in range(2):
            for client in clients:
                assert fetch_reply(client, make_request(), call_mode).text
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
def test_region_and_workspace_select_the_url(region: str, workspace: str | None, url: str) -> None:
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(400, json={"code": "InvalidParameter", "message": "No.", "request_id": "r"})

    client = create_client(
        resolve_endpoint("dashscope", region=region, workspace=workspace),
        http_client=httpx.Client(transport=httpx.MockTransport(refuse)),
    )
    with pytest.raises(QwenVLInvalidRequestError):
        fetch_reply(client, make_request(), "sync")
    assert [str(request.url) for request in requests] == [url + CHAT.removeprefix("/api/v1")]


@both_call_modes
def test_callers_http_client_is_used_and_left_open(emulator: Emulator, call_mode: CallMode) -> None:
    class CountingTransport(httpx.HTTPTransport):
        calls = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            CountingTransport.calls += 1
            return super().handle_request(request)

    class AsyncCountingTransport(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            CountingTransport.calls += 1
            return await super().handle_async_request(request)

    async def use_async(client: Client) -> None:
        with pytest.raises(QwenVLAPIError):
            await anext(client.astream(make_request()))
        assert [event async for event in client.astream(make_request())]
        await client.aclose()
        assert not own_async.is_closed
        await own_async.aclose()

    emulator.script(Fault(redirect="http://127.0.0.1:9/elsewhere"))
    with httpx.Client(transport=CountingTransport(), follow_redirects=True) as own:
        own_async = httpx.AsyncClient(transport=AsyncCountingTransport(), follow_redirects=True)
        client = create_client(emulator.native_url, http_client=own, http_async_client=own_async)
        if call_mode == "async":
            asyncio.run(use_async(client))
        else:
            with pytest.raises(QwenVLAPIError):
                fetch_reply(client, make_request(), call_mode)
            assert fetch_reply(client, make_request(), call_mode).text
            assert not own.is_closed
        assert CountingTransport.calls == 2


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
    # The response holds nothing but the error.
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
    # A part of the answer had arrived.
    (Fault(status=500, error_format="in-stream", reply=Scripted(text=["So"]), after=1), QwenVLAPIError),
    (Fault(status=429, error_format="in-stream", reply=Scripted(text=["So"]), after=1), QwenVLRateLimitError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, reset="after-events"), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, close_without_finish=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, truncate_json=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, truncate_body=True), QwenVLStreamInterruptedError),
    (Fault(reply=Scripted(text=["So", "far"]), after=1, stall=1.0), QwenVLTimeoutError),
]


@both_call_modes
@pytest.mark.parametrize(("fault", "cls"), RETRIED, ids=lambda value: getattr(value, "__name__", None))
def test_transient_failure_is_retried(
    emulator: Emulator, fault: Fault, cls: type[QwenVLError], call_mode: CallMode
) -> None:
    client = create_client(emulator.native_url, timeout=0.5)
    emulator.script(fault, fault, Scripted(text="ok"))
    assert fetch_reply(client, make_request(), call_mode).text == "ok"
    assert len(emulator.requests) == 3

    emulator.script(fault, fault, fault)
    with pytest.raises(cls) as caught:
        fetch_reply(client, make_request(), call_mode)
    assert type(caught.value) is cls
    assert len(emulator.requests) == 6
    assert fault.error_format == "in-stream" or isinstance(caught.value.__cause__, DashScopeError)

    emulator.script(fault)
    with pytest.raises(cls):
        fetch_reply(create_client(emulator.native_url, timeout=0.5, max_retries=0), make_request(), call_mode)
    assert len(emulator.requests) == 7


@both_call_modes
@pytest.mark.parametrize(("fault", "cls"), NOT_RETRIED, ids=lambda value: getattr(value, "__name__", None))
def test_permanent_failure_is_not_retried(
    emulator: Emulator, fault: Fault, cls: type[QwenVLError], call_mode: CallMode
) -> None:
    emulator.script(fault, Scripted(text="never sent"))
    with pytest.raises(cls) as caught:
        fetch_reply(create_client(emulator.native_url, timeout=0.5), make_request(), call_mode)
    assert type(caught.value) is cls
    assert len(emulator.requests) == 1
    assert caught.value.partial == ("So" if fault.reply else "")
    if not fault.non_json_200 and fault.reset is None and not fault.stall:
        assert caught.value.request_id
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"


@both_call_modes
def test_error_has_code_status_request_id_and_cause(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.script(Fault(status=401))
    with pytest.raises(QwenVLAuthenticationError, match="region=") as caught:
        fetch_reply(create_client(emulator.native_url), make_request(), call_mode)
    error = caught.value
    assert (error.code, error.status_code) == ("InvalidApiKey", 401)
    assert error.request_id == "00000000-0000-9000-8000-000000000001"
    cause = error.__cause__
    assert isinstance(cause, dashscope.v2.errors.AuthenticationError)


@both_call_modes
def test_connection_refused_raises_connection_error(call_mode: CallMode) -> None:
    with pytest.raises(QwenVLConnectionError) as caught:
        fetch_reply(create_client("http://127.0.0.1:9/api/v1"), make_request(), call_mode)
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert isinstance(caught.value.__cause__.__cause__, httpx.ConnectError)


@both_call_modes
def test_stream_chunk_timeout_limits_the_gap_between_chunks(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.script(Fault(reply=Scripted(text=["So", "far"]), after=1, stall=5))
    start = time.monotonic()
    with pytest.raises(QwenVLTimeoutError, match="stopped sending") as caught:
        fetch_reply(create_client(emulator.native_url, timeout=60, stream_chunk_timeout=0.2), make_request(), call_mode)
    assert time.monotonic() - start < 3
    assert caught.value.partial == "So"
    emulator.script(Scripted(text=["It", "takes", "longer"], delay=0.25))
    assert (
        fetch_reply(
            create_client(emulator.native_url, timeout=60, stream_chunk_timeout=0.6), make_request(), call_mode
        ).text
        == "Ittakeslonger"
    )


@both_call_modes
def test_stall_before_the_headers_raises_timeout_error(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.script(Fault(stall=5))
    with pytest.raises(QwenVLTimeoutError, match="did not respond") as caught:
        fetch_reply(create_client(emulator.native_url, timeout=0.2, max_retries=0), make_request(), call_mode)
    assert isinstance(caught.value.__cause__, APITimeoutError)


def test_reset_after_the_finish_reason_is_ignored(emulator: Emulator) -> None:
    emulator.script(Fault(reply=Scripted(text=["Whole"]), after=9, reset="after-events"))
    assert fetch_reply(create_client(emulator.native_url), make_request(), "sync").text == "Whole"


@both_call_modes
def test_retry_waits_for_retry_after(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "0.4"}), Scripted(text="ok"))
    start = time.monotonic()
    assert fetch_reply(create_client(emulator.native_url), make_request(), call_mode).text == "ok"
    assert time.monotonic() - start >= 0.4


def test_key_is_in_no_log(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    emulator.script(Fault(status=429), Scripted(text="ok"), Fault(status=401))
    client = create_client(emulator.native_url)
    assert fetch_reply(client, make_request(), "sync").text == "ok"
    with pytest.raises(QwenVLAuthenticationError):
        fetch_reply(client, make_request(), "async")
    assert KEY not in caplog.text
    assert KEY not in repr(client._connection)


# --- the SDK is optional ----------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize("package", ["dashscope", "httpx"])
def test_missing_package_raises_input_error_naming_the_extra(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, package: str, call_mode: CallMode
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "qwenvl_core.transport.dashscope", raising=False)
    with pytest.raises(QwenVLInputError, match=rf'{package} is not .*pip install "qwenvl-adapters\[dashscope\]"'):
        fetch_reply(create_client(emulator.native_url), make_request(), call_mode)
    assert not emulator.requests
    assert fetch_reply(create_client(emulator.compat_url, api="openai"), make_request(), call_mode).text
