"""Tests of reading file objects: responses, object stores' bodies, uploads, broken ones."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.file_objects import can_seek, get_file_name, read_file_object

DATA = b"%PDF-1.7 and more"


class Response(io.RawIOBase):
    """A response of an HTTP client: it cannot seek, and is empty when it is read again."""

    def __init__(self) -> None:
        self.reads = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.reads += 1
        return DATA if self.reads == 1 else b""


class Urllib3Response(Response):
    """A response that gives compressed bytes by default."""

    decode_content = False

    def read(self, size: int = -1, decode_content: bool | None = None) -> bytes:
        return super().read() if decode_content else b"\x1f\x8b compressed"


class Body:
    """The body of an object in a store: it has `read` and nothing else."""

    def read(self) -> bytes:
        return DATA


class AsyncUpload:
    """An upload of Starlette or FastAPI: `read` is asynchronous, `file` is not."""

    def __init__(self, filename: str | None = "scan.pdf") -> None:
        self.filename = filename
        self.name = "form-field"
        self.file = io.BytesIO(DATA)

    async def read(self) -> bytes:
        return DATA


class BrokenSeek(io.BytesIO):
    """A file object whose `seekable` is not implemented."""

    def seekable(self) -> bool:
        raise io.UnsupportedOperation("seekable")


@pytest.mark.parametrize(
    "create",
    [Response, Urllib3Response, Body, AsyncUpload, lambda: BrokenSeek(DATA),
     lambda: io.BufferedReader(Response())],
    ids=["response", "urllib3", "body", "upload", "broken seek", "buffered"],
)  # fmt: skip
def test_read_file_object_returns_all_bytes(create: Callable[[], Any]) -> None:
    assert read_file_object(create()) == DATA


def test_read_file_object_reads_seekable_file_from_start_and_restores_position() -> None:
    stream = io.BytesIO(DATA)
    stream.seek(5)
    assert (read_file_object(stream), stream.tell(), read_file_object(stream)) == (DATA, 5, DATA)


def test_read_file_object_of_temporary_files() -> None:
    for create in (tempfile.SpooledTemporaryFile, tempfile.NamedTemporaryFile):
        with create() as file:
            file.write(DATA)
            assert read_file_object(file) == DATA


def test_can_seek_of_each_file_object() -> None:
    assert can_seek(io.BytesIO())
    assert can_seek(AsyncUpload())
    assert not any(map(can_seek, (Response(), Body(), BrokenSeek(), 5)))


class AsyncFile:
    """A file of aiofiles, or the content of an aiohttp response."""

    async def read(self) -> bytes:
        return DATA


def closed_file() -> io.BytesIO:
    stream = io.BytesIO(DATA)
    stream.close()
    return stream


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (AsyncFile(), r"AsyncFile is read asynchronously.*await file.read\(\)"),
        (io.StringIO("x"), "Open it in binary mode"),
        (closed_file(), "closed file.*pass its bytes"),
    ],
)
def test_file_object_that_cannot_be_read_raises_input_error(file: Any, message: str) -> None:
    with pytest.raises(QwenVLInputError, match=message):
        read_file_object(file)


def test_get_file_name_prefers_name_of_upload_and_ignores_descriptors() -> None:
    assert get_file_name(AsyncUpload()) == "scan.pdf"
    assert get_file_name(AsyncUpload(None)) == "form-field"
    named = io.BytesIO()
    for name, expected in (("a.pdf", "a.pdf"), ("<stdin>", None), (3, None), ("", None)):
        named.name = name
        assert get_file_name(named) == expected
    assert get_file_name(Response()) is None
