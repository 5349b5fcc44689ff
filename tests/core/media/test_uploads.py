"""Large local media over the native API: uploaded once, within limits, off the event loop; text is text."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashscope
import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLError,
    QwenVLInputError,
    QwenVLPermissionDeniedError,
)
from qwenvl_core.media.sources import parse_url_source
from qwenvl_core.media.uploads import LIMITS
from qwenvl_core.transport import retry
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, TextPart, VideoPart
from qwenvl_core.wire import upload_policy
from tests.core.transport.test_dashscope import CHAT, KEY, PNG, ask, both_ways, connect, run
from tests.emulator import Emulator, Fault
from tests.emulator import Reply as Scripted

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.0)


def filled(head: bytes, size: int) -> bytes:
    pattern = bytes(range(251)) * (size // 251 + 1)  # no divisor of any block size, so that a lost block shows
    return (head + pattern)[:size]


VIDEO = filled(MP4, 9 * MB + 1)
PICTURE = filled(PNG, 8 * MB + 2)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "a holiday, 好.mov"
    path.write_bytes(VIDEO)
    return path


def sparse(path: Path, head: bytes, size: int) -> Path:
    """A file of `size` bytes that takes no space."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def sources(video: Path) -> dict[str, Source]:
    text = base64.b64encode(VIDEO).decode()
    lines = base64.encodebytes(VIDEO).decode()
    return {
        "path": FileSource(video),
        "bytes": InlineSource(VIDEO),
        "data URI": parse_url_source(f"data:video/mp4;base64,{text}", location="", files=False),
        "base64": InlineSource(text, base64_from=0),
        "base64 as bytes": InlineSource(text.encode(), base64_from=0),
        "base64 in lines": InlineSource(lines, base64_from=0),
    }


@both_ways
@pytest.mark.parametrize("name", ["path", "bytes", "data URI", "base64", "base64 as bytes", "base64 in lines"])
def test_a_large_medium_is_uploaded(emulator: Emulator, video: Path, name: str, mode: str) -> None:
    client = connect(emulator.native_url, default_headers={"X-Mine": "1"})
    part = VideoPart(sources(video)[name], fps=0.5)
    assert run(client, ask(parts=(part, TextPart("What?"))), mode).text
    leave, form, chat = emulator.requests

    assert (leave.method, leave.path) == ("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus")
    assert leave.headers["authorization"] == f"Bearer {KEY}"
    assert leave.headers["x-mine"] == "1"

    (upload,) = emulator.uploads
    assert upload.content == VIDEO
    assert upload.fields["x-oss-content-type"] == "video/mp4"  # by its bytes, not by its name
    assert upload.filename == "1.mp4"
    assert form.headers["content-length"] == str(len(form.body))
    assert not {"authorization", "x-mine"} & set(form.headers)
    assert KEY.encode() not in form.body
    assert video.name.encode() not in form.body

    assert chat.path == CHAT
    assert chat.headers["x-dashscope-ossresourceresolve"] == "enable"
    assert chat.json["input"]["messages"][0]["content"] == [{"video": upload.url, "fps": 0.5}, {"text": "What?"}]


@both_ways
def test_each_medium_once(emulator: Emulator, video: Path, tmp_path: Path, mode: str) -> None:
    picture = tmp_path / "deep" / video.name
    picture.parent.mkdir()
    picture.write_bytes(PICTURE)  # of the same name, and another kind
    parts = (
        VideoPart(FileSource(video)),
        TextPart("and"),
        ImagePart(FileSource(picture), max_pixels=5),
        VideoPart(FileSource(video), fps=1),
        ImagePart(InlineSource(PNG)),
        FramesPart(
            (
                FileSource(picture),
                UrlSource("https://e.com/b.png"),
                InlineSource(PICTURE),
                InlineSource(bytes(bytearray(PICTURE))),
            )
        ),
        ImagePart(InlineSource(PICTURE)),
    )
    assert run(connect(emulator.native_url), ask(parts=parts), mode).text
    first, second, third = (upload.url for upload in emulator.uploads)
    assert [upload.content for upload in emulator.uploads] == [VIDEO, PICTURE, PICTURE]
    assert len({first, second, third}) == 3
    assert emulator.requests[-1].json["input"]["messages"][0]["content"] == [
        {"video": first},
        {"text": "and"},
        {"image": second, "max_pixels": 5},
        {"video": first, "fps": 1},
        {"image": "data:image/png;base64," + base64.b64encode(PNG).decode()},
        {"video": [second, "https://e.com/b.png", third, third]},
        {"image": third},
    ]


