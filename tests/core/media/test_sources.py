"""Sources of media: parsed values, MIME types from bytes, and the URLs and data URIs on the wire."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import DATA_URI_LIMIT, DataUri, parse_source, parse_url_source, to_url_or_data_uri
from qwenvl_core.request import policy
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, VideoPart
from qwenvl_core.wire import dashscope, openai
from qwenvl_core.wire.json_body import SyncBody, encode_body
from tests.support.pipeline import JPEG, MP4, PNG, body_of, png, request, user

LOCATION = "messages[2] image_url"
PNG64 = base64.b64encode(PNG).decode()
PNG_URI = f"data:image/png;base64,{PNG64}"
# Its base64 text has padding and both characters that differ between the alphabets.
GIF = b"GIF89a" + bytes(range(240, 256)) * 4
GIF64 = base64.b64encode(GIF).decode()
assert "+" in GIF64
assert "/" in GIF64
assert GIF64.endswith("=")
GIF_URI = f"data:image/gif;base64,{GIF64}"


def encode_value(value: Any, *, kind: Any = "image", files: bool = True, **options: Any) -> str:
    """Encode a value as the client does, and return the URL that the server parses."""
    uri = to_url_or_data_uri(parse_source(value, location=LOCATION, files=files, **options), kind, LOCATION)
    if isinstance(uri, DataUri):
        assert len(uri) == len(b"".join(uri.blocks()))
    body = encode_body([uri], SyncBody)
    (url,) = json.loads(body if isinstance(body, bytes) else b"".join(body.blocks()))
    assert isinstance(url, str)
    return url


# --- parsed values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "http://example.com/a?b=c:d", "HTTPS://EXAMPLE.COM/A.PNG", "oss://bucket/a.png"],
)
def test_remote_url_is_sent_unchanged(url: str) -> None:
    assert encode_value(url) == encode_value(url, files=False) == url
    assert parse_url_source(url, location=LOCATION, files=False) == UrlSource(url)


@pytest.mark.parametrize(
    "url", ["http://", "https:///a.png", "http:/a.png", "https:a.png", "oss://", "https:// /a.png"]
)
def test_url_without_a_host_raises_input_error(url: str) -> None:
    with pytest.raises(QwenVLInputError, match="names no host"):
        parse_url_source(url, location=LOCATION, files=True)


class Unseekable(io.RawIOBase):
    """A file object that can't seek, such as a download."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


class MinimalFile:
    """An object with the one method of a file that is needed."""

    def read(self) -> bytes:
        return PNG


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        MinimalFile(),
        PNG_URI,
        pytest.param(PNG_URI.replace("image/png", "image/jpeg"), id="wrong MIME type"),
        pytest.param(PNG_URI.replace("image/png", ""), id="no MIME type"),
        pytest.param(PNG_URI.replace("image/png", "nonsense"), id="a broken MIME type"),
        pytest.param(PNG_URI.replace("image/png", 'image/"}{"\\'), id="a MIME type that would break JSON"),
        pytest.param(PNG_URI.replace("image/png", "image/png;charset=utf-8"), id="a parameter"),
        pytest.param(PNG_URI.replace(";base64", "; base64"), id="a space in the head"),
        pytest.param(PNG_URI.replace("data:", "DATA:").replace("base64,", "BASE64,"), id="capitals"),
        pytest.param("data:image/png," + quote(PNG), id="percent-encoded"),
        pytest.param("data:," + quote(PNG), id="percent-encoded, no MIME type"),
    ],
)
def test_image_of_any_value_type_is_encoded(value: Any) -> None:
    assert encode_value(value) == PNG_URI
    assert encode_value(value, files=False) == PNG_URI


