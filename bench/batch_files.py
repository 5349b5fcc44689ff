"""Measure batch files of scanned pages: the rate of preparing them, their bytes, and the peak memory of a loader."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from bench.libraries import API_PATHS, MODEL
from bench.venvs import ROOT, build_process_environ, python_path

TABLE = "Batch files"
FEW_PAGES, MANY_PAGES = 200, 2000
KILLS = 8
_KILLED_PAGES = 12
_SIZE = (1000, 1300)  # pixels of a page, 120 dots per inch


class BatchCost(NamedTuple):
    """What a loader needs for a document.

    Attributes:
        pages: Number of pages.
        rate: Pages per second, from the scan to the uploaded file.
        megabytes: Size of the uploaded file.
        submit_memory: Peak memory of the submission over that at the start, in MB.
        collect_memory: The same while the answers are collected.
    """

    pages: int
    rate: float
    megabytes: float
    submit_memory: float
    collect_memory: float


class BatchCosts(NamedTuple):
    """Costs of a short and a long document, and how often pages were paid for when the process was killed.

    Attributes:
        few: The short document.
        many: The long document.
        kills: Number of kills.
        paid: How often each page was paid for: 1 is the least.
    """

    few: BatchCost
    many: BatchCost
    kills: int
    paid: float


def measure(folder: Path, *, quick: bool = False) -> BatchCosts:
    """Measure the LangChain loader, whose batches are those of the LlamaIndex reader."""
    few, many = (FEW_PAGES // 10, MANY_PAGES // 10) if quick else (FEW_PAGES, MANY_PAGES)
    costs = [_measure_document(folder, pages) for pages in (few, many)]
    return BatchCosts(costs[0], costs[1], KILLS, _measure_kills(folder))


def _measure_document(folder: Path, pages: int) -> BatchCost:
    scan, cache = folder / f"batch-{pages}.pdf", folder / f"cache-{pages}"
    _run_operation("draw", scan, pages)
    with _start_operation("serve") as server:
        host = _read_host(server)
        seconds, submit_memory = json.loads(_run_operation("submit", scan, cache, host))
        collect_memory = json.loads(_run_operation("collect", scan, cache, host))
        size, counts = json.loads(server.communicate("\n")[0])
    assert counts == {"1": pages}
    return BatchCost(pages, pages / seconds, size / 1e6, submit_memory, collect_memory)


def _measure_kills(folder: Path) -> float:
    """Kill the process again and again, later each time, until a run ends by itself; return the payments per page."""
    scan, cache = folder / "killed.pdf", folder / "killed"
    _run_operation("draw", scan, _KILLED_PAGES)
    with _start_operation("serve") as server:
        host = _read_host(server)
        start = time.monotonic()
        _run_operation("submit", scan, folder / "unkilled", host)
        whole = time.monotonic() - start
        server.communicate("\n")
    with _start_operation("serve") as server:
        host = _read_host(server)
        for kill in range(KILLS):
            with _start_operation("submit", scan, cache, host) as process:
                time.sleep(whole * (0.4 + 0.7 * kill / KILLS))  # the first half imports modules
                process.kill()
        for operation in ("submit", "collect"):
            _run_operation(operation, scan, cache, host)
        _, counts = json.loads(server.communicate("\n")[0])
    payments: int = sum(int(times) * pages for times, pages in counts.items())
    return payments / _KILLED_PAGES


def _read_host(server: subprocess.Popen[str]) -> str:
    assert server.stdout
    return f"http://127.0.0.1:{server.stdout.readline().strip()}"


def _start_operation(*arguments: Any) -> subprocess.Popen[str]:
    command = [str(python_path("ours")), "-m", "bench.batch_files", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=build_process_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _run_operation(*arguments: Any) -> str:
    with _start_operation(*arguments) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    return output


class _Handler(BaseHTTPRequestHandler):
    """Stores files and answers batches; answers are made when they are read, so that the server's memory is small."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[list[list[str]]] = []  # custom ids
    size: ClassVar[int] = 0
    batches: ClassVar[list[int]] = []  # numbers of the files

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/files"):
            lines = [json.loads(line) for line in data.split(b"\n") if line.startswith(b'{"custom_id"')]
            self.files.append([line["custom_id"] for line in lines])
            type(self).size += len(data)
            self._send({"id": f"file-{len(self.files) - 1}"})
        else:
            self.batches.append(int(json.loads(data)["input_file_id"].removeprefix("file-")))
            self._send(self._describe(len(self.batches) - 1))

    def do_GET(self) -> None:
        if "/content" in self.path:
            number = int(self.path.split("/")[-2].removeprefix("output-"))
            self._write(b"".join(map(_build_answer, self.files[number])))
        elif "/batches/" in self.path:
            self._send(self._describe(int(self.path.split("batch-")[1])))
        else:
            self._send({"data": [self._describe(number) for number in range(len(self.batches))]})

    def _describe(self, number: int) -> dict[str, Any]:
        file = self.batches[number]
        counts = {"total": len(self.files[file]), "completed": len(self.files[file]), "failed": 0}
        return {
            "id": f"batch-{number}", "status": "completed", "request_counts": counts, "created_at": number,
            "input_file_id": f"file-{file}", "output_file_id": f"output-{file}", "error_file_id": None,
        }  # fmt: skip

    def _send(self, payload: Any) -> None:
        self._write(json.dumps(payload).encode())

    def _write(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def _build_answer(custom_id: str) -> bytes:
    text = f'<div data-bbox="1 1 9 9">{"A page of words, about three thousand characters long. " * 55}</div>'
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    response = {"status_code": 200, "request_id": "r", "body": {"model": MODEL, "choices": [choice]}}
    return json.dumps({"id": "1", "custom_id": custom_id, "response": response, "error": None}).encode() + b"\n"


def _serve() -> None:
    """Print the port; after a line of input, print the bytes, and by number of payments the number of pages."""
    from threading import Thread

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.readline()
    paid = Counter(custom_id for number in _Handler.batches for custom_id in _Handler.files[number])
    print(json.dumps([_Handler.size, Counter(map(str, paid.values()))]), flush=True)


def _draw_scan(file: str, pages: str) -> None:
    """Draw a PDF whose pages share a picture of text, each with its number."""
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("L", _SIZE, 250)
    canvas = ImageDraw.Draw(page)
    for y in range(80, 1220, 22):
        canvas.text((90, y), "the words of a scanned page, line after line of them, " * 3, fill=40)
    font = ImageFont.load_default(40)

    def draw(number: int) -> Image.Image:
        numbered = page.copy()
        ImageDraw.Draw(numbered).text((450, 20), f"Page {number}", fill=0, font=font)
        return numbered

    count = int(pages)
    draw(1).save(file, "PDF", save_all=True, append_images=map(draw, range(2, count + 1)), resolution=120)


def _build_loader(file: str, cache: str, host: str) -> Any:
    from langchain_qwenvl import ChatQwenVL, QwenVLLoader

    llm = ChatQwenVL(model=MODEL, base_url=host + API_PATHS["openai"], api_key="k", provider="model-studio")
    return QwenVLLoader(file, llm=llm, cache_dir=cache)


def _submit(file: str, cache: str, host: str) -> None:
    """Submit all pages, and print the seconds and the growth of the memory in MB."""
    from bench.worker import measure_peak_memory

    loader = _build_loader(file, cache, host)
    start = time.perf_counter()
    memory = measure_peak_memory(loader.submit_batch)
    print(json.dumps([time.perf_counter() - start, memory / 1e6]))


def _collect(file: str, cache: str, host: str) -> None:
    """Collect the answers, and print the growth of the memory in MB."""
    from bench.worker import measure_peak_memory

    loader = _build_loader(file, cache, host)
    print(measure_peak_memory(lambda: loader.collect_batch(wait=True)) / 1e6)


_OPERATIONS: dict[str, Callable[..., None]] = {
    "serve": _serve,
    "draw": _draw_scan,
    "submit": _submit,
    "collect": _collect,
}

if __name__ == "__main__":
    _OPERATIONS[sys.argv[1]](*sys.argv[2:])
