"""Tests of opening documents: accepted types, names, missing packages."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.rendering.open import Document, get_document_name, open_pages
from tests.support.scanned_pages import scan


def test_open_pages_accepts_paths_bytes_and_binary_files(tmp_path: Path) -> None:
    data = scan(2)
    path = tmp_path / "a scan.pdf"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.seek(5)
    files: list[Document] = [path, str(path), data, bytearray(data), stream]  # type: ignore[list-item]
    for file in files:
        with open_pages(file) as pages:
            assert pages.count == 2


def test_document_name_is_path_or_digest(tmp_path: Path) -> None:
    data = scan(2)
    path = tmp_path / "a scan.pdf"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.seek(5)
    assert get_document_name(path) == get_document_name(str(path)) == str(path)
    assert get_document_name(data) == get_document_name(stream) != get_document_name(scan(3))
    with path.open("rb") as file:
        assert get_document_name(file) == str(path)


def test_open_pages_of_missing_file_raises_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_pages(tmp_path / "none.pdf")


def test_open_pages_of_url_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="not fetched"):
        open_pages("https://example.com/a.pdf")


def test_open_pages_of_text_file_or_other_type_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="Open it in binary mode"):
        open_pages(io.StringIO("x"))  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match="type: int"):
        open_pages(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["pypdfium2", "PIL"])
def test_missing_package_raises_import_error_that_names_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"qwenvl-adapters\[documents\]"):
        open_pages(scan(1))