@pytest.mark.parametrize(
    "text",
    [
        GIF64,
        GIF64.rstrip("="),
        GIF64.replace("+", "-").replace("/", "_"),
        GIF64.replace("+", "-").replace("/", "_").rstrip("="),
        "\n".join(re.findall(".{1,20}", GIF64)),
        "\r\n".join(re.findall(".{1,20}", GIF64)) + "\r\n",
        f"  {GIF64}\t\n",
        " ".join(GIF64),
        quote(GIF64),
        quote(GIF64, safe=""),
        quote("\n".join(re.findall(".{1,20}", GIF64))),
    ],
)
def test_base64_text_of_any_form_is_canonicalized(text: str) -> None:
    assert encode_value(f"data:image/gif;base64,{text}") == GIF_URI
    assert encode_value(text, base64_text=True) == GIF_URI
    assert encode_value(text.encode(), base64_text=True) == GIF_URI


def test_media_bytes_declared_as_base64_are_recognized() -> None:
    assert encode_value(PNG, base64_text=True) == PNG_URI
    assert encode_value(PNG_URI, base64_text=True) == PNG_URI


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "====",
        "A",
        "AB=C",
        "AB==CDEF",
        "%%%",
        'a"b,',
        "ö" * 8,
        "AAAA\udcff",
        "\udcff",
        "AAA\x00",
        "AAAA\u2028",
        "A" * 5,
    ],
)
def test_invalid_base64_text_raises_input_error(text: str) -> None:
    with pytest.raises(QwenVLInputError, match=re.escape(LOCATION)):
        encode_value(f"data:image/png;base64,{text}")
    with pytest.raises(QwenVLInputError, match=re.escape(LOCATION)):
        encode_value(text, base64_text=True, mime="image/png")


@given(st.text(max_size=40), st.text(max_size=60), st.sampled_from([";base64", "; Base64 ", ";charset=x", ""]))
def test_any_data_uri_keeps_the_body_valid_json(mime: str, text: str, middle: str) -> None:
    try:
        url = encode_value(f"data:{mime}{middle},{text}", files=False)
    except QwenVLInputError:
        return
    assert re.fullmatch(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/]+={0,2}", url)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_mime_and_text_keep_the_body_valid_json(mime: str, text: str) -> None:
    for value in (text, text.encode(errors="replace"), f"data:image/{mime};base64,QUJD"):
        for base64_text in (True, False):
            try:
                url = encode_value(value, files=False, base64_text=base64_text, mime=f"image/{mime}")
            except QwenVLInputError:
                continue
            assert re.match(r"(data:image/[\w.+-]+;base64,[A-Za-z0-9+/]|https?:|oss:)", url, re.IGNORECASE)


def test_pillow_image_is_encoded_without_loss() -> None:
    image = Pillow.new("RGBA", (12, 34), (1, 2, 3, 4))
    url = encode_value(image)
    assert url.startswith("data:image/png;base64,")
    again = Pillow.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (again.mode, again.tobytes()) == (image.mode, image.tobytes())


@pytest.mark.parametrize(
    ("mode", "white"),
    [
        ("CMYK", (0, 0, 0, 0)),
        ("YCbCr", (255, 128, 128)),
        ("HSV", (0, 0, 255)),
        ("I", 255),
        ("F", 255.0),
        ("RGBX", (255, 255, 255, 0)),
        ("RGBa", (0, 0, 0, 0)),
        ("La", (0, 0)),
    ],
)
def test_pillow_image_of_other_mode_is_encoded_as_rgb(mode: str, white: Any) -> None:
    image = Pillow.new(mode, (12, 34), white)
    before = image.tobytes()
    again = Pillow.open(io.BytesIO(base64.b64decode(encode_value(image).partition(",")[2])))
    assert (again.mode, again.size, again.getpixel((5, 5))) == ("RGB", (12, 34), (255, 255, 255))
    assert (image.mode, image.tobytes()) == (mode, before)


