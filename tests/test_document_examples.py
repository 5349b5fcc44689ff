"""Test the document examples: cited boxes drawn on the page, and a folder transcribed with Dask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
from PIL import Image, ImageChops

from examples import (
    folder_in_batches,
    folder_with_dask,
    langchain_documents,
    langchain_visual,
    llama_index_documents,
    llama_index_visual,
)
from qwenvl_core.rendering.open import open_pages
from tests.emulator import Emulator, Fault, RecordedRequest, Reply
from tests.support.batch_documents import count_chats, count_paid_pages
from tests.support.paths import ROOT
from tests.support.scanned_pages import answer, page_in, scan
from tests.support.vcr_config import replayed

TIMEOUT = 300  # seconds, so that a process that hangs fails


@pytest.mark.parametrize(
    ("example", "name"),
    [(langchain_documents, "langchain"), (llama_index_documents, "llama_index")],
)
def test_document_example_draws_cited_boxes_on_page(
    example: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with replayed(f"demo_{name}_documents"):
        example.main(max_concurrency=1)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}_cited_1.png", f"{name}_cited_2.png"]
    assert f"[1] agreement.pdf, page 3: {tmp_path / f'{name}_cited_1.png'}" in capsys.readouterr().out
    with Image.open(tmp_path / f"{name}_cited_1.png") as cited, open_pages(example.SCAN) as pages:
        assert cited.size == (1344, 1920)
        page = pages.render(3, lambda extent: cited.size).convert("RGB")
        drawn = ImageChops.difference(cited.convert("RGB"), page).getbbox()
    assert drawn is not None
    left, top, right, bottom = drawn
    assert (left, top) == pytest.approx((0.088 * 1344, 0.061 * 1920), abs=2)
    assert (right, bottom) == pytest.approx((0.877 * 1344, 0.163 * 1920), abs=2)


@pytest.mark.parametrize(
    ("example", "name"),
    [(langchain_visual, "langchain"), (llama_index_visual, "llama_index")],
)
def test_visual_example_draws_cited_boxes_on_pages(
    example: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with replayed(f"demo_{name}_visual"):
        example.main()
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"{name}_page_1.png", f"{name}_page_3.png"]
    printed = capsys.readouterr().out
    assert f"[1] agreement.pdf, page 3, relevance 0.58: {tmp_path / f'{name}_page_1.png'}" in printed
    assert "cited: The hirer may cancel in writing" in printed
    assert "[3] agreement.pdf, page 2, relevance" in printed
    assert find_drawn_area(tmp_path / f"{name}_page_1.png", example.SCAN, 3) == pytest.approx(
        (0.088, 0.112, 0.877, 0.163), abs=0.005
    )
    assert find_drawn_area(tmp_path / f"{name}_page_3.png", example.SCAN, 2) == pytest.approx(
        (0.094, 0.139, 0.905, 0.172), abs=0.005
    )


@pytest.mark.parametrize("example", [langchain_visual, llama_index_visual])
@pytest.mark.parametrize("reply", ["No passage supports it.", '{"bbox_2d": [10, 10, 10, 10], "label": "nothing"}', ""])
def test_visual_example_without_box_saves_page_and_reports_it(
    example: Any,
    reply: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    emulator: Emulator,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    emulator.script(Reply(text="370.00 [1]."), *[Reply(text=reply)] * 4)
    example.main()
    assert "cited: no place was found" in capsys.readouterr().out
    (picture,) = tmp_path.iterdir()
    with Image.open(picture) as page:
        assert page.size == (1344, 1920)


def find_drawn_area(picture: Path, scan: Path, number: int) -> tuple[float, float, float, float]:
    """Find the area of a drawn page that differs from the page of the scan, in fractions of its sides."""
    with Image.open(picture) as drawn, open_pages(scan) as pages:
        page = pages.render(number, lambda extent: drawn.size).convert("L")
        # The page was saved as a JPEG, so pixels differ a little everywhere.
        difference = ImageChops.difference(drawn.convert("L"), page).point(lambda value: 255 if value > 100 else 0)
        area = difference.getbbox()
        assert area is not None
        left, top, right, bottom = area
        return left / drawn.width, top / drawn.height, right / drawn.width, bottom / drawn.height


@pytest.fixture
def scans(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, pages, height in (("a", 2, 320), ("b", 4, 352), ("c", 1, 384)):
        (folder / f"{name}.pdf").write_bytes(scan(pages, height=height))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    emulator.respond = answer
    return folder


# Runs in a separate process, because importing `distributed` changes how all exceptions are pickled.
# Both workers submit each file of the folder at the same time; jobs come back pickled.
CLUSTER_SCRIPT = """
import pickle
import sys
from pathlib import Path

