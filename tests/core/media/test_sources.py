"""Media on their way out: what a value stands for, what it is by its bytes, and what goes on the wire for it."""

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

WHERE = "messages[2] image_url"
PNG64 = base64.b64encode(PNG).decode()
PNG_URI = f"data:image/png;base64,{PNG64}"
# Its base64 text has both characters in which the alphabets differ, and padding.
GIF = b"GIF89a" + bytes(range(240, 256)) * 4
GIF64 = base64.b64encode(GIF).decode()
assert "+" in GIF64
assert "/" in GIF64
assert GIF64.endswith("=")
GIF_URI = f"data:image/gif;base64,{GIF64}"


def sent(value: Any, *, kind: Any = "image", files: bool = True, **said: Any) -> str:
    """What goes on the wire for a value, as the server parses it."""
    located = to_url_or_data_uri(parse_source(value, location=WHERE, files=files, **said), kind, WHERE)
    if isinstance(located, DataUri):
        assert len(located) == len(b"".join(located.blocks()))
    body = encode_body([located], SyncBody)
    (url,) = json.loads(body if isinstance(body, bytes) else b"".join(body.blocks()))
    return url


# --- what a value stands for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "http://example.com/a?b=c:d", "HTTPS://EXAMPLE.COM/A.PNG", "oss://bucket/a.png"],
)
def test_urls_go_as_they_are(url: str) -> None:
    assert sent(url) == sent(url, files=False) == url
    assert parse_url_source(url, location=WHERE, files=False) == UrlSource(url)


@pytest.mark.parametrize(
    "url", ["http://", "https:///a.png", "http:/a.png", "https:a.png", "oss://", "https:// /a.png"]
)
def test_a_url_names_a_host(url: str) -> None:
    with pytest.raises(QwenVLInputError, match="names no host"):
        parse_url_source(url, location=WHERE, files=True)


