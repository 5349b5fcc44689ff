"""Uploads to the vendor's storage: failures, trusted hosts, and the event loop."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLError,
    QwenVLPermissionDeniedError,
    QwenVLRateLimitError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.media import FileSource, InlineSource, Source
from qwenvl_core.types.messages import VideoPart
from qwenvl_core.wire import upload_policy
from tests.core.client.scripted import both_call_modes
from tests.core.media.large_files import MB, MP4, VIDEO, fill, write_video
from tests.core.transport.native import CHAT, KEY, create_client, fetch_reply, make_request
from tests.core.transport.uploads import ServiceApi, make_service
from tests.emulator import Emulator, Fault
from tests.emulator.response_renderer import ResponseRenderer
from tests.support.pipeline import CallMode
from tests.support.timing import LoopMonitor, measure_slowdown

# --- failures ---------------------------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path)


@pytest.fixture(params=["openai", "dashscope"])
def service(request: pytest.FixtureRequest, emulator: Emulator) -> ServiceApi:
    return make_service(emulator, request.param)


FAULTS: list[tuple[Fault, type[QwenVLError], int]] = [
    (Fault(status=401), QwenVLAuthenticationError, 1),
    (Fault(status=403, error_format="text", message="<Error>AccessDenied</Error>"), QwenVLPermissionDeniedError, 1),
    (Fault(status=429, headers={"Retry-After": "0.01"}), QwenVLRateLimitError, 3),
    (Fault(status=503), QwenVLAPIError, 3),
    (Fault(reset="before-headers"), QwenVLConnectionError, 3),
    (Fault(non_json_200=True), QwenVLAPIError, 3),
]


each_fault = pytest.mark.parametrize(
    ("fault", "cls", "tries"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)


@both_call_modes
@each_fault
def test_failed_policy_request_raises_typed_error(
    service: ServiceApi, video: Path, fault: Fault, cls: type[QwenVLError], tries: int, call_mode: CallMode
) -> None:
    service.emulator.upload_fault = fault
    with pytest.raises(cls) as caught:
        fetch_reply(service.create_client(), make_request(parts=(VideoPart(FileSource(video)),)), call_mode)
    assert type(caught.value) is cls
    assert [request.method for request in service.emulator.requests] == ["GET"] * tries


@both_call_modes
@each_fault
def test_failed_upload_raises_typed_error(
    service: ServiceApi, video: Path, fault: Fault, cls: type[QwenVLError], tries: int, call_mode: CallMode
) -> None:
    if fault.non_json_200:
        pytest.skip("The body of a successful upload is not read.")
    service.emulator.handle_upload = lambda renderer: renderer.send_fault(fault)  # type: ignore[method-assign]
    part = VideoPart(FileSource(video), location="here")
    with pytest.raises(cls, match="here: the upload of this video failed: ") as caught:
        fetch_reply(service.create_client(), make_request(parts=(part,)), call_mode)
    assert type(caught.value) is cls
    assert KEY not in str(caught.value)
    assert [request.method for request in service.emulator.requests] == ["GET", "POST"] * tries


@both_call_modes
def test_upload_that_gets_no_response_raises_timeout_error(
    service: ServiceApi, video: Path, call_mode: CallMode
) -> None:
    fault = Fault(stall=1.0)
    service.emulator.handle_upload = lambda renderer: renderer.send_fault(fault)  # type: ignore[method-assign]
    client = service.create_client(timeout=0.3, max_retries=0)
    with pytest.raises(QwenVLTimeoutError, match="the upload of this video failed"):
        fetch_reply(client, make_request(parts=(VideoPart(FileSource(video)),)), call_mode)
    assert not service.chats


@contextmanager
def storage_that_resets() -> Iterator[tuple[str, list[int]]]:
    """Yield the URL of a storage that resets connections in the middle of a file, and the bytes that it received."""
    received: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    received.append(len(connection.recv(70_000, socket.MSG_WAITALL)))
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@both_call_modes
def test_connection_that_is_reset_within_the_file_raises_connection_error(
    service: ServiceApi, video: Path, monkeypatch: pytest.MonkeyPatch, call_mode: CallMode
) -> None:
    with storage_that_resets() as (url, received):
        _set_upload_host(monkeypatch, url)
        part = VideoPart(FileSource(video), location="here")
        with pytest.raises(QwenVLConnectionError, match="here: the upload of this video failed: "):
            fetch_reply(service.create_client(), make_request(parts=(part,)), call_mode)
    assert received == [70_000] * 3
    assert not service.chats


@both_call_modes
def test_rejected_key_of_an_upload_raises_authentication_error(
    service: ServiceApi, video: Path, call_mode: CallMode
) -> None:
    service.emulator.api_key = "sk-another"
    with pytest.raises(QwenVLAuthenticationError):
        fetch_reply(service.create_client(), make_request(parts=(VideoPart(FileSource(video)),)), call_mode)
    assert len(service.emulator.requests) == 1


@both_call_modes
def test_failed_upload_is_retried_with_a_new_policy(emulator: Emulator, video: Path, call_mode: CallMode) -> None:
    """The policy is requested again as well: the storage refuses to write one file twice."""
    part = VideoPart(FileSource(video))
    fail_uploads_before(emulator, 2)
    assert fetch_reply(create_client(emulator.native_url), make_request(parts=(part,)), call_mode).text
    assert [request.method for request in emulator.requests] == ["GET", "POST", "GET", "POST", "POST"]
    assert [upload.content for upload in emulator.uploads] == [VIDEO]


def fail_uploads_before(emulator: Emulator, uploads: int) -> None:
    """Make the storage, and nothing else, fail until the upload of this number."""
    receive = emulator.handle_upload
    count = 0

    def receive_or_fail(renderer: ResponseRenderer) -> None:
        nonlocal count
        count += 1
        emulator.upload_fault = Fault(status=503) if count < uploads else None
        receive(renderer)
        emulator.upload_fault = None

    emulator.handle_upload = receive_or_fail  # type: ignore[method-assign]


@both_call_modes
def test_failed_upload_error_names_the_location(emulator: Emulator, video: Path, call_mode: CallMode) -> None:
    fail_uploads_before(emulator, 99)
    with pytest.raises(QwenVLAPIError, match="here: the upload of this video failed: ") as caught:
        fetch_reply(
            create_client(emulator.native_url, max_retries=1),
            make_request(parts=(VideoPart(FileSource(video), location="here"),)),
            call_mode,
        )
    assert caught.value.status_code == 503
    assert [request.method for request in emulator.requests] == ["GET", "POST", "GET", "POST"]


def test_policy_of_unknown_shape_raises_api_error(
    emulator: Emulator, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.emulator import uploads

    monkeypatch.setattr(uploads, "build_policy", lambda *_: {"data": {"policy": "p"}})
    with pytest.raises(QwenVLAPIError, match="unknown shape"):
        fetch_reply(
            create_client(emulator.native_url, max_retries=0),
            make_request(parts=(VideoPart(FileSource(video)),)),
            "sync",
        )


def _set_upload_host(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Make the policy name another upload host."""
    from tests.emulator import uploads

    real = uploads.build_policy
    monkeypatch.setattr(
        uploads,
        "build_policy",
        lambda *payload: {"data": {**real(*payload)["data"], "upload_host": host}, "request_id": "r"},
    )


