"""Test the faults and the connections of the emulator."""

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


def post_chat(
    client: http.client.HTTPConnection, *, path: str = COMPAT, stream: bool = True, **headers: str
) -> http.client.HTTPResponse:
    message = {"role": "user", "content": "x" if path == COMPAT else [{"text": "x"}]}
    body: dict[str, Any] = {"model": "qwen3-vl-plus", "messages": [message], "stream": stream}
    all_headers = {"Authorization": "Bearer sk-test"} | headers
    if path == NATIVE:
        body = {"model": "qwen3-vl-plus", "input": {"messages": [message]}, "parameters": {"incremental_output": True}}
        all_headers |= {"X-DashScope-SSE": "enable"} if stream else {}
    client.request("POST", path, json.dumps(body), all_headers)
    return client.getresponse()


def read_into(received: bytearray, response: http.client.HTTPResponse) -> None:
    """Read to the end, so that the data before an error are kept."""
    while data := response.read1():
        received += data


def until(condition: Any, seconds: float = 2.0) -> float:
    """Wait until a condition holds, and return the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "the condition did not hold in time"
        time.sleep(0.002)
    return time.monotonic() - start


# --- errors in each format ------------------------------------------------------------------------------------------


def test_error_has_shape_of_its_api(server: Emulator, client: http.client.HTTPConnection) -> None:
    fault = Fault(status=429, code="insufficient_quota", headers={"Retry-After": "2"})
    server.script(fault, fault)
    response = post_chat(client)
    payload = json.loads(response.read())
    assert (response.status, response.getheader("retry-after")) == (429, "2")
    assert payload["error"] == {
        "message": "Allocated quota exceeded, please increase your quota limit.",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    assert payload["request_id"] == response.getheader("x-request-id") == payload["id"].removeprefix("chatcmpl-")
    payload = json.loads(post_chat(client, path=NATIVE).read())
    assert payload["code"] == "Throttling.AllocationQuota"


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
def test_error_format_sets_content_type_and_body(
    server: Emulator, client: http.client.HTTPConnection, error_format: Any, content_type: str, start: bytes
) -> None:
    server.script(Fault(status=400, message="No.", error_format=error_format))
    response = post_chat(client)
    body = response.read()
    assert (response.status, response.getheader("content-type")) == (400, content_type)
    assert body.startswith(start)
    assert bool(body) == bool(start)


def test_error_in_stream_follows_earlier_events(server: Emulator, client: http.client.HTTPConnection) -> None:
    fault = Fault(status=500, error_format="in-stream", reply=TEXT, after=3)
    server.script(fault, fault)
    response = post_chat(client)
    events = response.read().decode().split("\n\n")
    assert response.status == 200
    assert [json.loads(event[6:]).get("error", {}).get("code") for event in events[:-1]] == [None] * 3 + [
        "internal_error"
    ]
    events = post_chat(client, path=NATIVE).read().decode().split("\n\n")
    assert events[3].split("\n")[:3] == ["id:4", "event:error", ":HTTP_STATUS/500"]


@pytest.mark.parametrize(
    ("quirks", "payload"),
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
def test_error_quirks_set_payload(
    server: Emulator, client: http.client.HTTPConnection, quirks: Quirks, payload: str
) -> None:
    server.script(
        Fault(status=400, message="No.", quirks=quirks),
        Fault(status=400, message="No.", error_format="in-stream", quirks=quirks, reply=TEXT, after=1),
    )
    assert post_chat(client).read().decode() == payload
    assert post_chat(client).read().decode().split("\n\n")[1] == f"data: {payload}"


def test_error_in_stream_never_follows_done(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(status=429, error_format="in-stream", after=99), Fault(status=429, error_format="in-stream"))
    assert b"[DONE]" not in post_chat(client).read()
    response = post_chat(client, stream=False)
    assert response.status == 429


def test_broken_error_is_invalid_json_before_done(server: Emulator, client: http.client.HTTPConnection) -> None:
    quirks = Quirks(broken_error=True, done_after_error=True)
    server.script(Fault(status=500, error_format="in-stream", quirks=quirks), Fault(status=500, quirks=quirks))
    broken, done, _ = post_chat(client).read().decode().split("\n\n")
    assert done == "data: [DONE]"
    for text in (broken.removeprefix("data: "), post_chat(client).read().decode()):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_unknown_error_code_is_sent_unchanged(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(status=418, code="Teapot"), Fault(code=7))
    response = post_chat(client)
    assert (response.status, json.loads(response.read())["error"]["code"]) == (418, "Teapot")
    response = post_chat(client)
    assert (response.status, json.loads(response.read())["error"]["code"]) == (500, 7)


def test_html_page_and_redirect(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(non_json_200=True), Fault(redirect="http://127.0.0.1:9/v1"))
    response = post_chat(client)
    assert (response.status, response.read()[:6]) == (200, b"<html>")
    response = post_chat(client)
    assert (response.status, response.getheader("location"), response.read()) == (307, "http://127.0.0.1:9/v1", b"")


# --- interrupted replies -------------------------------------------------------------------------------------


def test_close_without_finish_ends_stream_cleanly(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(close_without_finish=True, reply=TEXT, after=3), TEXT)
    body = post_chat(client).read()
    assert body.count(b"data: ") == 3
    assert b"stop" not in body
    assert b"[DONE]" in post_chat(client).read()
    assert server.connections == 1


def test_truncate_body_closes_connection_early(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(truncate_body=True, reply=TEXT, after=2), Fault(truncate_body=True, reply=TEXT))
    for stream in (True, False):
        with pytest.raises(http.client.IncompleteRead):
            post_chat(client, stream=stream).read()
        client.close()


def test_truncate_json_sends_invalid_json(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(truncate_json=True, reply=TEXT, after=2), Fault(truncate_json=True, reply=TEXT))
    last = post_chat(client).read().split(b"\n\n")[2]
    for text in (last.removeprefix(b"data: "), post_chat(client, stream=False).read()):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


@pytest.mark.parametrize("path", [COMPAT, NATIVE])
def test_reset_raises_after_expected_bytes(server: Emulator, client: http.client.HTTPConnection, path: str) -> None:
    server.script(
        Fault(reset="before-headers"),
        Fault(reset="after-events", reply=TEXT, after=2),
        Fault(reset="mid-character", reply=TEXT, after=1),
    )
    with pytest.raises(ConnectionResetError):
        post_chat(client, path=path)
    client.close()
    for last_bytes in (b"\n\n", "二".encode()[:1] if path == NATIVE else "一".encode()[:1]):
        response = post_chat(client, path=path)
        received = bytearray()
        with pytest.raises(ConnectionResetError):
            read_into(received, response)
        assert received.endswith(last_bytes)
        client.close()


def test_stall_delays_headers_or_events(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Fault(stall=0.1), Fault(stall=0.1, reply=TEXT, after=2), Fault(stall=0.1, status=503))
    start = time.monotonic()
    response = post_chat(client)
    assert time.monotonic() - start >= 0.1
    assert b"[DONE]" in response.read()
    start = time.monotonic()
    response = post_chat(client)
    assert response.read1().startswith(b"data: ")
    assert time.monotonic() - start < 0.1
    assert b"[DONE]" in response.read()
    assert time.monotonic() - start >= 0.1
    assert post_chat(client).status == 503


# --- time and connections -----------------------------------------------------------------------------------


def test_gates_delay_each_event(server: Emulator, client: http.client.HTTPConnection) -> None:
    gates = [threading.Event() for _ in range(4)]
    server.script(Reply(text=["一", "二"], gates=gates))
    gates[0].set()
    response = post_chat(client)
    for gate in gates[1:]:
        assert response.read1().count(b"data: ") == 1
        assert server.open_connections == 1
        gate.set()
    assert response.read().endswith(b"data: [DONE]\n\n")
    until(lambda: server.open_connections == 0)
    assert server.disconnects == 0


def test_delay_separates_events(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Reply(text=["a"], delay=0.02))
    start = time.monotonic()
    assert post_chat(client).read().count(b"data: ") == 4
    assert time.monotonic() - start >= 0.06


@pytest.mark.parametrize("reply", [Reply(text="x" * 90, gates=[threading.Event()]), Reply(text="x" * 90, delay=9)])
def test_abandoned_stream_counts_as_disconnect(
    server: Emulator, client: http.client.HTTPConnection, reply: Reply
) -> None:
    server.script(reply)
    response = post_chat(client)
    assert server.open_connections == 1
    response.close()
    client.close()
    assert until(lambda: server.open_connections == 0) < 0.5
    assert server.disconnects == 1


def test_connection_is_kept_alive_unless_closed(server: Emulator, client: http.client.HTTPConnection) -> None:
    for stream in (True, False, True):
        assert post_chat(client, stream=stream).read()
    assert (server.connections, len(server.requests)) == (1, 3)
    post_chat(client, Connection="close").read()
    post_chat(client).read()
    assert server.connections == 2


def test_chunked_request_is_recorded_whole(server: Emulator, client: http.client.HTTPConnection) -> None:
    body = json.dumps({"model": "qwen3-vl-plus", "messages": [{"role": "user", "content": "你好"}]}).encode()
    chunks = iter([body[:10], body[10:]])
    client.request("POST", COMPAT, chunks, {"Authorization": "Bearer sk-test", "X-Some": "Thing"}, encode_chunked=True)
    assert client.getresponse().read()
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", COMPAT, body)
    assert request.headers["x-some"] == "Thing"
    assert request.json["messages"][0]["content"] == "你好"


def test_script_is_consumed_by_accepted_requests_only(server: Emulator, client: http.client.HTTPConnection) -> None:
    server.script(Reply(text="first"), Reply(text="second"))
    client.request("POST", COMPAT, "{}", {"Authorization": "Bearer sk-test"})
    assert client.getresponse().read()
    assert server.unused_replies == 2
    assert b"first" in post_chat(client, stream=False).read()
    server.reset()
    assert (server.unused_replies, server.requests, server.connections) == (0, [], 0)
    assert b"emulator" in post_chat(client, stream=False).read()


def test_unknown_path_returns_404(server: Emulator, client: http.client.HTTPConnection) -> None:
    client.request("POST", "/v2/chat/completions", "{}")
    response = client.getresponse()
    assert (response.status, json.loads(response.read())["error"]["message"]) == (404, "Not found!")


def test_self_hosted_path_refuses_unexpected_fields() -> None:
    quirks = Quirks(detail_error=True)
    with Emulator(strict=False, quirks=quirks, unexpected_fields=["enable_thinking"]) as server:
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        path = server.self_hosted_url.removeprefix(server.origin) + "/chat/completions"
        for body, status in (({"model": "Qwen/Qwen3-VL-8B"}, 200), ({"enable_thinking": True}, 422)):
            client.request("POST", path, json.dumps(body))
            response = client.getresponse()
            assert (response.status, response.read()[:11] == b'{"detail":"') == (status, status == 422)
        client.close()


def test_fixed_port_is_used() -> None:
    with Emulator() as first:
        port = int(first.origin.rpartition(":")[2])
    with Emulator(port=port) as second:
        assert second.compat_url == f"http://127.0.0.1:{port}/compatible-mode/v1"


def test_emulator_imports_only_standard_library() -> None:
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


KEY = {"Authorization": "Bearer sk-test"}
POLICY = "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus"


def request_policy(client: http.client.HTTPConnection) -> dict[str, str]:
    client.request("GET", POLICY, headers=KEY)
    data: dict[str, str] = json.loads(client.getresponse().read())["data"]
    return data


def post_form(client: http.client.HTTPConnection, content: bytes, **fields: str) -> tuple[int, bytes]:
    """Upload a file with the fields of a form before it."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    parts.append('Content-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n')
    body = "".join(f"--x\r\n{part}\r\n" for part in parts).encode().removesuffix(b"\r\n") + content
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    client.request("POST", "/oss", body + b"\r\n--x--\r\n", headers)
    response = client.getresponse()
    return response.status, response.read()


