"""`python -m bench`: build the environments, measure everyone interleaved, print the tables, write RESULTS.md."""

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

from bench import import_cost, page_rendering, report, venvs
from bench.libraries import BASELINE, CONTENDERS
from bench.metrics import CELLS, MEMORY, Cell
from bench.worker_process import Child

_PICTURES = 20
_PICTURE_BYTES = 5_000_000
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"  # all that is looked at


TABLES = (*dict.fromkeys(cell.table for cell in CELLS), import_cost.TABLE, page_rendering.TABLE)


class Bench:
    """One run: the server, a worker for each contender, and what was measured."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._server = Child("ours", "bench.load_server")
        self._host = f"http://127.0.0.1:{self._server.ready['port']}"
        self._workers = {name: self._worker(name) for name in names}
        for name in names:
            if "missing" in self._workers[name].ready:
                print(f"{name}: left out: {self._workers.pop(name).ready['missing']}")
        self._folder = folder
        self.results: dict[Cell, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def measure(self, cell: Cell) -> None:
        """One repetition of a cell: everyone, in random order."""
        for name in random.sample(list(self._workers), len(self._workers)):
            if name not in cell.without:
                worker = self._worker(name) if cell.fresh else self._workers[name]
                figure = self._figure(cell, worker)
                if cell.fresh:
                    worker.close()
                if figure is not None:
                    self.results[cell][name].append(figure)

    def preload(self) -> None:
        """Open the connections, and let everyone build what is built once."""
        for worker in self._workers.values():
            for how in ("stream", "astream", "whole"):
                self._server.ask({"chunks": 200})
                worker.ask({"operation": "cpu", "how": how, "chunks": 200, "rounds": 2})

    def close(self) -> None:
        for child in (*self._workers.values(), self._server):
            child.close()

    def _worker(self, name: str) -> Child:
        return Child(CONTENDERS[name].environment, "bench.worker", name, self._host)

    def _figure(self, cell: Cell, worker: Child) -> float | None:
        files = {"files": self._pictures()} if cell.table == MEMORY else {}
        self._server.ask(cell.script)
        answer = worker.ask({**cell.question, **files})
        return cell.metric(answer, self._server.ask(cell.script)["seen"])

    def _pictures(self) -> list[str]:
        files = [self._folder / f"{number}.jpg" for number in range(_PICTURES)]
        if not files[0].exists():
            for file in files:
                file.write_bytes(_JPEG + os.urandom(_PICTURE_BYTES - len(_JPEG)))
        return [str(file) for file in files]


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    venvs.make()
    with tempfile.TemporaryDirectory() as folder:
        body = _tables(arguments, Path(folder))
    print(body)
    if not arguments.only and not arguments.quick:
        file = Path(__file__).with_name("RESULTS.md")
        file.write_text(report.document(body, (time.monotonic() - began) / 60))
        print(f"\nWritten to {file.relative_to(venvs.ROOT)}.")


def _tables(arguments: argparse.Namespace, folder: Path) -> str:
    quick, only = arguments.quick, arguments.only
    names = [name for name in CONTENDERS if name == BASELINE or _asked(name, only, CONTENDERS)]
    cells = [cell for cell in CELLS if _asked(cell.table, only, TABLES)]
    if quick:
        cells = [replace(cell, repetitions=1) for cell in cells if cell.quick]
    results = _results(cells, names, folder) if cells else {}
    imports = import_cost.measured(1 if quick else 3) if _asked(import_cost.TABLE, only, TABLES) else []
    scans = None
    if _asked(page_rendering.TABLE, only, TABLES) and not quick:
        scans = page_rendering.measured(5, folder, arguments.pdf)
    return report.tables(results, imports, scans)


def _results(cells: Sequence[Cell], names: Sequence[str], folder: Path) -> report.Results:
    bench = Bench(names, folder)
    bench.preload()
    # Each repetition measures all cells once, so that whatever else the machine does falls on all of them.
    for repetition in range(max(cell.repetitions for cell in cells)):
        for cell in cells:
            if repetition < cell.repetitions:
                _say(f"{repetition + 1}: {cell.table[:60]}, {cell.column}")
                bench.measure(cell)
    bench.close()
    _say("")
    return bench.results


def _say(doing: str) -> None:
    """What is being done, in one line of a terminal that the next overwrites."""
    if sys.stderr.isatty():
        print(f"\r{doing:100}", end="\r", file=sys.stderr, flush=True)


def _asked(name: str, only: Sequence[str], known: Iterable[str]) -> bool:
    """Whether `--only` leaves `name` in: nothing of its kind was named, or it was."""
    wanted = [part for part in only if any(part.lower() in one.lower() for one in known)]
    return not wanted or any(part.lower() in name.lower() for part in wanted)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few sizes, one repetition, nothing written")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="contenders or tables; repeatable")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="a scan for the page rates, instead of a drawn one")
    arguments = parser.parse_args()
    known = [name.lower() for name in (*CONTENDERS, *TABLES)]
    for name in arguments.only:
        if not any(name.lower() in one for one in known):
            parser.error(f"--only {name}: there is no such contender or table")
    return arguments


if __name__ == "__main__":
    main()