from distributed import Client, LocalCluster

from examples.folder_in_batches import build_loader
from examples.folder_with_dask import main


def submit(pdf, out):
    job = build_loader(pdf, out).submit_batch()
    assert b"sk-test" not in pickle.dumps(job)
    return job


def collect(pdf, out):
    loader = build_loader(pdf, out)
    state = loader.collect_batch(wait=True).state
    return state, len(loader.load())


if __name__ == "__main__":
    scans, read, out = map(Path, sys.argv[1:])
    pdfs = sorted(scans.glob("*.pdf")) * 2
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    with cluster, Client(cluster) as client:
        main(scans, read)
        jobs = client.gather(client.map(submit, pdfs, out=out, pure=False))
        print(len({job.ids[0] for job in jobs}), {job.status().total for job in jobs} == {1, 2, 4})
        print(client.gather(client.map(collect, pdfs, out=out, pure=False)))
"""


def run_on_cluster(scans: Path, read: Path, out: Path) -> list[str]:
    """Run both examples in a process that starts a local cluster; return the lines that it prints."""
    script = scans.parent / "on_a_cluster.py"
    script.write_text(CLUSTER_SCRIPT, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(script), str(scans), str(read), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=TIMEOUT,
    )  # fmt: skip
    return result.stdout.splitlines()


def read_json_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# The example leaves the connections of its model open until the process ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_folder_example_writes_one_line_per_page(
    scheduler: str, scans: Path, tmp_path: Path, emulator: Emulator
) -> None:
    out = tmp_path / "read"
    with dask.config.set(scheduler=scheduler, num_workers=2):
        assert folder_with_dask.main(scans, out) == ["a.pdf: read", "b.pdf: read", "c.pdf: read"]
    assert len(emulator.requests) == 7
    check_files(scans, out)


def check_files(scans: Path, out: Path) -> None:
    """Check that each document has a file with a line for each page."""
    assert sorted(file.name for file in out.iterdir()) == ["a.jsonl", "answers", "b.jsonl", "c.jsonl"]
    pages = read_json_lines(out / "b.jsonl")
    assert [page["page_number"] for page in pages] == [1, 2, 3, 4]
    assert "Words of page 4." in pages[3]["text"]
    assert pages[3]["source"] == str(scans / "b.pdf")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_folder_example_after_failure_resumes(scans: Path, tmp_path: Path, emulator: Emulator) -> None:
    def fail_at_page_4(request: RecordedRequest) -> Reply | Fault:
        return Fault(status=400) if page_in(request) == 4 else answer(request)

    out = tmp_path / "read"
    emulator.respond = fail_at_page_4
    with dask.config.set(scheduler="synchronous"):
        first, broken, last = folder_with_dask.main(scans, out)
        assert (first, last) == ("a.pdf: read", "c.pdf: read")
        assert "page 4" in broken
        assert not (out / "b.jsonl").exists()
        emulator.reset()
        emulator.respond = answer
        done = folder_with_dask.main(scans, out)
    assert done == ["a.pdf: skipped, it was read before", "b.pdf: read", "c.pdf: skipped, it was read before"]
    assert [page_in(request) for request in emulator.requests] == [4]
    assert len(read_json_lines(out / "b.jsonl")) == 4


def test_folder_in_batches_example_collects_in_another_process(scans: Path, tmp_path: Path, emulator: Emulator) -> None:
    out = tmp_path / "read"
    subprocess.run(
        [sys.executable, "-m", "examples.folder_in_batches", "submit", str(scans), str(out)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert sorted(file.name for file in out.iterdir()) == ["answers"]
    folder_in_batches.collect(scans, out)
    check_files(scans, out)
    assert count_chats(emulator) == 0
    assert len(emulator.batch_store.batches) == 3


def test_examples_on_a_cluster_read_a_folder_and_submit_no_page_twice(
    scans: Path, tmp_path: Path, emulator: Emulator
) -> None:
    assert run_on_cluster(scans, tmp_path / "read", tmp_path / "batches")[-2:] == [
        "3 True",
        str([("completed", pages) for pages in (2, 4, 1, 2, 4, 1)]),
    ]
    check_files(scans, tmp_path / "read")
    assert count_chats(emulator) == 7
    assert len(emulator.batch_store.batches) == 3
    assert set(count_paid_pages(emulator).values()) == {1}
