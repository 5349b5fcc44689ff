"""Raw HTTP requests that a browser would not send: foreign paths, addresses, hosts and origins."""

from __future__ import annotations

import http.client
import json
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.conftest import Server
from tests.support.paths import ROOT
from tests.support.pipeline import png

FILE = {"_type": "gradio.FileData"}


def send(
    server: Server, method: str, path: str, body: Any = None, content: str = "application/json", **headers: str
) -> tuple[int, bytes]:
    """Send a request; return status and body."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        connection.request(method, path, data, {"Content-Type": content, **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def find_event(server: Server, trigger: str, label: str = "", elem_id: str = "") -> tuple[int, list[Any]]:
    """Return the id of an event, and the values of its inputs as a browser would send them."""
    config = json.loads(send(server, "GET", "/config")[1])
    components = {component["id"]: component["props"] for component in config["components"]}
    for event in config["dependencies"]:
        for target, name in event["targets"]:
            props = components.get(target, {})
            names = (props.get("value"), props.get("label")) if label else (props.get("elem_id"),)
            if name == trigger and (label or elem_id) in names:
                return event["id"], [components[component].get("value") for component in event["inputs"]]
    raise LookupError(trigger)


def call(server: Server, event: int, data: list[Any], event_data: Any = None) -> str:
    """Run an event as the page's script does; return all that the server sends about it."""
    session = uuid.uuid4().hex
    body = {"data": data, "fn_index": event, "session_hash": session, "event_data": event_data}
    status, answer = send(server, "POST", "/gradio_api/queue/join", body)
    if status != 200:
        return answer.decode()
    return send(server, "GET", f"/gradio_api/queue/data?session_hash={session}")[1].decode()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture outside of the upload folder, which the page would read if it opened the path."""
    path = tmp_path / "secret.png"
    path.write_bytes(png(64, 64))
    return path


def spell(path: Path, **fields: Any) -> list[dict[str, Any]]:
    """Return the ways to name a path in place of an upload."""
    return [
        {"path": str(path), "meta": FILE, **fields},
        {"path": str(path), "orig_name": "scan.png", **fields},
        {"path": f"/../..{path}", "meta": FILE, **fields},
        {"path": path.as_uri(), "meta": FILE, **fields},
        {"path": "scan.png", "url": path.as_uri(), "meta": FILE, **fields},
        {"path": str(path), "is_stream": True, "meta": FILE, **fields},
        {"path": {"path": str(path), "meta": FILE}, "meta": FILE, **fields},
    ]


def test_upload_of_the_browser_is_read(recorded: Server, secret: Path) -> None:
    """The attacks below fail because of the path, not because of their form."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="mine.png"\r\n\r\n' + secret.read_bytes()
    status, answer = send(
        recorded, "POST", "/gradio_api/upload", body + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
    )
    assert status == 200
    event, data = find_event(recorded, "upload", "Upload a scan")
    answer_text = call(recorded, event, [None, {"path": json.loads(answer)[0], "meta": FILE}, *data[2:]])
    assert "no recording" in answer_text  # it was opened, and is none of the bundled scans


@pytest.mark.parametrize("index", range(7))
def test_path_that_was_not_uploaded_is_not_read(recorded: Server, secret: Path, index: int) -> None:
    event, data = find_event(recorded, "upload", "Upload a scan")
    answer = call(recorded, event, [None, spell(secret)[index], *data[2:]])
    assert "no recording" not in answer
    assert "secret.png" not in answer.replace(json.dumps(str(secret))[1:-1], "")
    assert "Traceback" not in answer


@pytest.mark.parametrize("address", ["http://example.com/scan.png", "https://example.com/scan.png"])
def test_address_in_place_of_an_upload_is_not_fetched(recorded: Server, address: str) -> None:
    event, data = find_event(recorded, "upload", "Upload a scan")
    assert "Unsupported upload" in call(recorded, event, [None, {"path": address, "meta": FILE}, *data[2:]])
    event, data = find_event(recorded, "submit", "Question")
    assert "Unsupported upload" in call(recorded, event, [None, None, {"path": address, "meta": FILE}, *data[3:]])