@both_ways
def test_a_file_is_the_same_by_any_path(
    emulator: Emulator, video: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    paths = (video, Path(video.name), parse_url_source(video.as_uri(), location="", files=True))
    parts = tuple(VideoPart(FileSource(path) if isinstance(path, Path) else path) for path in paths)
    assert run(connect(emulator.native_url), ask(parts=parts), mode).text
    (upload,) = emulator.uploads
    assert emulator.requests[-1].json["input"]["messages"][0]["content"] == [{"video": upload.url}] * 3


def test_a_medium_is_of_each_kind_it_is_given_as(emulator: Emulator) -> None:
    parts = (ImagePart(InlineSource(PICTURE)), VideoPart(InlineSource(PICTURE), location="second"))
    with pytest.raises(QwenVLInputError, match="second: this is not a video"):
        run(connect(emulator.native_url), ask(parts=parts), "sync")
    assert not emulator.requests


@both_ways
def test_what_fits_is_inlined(emulator: Emulator, tmp_path: Path, mode: str) -> None:
    size = (10 * MB - len("data:video/mp4;base64,")) // 4 * 3  # the largest whose data URI is 10 MB
    path = sparse(tmp_path / "a.mp4", MP4, size)
    assert run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(path)),)), mode).text
    assert [request.path for request in emulator.requests] == [CHAT]
    sparse(path, MP4, size + 1)
    assert run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(path)),)), mode).text
    assert len(emulator.uploads) == 1


@both_ways
def test_an_oss_url_passes_through(emulator: Emulator, mode: str) -> None:
    emulator.strict = False
    assert run(connect(emulator.native_url), ask(parts=(ImagePart(UrlSource("oss://a/b.png")),)), mode).text
    (request,) = emulator.requests
    assert request.json["input"]["messages"][0]["content"] == [{"image": "oss://a/b.png"}]
    assert request.headers["x-dashscope-ossresourceresolve"] == "enable"


# --- limits -----------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(("kind", "head", "limit"), [("image", PNG, "10 MB"), ("video", MP4, "100 MB")])
def test_limits(emulator: Emulator, tmp_path: Path, kind: Any, head: bytes, limit: str, mode: str) -> None:
    within = sparse(tmp_path / "within", head, LIMITS[kind])
    beyond = sparse(tmp_path / "beyond", head, LIMITS[kind] + 1)
    part = ImagePart if kind == "image" else VideoPart
    with pytest.raises(QwenVLInputError, match=rf"here: this {kind} has .*\({limit}\).*public URL"):
        run(
            connect(emulator.native_url),
            ask(parts=(part(FileSource(within)), part(FileSource(beyond), location="here"))),
            mode,
        )
    assert not emulator.requests
    if kind == "image":
        assert run(connect(emulator.native_url), ask(parts=(part(FileSource(within)),)), mode).text
        frames = FramesPart((*[InlineSource(PNG)] * 3, FileSource(beyond)), location="here")
        with pytest.raises(QwenVLInputError, match=r"^here, frame 3: .*10 MB"):
            run(connect(emulator.native_url), ask(parts=(frames,)), mode)


def test_limits_of_base64(emulator: Emulator) -> None:
    text = base64.b64encode(filled(PNG, LIMITS["image"] + 1)).decode()
    with pytest.raises(QwenVLInputError, match="10,485,761 bytes"):
        run(connect(emulator.native_url), ask(parts=(ImagePart(InlineSource(text, base64_from=0)),)), "sync")
    text = base64.b64encode(filled(PNG, LIMITS["image"])).decode()
    assert run(connect(emulator.native_url), ask(parts=(ImagePart(InlineSource(text, base64_from=0)),)), "sync").text


BAD: dict[str, Any] = {
    "no medium at all": ImagePart(InlineSource(b"words"), location="here"),
    "a file that is not there": ImagePart(FileSource(Path("nowhere.png")), location="here"),
    "not what it is said to be": VideoPart(InlineSource(PICTURE), location="here"),
    "no base64": ImagePart(InlineSource("?" * 15 * MB, base64_from=0), location="here"),
    "nothing": VideoPart(InlineSource(b""), location="here"),
}


@both_ways
@pytest.mark.parametrize("name", BAD)
def test_nothing_is_uploaded_for_a_request_that_can_t_be_sent(
    emulator: Emulator, video: Path, name: str, mode: str
) -> None:
    with pytest.raises(QwenVLInputError, match="here: "):
        run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(video)), BAD[name])), mode)
    assert not emulator.requests


@both_ways
def test_the_other_api_takes_no_uploads(emulator: Emulator, video: Path, mode: str) -> None:
    with pytest.raises(QwenVLInputError, match='api="dashscope"'):
        run(
            connect(emulator.compat_url, api="openai"),
            ask(parts=(VideoPart(FileSource(video), location="here"),)),
            mode,
        )
    assert not emulator.requests


