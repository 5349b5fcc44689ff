"""Local media that are too large for a data URI: each is uploaded once, within limits."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import dashscope
import pytest
from pydantic import SecretStr

from qwenvl_core.errors import (
    QwenVLInputError,
)
from qwenvl_core.media.sources import parse_url_source
from qwenvl_core.media.uploads import LIMITS
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, TextPart, VideoPart
from tests.core.client.scripted import both_call_modes
from tests.core.media.large_files import MB, MP4, PICTURE, VIDEO, fill, write_video
from tests.core.transport.native import CHAT, KEY, PNG, create_client, fetch_reply, make_request
from tests.emulator import Emulator
from tests.emulator import Reply as Scripted
from tests.support.pipeline import CallMode


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path)


def write_sparse(path: Path, head: bytes, size: int) -> Path:
    """Write a file of `size` bytes that occupies no disk space."""
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


@both_call_modes
@pytest.mark.parametrize("name", ["path", "bytes", "data URI", "base64", "base64 as bytes", "base64 in lines"])
def test_large_medium_is_uploaded(emulator: Emulator, video: Path, name: str, call_mode: CallMode) -> None:
    client = create_client(emulator.native_url, default_headers={"X-Mine": "1"})
    part = VideoPart(sources(video)[name], fps=0.5)
    assert fetch_reply(client, make_request(parts=(part, TextPart("What?"))), call_mode).text
    policy, form, chat = emulator.requests

    assert (policy.method, policy.path) == ("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus")
    assert policy.headers["authorization"] == f"Bearer {KEY}"
    assert policy.headers["x-mine"] == "1"

    (upload,) = emulator.uploads
    assert upload.content == VIDEO
    assert upload.fields["x-oss-content-type"] == "video/mp4"  # from its bytes, not from its name
    assert upload.filename == "1.mp4"
    assert form.headers["content-length"] == str(len(form.body))
    assert not {"authorization", "x-mine"} & set(form.headers)
    assert KEY.encode() not in form.body
    assert video.name.encode() not in form.body

    assert chat.path == CHAT
    assert chat.headers["x-dashscope-ossresourceresolve"] == "enable"
    assert chat.json["input"]["messages"][0]["content"] == [{"video": upload.url, "fps": 0.5}, {"text": "What?"}]


@both_call_modes
def test_each_medium_is_uploaded_once(emulator: Emulator, video: Path, tmp_path: Path, call_mode: CallMode) -> None:
    picture = tmp_path / "deep" / video.name
    picture.parent.mkdir()
    picture.write_bytes(PICTURE)  # the same name, but another kind
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
    assert fetch_reply(create_client(emulator.native_url), make_request(parts=parts), call_mode).text
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


@both_call_modes
def test_file_under_several_paths_is_uploaded_once(
    emulator: Emulator, video: Path, call_mode: CallMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    paths = (video, Path(video.name), parse_url_source(video.as_uri(), location="", files=True))
    parts = tuple(VideoPart(FileSource(path) if isinstance(path, Path) else path) for path in paths)
    request = replace(make_request(parts=parts), local_files=True)
    assert fetch_reply(create_client(emulator.native_url), request, call_mode).text
    (upload,) = emulator.uploads
    assert emulator.requests[-1].json["input"]["messages"][0]["content"] == [{"video": upload.url}] * 3


def test_image_used_as_video_raises_input_error(emulator: Emulator) -> None:
    parts = (ImagePart(InlineSource(PICTURE)), VideoPart(InlineSource(PICTURE), location="second"))
    with pytest.raises(QwenVLInputError, match="second: this is not a video"):
        fetch_reply(create_client(emulator.native_url), make_request(parts=parts), "sync")
    assert not emulator.requests


@both_call_modes
def test_medium_within_the_data_uri_limit_is_inlined(emulator: Emulator, tmp_path: Path, call_mode: CallMode) -> None:
    size = (10 * MB - len("data:video/mp4;base64,")) // 4 * 3  # the largest whose data URI is 10 MB
    path = write_sparse(tmp_path / "a.mp4", MP4, size)
    assert fetch_reply(
        create_client(emulator.native_url), make_request(parts=(VideoPart(FileSource(path)),)), call_mode
    ).text
    assert [request.path for request in emulator.requests] == [CHAT]
    write_sparse(path, MP4, size + 1)
    assert fetch_reply(
        create_client(emulator.native_url), make_request(parts=(VideoPart(FileSource(path)),)), call_mode
    ).text
    assert len(emulator.uploads) == 1


@both_call_modes
@pytest.mark.parametrize(("model", "limit"), [("qwen3.8-max", 20), ("qwen3-vl-plus", 20), ("qwen-vl-max", 10)])
def test_image_within_the_limit_of_its_model_is_inlined(
    emulator: Emulator, tmp_path: Path, model: str, limit: int, call_mode: CallMode
) -> None:
    size = (limit * MB - len("data:image/png;base64,")) // 4 * 3
    client = create_client(emulator.native_url)
    for extra, uploads in ((0, 0), (1, 1)):
        path = write_sparse(tmp_path / f"{extra}.png", PNG, size + extra)
        request = make_request(parts=(ImagePart(FileSource(path)),), model=model)
        assert fetch_reply(client, request, call_mode).text
        assert len(emulator.uploads) == uploads


@both_call_modes
def test_oss_url_is_sent_unchanged(emulator: Emulator, call_mode: CallMode) -> None:
    emulator.strict = False
    assert fetch_reply(
        create_client(emulator.native_url), make_request(parts=(ImagePart(UrlSource("oss://a/b.png")),)), call_mode
    ).text
    (request,) = emulator.requests
    assert request.json["input"]["messages"][0]["content"] == [{"image": "oss://a/b.png"}]
    assert request.headers["x-dashscope-ossresourceresolve"] == "enable"


# --- limits -----------------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize(("kind", "head", "limit"), [("image", PNG, "20 MB"), ("video", MP4, "100 MB")])
def test_file_above_the_limit_raises_input_error(
    emulator: Emulator, tmp_path: Path, kind: Any, head: bytes, limit: str, call_mode: CallMode
) -> None:
    within = write_sparse(tmp_path / "within", head, LIMITS[kind])
    beyond = write_sparse(tmp_path / "beyond", head, LIMITS[kind] + 1)
    part = ImagePart if kind == "image" else VideoPart
    with pytest.raises(QwenVLInputError, match=rf"here: this {kind} has .*\({limit}\).*public URL"):
        fetch_reply(
            create_client(emulator.native_url),
            make_request(parts=(part(FileSource(within)), part(FileSource(beyond), location="here"))),
            call_mode,
        )
    assert not emulator.requests
    if kind == "image":
        assert fetch_reply(
            create_client(emulator.native_url), make_request(parts=(part(FileSource(within)),)), call_mode
        ).text
        frames = FramesPart((*[InlineSource(PNG)] * 3, FileSource(beyond)), location="here")
        with pytest.raises(QwenVLInputError, match=r"^here, frame 3: .*20 MB"):
            fetch_reply(create_client(emulator.native_url), make_request(parts=(frames,)), call_mode)


def test_limit_of_base64_counts_decoded_bytes(emulator: Emulator) -> None:
    text = base64.b64encode(fill(PNG, LIMITS["image"] + 1)).decode()
    with pytest.raises(QwenVLInputError, match="20,971,521 bytes"):
        fetch_reply(
            create_client(emulator.native_url),
            make_request(parts=(ImagePart(InlineSource(text, base64_from=0)),)),
            "sync",
        )
    text = base64.b64encode(fill(PNG, LIMITS["image"])).decode()
    assert fetch_reply(
        create_client(emulator.native_url), make_request(parts=(ImagePart(InlineSource(text, base64_from=0)),)), "sync"
    ).text


BAD: dict[str, Any] = {
    "no medium at all": ImagePart(InlineSource(b"words"), location="here"),
    "a file that is not there": ImagePart(FileSource(Path("nowhere.png")), location="here"),
    "image passed as video": VideoPart(InlineSource(PICTURE), location="here"),
    "no base64": ImagePart(InlineSource("?" * 15 * MB, base64_from=0), location="here"),
    "nothing": VideoPart(InlineSource(b""), location="here"),
}


@both_call_modes
@pytest.mark.parametrize("name", BAD)
def test_invalid_request_uploads_nothing(emulator: Emulator, video: Path, name: str, call_mode: CallMode) -> None:
    with pytest.raises(QwenVLInputError, match="here: "):
        fetch_reply(
            create_client(emulator.native_url), make_request(parts=(VideoPart(FileSource(video)), BAD[name])), call_mode
        )
    assert not emulator.requests


@both_call_modes
def test_large_medium_over_the_openai_api_raises_input_error(
    emulator: Emulator, video: Path, call_mode: CallMode
) -> None:
    with pytest.raises(QwenVLInputError, match='api="dashscope"'):
        fetch_reply(
            create_client(emulator.compat_url, api="openai"),
            make_request(parts=(VideoPart(FileSource(video), location="here"),)),
            call_mode,
        )
    assert not emulator.requests


# --- text -------------------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize("form", ["{}", "file://{}", "oss://{}", " {}"])
def test_path_in_text_is_not_uploaded(emulator: Emulator, video: Path, form: str, call_mode: CallMode) -> None:
    text = form.format(video)
    assert fetch_reply(create_client(emulator.native_url), make_request(parts=(TextPart(text),)), call_mode).text
    (request,) = emulator.requests
    assert request.json["input"]["messages"][0]["content"] == [{"text": text}]
    assert "x-dashscope-ossresourceresolve" not in request.headers
    assert not emulator.uploads


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # from the SDK's version 1 interface
def test_sdk_call_uploads_a_path_in_text(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows why the SDK's own calls are not used: they upload any file whose path is in a prompt."""
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


def test_langchain_model_uploads_a_video(emulator: Emulator, video: Path) -> None:
    from langchain_qwenvl import ChatQwenVL  # here, so that the other tests need the core alone

    emulator.script(Scripted(text="A holiday."))
    llm = ChatQwenVL(api="dashscope", base_url=emulator.native_url, api_key=SecretStr(KEY))
    content = [{"type": "video", "url": video, "extras": {"fps": 0.5}}, {"type": "text", "text": str(video)}]
    assert llm.invoke([{"role": "user", "content": content}]).content == "A holiday."
    (upload,) = emulator.uploads
    assert emulator.requests[-1].json["input"]["messages"][0]["content"] == [
        {"video": upload.url, "fps": 0.5},
        {"text": str(video)},
    ]
    llm.close()
