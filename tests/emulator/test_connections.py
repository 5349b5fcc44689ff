"""Faults and connections: what breaks, breaks as told, and the emulator notices a client that has gone."""

from __future__ import annotations

import ast
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import emulator
from tests.emulator import Emulator, Fault, Quirks, Reply

COMPAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/multimodal-generation/generation"
TEXT = Reply(text=["一", "二", "三", "四"])


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def client(server: Emulator) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    yield connection
    connection.close()


def ask(
    client: http.client.HTTPConnection, *, path: str = COMPAT, stream: bool = True, **headers: str
) -> http.client.HTTPResponse:
    message = {"role": "user", "content": "x" if path == COMPAT else [{"text": "x"}]}
    body: dict[str, Any] = {"model": "qwen3-vl-plus", "messages": [message], "stream": stream}
    sent = {"Authorization": "Bearer sk-test"} | headers
    if path == NATIVE:
        body = {"model": "qwen3-vl-plus", "input": {"messages": [message]}, "parameters": {"incremental_output": True}}
        sent |= {"X-DashScope-SSE": "enable"} if stream else {}
    client.request("POST", path, json.dumps(body), sent)
    return client.getresponse()


def read_into(said: bytearray, response: http.client.HTTPResponse) -> None:
    """Read to the end; what came before an error is kept."""
    while piece := response.read1():
        said += piece


