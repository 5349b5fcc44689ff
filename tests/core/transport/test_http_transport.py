"""Requests over the HTTP transport of either SDK: what is sent, and what becomes of a request that can't be built."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.transport.http_transport import HttpTransport
from qwenvl_core.transport.multipart import MultipartForm
from tests.core.client.scripted import STREAM, both_call_modes
from tests.support.pipeline import KEY, CallMode, client, events_of, request

every_api = pytest.mark.parametrize("api", ["openai", "dashscope"])
BASE_URL = "http://service.test/v1"


def send(api: Api, request: HttpRequest | Callable[[], HttpRequest], call_mode: CallMode) -> httpx.Request:
    """Send a request over a client with defaults of its own, and return what arrived; the reply is `{"ok": true}`."""
    arrived: list[httpx.Request] = []

    def respond(sent: httpx.Request) -> httpx.Response:
        sent.read()
        arrived.append(sent)
        return httpx.Response(200, json={"ok": True})

    async def arespond(sent: httpx.Request) -> httpx.Response:
        await sent.aread()
        arrived.append(sent)
        return httpx.Response(200, json={"ok": True})

    defaults: Any = {
        "headers": {"X-Client": "default", "Authorization": "Bearer of-the-client"},
        "cookies": {"session": "of-the-client"},
        "params": {"client": "default"},
        "auth": ("user", "password"),
    }
    connection = Connection(
        api=api,
        base_url=BASE_URL,
        api_key=KEY,
        default_headers={"X-Mine": "1"},
        http_client=httpx.Client(transport=httpx.MockTransport(respond), **defaults),
        http_async_client=httpx.AsyncClient(transport=httpx.MockTransport(arespond), **defaults),
    )
    module = importlib.import_module(f"qwenvl_core.transport.{api}")
    transport: HttpTransport = getattr(module, {"openai": "OpenAITransport", "dashscope": "DashScopeTransport"}[api])(
        connection
    )
    request = request if isinstance(request, HttpRequest) else request()
    if call_mode == "sync":
        with transport.open(request) as response:
            body = b"".join(response.data)
    else:

        async def read() -> bytes:
            async with transport.aopen(request) as response:
                return b"".join([data async for data in response.data])

        body = asyncio.run(read())
    assert json.loads(body) == {"ok": True}
    (sent,) = arrived
    return sent


@both_call_modes
@every_api
def test_get_request_with_params_is_sent_to_the_base_url(api: Api, call_mode: CallMode) -> None:
    sent = send(api, HttpRequest("GET", "/models", params={"limit": "2"}), call_mode)
    assert (sent.method, sent.url.path, sent.url.params["limit"]) == ("GET", "/v1/models", "2")
    assert sent.headers["x-mine"] == "1"
    assert "content-type" not in sent.headers
    assert sent.content == b""


@both_call_modes
@every_api
def test_post_request_with_whole_url_sends_json_there(api: Api, call_mode: CallMode) -> None:
    request = HttpRequest("POST", "http://service.test/other/files", {"a": "好"}, {"X-Mine": "2"})
    sent = send(api, request, call_mode)
    assert (sent.url.host, sent.url.path) == ("service.test", "/other/files")
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["content-length"] == str(len(sent.content))
    assert sent.headers.get_list("x-mine") == ["2"]
    assert json.loads(sent.content) == {"a": "好"}


def multipart_request() -> HttpRequest:
    form = MultipartForm({"purpose": "batch"}, io.BytesIO(b"{}\n" * 50_000), name="a.jsonl", mime="text/plain")
    return HttpRequest("POST", "http://storage.test/bucket", form, authenticate=False)


@both_call_modes
@every_api
def test_multipart_form_is_sent_with_its_length(api: Api, call_mode: CallMode) -> None:
    sent = send(api, multipart_request, call_mode)
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert sent.headers["content-length"] == str(len(sent.content))
    assert "transfer-encoding" not in sent.headers
    assert b'name="purpose"' in sent.content
    assert b"{}\n" * 50_000 in sent.content


@both_call_modes
@every_api
def test_unauthenticated_request_carries_no_defaults_of_connection_or_client(api: Api, call_mode: CallMode) -> None:
    sent = send(api, multipart_request, call_mode)
    assert set(sent.headers) == {"host", "user-agent", "content-type", "content-length"}
    assert str(sent.url) == "http://storage.test/bucket"
    assert KEY.encode() not in sent.content


@both_call_modes
@every_api
@pytest.mark.parametrize("value", ["söcret", 1])
def test_default_header_that_is_not_ascii_text_raises_input_error(api: Api, value: Any, call_mode: CallMode) -> None:
    with pytest.raises(QwenVLInputError, match="default_headers=") as caught:
        events_of(client(BASE_URL, api=api, default_headers={"X-Mine": value}), STREAM, call_mode)
    assert "cret" not in str(caught.value)


@both_call_modes
@every_api
def test_base_url_with_a_control_character_raises_input_error(api: Api, call_mode: CallMode) -> None:
    with pytest.raises(QwenVLInputError, match="Invalid non-printable ASCII character in URL"):
        events_of(client(BASE_URL + "\x01", api=api), STREAM, call_mode)


@pytest.mark.parametrize("keyword", ["http_client", "http_async_client"])
def test_http_client_of_another_type_raises_input_error(keyword: str) -> None:
    model_client = client("http://127.0.0.1:9/v1", **{keyword: "x"})
    with pytest.raises(QwenVLInputError, match=f"Invalid {keyword}: str. Pass an httpx"):
        events_of(model_client, request(), "sync" if keyword == "http_client" else "async")
