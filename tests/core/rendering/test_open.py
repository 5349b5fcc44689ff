"""Tests of opening documents: accepted types, names, missing packages."""

from __future__ import annotations

import base64
import io
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.open import DocumentFile, File, open_pages
from tests.core.media.test_file_objects import AsyncUpload, Response
from tests.support.scanned_pages import scan


class SlowResponse(Response):
    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        time.sleep(0.02)
        return data


def test_open_pages_accepts_paths_bytes_and_binary_files(tmp_path: Path) -> None:
    data = scan(2)
    path = tmp_path / "a scan.pdf"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.seek(5)
    files: list[File] = [path, str(path), data, bytearray(data), stream]  # type: ignore[list-item]
    for file in files:
        with open_pages(file) as pages:
            assert pages.count == 2


def test_document_name_is_path_or_digest(tmp_path: Path) -> None:
    data = scan(2)
    path = tmp_path / "a scan.pdf"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.seek(5)
    assert DocumentFile(path).name == DocumentFile(str(path)).name == str(path)
    assert DocumentFile(data).name == DocumentFile(stream).name != DocumentFile(scan(3)).name
    with path.open("rb") as file:
        assert DocumentFile(file).name == str(path)


def test_document_file_name_is_not_that_of_a_descriptor_or_form_field() -> None:
    upload = AsyncUpload()
    assert DocumentFile(upload).name == "scan.pdf"  # type: ignore[arg-type]
    response = Response()
    document = DocumentFile(response)  # type: ignore[arg-type]
    assert document.name.startswith("sha256:")
    assert document.name == document.identity[:23]
    assert (document.source, response.reads) == (b"%PDF-1.7 and more", 1)


def test_threads_that_share_a_stream_read_it_once() -> None:
    response, barrier = SlowResponse(), threading.Barrier(3)
    document = DocumentFile(response)  # type: ignore[arg-type]
    sources: list[Path | bytes] = []

    def read() -> None:
        barrier.wait()
        sources.append(document.source)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sources, response.reads) == ([b"%PDF-1.7 and more"] * 3, 1)


def test_document_file_of_bytes_survives_pickling() -> None:
    document = DocumentFile(scan(1))
    assert pickle.loads(pickle.dumps(document)).identity == document.identity


def test_open_pages_accepts_path_like_objects(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scan(2))
    with os.scandir(tmp_path) as entries:
        (entry,) = entries
    file: File = entry  # type: ignore[assignment]
    with open_pages(file) as pages:
        assert pages.count == 2
    assert DocumentFile(file).path == str(tmp_path / "scan.pdf")


@pytest.mark.parametrize("path", ["", " ", "a\0b.pdf", Path("a\0b.pdf")])
def test_invalid_path_raises_input_error(path: str | Path) -> None:
    with pytest.raises(QwenVLInputError, match=r"Invalid path: .*Pass the path"):
        open_pages(path)


def test_path_of_unknown_user_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        open_pages("~nobody-of-this-name/scan.pdf")


def test_uploads_of_same_name_have_different_identities() -> None:
    documents = []
    for pages in (1, 2):
        stream = io.BytesIO(scan(pages))
        stream.name = "upload.pdf"
        documents.append(DocumentFile(stream))
    assert {document.name for document in documents} == {"upload.pdf"}
    assert len({document.identity for document in documents}) == 2


@pytest.mark.parametrize("form", ["file:///{}", "file://localhost/{}", "FILE:/{}"])
def test_open_pages_of_file_url_reads_path(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a scan #1.pdf"
    path.write_bytes(scan(2))
    url = form.format(quote(str(path).lstrip("/")))
    with open_pages(url) as pages:
        assert pages.count == 2
    assert DocumentFile(url).name == DocumentFile(url).path == str(path)


def test_open_pages_of_data_url_decodes_it() -> None:
    url = f"data:application/pdf;base64,{base64.b64encode(scan(2)).decode()}"
    with open_pages(url) as pages:
        assert pages.count == 2
    assert DocumentFile(url).path is None
    assert DocumentFile(url).name.startswith("sha256:")


def test_path_with_colon_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("report:1.pdf").write_bytes(scan(1))
    with open_pages("report:1.pdf") as pages:
        assert pages.count == 1


def test_open_pages_of_missing_file_raises_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_pages(tmp_path / "none.pdf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are files on POSIX only")
def test_open_pages_of_pipe_raises_input_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(QwenVLInputError, match="not a regular file"):
            open_pages(path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://example.com/a.pdf", "not fetched.*open file object"),
        ("s3://bucket/a.pdf", "not fetched"),
        ("file://server/share/a.pdf", "'server'.*is a host"),
        ("data:application/pdf", "has no data"),
    ],
)
def test_open_pages_of_url_raises_input_error(url: str, message: str) -> None:
    with pytest.raises(QwenVLInputError, match=message):
        open_pages(url)


def test_open_pages_of_text_file_or_other_type_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="Open it in binary mode"):
        open_pages(io.StringIO("x"))  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match="type: int"):
        open_pages(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pypdfium2", "PIL"])
def test_missing_package_raises_import_error_that_names_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = scan(1)
    for module in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        open_pages(data)