def test_path_in_a_text_field_is_not_read(recorded: Server, secret: Path) -> None:
    event, data = find_event(recorded, "submit", "Question")
    answer = call(recorded, event, [None, None, {"path": str(secret), "meta": FILE}, *data[3:]])
    assert "data:image" not in answer
    assert send(recorded, "GET", f"/gradio_api/file={secret}")[0] in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{secret}",
        f"{ROOT}/examples/agreement.pdf",
        f"{ROOT}/pyproject.toml",
        "pyproject.toml",
        "examples/agreement.pdf",
        "../../../../../../etc/passwd",
        "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "file:///etc/passwd",
        "//etc/passwd",
        "http://127.0.0.1:1/",
        "/proc/self/environ",
    ],
)
@pytest.mark.parametrize(
    "route", ["/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/file=", "/static/", "/assets/"]
)
def test_files_of_the_machine_are_not_served(recorded: Server, secret: Path, route: str, path: str) -> None:
    status, body = send(recorded, "GET", route + path.format(secret=secret))
    assert status in (307, 400, 403, 404), body[:200]
    for content in (b"root:", b"qwenvl-adapters", b"%PDF", b"PATH=", secret.read_bytes()[:40]):
        assert content not in body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "scans.example"}, 403),
        ({"Host": "scans.example:7960"}, 403),
        ({"Host": "127.0.0.1.scans.example"}, 403),
        ({"Host": "127.0.0.1:80@scans.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://scans.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:2"}, 403),
        ({}, 200),
        ({"Host": "localhost:2", "Origin": "http://localhost:2"}, 200),
    ],
)
def test_requests_of_other_pages_are_refused(recorded: Server, headers: dict[str, str], status: int) -> None:
    for method, path in (("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload")):
        answer = send(recorded, method, path, {} if method == "POST" else None, **headers)[0]
        assert (answer == 403) is (status == 403)


@pytest.mark.parametrize("path", ["/monitoring", "/gradio_api/runs", "/gradio_api/mcp/", "/docs", "/openapi.json"])
def test_pages_of_gradio_are_closed(recorded: Server, path: str) -> None:
    assert send(recorded, "GET", path)[0] in (307, 403, 404)


@pytest.mark.parametrize("sent", [0, 4, -1, 1e9, None, {"a": 1}, ["1"], "../1", "[1]", "[９９]", f"[{'9' * 5000}]"])
@pytest.mark.parametrize(
    ("trigger", "elem_id"), [("input", "pages"), ("input", "sources"), ("click", "questions"), ("select", "answer")]
)
def test_choices_that_the_page_does_not_offer_give_nothing(
    recorded: Server, trigger: str, elem_id: str, sent: Any
) -> None:
    event, data = find_event(recorded, trigger, "", elem_id)
    is_choice = elem_id in ("pages", "sources")
    answer = call(
        recorded, event, [*data[:-1], sent] if is_choice else data, {"index": sent, "value": [sent, "source"]}
    )
    assert "Traceback" not in answer
    assert "image" not in answer


def test_values_of_other_types_in_the_form_are_errors_without_traceback(recorded: Server) -> None:
    event, data = find_event(recorded, "click", "Read receipt.png")
    for values in ([{}, [], 1, None], ["model-studio", {"a": 1}, ["x"], 5], ["no such provider", "", "", ""]):
        answer = call(recorded, event, [None, *values])
        assert "Traceback" not in answer
    assert '"success":true' in call(recorded, event, data).replace(" ", "")


def test_server_listens_on_the_loopback_only(recorded: Server) -> None:
    address = urlsplit(recorded.url)
    assert address.hostname == "127.0.0.1"
    lines = Path("/proc/net/tcp").read_text().splitlines() if Path("/proc/net/tcp").exists() else []
    listening = [line.split()[1] for line in lines[1:] if line.split()[3] == "0A"]
    assert {own for own in listening if own.endswith(f":{address.port:04X}")} <= {f"0100007F:{address.port:04X}"}


def test_page_names_no_resources_of_other_hosts(recorded: Server) -> None:
    body = send(recorded, "GET", "/")[1].decode()
    assert "googleapis" not in body
    assert "cdnjs" not in body