@both_call_modes
@pytest.mark.parametrize(
    "host",
    [
        "http://elsewhere.invalid/oss",
        "https://elsewhere.invalid",
        "https://aliyuncs.com.elsewhere.invalid",
        "https://notaliyuncs.com",
        "https://dashscope.aliyuncs.com@elsewhere.invalid",
        "ftp://127.0.0.1/oss",
        "file:///tmp",
        "",
    ],
)
def test_untrusted_upload_host_raises_api_error(
    emulator: Emulator, video: Path, host: str, call_mode: CallMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_upload_host(monkeypatch, host)
    with pytest.raises(QwenVLAPIError, match="not the vendor's") as caught:
        fetch_reply(create_client(emulator.native_url), make_request(parts=(VideoPart(FileSource(video)),)), call_mode)
    assert caught.value.status_code == 200
    assert [request.method for request in emulator.requests] == ["GET"]


@pytest.mark.parametrize(
    ("endpoint", "host", "is_trusted"),
    [
        ("https://dashscope.aliyuncs.com/api/v1", "https://dashscope-file-mgr.oss-cn-beijing.aliyuncs.com", True),
        ("https://dashscope.aliyuncs.com/api/v1", "http://dashscope-file-mgr.oss-cn-beijing.aliyuncs.com", False),
        ("https://ws1.cn-beijing.maas.aliyuncs.com/api/v1", "https://a.oss-ap-southeast-1.aliyuncs.com", True),
        ("http://gateway.example:8080/api/v1", "http://gateway.example:9000/oss", True),
        ("http://gateway.example:8080/api/v1", "http://storage.example/oss", False),
    ],
)
def test_form_accepts_trusted_hosts_only(endpoint: str, host: str, is_trusted: bool) -> None:
    policy = dict.fromkeys(
        ("upload_dir", "oss_access_key_id", "signature", "policy", "x_oss_object_acl", "x_oss_forbid_overwrite"), "x"
    )
    payload = {"data": {**policy, "upload_host": host}}
    if is_trusted:
        assert upload_policy.build_form(payload, endpoint=endpoint, name="a.mp4", mime="video/mp4").host == host
        return
    with pytest.raises(QwenVLAPIError, match="not the vendor's"):
        upload_policy.build_form(payload, endpoint=endpoint, name="a.mp4", mime="video/mp4")


@both_call_modes
def test_upload_does_not_follow_a_redirect(emulator: Emulator, video: Path, call_mode: CallMode) -> None:
    with Emulator() as elsewhere:
        receive = emulator.handle_upload

        def redirected(renderer: ResponseRenderer) -> None:
            emulator.upload_fault = Fault(redirect=f"{elsewhere.origin}/oss")
            receive(renderer)

        emulator.handle_upload = redirected  # type: ignore[method-assign]
        with pytest.raises(QwenVLAPIError) as caught:
            fetch_reply(
                create_client(emulator.native_url), make_request(parts=(VideoPart(FileSource(video)),)), call_mode
            )
        assert caught.value.status_code == 307
        assert elsewhere.requests == []


# --- the event loop ---------------------------------------------------------------------------------------------


@pytest.fixture
def emulator_process() -> Iterator[str]:
    """Yield the URL of an emulator in another process, whose work on 20 MB does not block this one."""
    code = (
        "import sys; from tests.emulator import Emulator\n"
        "with Emulator() as server: print(server.native_url, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.mark.parametrize("form", ["path", "bytes", "data URI", "base64 in lines"])
async def test_upload_of_20_mb_does_not_block_the_event_loop(emulator_process: str, tmp_path: Path, form: str) -> None:
    data = fill(MP4, 20 * MB)
    (tmp_path / "a.mp4").write_bytes(data)
    uri = "data:video/mp4;base64,"
    sources: dict[str, Source] = {
        "path": FileSource(tmp_path / "a.mp4"),
        "bytes": InlineSource(data),
        "data URI": InlineSource(uri + base64.b64encode(data).decode(), base64_from=len(uri)),
        "base64 in lines": InlineSource(base64.encodebytes(data).decode(), base64_from=0),
    }
    source = sources[form]
    client = create_client(emulator_process)
    async for _ in client.astream(make_request()):  # import modules and open connections first
        pass
    pauses: list[float] = []
    while len(pauses) < 5 and min(pauses, default=1.0) >= 0.05:  # what our code blocks shows in every round
        monitor = LoopMonitor()
        watching = asyncio.create_task(monitor.watch())
        assert [event async for event in client.astream(make_request(parts=(VideoPart(source),)))]
        watching.cancel()
        pauses.append(monitor.longest / measure_slowdown())
    await client.aclose()
    assert min(pauses) < 0.05, pauses


async def test_cancelled_upload_ends(emulator: Emulator, video: Path) -> None:
    started, proceed = threading.Event(), threading.Event()
    receive = emulator.handle_upload

    def slow(renderer: ResponseRenderer) -> None:
        started.set()
        proceed.wait(5)
        receive(renderer)

    emulator.handle_upload = slow  # type: ignore[method-assign]
    client = create_client(emulator.native_url)
    task = asyncio.ensure_future(anext(client.astream(make_request(parts=(VideoPart(FileSource(video)),)))))
    await asyncio.to_thread(started.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proceed.set()
    await client.aclose()
    assert [request.path for request in emulator.requests if request.path == CHAT] == []
