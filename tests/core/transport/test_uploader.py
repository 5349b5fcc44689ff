"""Uploads are shared and used again: over turns, copies, threads and event loops, and within their lifetime."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.client.client import Client
from qwenvl_core.errors import QwenVLAPIError, QwenVLInputError, QwenVLInvalidRequestError
from qwenvl_core.transport.shared_upload import copy_error
from qwenvl_core.transport.upload_urls import REUSE_SECONDS, UploadUrls
from qwenvl_core.types.media import FileSource, InlineSource
from qwenvl_core.types.messages import FramesPart, ImagePart, TextPart, VideoPart
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from tests.core.client.scripted import both_call_modes
from tests.core.transport.native import KEY, PNG, fetch_reply, make_request
from tests.core.transport.uploads import ServiceApi, make_service
from tests.emulator import Emulator, Fault
from tests.emulator.response_renderer import ResponseRenderer
from tests.support.pipeline import CallMode


@pytest.fixture(params=["openai", "dashscope"])
def service(request: pytest.FixtureRequest, emulator: Emulator) -> ServiceApi:
    return make_service(emulator, request.param)


def picture(number: int = 0) -> bytes:
    return PNG + bytes([number])


def ask(*numbers: int, **settings: Any) -> Request:
    """Return a request with uploaded images."""
    parts = tuple(ImagePart(InlineSource(picture(number)), location=f"image {number}") for number in numbers or (0,))
    return make_request(parts=(*parts, TextPart("?")), **{"upload": "always", **settings})


async def collect(client: Client, request: Request) -> str:
    return accumulate([event async for event in client.astream(request)]).text


# --- used again -------------------------------------------------------------------------------------------------------


@both_call_modes
def test_medium_is_uploaded_once_over_20_turns(service: ServiceApi, tmp_path: Path, call_mode: CallMode) -> None:
    client = service.create_client()
    for turn in range(20):
        path = tmp_path / f"{turn}.png"  # another path and time each turn: the content counts
        path.write_bytes(picture())
        parts = (ImagePart(FileSource(path)), ImagePart(InlineSource(picture(1))))
        assert fetch_reply(client, make_request(parts=parts, upload="always"), call_mode).text
    assert sorted(upload.content for upload in service.emulator.uploads) == [picture(), picture(1)]
    assert len(service.chats) == 20


def test_changed_file_is_uploaded_again(service: ServiceApi, tmp_path: Path) -> None:
    client, path = service.create_client(), tmp_path / "a.png"
    request = make_request(parts=(ImagePart(FileSource(path)),), upload="always")
    for content in (picture(1), picture(2), picture(1)):  # of the same path and size
        path.write_bytes(content)
        assert fetch_reply(client, request, "sync").text
    assert [upload.content for upload in service.emulator.uploads] == [picture(1), picture(2)]


def test_upload_belongs_to_model_and_key(service: ServiceApi) -> None:
    client = service.create_client()
    for model in ("qwen3-vl-plus", "qwen3-vl-flash", "qwen3-vl-plus"):
        assert fetch_reply(client, ask(model=model), "sync").text
    assert [upload.model for upload in service.emulator.uploads] == ["qwen3-vl-plus", "qwen3-vl-flash"]
    other = Client.reuse_or_create(service.create_client(api_key="sk-other")._connection, client)
    assert fetch_reply(other, ask(), "sync").text
    assert len(service.emulator.uploads) == 3


def test_changed_client_knows_earlier_uploads(service: ServiceApi) -> None:
    client = service.create_client()
    assert fetch_reply(client, ask(), "sync").text
    slower = Client.reuse_or_create(service.create_client(timeout=9.0)._connection, client)
    assert slower is not client
    assert fetch_reply(slower, ask(), "sync").text
    assert len(service.emulator.uploads) == 1


@both_call_modes
def test_url_is_used_for_47_hours(service: ServiceApi, call_mode: CallMode, monkeypatch: pytest.MonkeyPatch) -> None:
    client, now = service.create_client(), time.time()
    for age, uploads in ((0.0, 1), (REUSE_SECONDS - 60, 1), (REUSE_SECONDS + 60, 2), (-3600, 3)):
        monkeypatch.setattr(time, "time", lambda age=age: now + age)
        assert fetch_reply(client, ask(), call_mode).text
        assert len(service.emulator.uploads) == uploads


def test_memory_of_expired_urls_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    urls, now = UploadUrls(None), time.time()
    for number in range(100):
        urls.add(f"old {number}", "oss://a", now - REUSE_SECONDS - 1)
    for number in range(100):
        urls.add(f"new {number}", "oss://a", now)
    assert len(urls._entries) == 100
    assert urls.find("new 0") == "oss://a"


# --- a URL that the service rejects -----------------------------------------------------------------------------------

REJECTIONS = [
    "Unable to download the media resource during the data inspection process.",
    "Failed to download multimodal content.",
    "<400> InternalError.Algo.InvalidParameter: The provided URL does not appear to be valid. Ensure it is correct.",
]


@both_call_modes
@pytest.mark.parametrize("stream", [False, True])
def test_expired_upload_is_uploaded_once_more_within_the_call(
    service: ServiceApi, call_mode: CallMode, stream: bool
) -> None:
    client = service.create_client(max_retries=0)
    assert fetch_reply(client, ask(0, 1, stream=stream), call_mode).text
    service.emulator.storage.files.clear()  # the service has lost them
    assert fetch_reply(client, ask(0, 1, stream=stream), call_mode).text
    assert len(service.chats) == 3
    assert {part["image"] for part in service.sent_parts[:2]} == {upload.url for upload in service.emulator.uploads}
    assert len(service.emulator.uploads) == 2


@both_call_modes
@pytest.mark.parametrize("message", REJECTIONS)
@pytest.mark.parametrize("stream", [False, True])
def test_rejected_url_is_renewed_once(service: ServiceApi, message: str, call_mode: CallMode, stream: bool) -> None:
    client = service.create_client(max_retries=0)
    fault = Fault(status=400, code="InvalidParameter", message=message)
    service.emulator.script(fault, fault)
    with pytest.raises(QwenVLInvalidRequestError, match=message[30:50]):
        fetch_reply(client, ask(stream=stream), call_mode)
    assert len(service.chats) == len(service.emulator.uploads) == 2


@both_call_modes
def test_other_refusals_upload_nothing_again(service: ServiceApi, call_mode: CallMode) -> None:
    client = service.create_client(max_retries=0)
    service.emulator.script(Fault(status=400, code="InvalidParameter", message="Range of input length should be"))
    with pytest.raises(QwenVLInvalidRequestError):
        fetch_reply(client, ask(), call_mode)
    assert len(service.emulator.uploads) == 1
    service.emulator.script(Fault(status=400, code="InvalidParameter", message=REJECTIONS[0]))
    with pytest.raises(QwenVLInvalidRequestError):  # no upload of ours
        fetch_reply(client, ask(upload="never"), call_mode)
    assert len(service.emulator.uploads) == 1


@both_call_modes
def test_expired_policy_is_requested_again(service: ServiceApi, call_mode: CallMode) -> None:
    service.emulator.storage.stale_policies = 1
    assert fetch_reply(service.create_client(max_retries=0), ask(), call_mode).text
    assert [request.method for request in service.emulator.requests] == ["GET", "POST", "GET", "POST", "POST"]
    service.emulator.storage.stale_policies = 9
    with pytest.raises(Exception, match="Policy expired") as caught:
        fetch_reply(service.create_client(max_retries=0), ask(), call_mode)
    assert caught.value.status_code == 403  # type: ignore[attr-defined]


# --- shared -----------------------------------------------------------------------------------------------------------


def delay_uploads(emulator: Emulator, seconds: float = 0.15) -> Callable[[], int]:
    """Delay each upload; return a function that returns how many ran at once."""
    receive, lock = emulator.handle_upload, threading.Lock()
    current = highest = 0

    def receive_later(renderer: ResponseRenderer) -> None:
        nonlocal current, highest
        with lock:
            current += 1
            highest = max(highest, current)
        time.sleep(seconds)
        with lock:
            current -= 1
        receive(renderer)

    emulator.handle_upload = receive_later  # type: ignore[method-assign]
    return lambda: highest


def test_threads_and_event_loops_share_one_upload(service: ServiceApi) -> None:
    delay_uploads(service.emulator)
    client, start = service.create_client(), threading.Barrier(8)

    def call(number: int) -> str:
        start.wait()
        if number % 2:
            return accumulate(client.stream(ask())).text

        async def acall() -> list[str]:
            return await asyncio.gather(*(collect(client, ask()) for _ in range(3)))

        return asyncio.run(acall())[0]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))
    assert len(service.emulator.uploads) == 1
    assert len(service.chats) == 4 + 12
    client.close()


@both_call_modes
def test_frames_are_uploaded_concurrently_in_order(service: ServiceApi, call_mode: CallMode) -> None:
    count_highest = delay_uploads(service.emulator, 0.02)
    frames = FramesPart(tuple(InlineSource(picture(number)) for number in range(100)), fps=2)
    request = make_request(parts=(frames, TextPart("?")), upload="always")
    assert fetch_reply(service.create_client(), request, call_mode).text
    contents = {upload.url: upload.content for upload in service.emulator.uploads}
    assert [contents[url] for url in service.sent_parts[0]["video"]] == [picture(number) for number in range(100)]
    assert 2 <= count_highest() <= 8


@both_call_modes
def test_failed_upload_stops_the_others(service: ServiceApi, call_mode: CallMode) -> None:
    receive = service.emulator.handle_upload

    def fail_third(renderer: ResponseRenderer) -> None:
        if picture(3) in renderer.request.http_request.body:
            renderer.send_fault(Fault(status=400, error_format="text", message="no"))
        else:
            time.sleep(0.05)
            receive(renderer)

    service.emulator.handle_upload = fail_third  # type: ignore[method-assign]
    with pytest.raises(QwenVLInvalidRequestError, match=r"^image 3: the upload of this image failed"):
        fetch_reply(service.create_client(), ask(*range(60)), call_mode)
    assert len(service.emulator.uploads) < 40
    assert not service.chats


@both_call_modes
def test_failed_upload_is_not_remembered(service: ServiceApi, call_mode: CallMode) -> None:
    client = service.create_client(max_retries=0)
    service.emulator.upload_fault = Fault(status=503)
    for _ in range(2):
        with pytest.raises(QwenVLAPIError, match="image 0: the upload of this image failed"):
            fetch_reply(client, ask(), call_mode)
    service.emulator.upload_fault = None
    assert fetch_reply(client, ask(), call_mode).text
    assert len(service.emulator.uploads) == 1


def test_waiting_calls_get_the_error_with_their_own_location(service: ServiceApi) -> None:
    delay_uploads(service.emulator)
    client = service.create_client(max_retries=0)
    receive = service.emulator.handle_upload

    def fail(renderer: ResponseRenderer) -> None:
        time.sleep(0.2)
        service.emulator.upload_fault = Fault(status=503)
        receive(renderer)

    service.emulator.handle_upload = fail  # type: ignore[method-assign]

    def call(number: int) -> str:
        part = ImagePart(InlineSource(PNG), location=f"call {number}")
        with pytest.raises(QwenVLAPIError) as caught:
            list(client.stream(make_request(parts=(part,), upload="always")))
        return str(caught.value)

    with ThreadPoolExecutor(3) as pool:
        messages = list(pool.map(call, range(3)))
    assert [message.partition(":")[0] for message in messages] == ["call 0", "call 1", "call 2"]
    assert [message.count("the upload of this image failed") for message in messages] == [1, 1, 1], messages
    client.close()


def test_copied_error_has_attributes_of_its_own_with_dask() -> None:
    import distributed  # noqa: F401  # registers its own way to copy exceptions

    error = QwenVLAPIError("one", status_code=503)
    twin = copy_error(error)
    assert isinstance(twin, QwenVLAPIError)
    twin.message = "two"
    assert (error.message, twin.status_code) == ("one", 503)


async def test_cancelled_upload_is_taken_over(service: ServiceApi) -> None:
    delay_uploads(service.emulator, 0.3)
    client = service.create_client()
    first = asyncio.create_task(collect(client, ask()))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(collect(client, ask()))
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first
    await client.aclose()


@pytest.mark.parametrize("images", [1, 3])
async def test_sync_call_in_a_running_event_loop_does_not_wait_for_it(service: ServiceApi, images: int) -> None:
    client = service.create_client()
    hold = threading.Event()
    receive = service.emulator.handle_upload

    def hold_first(renderer: ResponseRenderer) -> None:
        if not hold.is_set():
            hold.set()
            time.sleep(0.5)
        receive(renderer)

    service.emulator.handle_upload = hold_first  # type: ignore[method-assign]
    task = asyncio.create_task(collect(client, ask(*range(images))))
    while not hold.is_set():
        await asyncio.sleep(0.01)
    start = time.perf_counter()
    assert accumulate(client.stream(ask(*range(images)))).text  # blocks the loop, in which the first upload waits
    assert time.perf_counter() - start < 3
    assert await task
    client.close()
    await client.aclose()


async def test_threads_of_a_sync_call_do_not_wait_for_the_loop_that_it_blocks(service: ServiceApi) -> None:
    client = service.create_client()
    task = asyncio.create_task(collect(client, ask()))
    while not any(request.method == "GET" for request in service.emulator.requests):
        await asyncio.sleep(0)  # the upload has begun in this loop, and will not end before the loop goes on
    with ThreadPoolExecutor(2) as pool:  # as `batch` of LangChain does
        answers = list(pool.map(lambda _: accumulate(client.stream(ask())).text, range(2)))
    assert all(answers)
    assert await task
    client.close()
    await client.aclose()


def test_closed_event_loop_does_not_block_later_calls(service: ServiceApi) -> None:
    client, loop = service.create_client(), asyncio.new_event_loop()
    task = loop.create_task(collect(client, ask()))
    while not any(request.method == "GET" for request in service.emulator.requests):
        loop.run_until_complete(asyncio.sleep(0))
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(accumulate(client.stream(ask())).text))
    thread.start()
    thread.join(10)
    assert results
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(client.aclose())
    loop.close()
    client.close()


def test_file_that_changes_during_its_upload_raises_input_error(
    service: ServiceApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(100))
    issue_policy = service.emulator.storage.issue_policy

    def change(*arguments: Any) -> dict[str, Any]:
        path.write_bytes(b"\x00\x00\x00\x20ftypisom" + b"1" * 100)
        return issue_policy(*arguments)

    monkeypatch.setattr(service.emulator.storage, "issue_policy", change)
    request = make_request(parts=(VideoPart(FileSource(path), location="here"),), upload="always")
    with pytest.raises(QwenVLInputError, match="here: this video changed while it was uploaded"):
        fetch_reply(service.create_client(), request, "sync")
    assert not service.chats


# --- upload_cache -----------------------------------------------------------------------------------------------------


@both_call_modes
def test_directory_keeps_urls_without_media_and_keys(service: ServiceApi, tmp_path: Path, call_mode: CallMode) -> None:
    folder = tmp_path / "new" / "urls"
    for _ in range(2):
        assert fetch_reply(service.create_client(upload_cache=folder), ask(0, 1), call_mode).text
    assert len(service.emulator.uploads) == 2
    files = list(folder.iterdir())
    assert len(files) == 2
    assert {json.loads(file.read_text())["url"] for file in files} == {file.url for file in service.emulator.uploads}
    for file in files:
        assert KEY not in file.name + file.read_text()
        assert file.stat().st_size < 300
    assert fetch_reply(service.create_client(), ask(0, 1), call_mode).text
    assert len(service.emulator.uploads) == 4


@both_call_modes
def test_stale_and_damaged_files_of_the_directory_are_ignored(
    service: ServiceApi, tmp_path: Path, call_mode: CallMode
) -> None:
    texts = [
        "", "[]", "{}", '{"url": 1, "uploaded_at": 1}', '{"url": "oss://x", "uploaded_at": "soon"}',
        '{"url": "https://e.com", "uploaded_at": 1e99}', '{"url": "oss://x", "uploaded_at": NaN}',
        json.dumps({"url": "oss://x", "uploaded_at": time.time() - REUSE_SECONDS - 1}),
    ]  # fmt: skip
    assert fetch_reply(service.create_client(upload_cache=tmp_path), ask(), call_mode).text
    (file,) = tmp_path.iterdir()
    for count, text in enumerate(texts, start=2):
        file.write_text(text)
        assert fetch_reply(service.create_client(upload_cache=tmp_path), ask(), call_mode).text
        assert len(service.emulator.uploads) == count
    service.emulator.storage.files.clear()
    assert fetch_reply(service.create_client(upload_cache=tmp_path, max_retries=0), ask(), call_mode).text
    assert json.loads(file.read_text())["url"] == service.emulator.uploads[-1].url


@both_call_modes
def test_unusable_directory_raises_input_error(service: ServiceApi, tmp_path: Path, call_mode: CallMode) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(QwenVLInputError, match="upload_cache="):
        fetch_reply(service.create_client(upload_cache=file), ask(), call_mode)
    assert not service.emulator.requests


def test_uploads_are_logged_without_names_and_keys(
    service: ServiceApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secret name.png"
    path.write_bytes(PNG)
    with caplog.at_level(logging.INFO, logger="qwenvl_core"):
        request = make_request(parts=(ImagePart(FileSource(path)),), upload="always")
        fetch_reply(service.create_client(), request, "sync")
    records = [record for record in caplog.records if record.name == "qwenvl_core"]
    assert [record.levelno for record in records] == [logging.INFO]
    assert f"image of {len(PNG)} bytes" in records[0].getMessage()
    assert "secret" not in caplog.text
    assert KEY not in caplog.text