def until(condition: Any, seconds: float = 2.0) -> float:
    """How long it took for something to come true."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not come true in time"
        time.sleep(0.002)
    return time.monotonic() - start


# --- errors in each error_format ---------------------------------------------------------------------------------


def test_an_error_has_each_apis_shape(server: Emulator, client: http.client.HTTPConnection) -> None:
    fault = Fault(status=429, code="insufficient_quota", headers={"Retry-After": "2"})
    server.script(fault, fault)
    response = ask(client)
    told = json.loads(response.read())
    assert (response.status, response.getheader("retry-after")) == (429, "2")
    assert told["error"] == {
        "message": "Allocated quota exceeded, please increase your quota limit.",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    assert told["request_id"] == response.getheader("x-request-id") == told["id"].removeprefix("chatcmpl-")
    told = json.loads(ask(client, path=NATIVE).read())
    assert told["code"] == "Throttling.AllocationQuota"


@pytest.mark.parametrize(
    ("error_format", "content_type", "start"),
    [
        ("json", "application/json", b'{"error":{"message":"No."'),
        ("data-body", "text/event-stream;charset=UTF-8", b'data: {"error":{"message":"No."'),
        ("html", "text/html", b"<html>"),
        ("text", "text/plain", b"No."),
        ("empty", "text/plain", b""),
    ],
)
def test_carriers(
    server: Emulator, client: http.client.HTTPConnection, error_format: Any, content_type: str, start: bytes
) -> None:
    server.script(Fault(status=400, message="No.", error_format=error_format))
    response = ask(client)
    body = response.read()
    assert (response.status, response.getheader("content-type")) == (400, content_type)
    assert body.startswith(start)
    assert bool(body) == bool(start)


def test_an_error_in_the_stream_comes_after_what_was_said(server: Emulator, client: http.client.HTTPConnection) -> None:
    fault = Fault(status=500, error_format="in-stream", reply=TEXT, after=3)
    server.script(fault, fault)
    response = ask(client)
    events = response.read().decode().split("\n\n")
    assert response.status == 200
    assert [json.loads(event[6:]).get("error", {}).get("code") for event in events[:-1]] == [None] * 3 + [
        "internal_error"
    ]
    events = ask(client, path=NATIVE).read().decode().split("\n\n")
    assert events[3].split("\n")[:3] == ["id:4", "event:error", ":HTTP_STATUS/500"]


@pytest.mark.parametrize(
    ("quirks", "said"),
    [
        (Quirks(error_as_string=True), '{"error":"No."}'),
        (Quirks(detail_error=True), '{"detail":"No."}'),
        (
            Quirks(flat_error=True, integer_error_code=True),
            '{"object":"error","message":"No.","type":"invalid_request_error","param":null,"code":400}',
        ),
        (
            Quirks(no_request_id=True, integer_error_code=True),
            '{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":400}}',
        ),
    ],
)
def test_errors_of_self_hosted_servers(
    server: Emulator, client: http.client.HTTPConnection, quirks: Quirks, said: str
) -> None:
    server.script(
        Fault(status=400, message="No.", quirks=quirks),
        Fault(status=400, message="No.", error_format="in-stream", quirks=quirks, reply=TEXT, after=1),
    )
    assert ask(client).read().decode() == said
    assert ask(client).read().decode().split("\n\n")[1] == f"data: {said}"


def test_an_error_in_the_stream_never_follows_done(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(status=429, error_format="in-stream", after=99), Fault(status=429, error_format="in-stream"))
    assert b"[DONE]" not in ask(client).read()
    response = ask(client, stream=False)
    assert response.status == 429


def test_a_broken_error_and_done_after_an_error(server: Emulator, client: http.client.HTTPConnection) -> None:
    quirks = Quirks(broken_error=True, done_after_error=True)
    server.script(Fault(status=500, error_format="in-stream", quirks=quirks), Fault(status=500, quirks=quirks))
    broken, done, _ = ask(client).read().decode().split("\n\n")
    assert done == "data: [DONE]"
    for text in (broken.removeprefix("data: "), ask(client).read().decode()):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_a_code_that_no_one_knows(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(status=418, code="Teapot"), Fault(code=7))
    response = ask(client)
    assert (response.status, json.loads(response.read())["error"]["code"]) == (418, "Teapot")
    response = ask(client)
    assert (response.status, json.loads(response.read())["error"]["code"]) == (500, 7)


def test_a_page_and_a_redirect(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(non_json_200=True), Fault(redirect="http://127.0.0.1:9/v1"))
    response = ask(client)
    assert (response.status, response.read()[:6]) == (200, b"<html>")
    response = ask(client)
    assert (response.status, response.getheader("location"), response.read()) == (307, "http://127.0.0.1:9/v1", b"")


# --- answers that break off ---------------------------------------------------------------------------------


def test_a_stream_that_ends_without_an_end(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(close_without_finish=True, reply=TEXT, after=3), TEXT)
    body = ask(client).read()
    assert body.count(b"data: ") == 3
    assert b"stop" not in body
    assert b"[DONE]" in ask(client).read()
    assert server.connections == 1


def test_a_body_that_is_not_complete(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(truncate_body=True, reply=TEXT, after=2), Fault(truncate_body=True, reply=TEXT))
    for stream in (True, False):
        with pytest.raises(http.client.IncompleteRead):
            ask(client, stream=stream).read()
        client.close()


def test_json_that_breaks_off(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(truncate_json=True, reply=TEXT, after=2), Fault(truncate_json=True, reply=TEXT))
    last = ask(client).read().split(b"\n\n")[2]
    for text in (last.removeprefix(b"data: "), ask(client, stream=False).read()):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


@pytest.mark.parametrize("path", [COMPAT, NATIVE])
def test_resets(server: Emulator, client: http.client.HTTPConnection, path: str) -> None:
    server.script(
        Fault(reset="before-headers"),
        Fault(reset="after-events", reply=TEXT, after=2),
        Fault(reset="mid-character", reply=TEXT, after=1),
    )
    with pytest.raises(ConnectionResetError):
        ask(client, path=path)
    client.close()
    for last_bytes in (b"\n\n", "二".encode()[:1] if path == NATIVE else "一".encode()[:1]):
        response = ask(client, path=path)
        said = bytearray()
        with pytest.raises(ConnectionResetError):
            read_into(said, response)
        assert said.endswith(last_bytes)
        client.close()


def test_a_stall_before_the_headers_and_in_the_stream(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(stall=0.1), Fault(stall=0.1, reply=TEXT, after=2), Fault(stall=0.1, status=503))
    start = time.monotonic()
    response = ask(client)
    assert time.monotonic() - start >= 0.1
    assert b"[DONE]" in response.read()
    start = time.monotonic()
    response = ask(client)
    assert response.read1().startswith(b"data: ")
    assert time.monotonic() - start < 0.1
    assert b"[DONE]" in response.read()
    assert time.monotonic() - start >= 0.1
    assert ask(client).status == 503


# --- time and connections -----------------------------------------------------------------------------------


def test_gates_hold_each_event_back(server: Emulator, client: http.client.HTTPConnection) -> None:
    gates = [threading.Event() for _ in range(4)]
    server.script(Reply(text=["一", "二"], gates=gates))
    gates[0].set()
    response = ask(client)
    for gate in gates[1:]:
        assert response.read1().count(b"data: ") == 1
        assert server.open_connections == 1
        gate.set()
    assert response.read().endswith(b"data: [DONE]\n\n")
    until(lambda: server.open_connections == 0)
    assert server.disconnects == 0


def test_a_delay_between_events(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Reply(text=["a"], delay=0.02))
    start = time.monotonic()
    assert ask(client).read().count(b"data: ") == 4
    assert time.monotonic() - start >= 0.06


@pytest.mark.parametrize("reply", [Reply(text="x" * 90, gates=[threading.Event()]), Reply(text="x" * 90, delay=9)])
def test_an_abandoned_stream_is_noticed(server: Emulator, client: http.client.HTTPConnection, reply: Reply) -> None:
    server.script(reply)
    response = ask(client)
    assert server.open_connections == 1
    response.close()
    client.close()
    assert until(lambda: server.open_connections == 0) < 0.5
    assert server.disconnects == 1


def test_connections_are_kept_alive(server: Emulator, client: http.client.HTTPConnection) -> None:
    for stream in (True, False, True):
        assert ask(client, stream=stream).read()
    assert (server.connections, len(server.requests)) == (1, 3)
    ask(client, Connection="close").read()
    ask(client).read()
    assert server.connections == 2


def test_requests_are_recorded_whole(server: Emulator, client: http.client.HTTPConnection) -> None:
    body = json.dumps({"model": "qwen3-vl-plus", "messages": [{"role": "user", "content": "你好"}]}).encode()
    pieces = iter([body[:10], body[10:]])
    client.request("POST", COMPAT, pieces, {"Authorization": "Bearer sk-test", "X-Some": "Thing"}, encode_chunked=True)
    assert client.getresponse().read()
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", COMPAT, body)
    assert request.headers["x-some"] == "Thing"
    assert request.json["messages"][0]["content"] == "你好"


def test_the_script_is_taken_by_accepted_requests_only(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Reply(text="first"), Reply(text="second"))
    client.request("POST", COMPAT, "{}", {"Authorization": "Bearer sk-test"})
    assert client.getresponse().read()
    assert server.unused_replies == 2
    assert b"first" in ask(client, stream=False).read()
    server.reset()
    assert (server.unused_replies, server.requests, server.connections) == (0, [], 0)
    assert b"emulator" in ask(client, stream=False).read()


def test_other_paths_are_not_found(server: Emulator, client: http.client.HTTPConnection) -> None:
    client.request("POST", "/v2/chat/completions", "{}")
    response = client.getresponse()
    assert (response.status, json.loads(response.read())["error"]["message"]) == (404, "Not found!")


def test_a_self_hosted_server_has_its_own_path_and_may_refuse_fields() -> None:
    quirks = Quirks(detail_error=True)
    with Emulator(strict=False, quirks=quirks, unexpected_fields=["enable_thinking"]) as server:
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        path = server.self_hosted_url.removeprefix(server.origin) + "/chat/completions"
        for body, status in (({"model": "Qwen/Qwen3-VL-8B"}, 200), ({"enable_thinking": True}, 422)):
            client.request("POST", path, json.dumps(body))
            response = client.getresponse()
            assert (response.status, response.read()[:11] == b'{"detail":"') == (status, status == 422)
        client.close()


def test_a_fixed_port() -> None:
    with Emulator() as first:
        port = int(first.origin.rpartition(":")[2])
    with Emulator(port=port) as second:
        assert second.compat_url == f"http://127.0.0.1:{port}/compatible-mode/v1"


def test_the_emulator_knows_nothing_of_what_it_tests() -> None:
    folder = Path(emulator.__file__).parent
    for file in folder.rglob("*.py"):
        if file.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.partition(".")[0]
                assert root in sys.stdlib_module_names or name.startswith("tests.emulator"), (file.name, name)


def test_an_upload_needs_a_policy_and_can_fail(server: Emulator, client: http.client.HTTPConnection) -> None:
    client.request("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus")
    assert client.getresponse().read().startswith(b'{"code":"InvalidApiKey"')
    key = {"Authorization": "Bearer sk-test"}
    client.request("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus", headers=key)
    assert json.loads(client.getresponse().read())["data"]["upload_host"] == f"{server.origin}/oss"
    client.request("POST", "/oss", b"no form")
    response = client.getresponse()
    assert (response.status, response.read()) == (403, b"<Error>AccessDenied</Error>")
    large = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + bytes(10_485_761)
    fields = {"key": "dir/a.png", "policy": "p", "Signature": "s", "OSSAccessKeyId": "i"}
    form = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    client.request("POST", "/oss", form + large + b"\r\n--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"})
    assert client.getresponse().read() == b""
    image = {
        "model": "qwen3-vl-plus",
        "input": {"messages": [{"role": "user", "content": [{"image": "oss://dir/a.png"}]}]},
    }
    client.request("POST", NATIVE, json.dumps(image), key | {"X-DashScope-OssResourceResolve": "enable"})
    assert b"Multimodal file size is too large" in client.getresponse().read()
    server.upload_fault = Fault(status=500)
    client.request("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus", headers=key)
    assert json.loads(client.getresponse().read())["code"] == "InternalError"


def test_many_streams_at_once(server: Emulator) -> None:
    gate = threading.Event()
    server.respond = lambda request: Reply(text=["a", "b"], gates=[gate])
    said: list[bytes] = []

    def one() -> None:
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        said.append(ask(client).read())
        client.close()

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    until(lambda: server.open_connections == 64)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(said) == 64
    assert all(body.endswith(b"[DONE]\n\n") for body in said)
    until(lambda: server.open_connections == 0)


def test_closing_does_not_wait_for_open_streams() -> None:
    start = time.monotonic()
    with Emulator() as server:
        server.script(Reply(text="x", gates=[threading.Event()]))
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        assert ask(client).status == 200
        with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))):
            until(lambda: server.connections == 2)
    client.close()
    assert time.monotonic() - start < 1
    assert not [thread for thread in threading.enumerate() if thread.name == "emulator"]


def test_an_error_of_the_emulator_itself_is_told() -> None:
    server = Emulator()
    server.respond = lambda request: 1 / 0  # type: ignore[assignment, return-value]
    client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(client)
    client.close()
    with pytest.raises(ZeroDivisionError):
        server.close()