def build_fields(policy: dict[str, str]) -> dict[str, str]:
    key = f"{policy['upload_dir']}/a.png"
    return {
        "key": key, "policy": policy["policy"], "Signature": policy["signature"],
        "OSSAccessKeyId": policy["oss_access_key_id"],
    }  # fmt: skip


def test_upload_needs_policy_and_can_fail(server: Emulator, client: http.client.HTTPConnection) -> None:
    client.request("GET", POLICY)
    assert client.getresponse().read().startswith(b'{"code":"InvalidApiKey"')
    assert request_policy(client)["upload_host"] == f"{server.origin}/oss"
    client.request("POST", "/oss", b"no form")
    response = client.getresponse()
    assert response.status == 403
    assert b"<Code>AccessDenied</Code>" in response.read()
    server.upload_fault = Fault(status=500)
    client.request("GET", POLICY, headers=KEY)
    assert json.loads(client.getresponse().read())["code"] == "InternalError"


def test_storage_refuses_invalid_forms(server: Emulator, client: http.client.HTTPConnection) -> None:
    fields = build_fields(request_policy(client))
    assert b"SignatureDoesNotMatch" in post_form(client, b"1", **{**fields, "Signature": "forged"})[1]
    assert b"Policy Condition failed" in post_form(client, b"1", **{**fields, "key": "elsewhere/a.png"})[1]
    assert post_form(client, b"1", **fields) == (200, b"")
    assert b"FileAlreadyExists" in post_form(client, b"1", **fields)[1]
    fields = build_fields(request_policy(client))
    server.storage.skip(301)
    status, body = post_form(client, b"1", **fields)
    assert status == 403
    assert b"Policy expired" in body
    assert [upload.content for upload in server.uploads] == [b"1"]


