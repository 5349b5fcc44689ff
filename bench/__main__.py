"""`python -m bench`: build the environments, measure all libraries interleaved, print the tables, write RESULTS.md."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import batch_files, embedding_requests, import_cost, page_rendering, report, retrieval_comparison, venvs
from bench.libraries import BASELINE, LIBRARIES
from bench.metrics import AGENT, MEMORY, METRICS, Metric
from bench.worker_process import WorkerProcess

_IMAGES = 20
_AGENT_IMAGES = 10
_IMAGE_BYTES = 5_000_000
_JPEG_HEADER = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"  # random bytes follow it

TABLES = (
    *dict.fromkeys(metric.table for metric in METRICS),
    import_cost.TABLE,
    page_rendering.TABLE,
    embedding_requests.TABLE,
    retrieval_comparison.TABLE,
    batch_files.TABLE,
)


class Benchmark:
    """One run: the server, a worker for each library, and the measured values."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._server = WorkerProcess("ours", "bench.load_server")
        self._host = f"http://127.0.0.1:{self._server.greeting['port']}"
        self._workers = {name: self._start_worker(name) for name in names}
        for name in names:
            if "import_error" in self._workers[name].greeting:
                print(f"{name}: skipped: {self._workers.pop(name).greeting['import_error']}")
        self._folder = folder
        self.results: dict[Metric, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def measure(self, metric: Metric) -> None:
        """Measure one repetition of a metric: all libraries, in random order."""
        for name in random.sample(list(self._workers), len(self._workers)):
            if name not in metric.excluded:
                worker = self._start_worker(name) if metric.has_fresh_process else self._workers[name]
                figure = self._measure_figure(metric, worker)
                if metric.has_fresh_process:
                    worker.close()
                if figure is not None:
                    self.results[metric][name].append(figure)

    def warm_up(self) -> None:
        """Open the connections, and let each library build what it builds only once."""
        for worker in self._workers.values():
            for mode in ("stream", "astream", "invoke"):
                self._server.request({"chunks": 200})
                worker.request({"operation": "cpu", "mode": mode, "chunks": 200, "rounds": 2})

    def close(self) -> None:
        """End all processes."""
        for process in (*self._workers.values(), self._server):
            process.close()

    def _start_worker(self, name: str) -> WorkerProcess:
        return WorkerProcess(LIBRARIES[name].venv, "bench.worker", name, self._host)

    def _measure_figure(self, metric: Metric, worker: WorkerProcess) -> float | None:
        count = {MEMORY: _IMAGES, AGENT: _AGENT_IMAGES}.get(metric.table)
        files = {"files": self._create_images()[:count]} if count else {}
        self._server.request(metric.script)
        result = worker.request({**metric.request, **files})
        return metric.compute(result, self._server.request(metric.script)["requests"])

    def _create_images(self) -> list[str]:
        files = [self._folder / f"{number}.jpg" for number in range(_IMAGES)]
        if not files[0].exists():
            for file in files:
                file.write_bytes(_JPEG_HEADER + os.urandom(_IMAGE_BYTES - len(_JPEG_HEADER)))
        return [str(file) for file in files]


def main() -> None:
    """Run the benchmark, and write RESULTS.md after a complete run."""
    arguments = _parse_arguments()
    start = time.monotonic()
    venvs.build_missing()
    with tempfile.TemporaryDirectory() as folder:
        tables = _measure_tables(arguments, Path(folder))
    print(tables)
    if not arguments.only and not arguments.quick:
        file = Path(__file__).with_name("RESULTS.md")
        file.write_text(report.format_report(tables, (time.monotonic() - start) / 60))
        print(f"\nWritten to {file.relative_to(venvs.ROOT)}.")


def _measure_tables(arguments: argparse.Namespace, folder: Path) -> str:
    quick, only = arguments.quick, arguments.only
    names = [name for name in LIBRARIES if name == BASELINE or _is_selected(name, only, LIBRARIES)]
    metrics = [metric for metric in METRICS if _is_selected(metric.table, only, TABLES)]
    if quick:
        metrics = [replace(metric, repetitions=1) for metric in metrics if metric.is_quick]
    results = _measure_metrics(metrics, names, folder) if metrics else {}
    costs = import_cost.measure(1 if quick else 3) if _is_selected(import_cost.TABLE, only, TABLES) else []
    rates = None
    if _is_selected(page_rendering.TABLE, only, TABLES) and not quick:
        rates = page_rendering.measure(5, folder, arguments.pdf)
    embeddings = embedding_requests.measure(folder) if _is_selected(embedding_requests.TABLE, only, TABLES) else []
    comparison: list[list[str]] = []
    if _is_selected(retrieval_comparison.TABLE, only, TABLES):
        comparison = retrieval_comparison.measure(embedding_requests.write_picture(folder))
    batches = batch_files.measure(folder, quick=quick) if _is_selected(batch_files.TABLE, only, TABLES) else None
    return report.format_tables(results, costs, rates, embeddings, comparison, batches)


def _measure_metrics(metrics: Sequence[Metric], names: Sequence[str], folder: Path) -> report.Results:
    benchmark = Benchmark(names, folder)
    benchmark.warm_up()
    # Each repetition measures all metrics once, so that a temporary load of the machine affects all of them.
    for repetition in range(max(metric.repetitions for metric in metrics)):
        for metric in metrics:
            if repetition < metric.repetitions:
                _show_progress(f"{repetition + 1}: {metric.table[:60]}, {metric.column}")
                benchmark.measure(metric)
    benchmark.close()
    _show_progress("")
    return benchmark.results


def _show_progress(text: str) -> None:
    """Show the current step in a line of the terminal that the next step overwrites."""
    if sys.stderr.isatty():
        print(f"\r{text:100}", end="\r", file=sys.stderr, flush=True)


def _is_selected(name: str, only: Sequence[str], names: Iterable[str]) -> bool:
    """Return whether `--only` selects `name`: by a part of it, or because it selects none of `names`."""
    parts = [part.lower() for part in only if any(part.lower() in other.lower() for other in names)]
    return not parts or any(part in name.lower() for part in parts)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few sizes, one repetition, writes no file")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="library or table; repeatable")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="scan for the page rates, instead of a drawn one")
    arguments = parser.parse_args()
    names = (*LIBRARIES, *TABLES)
    for part in arguments.only:
        if not any(part.lower() in name.lower() for name in names):
            parser.error(f"No library or table for --only: {part}. Use a part of a name: {'; '.join(names)}")
    return arguments


if __name__ == "__main__":
    main()