class Unseekable(io.RawIOBase):
    """A download, for instance."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


class Reads:
    """As little of a file as there can be."""

    def read(self) -> bytes:
        return PNG


@pytest.mark.parametrize(
    "value",
    [
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        Reads(),
        PNG_URI,
        pytest.param(PNG_URI.replace("image/png", "image/jpeg"), id="the wrong MIME type"),
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
def test_a_picture_in_any_form(value: Any) -> None:
    assert sent(value) == PNG_URI
    assert sent(value, files=False) == PNG_URI


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
def test_base64_text_in_any_form(text: str) -> None:
    assert sent(f"data:image/gif;base64,{text}") == GIF_URI
    assert sent(text, base64_text=True) == GIF_URI
    assert sent(text.encode(), base64_text=True) == GIF_URI


def test_bytes_may_be_said_to_be_base64_and_be_none() -> None:
    assert sent(PNG, base64_text=True) == PNG_URI
    assert sent(PNG_URI, base64_text=True) == PNG_URI


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
def test_what_is_no_base64(text: str) -> None:
    for value, said in ((f"data:image/png;base64,{text}", {}), (text, {"base64_text": True, "mime": "image/png"})):
        with pytest.raises(QwenVLInputError, match=re.escape(WHERE)):
            sent(value, **said)


@given(st.text(max_size=40), st.text(max_size=60), st.sampled_from([";base64", "; Base64 ", ";charset=x", ""]))
def test_whatever_a_data_uri_says_the_body_stays_json(mime: str, text: str, middle: str) -> None:
    try:
        url = sent(f"data:{mime}{middle},{text}", files=False)
    except QwenVLInputError:
        return
    assert re.fullmatch(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/]+={0,2}", url)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_caller_says_the_body_stays_json(mime: str, text: str) -> None:
    for value in (text, text.encode(errors="replace"), f"data:image/{mime};base64,QUJD"):
        for base64_text in (True, False):
            try:
                url = sent(value, files=False, base64_text=base64_text, mime=f"image/{mime}")
            except QwenVLInputError:
                continue
            assert re.match(r"(data:image/[\w.+-]+;base64,[A-Za-z0-9+/]|https?:|oss:)", url, re.IGNORECASE)


def test_pillow_images_are_sent_without_loss() -> None:
    picture = Pillow.new("RGBA", (12, 34), (1, 2, 3, 4))
    url = sent(picture)
    assert url.startswith("data:image/png;base64,")
    again = Pillow.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (again.mode, again.tobytes()) == (picture.mode, picture.tobytes())


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
def test_pillow_images_that_png_has_no_mode_for_are_sent_as_they_look(mode: str, white: Any) -> None:
    picture = Pillow.new(mode, (12, 34), white)
    before = picture.tobytes()
    again = Pillow.open(io.BytesIO(base64.b64decode(sent(picture).partition(",")[2])))
    assert (again.mode, again.size, again.getpixel((5, 5))) == ("RGB", (12, 34), (255, 255, 255))
    assert (picture.mode, picture.tobytes()) == (mode, before)


def test_a_pillow_image_that_breaks_off_is_named() -> None:
    buffer = io.BytesIO()
    Pillow.effect_noise((200, 200), 50).save(buffer, "JPEG")
    picture = Pillow.open(io.BytesIO(buffer.getvalue()[:2000]))
    with pytest.raises(QwenVLInputError, match=re.escape(WHERE) + ": .*truncated"):
        sent(picture)


def test_a_file_object_is_read_from_its_beginning_and_left_where_it_was() -> None:
    file = io.BytesIO(PNG)
    file.seek(7)
    assert sent(file) == PNG_URI
    assert file.tell() == 7


def test_a_file_object_that_cannot_seek() -> None:
    assert sent(Unseekable(PNG)) == PNG_URI


@pytest.mark.parametrize("value", [None, 5, 1.5, [PNG], {"url": "x"}, object(), io.StringIO("text")])
def test_what_no_medium_can_be_made_of(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match=re.escape(WHERE)):
        sent(value)


# --- what it is, by its bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "mime"),
    [
        (PNG, "image", "image/png"),
        (JPEG, "image", "image/jpeg"),
        (GIF, "image", "image/gif"),
        (MP4, "video", "video/mp4"),
    ],
)
def test_the_type_is_told_by_the_bytes_and_never_by_the_name(data: bytes, kind: str, mime: str, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.mp4", "a.txt", "a", ".png"):
        path = tmp_path / name
        path.write_bytes(data)
        expected = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        assert sent(path, kind=kind) == expected
        assert sent(data, kind=kind, mime="image/webp") == expected


@pytest.mark.parametrize(
    ("data", "kind", "words"),
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
def test_what_is_no_medium_of_its_kind(data: bytes, kind: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for value in (
        data,
        path,
        f"data:image/png;base64,{base64.b64encode(data).decode()}",
        f"data:image/png,{quote(data)}",
    ):
        said = words
        if kind == "image" and data == b"Hello" and isinstance(value, str):
            continue  # the caller says that it is an image, and the bytes do not say otherwise
        with pytest.raises(QwenVLInputError, match=said) as caught:
            sent(value, kind=kind)
        assert str(caught.value).startswith(f"{WHERE}: ")


@pytest.mark.parametrize(
    ("mime", "sent_as"),
    [
        ("image/svg+xml", "image/svg+xml"),
        ("IMAGE/X-Portable-Pixmap", "image/x-portable-pixmap"),
        ("image/x-new; version=2", "image/x-new"),
        (" image/x-new ", "image/x-new"),
    ],
)
def test_where_the_bytes_tell_nothing_the_caller_is_believed(mime: str, sent_as: str) -> None:
    expected = f"data:{sent_as};base64,SGVsbG8="
    assert sent(b"Hello", mime=mime) == expected
    assert sent("SGVsbG8=", base64_text=True, mime=mime) == expected
    assert sent(f"data:{mime};base64,SGVsbG8") == expected


@pytest.mark.parametrize(
    "mime", [None, "", "image", "image/", "text/plain", "video/mp4", 'image/"', "image/a b", "image/\n", "imäge/png"]
)
def test_where_the_caller_says_nothing_either_it_is_an_error(mime: str | None) -> None:
    with pytest.raises(QwenVLInputError, match="not an image"):
        sent(b"Hello", mime=mime)


# --- files ------------------------------------------------------------------------------------------------------------

NAMES = ["a.png", "a b.png", "100%.png", "50%20off.png", "ö 好.png", "a+b.png", "a&b=c.png", "a;b.png"]


@pytest.mark.parametrize("name", NAMES)
def test_files_by_path_and_by_url(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PNG)
    assert sent(path) == PNG_URI
    assert sent(str(path)) == PNG_URI
    assert sent(path.as_uri()) == PNG_URI
    assert sent(path.as_uri().replace("file://", "file://localhost")) == PNG_URI
    assert sent(path.as_uri().replace("file://", "FILE://")) == PNG_URI
    assert sent(path, files=False) == PNG_URI  # code made it, and no model


def test_a_file_url_with_a_space_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(PNG)
    assert sent(f"file://{path}") == PNG_URI


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    assert sent("a.png") == sent("./a.png") == PNG_URI


@pytest.mark.parametrize(
    "value", ["a.png", "/etc/passwd", "./a", "file:///etc/passwd", "FILE:///a", "C:\\a.png", "~/a.png", "a b"]
)
def test_a_string_names_a_file_only_where_files_may_be_read(value: str) -> None:
    with pytest.raises(QwenVLInputError, match="only in the media parts of user messages") as caught:
        parse_source(value, location=WHERE, files=False)
    assert str(caught.value).startswith(f"{WHERE}: ")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com/a.png", "'ftp'"),
        ("s3://bucket/a.png", "'s3'"),
        ("javascript:alert(1)", "'javascript'"),
        ("blob:https://a", "'blob'"),
        ("file://example.com/a.png", "example.com"),
        ("file://home/a.png", "home"),  # a slash too few
        ("data:image/png;base64", "no data"),
        ("data:", "no data"),
        ("", "empty"),
        (" \n", "empty"),
    ],
)
def test_urls_that_nothing_can_be_made_of(url: str, words: str) -> None:
    with pytest.raises(QwenVLInputError, match=words) as caught:
        parse_source(url, location=WHERE, files=True)
    assert str(caught.value).startswith(f"{WHERE}: ")


def test_base64_text_that_lost_its_head_is_not_quoted() -> None:
    with pytest.raises(QwenVLInputError, match="base64") as caught:
        sent("iVBORw0KGgo" * 10_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["missing.png", "folder", "folder/", "a\0b.png", "x" * 300 + ".png", "locked.png"])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked.png").write_bytes(PNG)
    (tmp_path / "locked.png").chmod(0)
    if name == "locked.png" and os.access(tmp_path / name, os.R_OK):
        (tmp_path / name).unlink()  # root may read all
    with pytest.raises(QwenVLInputError, match="can't read") as caught:
        sent(f"{tmp_path}/{name}")
    assert str(caught.value).startswith(f"{WHERE}: ")


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    raised: list[BaseException] = []

    def send() -> None:
        try:
            sent(path)
        except QwenVLInputError as error:
            raised.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(2)
    assert not thread.is_alive()
    assert "can't read" in str(raised[0])


def test_nothing_is_read_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "later.png"
    source = parse_source(str(path), location=WHERE, files=True)
    assert source == FileSource(path)
    path.write_bytes(PNG)
    assert to_url_or_data_uri(source, "image", WHERE)


@pytest.mark.parametrize("change", ["shrunk", "grown", "gone"])
def test_a_file_that_changes_while_it_is_sent(change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(padding=200_000))
    uri = to_url_or_data_uri(FileSource(path), "image", WHERE)
    assert isinstance(uri, DataUri)
    match change:
        case "shrunk":
            path.write_bytes(png(padding=100_000))
        case "grown":
            path.write_bytes(png(padding=300_000))
        case _:
            path.unlink()
    if change == "grown":
        assert len(b"".join(uri.blocks())) == len(uri)  # as much as was announced
    else:
        with pytest.raises(QwenVLInputError, match=r"a\.png"):
            list(uri.blocks())


# --- the limit --------------------------------------------------------------------------------------------------------

_ROOM = (DATA_URI_LIMIT - len("data:image/png;base64,")) // 4 * 3  # bytes of a file that just fits


@pytest.mark.parametrize("form", ["bytes", "path", "data URI", "base64"])
@pytest.mark.parametrize(("size", "fits"), [(7_000_000, True), (_ROOM, True), (_ROOM + 1, False), (8_000_000, False)])
def test_ten_megabytes_of_data_uri(form: str, size: int, fits: bool, tmp_path: Path) -> None:
    data = png(padding=size - len(PNG))
    value: Any = data
    said = {}
    if form == "path":
        value = tmp_path / "a.png"
        value.write_bytes(data)
    elif form != "bytes":
        value = base64.b64encode(data).decode()
        value = f"data:image/png;base64,{value}" if form == "data URI" else value
        said = {"base64_text": form == "base64"}
    source = parse_source(value, location=WHERE, files=True, **said)
    if fits:
        located = to_url_or_data_uri(source, "image", WHERE)
        assert isinstance(located, DataUri)
        assert len(located) <= 10 * 1024 * 1024
        return
    with pytest.raises(QwenVLInputError) as caught:
        to_url_or_data_uri(source, "image", WHERE)
    for words in (WHERE, "10,485,760", "URL", 'api="dashscope"', 'media_policy="fit"'):
        assert words in str(caught.value)


# --- in a request -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (ImagePart(FileSource(Path("missing.png")), location=WHERE), WHERE),
        (VideoPart(FileSource(Path("missing.png")), location=WHERE), WHERE),
        (FramesPart((InlineSource(PNG),) * 3 + (InlineSource(b"x"),), location=WHERE), f"{WHERE}, frame 3"),
        (FramesPart((InlineSource(PNG), FileSource(Path("missing.png"))), location=WHERE), f"{WHERE}, frame 1"),
        (FramesPart((InlineSource(PNG), InlineSource(png(padding=8_000_000))), location=WHERE), f"{WHERE}, frame 1"),
    ],
)
@pytest.mark.parametrize("wire", [openai, dashscope])
def test_errors_name_the_place(part: Any, place: str, wire: Any) -> None:
    with pytest.raises(QwenVLInputError, match="^" + re.escape(f"{place}: ")):
        wire.encode(policy.prepare(request(user(part)), describe("qwen3-vl-plus")))


def test_text_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for text in (str(path), path.as_uri(), PNG_URI, "oss://a"):
        assert body_of(request(text))["messages"] == [{"role": "user", "content": text}]


def test_media_are_not_shown() -> None:
    for value in (
        InlineSource(PNG),
        ImagePart(InlineSource(PNG_URI, base64_from=22)),
        request(user(ImagePart(InlineSource(PNG)))),
    ):
        assert PNG64[:20] not in repr(value)
        assert "IHDR" not in repr(value)
    assert "IHDR" not in repr(to_url_or_data_uri(InlineSource(PNG), "image", WHERE))