def test_chat_reads_only_uploads_of_its_account_and_model(server: Emulator, client: http.client.HTTPConnection) -> None:
    fields = build_fields(request_policy(client))
    post_form(client, bytes(20_971_521), **fields)

    def chat(model: str = "qwen3-vl-plus", **headers: str) -> bytes:
        content = [{"image": f"oss://{fields['key']}"}]
        payload = {"model": model, "input": {"messages": [{"role": "user", "content": content}]}}
        client.request(
            "POST", NATIVE, json.dumps(payload), {**KEY, "X-DashScope-OssResourceResolve": "enable", **headers}
        )
        return client.getresponse().read()

    assert b"Multimodal file size is too large" in chat()
    assert b"does not appear to be valid" in chat(**{"X-DashScope-OssResourceResolve": ""})
    for answer in (chat("qwen3-vl-flash"), chat(Authorization="Bearer sk-other")):
        assert b"Unable to download the media resource" in answer
    server.storage.skip(48 * 3600)
    assert b"Unable to download the media resource" in chat()


def test_64_concurrent_streams_complete(server: Emulator) -> None:
    gate = threading.Event()
    server.respond = lambda request: Reply(text=["a", "b"], gates=[gate])
    bodies: list[bytes] = []

    def read_stream() -> None:
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        bodies.append(post_chat(client).read())
        client.close()

    threads = [threading.Thread(target=read_stream) for _ in range(64)]
    for thread in threads:
        thread.start()
    until(lambda: server.open_connections == 64)
    gate.set()
    for thread in threads:
        thread.join()
    assert len(bodies) == 64
    assert all(body.endswith(b"[DONE]\n\n") for body in bodies)
    until(lambda: server.open_connections == 0)


def test_close_does_not_wait_for_open_streams() -> None:
    start = time.monotonic()
    with Emulator() as server:
        server.script(Reply(text="x", gates=[threading.Event()]))
        client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
        assert post_chat(client).status == 200
        with socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2]))):
            until(lambda: server.connections == 2)
    client.close()
    assert time.monotonic() - start < 1
    assert not [thread for thread in threading.enumerate() if thread.name == "emulator"]


def test_close_raises_error_of_emulator() -> None:
    server = Emulator()
    server.respond = lambda request: 1 / 0  # type: ignore[assignment, return-value]
    client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    with pytest.raises(http.client.RemoteDisconnected):
        post_chat(client)
    client.close()
    with pytest.raises(ZeroDivisionError):
        server.close()
