"""Scanned pages: how fast they are made ready to be sent, and what memory a loader needs meanwhile."""

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

from bench.libraries import MODEL, PATHS
from bench.venvs import ROOT, clean_environ, python
from bench.worker_process import Child

TABLE = "Scanned pages"
_DPI = 200
FEW, MANY = 8, 48  # pages of the documents whose memory is compared


class Loading(NamedTuple):
    """Peak memory of a loader over what it had at its start, in MB, for a short and a long document."""

    max_concurrency: int
    few: float
    many: float


class Scans(NamedTuple):
    """Pages per second of both ways, one after the other in each repetition; and the memory of a loader."""

    png: list[float]
    ours: list[float]
    loading: list[Loading]

    @property
    def speedups(self) -> list[float]:
        return [ours / png for ours, png in zip(self.ours, self.png, strict=True)]


def measured(repetitions: int, folder: Path, given: Path | None) -> Scans:
    """Both ways over the pages of a PDF that is `given`, or drawn."""
    pdf = given or Path(_asked("draw", folder / "scan.pdf", 6))
    speeds = [(_asked("png", pdf), _asked("ours", pdf)) for _ in range(repetitions)]
    few, many = (_asked("draw", folder / f"{pages}.pdf", pages) for pages in (FEW, MANY))
    server = Child("ours", "bench.load_server")
    host = f"http://127.0.0.1:{server.ready['port']}"
    server.ask({"chunks": 20})
    loading = [Loading(width, *(_asked("load", file, host, width) for file in (few, many))) for width in (1, 4)]
    server.close()
    return Scans([png for png, _ in speeds], [ours for _, ours in speeds], loading)


def _asked(*arguments: Any) -> Any:
    command = [str(python("ours")), "-m", "bench.page_rendering", *map(str, arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, env=clean_environ(), check=True, stdout=subprocess.PIPE).stdout)


def _draw(file: str, pages: str) -> str:
    """A PDF of pages of text at 300 dots per inch, with the noise of a scanner.

    Scanners make paper white, and little of the noise is left on it: with more, PNG would look worse than it is.
    """
    from PIL import Image, ImageChops, ImageDraw, ImageFont

    chance = random.Random(7)
    font = ImageFont.load_default(38)
    drawn = []
    for _ in range(int(pages)):
        page = Image.new("L", (2550, 3300), 255)
        pen = ImageDraw.Draw(page)
        for y in range(200, 3100, 60):
            words = ("".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(14))
            pen.text((220, y), " ".join(words), fill=40, font=font)
        noise = Image.effect_noise((850, 1100), 6).resize(page.size)
        drawn.append(ImageChops.add(page, noise, offset=12 - 128))
    drawn[0].save(file, save_all=True, append_images=drawn[1:], resolution=300)
    return file


def _png(file: str) -> float:
    """Pages per second as most loaders make them: at 200 dots per inch, as PNG."""
    import pypdfium2

    document = pypdfium2.PdfDocument(file)
    start = time.perf_counter()
    for page in document:
        page.render(scale=_DPI / 72).to_pil().save(io.BytesIO(), "PNG")
    return len(document) / (time.perf_counter() - start)


def _ours(file: str) -> float:
    """Pages per second as our loaders make them: at the size at which the model sees them, as JPEG."""
    from qwenvl_core.catalog.models import describe
    from qwenvl_core.rendering.open import open_pages
    from qwenvl_core.rendering.page_size import Sizing
    from qwenvl_core.rendering.pages import page_image

    fit = Sizing(describe(MODEL)).fit
    with open_pages(file) as pages:
        start = time.perf_counter()
        for number in range(1, pages.count + 1):
            page_image(pages, number, fit)
        return pages.count / (time.perf_counter() - start)


def _load(file: str, host: str, max_concurrency: str) -> float:
    """Peak memory of the LangChain loader with a model that answers at once, MB over the start."""
    from bench.worker import peak_of
    from langchain_qwenvl import ChatQwenVL, QwenVLLoader

    llm = ChatQwenVL(model=MODEL, base_url=host + PATHS["openai"], enable_thinking=False, streaming=True)
    llm.invoke("What was paid?")
    loader = QwenVLLoader(file, llm=llm, max_concurrency=int(max_concurrency))
    return peak_of(lambda: sum(1 for _ in loader.lazy_load())) / 1e6


if __name__ == "__main__":
    operations: dict[str, Callable[..., Any]] = {"draw": _draw, "png": _png, "ours": _ours, "load": _load}
    print(json.dumps(operations[sys.argv[1]](*sys.argv[2:])))
