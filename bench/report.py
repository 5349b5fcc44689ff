"""Format the tables: ratios with their spread, and the goals that are reached."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions

from bench import batch_files, embedding_requests, import_cost, page_rendering, retrieval_comparison
from bench.batch_files import BatchCosts
from bench.embedding_requests import FEW_PICTURES, MANY_PICTURES, TEXTS, EmbeddingCost
from bench.import_cost import ImportCost
from bench.libraries import BASELINE, LIBRARIES
from bench.metrics import (
    GOALS,
    MAX_BATCH_GROWTH_MB,
    MAX_EMBEDDING_GROWTH_MB,
    MAX_OWN_IMPORT_MS,
    MIN_PAGE_SPEEDUP,
    Metric,
)
from bench.page_rendering import FEW_PAGES, MANY_PAGES, PageRates
from bench.venvs import PACKAGES, REPORTED_PACKAGES, find_site_packages

Results = Mapping[Metric, Mapping[str, Sequence[float]]]
"""The values of each metric by library, one for each repetition."""


def format_tables(
    results: Results,
    import_costs: Sequence[ImportCost],
    page_rates: PageRates | None,
    embedding_costs: Sequence[EmbeddingCost],
    retrieval_rows: Sequence[Sequence[str]],
    batch_costs: BatchCosts | None,
) -> str:
    """Format all tables in Markdown."""
    titles = dict.fromkeys(metric.table for metric in results)
    sections = [
        f"## {title}\n\n{_format_metrics({metric: row for metric, row in results.items() if metric.table == title})}"
        for title in titles
    ]
    if import_costs:
        sections.append(f"## {import_cost.TABLE}\n\n{_format_import_costs(import_costs)}")
    if page_rates:
        sections.append(f"## {page_rendering.TABLE}\n\n{_format_page_rates(page_rates)}")
    if embedding_costs:
        sections.append(f"## {embedding_requests.TABLE}\n\n{_format_embedding_costs(embedding_costs)}")
    if retrieval_rows:
        grid = _format_grid([retrieval_comparison.HEAD, *retrieval_rows])
        sections.append(f"## {retrieval_comparison.TABLE}\n\n{retrieval_comparison.NOTE}\n\n{grid}")
    if batch_costs:
        sections.append(f"## {batch_files.TABLE}\n\n{_format_batch_costs(batch_costs)}")
    goals = [
        *_build_goals(results, import_costs, page_rates),
        *_build_embedding_goals(embedding_costs),
        *_build_batch_goals(batch_costs),
    ]
    return "\n\n".join((*sections, f"## Goals\n\n{_format_grid(goals)}"))


def _format_metrics(results: Results) -> str:
    names = [name for name in LIBRARIES if any(row.get(name) for row in results.values())]
    rows = [[name, *(_format_cell(metric, row, name) for metric, row in results.items())] for name in names]
    return _format_grid([["", *(metric.column for metric in results)], *rows])


def _format_cell(metric: Metric, row: Mapping[str, Sequence[float]], name: str) -> str:
    if not row.get(name):
        return "–"
    if name == BASELINE and not metric.is_absolute:
        return f"1 = {metric.unit.format(statistics.median(row[name]))}"
    return _format_spread(compute_figures(metric, row, name))


def _format_spread(figures: Sequence[float]) -> str:
    """Format the median, p25 and p75."""
    quartiles = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else []
    return f"**{statistics.median(figures):.2f}**" + (f" ({quartiles[0]:.2f}–{quartiles[2]:.2f})" if quartiles else "")


def compute_figures(metric: Metric, row: Mapping[str, Sequence[float]], name: str) -> list[float]:
    """Return the ratios to the baseline within the same repetition; for an absolute metric, the values."""
    if metric.is_absolute:
        return list(row[name])
    return [value / base for value, base in zip(row[name], row[BASELINE], strict=True)]


def _format_import_costs(costs: Sequence[ImportCost]) -> str:
    head = ["", "self time of our modules", "CPU beyond the framework's import", "modules", "SDKs loaded", "installed"]
    rows = [
        [
            cost.name,
            "–" if cost.own_ms is None else f"{cost.own_ms:.0f} ms",
            f"{cost.cpu_ms:.0f} ms",
            str(cost.modules),
            ", ".join(cost.sdks) or "none",
            f"{cost.megabytes:.0f} MB in {cost.distributions} distributions",
        ]
        for cost in costs
    ]
    return _format_grid([head, *rows])


def _format_page_rates(rates: PageRates) -> str:
    png, ours = statistics.median(rates.png), statistics.median(rates.ours)
    speed = _format_grid(
        [
            ["", "pages/s", "ratio"],
            ["200 DPI, PNG (pypdfium2, Pillow)", f"{png:.1f}", "1"],
            ["size of the model's input, JPEG (ours)", f"{ours:.1f}", _format_spread(rates.speedups)],
        ]
    )
    memory_rows = [
        [f"max_concurrency={row.max_concurrency}", f"{row.few_pages:.0f}", f"{row.many_pages:.0f}"]
        for row in rates.loader_memory
    ]
    head = ["loader's peak memory over that at its start, MB", f"{FEW_PAGES} pages", f"{MANY_PAGES} pages"]
    return f"{speed}\n\n{_format_grid([head, *memory_rows])}"


def _format_embedding_costs(costs: Sequence[EmbeddingCost]) -> str:
    few, many = (f"peak memory, MB: {count} pictures of 1 MB" for count in (FEW_PICTURES, MANY_PICTURES))
    head = ["", f"requests for {TEXTS:,} texts and {MANY_PICTURES} pictures", "over the least possible", few, many]
    rows = [
        [cost.library, str(cost.requests), f"{cost.ratio:.2f}", f"{cost.few_pictures:.0f}", f"{cost.many_pictures:.0f}"]
        for cost in costs
    ]
    return _format_grid([head, *rows])


def _format_batch_costs(costs: BatchCosts) -> str:
    head = ["", "pages/s prepared", "uploaded", "peak memory, MB: submission", "peak memory, MB: collection"]
    rows = [
        [
            f"{cost.pages:,} pages",
            f"{cost.rate:.1f}",
            f"{cost.megabytes:.0f} MB",
            f"{cost.submit_memory:.0f}",
            f"{cost.collect_memory:.0f}",
        ]
        for cost in (costs.few, costs.many)
    ]
    return _format_grid([head, *rows])


def _build_batch_goals(costs: BatchCosts | None) -> list[list[str]]:
    if costs is None:
        return []
    growth = max(
        costs.many.submit_memory - costs.few.submit_memory, costs.many.collect_memory - costs.few.collect_memory
    )
    limit, verdict = f"≤ {MAX_BATCH_GROWTH_MB:.0f} MB", _format_verdict(growth <= MAX_BATCH_GROWTH_MB)
    pages = costs.many.pages - costs.few.pages
    paid = f"Batch files: payments for a page, after {costs.kills} kills"
    return [
        [f"Batch files: memory for {pages:,} pages more", "both", limit, f"{growth:.0f} MB", verdict],
        [paid, "both", "1.00", f"{costs.paid:.2f}", _format_verdict(costs.paid == 1)],
    ]


def _build_embedding_goals(costs: Sequence[EmbeddingCost]) -> list[list[str]]:
    rows = []
    for cost in costs:
        growth = cost.many_pictures - cost.few_pictures
        verdicts = [_format_verdict(cost.ratio <= 1), _format_verdict(growth <= MAX_EMBEDDING_GROWTH_MB)]
        name, limit = "Embeddings: requests over the least possible", f"≤ {MAX_EMBEDDING_GROWTH_MB:.0f} MB"
        rows.append([name, cost.library, "1.00", f"{cost.ratio:.2f}", verdicts[0]])
        rows.append(["Embeddings: memory for 150 pictures more", cost.library, limit, f"{growth:.0f} MB", verdicts[1]])
    return rows


def _build_goals(results: Results, import_costs: Sequence[ImportCost], page_rates: PageRates | None) -> list[list[str]]:
    metrics = {(metric.table, metric.column): metric for metric in results}
    rows = [["", "library", "goal", "measured", ""]]
    for goal in GOALS:
        metric = metrics.get((goal.table, goal.column))
        if metric is None or not results[metric].get(goal.library):
            continue
        median = statistics.median(compute_figures(metric, results[metric], goal.library))
        limit, verdict = f"{goal.sign} {goal.limit:.2f}", _format_verdict(goal.is_reached(median))
        rows.append([f"{goal.table}: {goal.column}", goal.library, limit, f"{median:.3f}", verdict])
    for cost in import_costs:
        if cost.own_ms is not None:
            verdict = _format_verdict(cost.own_ms <= MAX_OWN_IMPORT_MS and not cost.sdks)
            limit, measured = f"≤ {MAX_OWN_IMPORT_MS:.0f} ms, no SDK", f"{cost.own_ms:.0f} ms"
            rows.append(["Import: self time of our modules", cost.name, limit, measured, verdict])
    if page_rates:
        speedup = statistics.median(page_rates.speedups)
        limit, verdict = f"≥ {MIN_PAGE_SPEEDUP:.0f}", _format_verdict(speedup >= MIN_PAGE_SPEEDUP)
        rows.append(["Scanned pages: pages/s, ours over PNG", "both", limit, f"{speedup:.1f}", verdict])
    return rows


def _format_verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "**not reached**"


def _format_grid(rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_format_line(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join((lines[0], _format_line("-" * width for width in widths), *lines[1:]))


def _format_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def format_versions() -> str:
    """List the versions of `REPORTED_PACKAGES` in each environment."""
    lines = []
    for venv in PACKAGES:
        found = distributions(path=[str(find_site_packages(venv))])
        versions = {distribution.name.lower(): distribution.version for distribution in found}
        packages = ", ".join(f"{name} {versions[name]}" for name in REPORTED_PACKAGES if name in versions)
        lines.append(f"- `{venv}`: {packages}")
    return "\n".join(lines)


def format_report(tables: str, minutes: float) -> str:
    """Add to the tables what is needed to read and to reproduce them."""
    return f"""# The overhead of the adapters

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d} in {minutes:.0f} minutes. `make bench ARGS=--quick` prints a
short run in two minutes, `make bench ARGS="--only NAME"` one library or table.

A loopback server in a process of its own streams replies that were rendered beforehand: events of about 300 bytes, half
of them reasoning and half answer, each an HTTP chunk of its own. Each library has an environment and a process of its
own. Each repetition measures all of them one after the other in random order, and divides by the result of the bare
openai SDK in the same repetition: a cell is the **median** of these ratios (and p25–p75). The row of the SDK has the
absolute value. CPU is that of all threads, user and system; the text of every chunk is read. "Native" is DashScope's
own API, the others use the OpenAI-compatible one. The bare frameworks stream chunks that were created beforehand,
without a connection. Tracing is off.

Machine: {os.cpu_count()} cores, {_read_processor()}, {platform.system()}, Python {platform.python_version()}. It was
shared with other work, so the ratios are more reliable than the times.

{format_versions()}

{tables}
"""


def _read_processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()