# --- failures ---------------------------------------------------------------------------------------------------

FAULTS: list[tuple[Fault, type[QwenVLError], int]] = [
    (Fault(status=401), QwenVLAuthenticationError, 1),
    (Fault(status=403, error_format="text", message="<Error>AccessDenied</Error>"), QwenVLPermissionDeniedError, 1),
    (Fault(status=503), QwenVLAPIError, 3),
    (Fault(reset="before-headers"), QwenVLConnectionError, 3),
    (Fault(non_json_200=True), QwenVLAPIError, 3),
]


@both_ways
@pytest.mark.parametrize(("fault", "cls", "tries"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_no_leave_to_upload(
    emulator: Emulator, video: Path, fault: Fault, cls: type[QwenVLError], tries: int, mode: str
) -> None:
    emulator.upload_fault = fault
    with pytest.raises(cls) as caught:
        run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(video)),)), mode)
    assert type(caught.value) is cls
    assert [request.method for request in emulator.requests] == ["GET"] * tries


@both_ways
def test_an_upload_that_fails_is_begun_anew(emulator: Emulator, video: Path, mode: str) -> None:
    """The leave is asked for again as well: storage refuses to write one file twice."""
    part = VideoPart(FileSource(video))
    fail_until(emulator, 2)
    assert run(connect(emulator.native_url), ask(parts=(part,)), mode).text
    assert [request.method for request in emulator.requests] == ["GET", "POST", "GET", "POST", "POST"]
    assert [upload.content for upload in emulator.uploads] == [VIDEO]


def fail_until(emulator: Emulator, uploads: int) -> None:
    """Let the storage, and nobody else, fail before the given upload."""
    receive = emulator._upload
    seen = 0

    def watched(answering: Any) -> None:
        nonlocal seen
        seen += 1
        emulator.upload_fault = Fault(status=503) if seen < uploads else None
        receive(answering)
        emulator.upload_fault = None

    emulator._upload = watched  # type: ignore[method-assign]


@both_ways
def test_a_failed_upload_says_so(emulator: Emulator, video: Path, mode: str) -> None:
    fail_until(emulator, 99)
    with pytest.raises(QwenVLAPIError, match="here: the upload of this video failed: ") as caught:
        run(
            connect(emulator.native_url, max_retries=1),
            ask(parts=(VideoPart(FileSource(video), location="here"),)),
            mode,
        )
    assert caught.value.status_code == 503
    assert [request.method for request in emulator.requests] == ["GET", "POST", "GET", "POST"]