def test_truncated_pillow_image_raises_input_error() -> None:
    buffer = io.BytesIO()
    Pillow.effect_noise((200, 200), 50).save(buffer, "JPEG")
    image = Pillow.open(io.BytesIO(buffer.getvalue()[:2000]))
    with pytest.raises(QwenVLInputError, match=re.escape(LOCATION) + ": .*truncated"):
        encode_value(image)


def test_file_object_is_read_from_the_start_and_its_position_restored() -> None:
    file = io.BytesIO(PNG)
    file.seek(7)
    assert encode_value(file) == PNG_URI
    assert file.tell() == 7


def test_file_object_without_seek_is_read() -> None:
    assert encode_value(Unseekable(PNG)) == PNG_URI


@pytest.mark.parametrize("value", [None, 5, 1.5, [PNG], {"url": "x"}, object(), io.StringIO("text")])
def test_unsupported_value_raises_input_error(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match=re.escape(LOCATION)):
        encode_value(value)


# --- MIME types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "mime"),
    [
        (PNG, "image", "image/png"),
        (JPEG, "image", "image/jpeg"),
        (GIF, "image", "image/gif"),
        (MP4, "video", "video/mp4"),
    ],
)
def test_mime_type_comes_from_the_bytes_not_the_name(data: bytes, kind: str, mime: str, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.mp4", "a.txt", "a", ".png"):
        path = tmp_path / name
        path.write_bytes(data)
        expected = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        assert encode_value(path, kind=kind) == expected
        assert encode_value(data, kind=kind, mime="image/webp") == expected


@pytest.mark.parametrize(
    ("data", "kind", "match"),
    [
        (MP4, "image", "not an image; it looks like video/mp4"),
        (PNG, "video", "not a video; it looks like image/png"),
        (b"%PDF-1.7 ...", "image", "not an image; it looks like application/pdf"),
        (b"RIFF\0\0\0\0WAVEfmt ", "video", "not a video; it looks like audio/wav"),
        (b"Hello", "image", "no known format"),
        (b"", "image", "empty"),
        (b"", "video", "empty"),
    ],
)
def test_medium_of_another_kind_raises_input_error(data: bytes, kind: Any, match: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for value in (
        data,
        path,
        f"data:image/png;base64,{base64.b64encode(data).decode()}",
        f"data:image/png,{quote(data)}",
    ):
        if kind == "image" and data == b"Hello" and isinstance(value, str):
            continue  # the data URI declares an image, and the format of the bytes is unknown
        with pytest.raises(QwenVLInputError, match=match) as caught:
            encode_value(value, kind=kind)
        assert str(caught.value).startswith(f"{LOCATION}: ")


@pytest.mark.parametrize(
    ("mime", "sent_as"),
    [
        ("image/svg+xml", "image/svg+xml"),
        ("IMAGE/X-Portable-Pixmap", "image/x-portable-pixmap"),
        ("image/x-new; version=2", "image/x-new"),
        (" image/x-new ", "image/x-new"),
    ],
)
def test_declared_mime_type_is_used_for_unknown_bytes(mime: str, sent_as: str) -> None:
    expected = f"data:{sent_as};base64,SGVsbG8="
    assert encode_value(b"Hello", mime=mime) == expected
    assert encode_value("SGVsbG8=", base64_text=True, mime=mime) == expected
    assert encode_value(f"data:{mime};base64,SGVsbG8") == expected


@pytest.mark.parametrize(
    "mime", [None, "", "image", "image/", "text/plain", "video/mp4", 'image/"', "image/a b", "image/\n", "imäge/png"]
)
def test_unknown_bytes_without_a_declared_image_type_raise_input_error(mime: str | None) -> None:
    with pytest.raises(QwenVLInputError, match="not an image"):
        encode_value(b"Hello", mime=mime)


# --- files ------------------------------------------------------------------------------------------------------------

NAMES = ["a.png", "a b.png", "100%.png", "50%20off.png", "ö 好.png", "a+b.png", "a&b=c.png", "a;b.png"]


@pytest.mark.parametrize("name", NAMES)
def test_file_is_read_by_path_and_by_url(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PNG)
    assert encode_value(path) == PNG_URI
    assert encode_value(str(path)) == PNG_URI
    assert encode_value(path.as_uri()) == PNG_URI
    assert encode_value(path.as_uri().replace("file://", "file://localhost")) == PNG_URI
    assert encode_value(path.as_uri().replace("file://", "FILE://")) == PNG_URI
    assert encode_value(path, files=False) == PNG_URI  # a `Path` is made by code, not by a model


def test_file_url_with_a_space_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(PNG)
    assert encode_value(f"file://{path}") == PNG_URI


def test_relative_path_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    assert encode_value("a.png") == encode_value("./a.png") == PNG_URI


@pytest.mark.parametrize(
    "value", ["a.png", "/etc/passwd", "./a", "file:///etc/passwd", "FILE:///a", "C:\\a.png", "~/a.png", "a b"]
)
def test_path_string_raises_input_error_where_files_are_not_allowed(value: str) -> None:
    with pytest.raises(QwenVLInputError, match="only in the media parts of user messages") as caught:
        parse_source(value, location=LOCATION, files=False)
    assert str(caught.value).startswith(f"{LOCATION}: ")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("ftp://example.com/a.png", "'ftp'"),
        ("s3://bucket/a.png", "'s3'"),
        ("javascript:alert(1)", "'javascript'"),
        ("blob:https://a", "'blob'"),
        ("file://example.com/a.png", "example.com"),
        ("file://home/a.png", "home"),  # with one slash too few
        ("data:image/png;base64", "no data"),
        ("data:", "no data"),
        ("", "empty"),
        (" \n", "empty"),
    ],
)
def test_unsupported_url_raises_input_error(url: str, match: str) -> None:
    with pytest.raises(QwenVLInputError, match=match) as caught:
        parse_source(url, location=LOCATION, files=True)
    assert str(caught.value).startswith(f"{LOCATION}: ")


