"""Tests of the `image_dir` option."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from PIL import Image

from qwenvl_core.documents.options import LoaderOptions
from qwenvl_core.documents.transcription import Transcription
from qwenvl_core.errors import QwenVLInputError
from tests.core.documents.fake_transcriber import (
    CallMode,
    FakeTranscriber,
    both_call_modes,
    collect_records,
    create_transcription,
)
from tests.support.scanned_pages import html, scan, width_of


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("mode", ["page", "element", "chunk"])
def test_image_dir_receives_pages_and_their_pictures(mode: str, tmp_path: Path) -> None:
    text = (
        '<html><body><div class="text" data-bbox="0 0 500 500">a</div>'
        '<div class="image" data-bbox="500 500 1000 1000"></div></body></html>'
    )
    transcription = create_transcription(
        scan(2), FakeTranscriber(lambda number: text), mode=mode, image_dir=tmp_path / "images"
    )
    paths = [Path(record.metadata["image_path"]) for record in collect_records(transcription)]
    assert all(path.parent == tmp_path / "images" for path in paths)
    sizes = [image_size(path) for path in paths]
    page_size, crop_size = (width_of(1), 320), (round(width_of(1) / 2) + 2, 162)
    assert sizes[0] == page_size
    assert len({*paths}) == (4 if mode == "element" else 2)
    if mode == "element":
        assert all(abs(side - expected) <= 2 for side, expected in zip(sizes[1], crop_size, strict=True))


SIGNED = "https://bucket.example/scans/" + "a" * 300 + ".pdf?X-Amz-Signature=" + "0" * 2000


@pytest.mark.parametrize("name", [SIGNED, "写真" * 200 + ".pdf", "é" * 119 + ".tiff", "a\0b\ud800/c:d*.pdf", "..", ""])
def test_image_dir_takes_any_document_name(name: str, tmp_path: Path) -> None:
    options = LoaderOptions(image_dir=tmp_path, mode="element")
    transcriber = FakeTranscriber(lambda number: '<div class="image" data-bbox="1 2 300 400"></div>')
    transcription = Transcription(scan(2), options, transcriber, name=name)
    paths = {record.metadata["image_path"] for record in collect_records(transcription)}
    assert len(paths) == 2
    assert all(Path(path).parent == tmp_path and Path(path).stat().st_size for path in paths)


@both_call_modes
@pytest.mark.parametrize("name", ["a file", "a file/below", "null\0byte"])
def test_unusable_image_dir_raises_before_any_request(call_mode: CallMode, name: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    transcriber = FakeTranscriber()
    transcription = create_transcription(scan(2), transcriber, image_dir=tmp_path / name, on_error="skip")
    with pytest.raises(QwenVLInputError, match=r"Unusable image_dir.*Pass a folder"):
        collect_records(transcription, call_mode)
    assert transcriber.started == []


@both_call_modes
def test_page_with_unwritable_image_is_kept(call_mode: CallMode, tmp_path: Path) -> None:
    folder = tmp_path / "images"

    def text_of(number: int) -> str:
        if folder.is_dir():
            folder.rmdir()
        folder.write_text("now a file")
        return html(number)

    transcription = create_transcription(scan(1), FakeTranscriber(text_of), image_dir=folder)
    (record,) = collect_records(transcription, call_mode)
    assert "Words of page 1." in record.text
    assert record.metadata["image_path"] == ""
    assert "not stored in image_dir" in record.metadata["warnings"]
    assert (transcription.usage.pages, transcription.usage.output_tokens) == (1, 10)


def test_image_that_does_not_fit_on_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    (record,) = collect_records(create_transcription(scan(1), FakeTranscriber(), image_dir=tmp_path))
    assert record.metadata["warnings"] == "not stored in image_dir: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_documents_of_same_name_export_to_different_files(tmp_path: Path) -> None:
    paths = set()
    for folder, pages in (("a", 1), ("b", 2)):
        file = tmp_path / folder / "scan: 1.pdf"
        file.parent.mkdir()
        file.write_bytes(scan(pages, height=320 * pages))
        (record, *_) = collect_records(create_transcription(file, FakeTranscriber(), image_dir=tmp_path))
        paths.add(record.metadata["image_path"])
    assert len(paths) == 2
