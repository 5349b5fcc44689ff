"""Tests of the `image_dir` option."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.core.documents.fake_transcriber import FakeTranscriber, collect_records, create_transcription
from tests.support.scanned_pages import scan, width_of


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


def test_documents_of_same_name_export_to_different_files(tmp_path: Path) -> None:
    paths = set()
    for folder, pages in (("a", 1), ("b", 2)):
        file = tmp_path / folder / "scan: 1.pdf"
        file.parent.mkdir()
        file.write_bytes(scan(pages, height=320 * pages))
        (record, *_) = collect_records(create_transcription(file, FakeTranscriber(), image_dir=tmp_path))
        paths.add(record.metadata["image_path"])
    assert len(paths) == 2
