"""Local media that are not sent inline, over both APIs: each is uploaded once, within limits."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import dashscope
import pytest
from pydantic import SecretStr

from qwenvl_core.errors import (
    QwenVLInputError,
)
from qwenvl_core.media.sources import data_uri, parse_url_source
from qwenvl_core.media.uploads import IMAGE_LIMIT, create_upload
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, TextPart, VideoPart
from tests.core.client.scripted import both_call_modes
from tests.core.media.large_files import MB, MP4, PICTURE, VIDEO, fill, write_video
from tests.core.transport.native import KEY, PNG, create_client, fetch_reply, make_request
from tests.core.transport.uploads import ServiceApi, make_service
from tests.emulator import Emulator
from tests.emulator import Reply as Scripted
from tests.support.pipeline import CallMode


@pytest.fixture(params=["openai", "dashscope"])
def service(request: pytest.FixtureRequest, emulator: Emulator) -> ServiceApi:
    return make_service(emulator, request.param)


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
def test_large_medium_is_uploaded(service: ServiceApi, video: Path, name: str, call_mode: CallMode) -> None:
    client = service.create_client(default_headers={"X-Mine": "1"})
    part = VideoPart(sources(video)[name], fps=0.5)
    assert fetch_reply(client, make_request(parts=(part, TextPart("What?"))), call_mode).text
    policy, form, chat = service.emulator.requests

    assert (policy.method, policy.path) == ("GET", "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus")
    assert policy.headers["authorization"] == f"Bearer {KEY}"
    assert policy.headers["x-mine"] == "1"

    (upload,) = service.emulator.uploads
    assert upload.content == VIDEO
    assert upload.fields["x-oss-content-type"] == "video/mp4"  # from its bytes, not from its name
    assert upload.filename == f"{hashlib.sha256(VIDEO).hexdigest()[:32]}.mp4"
    assert form.headers["content-length"] == str(len(form.body))
    assert not {"authorization", "x-mine"} & set(form.headers)
    assert KEY.encode() not in form.body
    assert video.name.encode() not in form.body

    assert chat.path == service.chat
    assert chat.headers["x-dashscope-ossresourceresolve"] == "enable"
    assert service.sent_parts == [{"video": upload.url, "fps": 0.5}, {"text": "What?"}]


@both_call_modes
def test_each_medium_is_uploaded_once(service: ServiceApi, video: Path, tmp_path: Path, call_mode: CallMode) -> None:
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
    assert fetch_reply(service.create_client(), make_request(parts=parts), call_mode).text
    urls = {upload.content: upload.url for upload in service.emulator.uploads}
    assert len(service.emulator.uploads) == len(urls) == 2
    first, second = urls[VIDEO], urls[PICTURE]
    assert service.sent_parts == [
        {"video": first},
        {"text": "and"},
        {"image": second, "max_pixels": 5},
        {"video": first, "fps": 1},
        {"image": "data:image/png;base64," + base64.b64encode(PNG).decode()},
        {"video": [second, "https://e.com/b.png", second, second]},
        {"image": second},
    ]


@both_call_modes
def test_file_under_several_paths_is_uploaded_once(
    service: ServiceApi, video: Path, call_mode: CallMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    paths = (video, Path(video.name), parse_url_source(video.as_uri(), location="", files=True))
    parts = tuple(VideoPart(FileSource(path) if isinstance(path, Path) else path) for path in paths)
    request = replace(make_request(parts=parts), local_files=True)
    assert fetch_reply(service.create_client(), request, call_mode).text
    (upload,) = service.emulator.uploads
    assert service.sent_parts == [{"video": upload.url}] * 3


def test_image_used_as_video_raises_input_error(service: ServiceApi) -> None:
    parts = (ImagePart(InlineSource(PICTURE)), VideoPart(InlineSource(PICTURE), location="second"))
    with pytest.raises(QwenVLInputError, match="second: this is not a video"):
        fetch_reply(service.create_client(), make_request(parts=parts), "sync")
    assert not service.emulator.requests


@both_call_modes
def test_medium_within_the_data_uri_limit_is_inlined(service: ServiceApi, tmp_path: Path, call_mode: CallMode) -> None:
    size = (10 * MB - len("data:video/mp4;base64,")) // 4 * 3  # the largest whose data URI is 10 MB
    path = write_sparse(tmp_path / "a.mp4", MP4, size)
    assert fetch_reply(service.create_client(), make_request(parts=(VideoPart(FileSource(path)),)), call_mode).text
    assert [request.path for request in service.emulator.requests] == [service.chat]
    write_sparse(path, MP4, size + 1)
    assert fetch_reply(service.create_client(), make_request(parts=(VideoPart(FileSource(path)),)), call_mode).text
    assert len(service.emulator.uploads) == 1


@both_call_modes
@pytest.mark.parametrize(("model", "limit"), [("qwen3.8-max", 20), ("qwen3-vl-plus", 20), ("qwen-vl-max", 10)])
def test_image_within_the_limit_of_its_model_is_inlined(
    service: ServiceApi, tmp_path: Path, model: str, limit: int, call_mode: CallMode
) -> None:
    size = (limit * MB - len("data:image/png;base64,")) // 4 * 3
    client = service.create_client()
    for extra, uploads in ((0, 0), (1, 1)):
        path = write_sparse(tmp_path / f"{extra}.png", PNG, size + extra)
        request = make_request(parts=(ImagePart(FileSource(path)),), model=model)
        assert fetch_reply(client, request, call_mode).text
        assert len(service.emulator.uploads) == uploads


@both_call_modes
def test_oss_url_is_sent_unchanged(service: ServiceApi, call_mode: CallMode) -> None:
    service.emulator.strict = False
    assert fetch_reply(
        service.create_client(), make_request(parts=(ImagePart(UrlSource("oss://a/b.png")),)), call_mode
    ).text
    (request,) = service.emulator.requests
    assert service.sent_parts == [{"image": "oss://a/b.png"}]
    assert request.headers["x-dashscope-ossresourceresolve"] == "enable"


# --- limits -----------------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize(
    ("kind", "head", "model", "limit"),
    [
        ("image", PNG, "qwen3-vl-plus", 20),
        ("video", MP4, "qwen3-vl-plus", 1024),  # the model takes 2 GB, the storage 1 GB
        ("video", MP4, "qwen-vl-plus-2025-01-25", 1024),
        ("video", MP4, "qwen2-vl-7b-instruct", 150),
        ("video", MP4, "qwen3.9-plus", 1024),
    ],
)
def test_file_above_the_limit_raises_input_error(
    service: ServiceApi, tmp_path: Path, kind: Any, head: bytes, model: str, limit: int, call_mode: CallMode
) -> None:
    beyond = write_sparse(tmp_path / "beyond", head, limit * MB + 1)
    part = ImagePart if kind == "image" else VideoPart
    with pytest.raises(QwenVLInputError, match=rf"here: this {kind} has .*\({limit} MB\).*public URL"):
        fetch_reply(
            service.create_client(),
            make_request(parts=(part(FileSource(beyond), location="here"),), model=model),
            call_mode,
        )
    assert not service.emulator.requests


@pytest.mark.parametrize(("kind", "limit"), [("image", IMAGE_LIMIT), ("video", 300 * MB)])
def test_limit_includes_its_own_size(kind: Any, limit: int, tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "within", PNG if kind == "image" else MP4, limit)
    uri = data_uri(FileSource(path), kind, "here")
    assert create_upload(uri, kind, "here", limit=limit).size == limit
    with pytest.raises(QwenVLInputError, match=rf"^here: this {kind} has {limit:,} bytes"):
        create_upload(uri, kind, "here", limit=limit - 1)


def test_frame_above_the_limit_raises_input_error(service: ServiceApi, tmp_path: Path) -> None:
    beyond = write_sparse(tmp_path / "beyond", PNG, IMAGE_LIMIT + 1)
    frames = FramesPart((*[InlineSource(PNG)] * 3, FileSource(beyond)), location="here")
    with pytest.raises(QwenVLInputError, match=r"^here, frame 3: .*20 MB"):
        fetch_reply(service.create_client(), make_request(parts=(frames,)), "sync")


def test_limit_of_base64_counts_decoded_bytes(service: ServiceApi) -> None:
    text = base64.b64encode(fill(PNG, IMAGE_LIMIT + 1)).decode()
    with pytest.raises(QwenVLInputError, match="20,971,521 bytes"):
        fetch_reply(
            service.create_client(),
            make_request(parts=(ImagePart(InlineSource(text, base64_from=0)),)),
            "sync",
        )
    text = base64.b64encode(fill(PNG, IMAGE_LIMIT)).decode()
    assert fetch_reply(
        service.create_client(), make_request(parts=(ImagePart(InlineSource(text, base64_from=0)),)), "sync"
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
def test_invalid_request_uploads_nothing(service: ServiceApi, video: Path, name: str, call_mode: CallMode) -> None:
    with pytest.raises(QwenVLInputError, match="here: "):
        fetch_reply(service.create_client(), make_request(parts=(VideoPart(FileSource(video)), BAD[name])), call_mode)
    assert not service.emulator.requests


# --- the setting upload ---------------------------------------------------------------------------------------------


@both_call_modes
def test_upload_always_uploads_all_local_media(service: ServiceApi, tmp_path: Path, call_mode: CallMode) -> None:
    (tmp_path / "small.mp4").write_bytes(MP4)
    parts = (
        ImagePart(InlineSource(PNG)),
        VideoPart(FileSource(tmp_path / "small.mp4")),
        FramesPart((InlineSource(PNG),) * 4),
        ImagePart(UrlSource("https://e.com/a.png")),
        TextPart("?"),
    )
    assert fetch_reply(service.create_client(), make_request(parts=parts, upload="always"), call_mode).text
    urls = {upload.content: upload.url for upload in service.emulator.uploads}
    assert set(urls) == {PNG, MP4}
    assert service.sent_parts == [
        {"image": urls[PNG]},
        {"video": urls[MP4]},
        {"video": [urls[PNG]] * 4},
        {"image": "https://e.com/a.png"},
        {"text": "?"},
    ]


@both_call_modes
def test_upload_never_refuses_what_does_not_fit_inline(service: ServiceApi, video: Path, call_mode: CallMode) -> None:
    small = (ImagePart(InlineSource(PNG)),)
    assert fetch_reply(service.create_client(), make_request(parts=small, upload="never"), call_mode).text
    parts = (*small, VideoPart(FileSource(video), location="here"))
    with pytest.raises(QwenVLInputError, match=r'^here: this video is .*at most 10,485,760 .*upload="auto"'):
        fetch_reply(service.create_client(), make_request(parts=parts, upload="never"), call_mode)
    assert not service.emulator.uploads
    assert len(service.emulator.requests) == 1


NO_STORAGE = [
    ("openai", "https://dashscope-us.aliyuncs.com/compatible-mode/v1"),
    ("dashscope", "https://dashscope-us.aliyuncs.com/api/v1"),
    ("openai", "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1"),
    ("openai", "https://ws1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1"),
    ("openai", "http://127.0.0.1:8000/v1"),
]


@both_call_modes
@pytest.mark.parametrize(("api", "url"), NO_STORAGE)
def test_server_without_storage_raises_input_error_naming_regions(
    video: Path, api: Any, url: str, call_mode: CallMode
) -> None:
    large, small = VideoPart(FileSource(video), location="here"), ImagePart(InlineSource(PNG), location="here")
    for part, upload in ((large, "auto"), (small, "always")):
        with pytest.raises(QwenVLInputError, match=r"^here: .*upload=.*cn-beijing and ap-southeast-1") as caught:
            fetch_reply(create_client(url, api), make_request(parts=(part,), upload=upload), call_mode)
        assert "api=" not in str(caught.value)


# --- text -------------------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize("form", ["{}", "file://{}", "oss://{}", " {}"])
def test_path_in_text_is_not_uploaded(service: ServiceApi, video: Path, form: str, call_mode: CallMode) -> None:
    text = form.format(video)
    assert fetch_reply(service.create_client(), make_request(parts=(TextPart(text),)), call_mode).text
    (request,) = service.emulator.requests
    assert service.sent_parts == [{"text": text}]
    assert "x-dashscope-ossresourceresolve" not in request.headers
    assert not service.emulator.uploads


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
