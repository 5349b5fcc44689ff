"""The tables: ratios with their spread, and which figures are reached."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions

from bench.import_cost import TABLE as IMPORTS
from bench.import_cost import Static
from bench.libraries import BASELINE, CONTENDERS
from bench.metrics import GOAL_OWN_MS, GOAL_PAGES, GOALS, Cell
from bench.page_rendering import FEW, MANY, Scans
from bench.page_rendering import TABLE as SCANS
from bench.venvs import SHOWN, site_packages

Results = Mapping[Cell, Mapping[str, Sequence[float]]]
"""The values of each contender in each cell, one for each repetition."""


def tables(results: Results, statics: Sequence[Static], scans: Scans | None) -> str:
    """All tables, in Markdown."""
    titles = dict.fromkeys(cell.table for cell in results)
    blocks = [f"## {title}\n\n{_table({c: row for c, row in results.items() if c.table == title})}" for title in titles]
    if statics:
        blocks.append(f"## {IMPORTS}\n\n{_statics(statics)}")
    if scans:
        blocks.append(f"## {SCANS}\n\n{_scans(scans)}")
    return "\n\n".join((*blocks, f"## Figures to reach\n\n{_goals(results, statics, scans)}"))


def _table(cells: Results) -> str:
    names = [name for name in CONTENDERS if any(row.get(name) for row in cells.values())]
    rows = [[name, *(_shown(cell, row, name) for cell, row in cells.items())] for name in names]
    return _grid([["", *(cell.column for cell in cells)], *rows])


def _shown(cell: Cell, row: Mapping[str, Sequence[float]], name: str) -> str:
    if not row.get(name):
        return "–"
    if name == BASELINE and not cell.absolute:
        return f"1 = {cell.unit.format(statistics.median(row[name]))}"
    return _spread(ratios(cell, row, name))


def _spread(figures: Sequence[float]) -> str:
    """Median, p25 and p75."""
    spread = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else []
    return f"**{statistics.median(figures):.2f}**" + (f" ({spread[0]:.2f}–{spread[2]:.2f})" if spread else "")


def ratios(cell: Cell, row: Mapping[str, Sequence[float]], name: str) -> list[float]:
    """To the baseline within the same repetition; or the values, where they stand for themselves."""
    if cell.absolute:
        return list(row[name])
    return [value / base for value, base in zip(row[name], row[BASELINE], strict=True)]


def _statics(statics: Sequence[Static]) -> str:
    head = ["", "self time of our modules", "CPU beyond the framework's import", "modules", "SDKs loaded", "installed"]
    rows = [
        [
            static.name,
            "–" if static.own_ms is None else f"{static.own_ms:.0f} ms",
            f"{static.beyond_ms:.0f} ms",
            str(static.modules),
            ", ".join(static.sdks) or "none",
            f"{static.megabytes:.0f} MB in {static.distributions} distributions",
        ]
        for static in statics
    ]
    return _grid([head, *rows])


def _scans(scans: Scans) -> str:
    png, ours = statistics.median(scans.png), statistics.median(scans.ours)
    speed = _grid(
        [
            ["", "pages/s", "ratio"],
            ["200 DPI, PNG (pypdfium2, Pillow)", f"{png:.1f}", "1"],
            ["as the model sees it, JPEG (ours)", f"{ours:.1f}", _spread(scans.speedups)],
        ]
    )
    memory = _grid(
        [
            ["loader's peak memory, MB over its start", f"{FEW} pages", f"{MANY} pages"],
            *([f"max_concurrency={row.max_concurrency}", f"{row.few:.0f}", f"{row.many:.0f}"] for row in scans.loading),
        ]
    )
    return f"{speed}\n\n{memory}"


def _goals(results: Results, statics: Sequence[Static], scans: Scans | None) -> str:
    cells = {(cell.table, cell.column): cell for cell in results}
    rows = [["", "of", "to reach", "measured", ""]]
    for goal in GOALS:
        cell = cells.get((goal.table, goal.column))
        if cell is None or not results[cell].get(goal.who):
            continue
        median = statistics.median(ratios(cell, results[cell], goal.who))
        limit = f"{goal.sign} {goal.limit:.2f}"
        rows.append([f"{goal.table}: {goal.column}", goal.who, limit, f"{median:.3f}", _verdict(goal.reached(median))])
    for static in statics:
        if static.own_ms is not None:
            verdict = _verdict(static.own_ms <= GOAL_OWN_MS and not static.sdks)
            limit, measured = f"≤ {GOAL_OWN_MS:.0f} ms, no SDK", f"{static.own_ms:.0f} ms"
            rows.append(["Import: self time of our modules", static.name, limit, measured, verdict])
    if scans:
        times = statistics.median(scans.speedups)
        verdict = _verdict(times >= GOAL_PAGES)
        rows.append(["Scanned pages: pages/s over the PNG way", "both", f"≥ {GOAL_PAGES:.0f}", f"{times:.1f}", verdict])
    return _grid(rows)


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join((lines[0], _line("-" * width for width in widths), *lines[1:]))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def versions() -> str:
    """What is installed in each environment, of what matters here."""
    lines = []
    for environment in dict.fromkeys(contender.environment for contender in CONTENDERS.values()):
        installed = {
            found.name.lower(): found.version for found in distributions(path=[str(site_packages(environment))])
        }
        shown = ", ".join(f"{name} {installed[name]}" for name in SHOWN if name in installed)
        lines.append(f"- `{environment}`: {shown}")
    return "\n".join(lines)


def document(body: str, minutes: float) -> str:
    """The report, with what is needed to read it and to do it again."""
    return f"""# What the adapters cost

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}; it took {minutes:.0f} minutes. `make bench ARGS=--quick` prints
a short run in two, `make bench ARGS="--only NAME"` one contender or table.

A loopback server in a process of its own streams replies that were rendered beforehand: events of about 300 bytes, half
of them reasoning and half answer, each an HTTP chunk of its own. Each contender has an environment and a process of its
own. In each repetition all of them are measured one after the other in random order, and divided by what the bare
openai SDK took in the same repetition: a cell is the **median** of these ratios (and p25–p75). The SDK's own row
has the absolute value. CPU is that of all threads, user and system; every reader looks at the words of each
chunk. "Native" is DashScope's own API, the others speak the OpenAI-compatible one. The bare frameworks are fed with
chunks that were made beforehand, and read from no wire. Tracing is off.

Machine: {os.cpu_count()} cores, {_processor()}, {platform.system()}, Python {platform.python_version()}. It was shared
with other work: trust the ratios more than the times.

{versions()}

{body}
"""


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