def test_error_for_base64_text_without_a_head_is_short() -> None:
    with pytest.raises(QwenVLInputError, match="base64") as caught:
        encode_value("iVBORw0KGgo" * 10_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["missing.png", "folder", "folder/", "a\0b.png", "x" * 300 + ".png", "locked.png"])
def test_unreadable_file_raises_input_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked.png").write_bytes(PNG)
    (tmp_path / "locked.png").chmod(0)
    if name == "locked.png" and os.access(tmp_path / name, os.R_OK):
        (tmp_path / name).unlink()  # root can read any file
    with pytest.raises(QwenVLInputError, match="can't read") as caught:
        encode_value(f"{tmp_path}/{name}")
    assert str(caught.value).startswith(f"{LOCATION}: ")


def test_pipe_raises_input_error_without_blocking(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    raised: list[BaseException] = []

    def send() -> None:
        try:
            encode_value(path)
        except QwenVLInputError as error:
            raised.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(2)
    assert not thread.is_alive()
    assert "can't read" in str(raised[0])


def test_parse_source_does_not_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "later.png"
    source = parse_source(str(path), location=LOCATION, files=True)
    assert source == FileSource(path)
    path.write_bytes(PNG)
    assert to_url_or_data_uri(source, "image", LOCATION)


@pytest.mark.parametrize("change", ["shrunk", "grown", "gone"])
def test_file_that_changes_while_it_is_sent(change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(padding=200_000))
    uri = to_url_or_data_uri(FileSource(path), "image", LOCATION)
    assert isinstance(uri, DataUri)
    match change:
        case "shrunk":
            path.write_bytes(png(padding=100_000))
        case "grown":
            path.write_bytes(png(padding=300_000))
        case _:
            path.unlink()
    if change == "grown":
        assert len(b"".join(uri.blocks())) == len(uri)  # only as many bytes as its length
    else:
        with pytest.raises(QwenVLInputError, match=r"a\.png"):
            list(uri.blocks())


# --- the limit --------------------------------------------------------------------------------------------------------

_MAX_FILE_SIZE = (DATA_URI_LIMIT - len("data:image/png;base64,")) // 4 * 3  # bytes


@pytest.mark.parametrize("form", ["bytes", "path", "data URI", "base64"])
@pytest.mark.parametrize(
    ("size", "fits"), [(7_000_000, True), (_MAX_FILE_SIZE, True), (_MAX_FILE_SIZE + 1, False), (8_000_000, False)]
)
def test_data_uri_above_the_limit_raises_input_error(form: str, size: int, fits: bool, tmp_path: Path) -> None:
    data = png(padding=size - len(PNG))
    value: Any = data
    if form == "path":
        value = tmp_path / "a.png"
        value.write_bytes(data)
    elif form != "bytes":
        value = base64.b64encode(data).decode()
        value = f"data:image/png;base64,{value}" if form == "data URI" else value
    source = parse_source(value, location=LOCATION, files=True, base64_text=form == "base64")
    if fits:
        uri = to_url_or_data_uri(source, "image", LOCATION)
        assert isinstance(uri, DataUri)
        assert len(uri) <= 10 * 1024 * 1024
        return
    with pytest.raises(QwenVLInputError) as caught:
        to_url_or_data_uri(source, "image", LOCATION)
    for phrase in (LOCATION, "10,485,760", "URL", 'media_policy="fit"'):
        assert phrase in str(caught.value)


def test_image_limit_is_that_of_the_model_and_holds_for_images_only() -> None:
    image, video = InlineSource(png(padding=9_000_000)), InlineSource(MP4 + bytes(9_000_000))
    assert to_url_or_data_uri(image, "image", LOCATION, 20 * 1024 * 1024)
    with pytest.raises(QwenVLInputError, match=r"at most 20,971,520 \(about 15 MB of file\)"):
        to_url_or_data_uri(InlineSource(png(padding=16_000_000)), "image", LOCATION, 20 * 1024 * 1024)
    with pytest.raises(QwenVLInputError, match=r"at most 10,485,760 \(about 7.5 MB of file\)"):
        to_url_or_data_uri(video, "video", LOCATION, 20 * 1024 * 1024)


# --- in a request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "location"),
    [
        (ImagePart(FileSource(Path("missing.png")), location=LOCATION), LOCATION),
        (VideoPart(FileSource(Path("missing.png")), location=LOCATION), LOCATION),
        (FramesPart((InlineSource(PNG),) * 3 + (InlineSource(b"x"),), location=LOCATION), f"{LOCATION}, frame 3"),
        (FramesPart((InlineSource(PNG), FileSource(Path("missing.png"))), location=LOCATION), f"{LOCATION}, frame 1"),
        (
            FramesPart((InlineSource(PNG), InlineSource(png(padding=16_000_000))), location=LOCATION),
            f"{LOCATION}, frame 1",
        ),
    ],
)
@pytest.mark.parametrize("wire", [openai, dashscope])
def test_encoding_error_names_the_location(part: Any, location: str, wire: Any) -> None:
    with pytest.raises(QwenVLInputError, match="^" + re.escape(f"{location}: ")):
        wire.encode(policy.prepare(request(user(part)), describe("qwen3-vl-plus")))


def test_text_part_with_a_path_or_uri_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for text in (str(path), path.as_uri(), PNG_URI, "oss://a"):
        assert body_of(request(text))["messages"] == [{"role": "user", "content": text}]


def test_repr_does_not_show_media() -> None:
    for value in (
        InlineSource(PNG),
        ImagePart(InlineSource(PNG_URI, base64_from=22)),
        request(user(ImagePart(InlineSource(PNG)))),
    ):
        assert PNG64[:20] not in repr(value)
        assert "IHDR" not in repr(value)
    assert "IHDR" not in repr(to_url_or_data_uri(InlineSource(PNG), "image", LOCATION))