def test_a_reply_of_another_shape(emulator: Emulator, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.emulator import uploads

    monkeypatch.setattr(uploads, "policy", lambda *_: {"data": {"policy": "p"}})
    with pytest.raises(QwenVLAPIError, match="unknown shape"):
        run(connect(emulator.native_url, max_retries=0), ask(parts=(VideoPart(FileSource(video)),)), "sync")


def _named(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Let the service name another place for uploads."""
    from tests.emulator import uploads

    real = uploads.policy
    monkeypatch.setattr(
        uploads, "policy", lambda *told: {"data": {**real(*told)["data"], "upload_host": host}, "request_id": "r"}
    )


@both_ways
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
def test_a_medium_goes_to_the_vendor_only(
    emulator: Emulator, video: Path, host: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _named(monkeypatch, host)
    with pytest.raises(QwenVLAPIError, match="not the vendor's") as caught:
        run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(video)),)), mode)
    assert caught.value.status_code == 200
    assert [request.method for request in emulator.requests] == ["GET"]


@pytest.mark.parametrize(
    ("endpoint", "host", "may"),
    [
        ("https://dashscope.aliyuncs.com/api/v1", "https://dashscope-file-mgr.oss-cn-beijing.aliyuncs.com", True),
        ("https://dashscope.aliyuncs.com/api/v1", "http://dashscope-file-mgr.oss-cn-beijing.aliyuncs.com", False),
        ("https://ws1.cn-beijing.maas.aliyuncs.com/api/v1", "https://a.oss-ap-southeast-1.aliyuncs.com", True),
        ("http://gateway.example:8080/api/v1", "http://gateway.example:9000/oss", True),
        ("http://gateway.example:8080/api/v1", "http://storage.example/oss", False),
    ],
)
def test_where_a_medium_may_go(endpoint: str, host: str, may: bool) -> None:
    leave = dict.fromkeys(
        ("upload_dir", "oss_access_key_id", "signature", "policy", "x_oss_object_acl", "x_oss_forbid_overwrite"), "x"
    )
    told = {"data": {**leave, "upload_host": host}}
    if may:
        assert upload_policy.form(told, endpoint=endpoint, name="a.mp4", mime="video/mp4").host == host
        return
    with pytest.raises(QwenVLAPIError, match="not the vendor's"):
        upload_policy.form(told, endpoint=endpoint, name="a.mp4", mime="video/mp4")


@both_ways
def test_an_upload_does_not_follow_a_redirect(emulator: Emulator, video: Path, mode: str) -> None:
    with Emulator() as elsewhere:
        receive = emulator._upload

        def redirected(answering: Any) -> None:
            emulator.upload_fault = Fault(redirect=f"{elsewhere.origin}/oss")
            receive(answering)

        emulator._upload = redirected  # type: ignore[method-assign]
        with pytest.raises(QwenVLAPIError) as caught:
            run(connect(emulator.native_url), ask(parts=(VideoPart(FileSource(video)),)), mode)
        assert caught.value.status_code == 307
        assert elsewhere.requests == []


# --- text is text -----------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("form", ["{}", "file://{}", "oss://{}", " {}"])
def test_text_that_names_a_file_is_text(emulator: Emulator, video: Path, form: str, mode: str) -> None:
    text = form.format(video)
    assert run(connect(emulator.native_url), ask(parts=(TextPart(text),)), mode).text
    (request,) = emulator.requests
    assert request.json["input"]["messages"][0]["content"] == [{"text": text}]
    assert "x-dashscope-ossresourceresolve" not in request.headers
    assert not emulator.uploads


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the SDK's old interface
def test_the_sdk_s_old_interface_uploads_it(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why its own calls are not used: they read any file whose name somebody gets into a prompt."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    monkeypatch.setattr(dashscope, "base_http_api_url", emulator.native_url)  # uploads ignore `base_address`
    dashscope.MultiModalConversation.call(
        model="qwen3-vl-plus",
        messages=[{"role": "user", "content": [{"text": str(secret)}]}],
        api_key=KEY,
        base_address=emulator.native_url,
    )
    assert [upload.content for upload in emulator.uploads] == [b"the secret"]


# --- the event loop ---------------------------------------------------------------------------------------------


class Heart:
    """Beats on the event loop, and knows the longest pause between two beats."""

    longest = 0.0

    async def beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


@pytest.fixture
def server_of_its_own() -> Iterator[str]:
    """The emulator in another process: what it does with 20 MB must not hold up ours. Yields its URL."""
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
async def test_the_event_loop_does_not_stall_during_20_mb(server_of_its_own: str, tmp_path: Path, form: str) -> None:
    data = filled(MP4, 20 * MB)
    (tmp_path / "a.mp4").write_bytes(data)
    uri = "data:video/mp4;base64,"
    source: Source = {
        "path": FileSource(tmp_path / "a.mp4"),
        "bytes": InlineSource(data),
        "data URI": InlineSource(uri + base64.b64encode(data).decode(), base64_from=len(uri)),
        "base64 in lines": InlineSource(base64.encodebytes(data).decode(), base64_from=0),
    }[form]
    client = connect(server_of_its_own)
    async for _ in client.astream(ask()):  # imports and connections are there before
        pass
    pauses = []
    for _ in range(3):  # a stall of our making is there each time, one of a busy machine's is not
        heart = Heart()
        beating = asyncio.create_task(heart.beat())
        assert [event async for event in client.astream(ask(parts=(VideoPart(source),)))]
        beating.cancel()
        pauses.append(heart.longest)
    await client.aclose()
    assert min(pauses) < 0.05


async def test_a_cancelled_upload_ends(emulator: Emulator, video: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    receive = emulator._upload

    def slow(answering: Any) -> None:
        begun.set()
        go_on.wait(5)
        receive(answering)

    emulator._upload = slow  # type: ignore[method-assign]
    client = connect(emulator.native_url)
    task = asyncio.ensure_future(anext(client.astream(ask(parts=(VideoPart(FileSource(video)),)))))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await client.aclose()
    assert [request.path for request in emulator.requests if request.path == CHAT] == []


def test_langchain_uploads(emulator: Emulator, video: Path) -> None:
    from langchain_qwenvl import ChatQwenVL  # here, so that all the rest needs the core alone

    emulator.script(Scripted(text="A holiday."))
    llm = ChatQwenVL(api="dashscope", base_url=emulator.native_url, api_key=KEY)
    content = [{"type": "video", "url": str(video), "extras": {"fps": 0.5}}, {"type": "text", "text": str(video)}]
    assert llm.invoke([{"role": "user", "content": content}]).content == "A holiday."
    (upload,) = emulator.uploads
    assert emulator.requests[-1].json["input"]["messages"][0]["content"] == [
        {"video": upload.url, "fps": 0.5},
        {"text": str(video)},
    ]
    llm.close()
