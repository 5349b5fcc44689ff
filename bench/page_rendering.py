"""Measure scanned pages: how fast they are rendered for a request, and the peak memory of a loader."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.libraries import API_PATHS, MODEL
from bench.venvs import ROOT, build_process_environ, python_path
from bench.worker_process import WorkerProcess

TABLE = "Scanned pages"
_DPI = 200
FEW_PAGES, MANY_PAGES = 8, 48
"""Lengths of the two documents that a loader's memory is measured with."""


class LoaderMemory(NamedTuple):
    """Peak memory of a loader over that at its start, in MB, for the short and the long document."""

    max_concurrency: int
    few_pages: float
    many_pages: float


class PageRates(NamedTuple):
    """Pages per second by repetition, which measures one after the other, and the memory of a loader.

    Attributes:
        png: Rates of PNG files at 200 DPI.
        ours: Rates of our JPEG files.
        loader_memory: Memory by `max_concurrency`.
    """

    png: list[float]
    ours: list[float]
    loader_memory: list[LoaderMemory]

    @property
    def speedups(self) -> list[float]:
        """The ratios of our rate to that of PNG files."""
        return [ours / png for ours, png in zip(self.ours, self.png, strict=True)]


def measure(repetitions: int, folder: Path, pdf: Path | None = None) -> PageRates:
    """Measure the rates with the pages of `pdf`, or of a drawn scan, and the memory with drawn scans."""
    pdf = pdf or Path(_run_operation("draw", folder / "scan.pdf", 6))
    rates = [(_run_operation("png", pdf), _run_operation("ours", pdf)) for _ in range(repetitions)]
    scans = [_run_operation("draw", folder / f"{pages}.pdf", pages) for pages in (FEW_PAGES, MANY_PAGES)]
    server = WorkerProcess("ours", "bench.load_server")
    host = f"http://127.0.0.1:{server.greeting['port']}"
    server.request({"chunks": 20})
    loader_memory = [
        LoaderMemory(max_concurrency, *(_run_operation("load", scan, host, max_concurrency) for scan in scans))
        for max_concurrency in (1, 4)
    ]
    server.close()
    return PageRates([png for png, _ in rates], [ours for _, ours in rates], loader_memory)


def _run_operation(*arguments: Any) -> Any:
    """Run one of `_OPERATIONS` in a new process."""
    command = [str(python_path("ours")), "-m", "bench.page_rendering", *map(str, arguments)]
    environ = build_process_environ()
    return json.loads(subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE).stdout)


def _draw_scan(file: str, pages: str) -> str:
    """Draw a PDF of text pages at 300 DPI with the noise of a scanner.

    Scanners make paper white and leave little noise on it. More noise would make PNG look worse than it is.
    """
    from PIL import Image, ImageChops, ImageDraw, ImageFont

    rng = random.Random(7)
    font = ImageFont.load_default(38)
    images = []
    for _ in range(int(pages)):
        page = Image.new("L", (2550, 3300), 255)
        canvas = ImageDraw.Draw(page)
        for y in range(200, 3100, 60):
            words = ("".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(14))
            canvas.text((220, y), " ".join(words), fill=40, font=font)
        noise = Image.effect_noise((850, 1100), 6).resize(page.size)
        images.append(ImageChops.add(page, noise, offset=12 - 128))
    images[0].save(file, save_all=True, append_images=images[1:], resolution=300)
    return file


def _measure_png_rate(file: str) -> float:
    """Measure the pages per second of PNG files at 200 DPI, the way of most loaders."""
    import pypdfium2

    document = pypdfium2.PdfDocument(file)
    start = time.perf_counter()
    for page in document:
        page.render(scale=_DPI / 72).to_pil().save(io.BytesIO(), "PNG")
    return len(document) / (time.perf_counter() - start)


def _measure_our_rate(file: str) -> float:
    """Measure the pages per second of our loaders: JPEG files of the size to which the model scales its input."""
    from qwenvl_core.catalog.models import describe
    from qwenvl_core.rendering.open import open_pages
    from qwenvl_core.rendering.page_size import PageSizing
    from qwenvl_core.rendering.pages import render_page

    fit = PageSizing(describe(MODEL)).fit
    with open_pages(file) as pages:
        start = time.perf_counter()
        for number in range(1, pages.count + 1):
            render_page(pages, number, fit)
        return pages.count / (time.perf_counter() - start)


def _measure_loader_memory(file: str, host: str, max_concurrency: str) -> float:
    """Measure the peak memory of the LangChain loader over that at its start, in MB; the model replies immediately."""
    from bench.worker import measure_peak_memory
    from langchain_qwenvl import ChatQwenVL, QwenVLLoader

    llm = ChatQwenVL(model=MODEL, base_url=host + API_PATHS["openai"], enable_thinking=False, streaming=True)
    llm.invoke("What was paid?")
    loader = QwenVLLoader(file, llm=llm, max_concurrency=int(max_concurrency))
    return measure_peak_memory(lambda: sum(1 for _ in loader.lazy_load())) / 1e6


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "draw": _draw_scan,
    "png": _measure_png_rate,
    "ours": _measure_our_rate,
    "load": _measure_loader_memory,
}

if __name__ == "__main__":
    print(json.dumps(_OPERATIONS[sys.argv[1]](*sys.argv[2:])))
