"""Test the kind of a file, its text, and the lists of frames in one data URI."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import parse_source
from qwenvl_core.request.file_parts import has_files, resolve_files
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FilePart, FramesPart, ImagePart, Part, PdfPart, TextPart, VideoPart
from tests.support.pipeline import JPEG, MP4, PNG, request, user

GBK = "发票".encode("gbk")


def resolve(part: Part, local_files: Any = None) -> tuple[Part, tuple[str, ...]]:
    resolved = resolve_files(replace(request(user(part)), local_files=local_files))
    (found,) = resolved.messages[0].parts
    return found, resolved.adjustments


@pytest.mark.parametrize(
    ("data", "fields", "kind"),
    [
        (PNG, {}, ImagePart),
        (PNG, {"mime": "application/octet-stream"}, ImagePart),
        (PNG, {"mime": "image/*"}, ImagePart),
        (MP4, {}, VideoPart),
        (MP4, {"mime": "video/mp4"}, VideoPart),
        (b"%PDF-1.7", {}, PdfPart),
        (b"%PDF-1.7", {"mime": "Application/PDF"}, PdfPart),
        (b"Total: 3", {}, TextPart),
        (b'{"a": 1}', {"mime": "application/json"}, TextPart),
        (b"BMW,3\n", {"name": "cars.csv"}, TextPart),  # the first bytes are those of a BMP
        (b"BMW,3\n", {"mime": "text/csv"}, TextPart),
        (GBK, {"name": "a.txt"}, TextPart),
        (GBK, {}, TextPart),
        ("Total".encode("utf-16"), {}, TextPart),
    ],
)
@pytest.mark.parametrize("form", ["bytes", "base64", "file"])
def test_file_becomes_part_of_its_kind(data: bytes, fields: Any, kind: type, form: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    base64_source = InlineSource(base64.b64encode(data).decode(), base64_from=0)
    source: Any = {"bytes": InlineSource(data), "base64": base64_source, "file": FileSource(path)}[form]
    options: dict[str, Any] = {"max_pixels": 9, "cache": True, "location": "here"}
    part, _ = resolve(FilePart(source, **options, **fields))
    assert type(part) is kind
    assert part.cache
    if not isinstance(part, TextPart):
        assert (part.max_pixels, part.cache, part.location) == (9, True, "here")


@pytest.mark.parametrize(
    ("url", "fields", "kind"),
    [
        ("https://example.com/a.png?x=1", {}, ImagePart),
        ("https://example.com/a.MP4", {}, VideoPart),
        ("https://example.com/a.pdf", {}, PdfPart),
        ("https://example.com/download?id=3", {"name": "a.jpg"}, ImagePart),
        ("https://example.com/download?id=3", {"mime": "video/mp4"}, VideoPart),
    ],
)
def test_file_behind_url_has_kind_of_type_or_name(url: str, fields: Any, kind: type) -> None:
    assert type(resolve(FilePart(UrlSource(url), **fields))[0]) is kind


def test_text_in_guessed_encoding_is_reported() -> None:
    assert resolve(FilePart(InlineSource(GBK), location="here")) == (
        TextPart("发票"),
        ("here: text decoded as gb18030",),
    )
    assert resolve(FilePart(InlineSource(b"\xef\xbb\xbfa"))) == (TextPart("a"), ())


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (FilePart(InlineSource(b"PK\x03\x04\0\0")), "unsupported file type unknown"),
        (FilePart(InlineSource(b"PK\x03\x04\0\0"), mime="application/zip"), "unsupported file type 'application/zip'"),
        (FilePart(InlineSource(b"PK\x03\x04\0\0"), mime="text/plain"), "Save it as UTF-8"),
        (FilePart(InlineSource(b"ID3\x03"), mime="audio/mpeg"), "Transcribe it"),
        (FilePart(UrlSource("https://example.com/a")), "State its MIME type"),
        (FilePart(UrlSource("https://example.com/a.txt")), "not fetched"),
        (FilePart(FileSource(Path("gone.txt"))), "can't read gone.txt: No such file"),
        (FilePart(FileSource(Path("a\0.txt"))), "can't read .*null"),
        (FilePart(FileSource(Path("/dev/null")), mime="text/plain"), "can't read /dev/null: it is not a regular file"),
        (FilePart(FileSource(Path("gone"), origin="string")), "is not read"),
    ],
)
def test_unsupported_file_raises_with_location(file: FilePart, why: str) -> None:
    with pytest.raises(QwenVLInputError, match=why) as caught:
        resolve(replace(file, location="messages[0].content[0] (file)"))
    assert str(caught.value).startswith("messages[0].content[0] (file): ")


def test_data_uri_of_several_images_becomes_frames() -> None:
    frames = [base64.b64encode(JPEG).decode()] * 4
    source = parse_source(f"data:video/jpeg;base64,{','.join(frames)}", location="", files=False)
    for part in (VideoPart(source, fps=2, max_pixels=9, location="here"), FilePart(source, mime="video/jpeg", fps=2)):
        video, _ = resolve(part)
        assert isinstance(video, FramesPart)
        assert [frame.data for frame in video.sources if isinstance(frame, InlineSource)] == frames
        assert video.fps == 2
    assert type(resolve(VideoPart(InlineSource(MP4, mime="video/mp4")))[0]) is VideoPart


def test_every_source_of_a_request_is_authorized() -> None:
    path = FileSource(Path("a.png"), origin="string")
    for part in (ImagePart(path), PdfPart(path), VideoPart(path), FramesPart((UrlSource("https://e.com"), path))):
        assert has_files([user(part)])
        with pytest.raises(QwenVLInputError, match=r"'a\.png' is not read"):
            resolve(part)
        assert resolve(part, local_files=True)[0] == part
    assert not has_files([user("Hi", ImagePart(UrlSource("https://e.com")))])
