"""Run `make soak` for a second: many concurrent streams from a service that fails at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.soak import ResourceUsage, SoakReport, soak
from qwenvl_core.transport import retry


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads resource usage from /proc, as on Linux")
def test_soak_ends_every_request_and_frees_all_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_DELAY", 0.01)
    report = soak(streams=32, seconds=1.0, timeout=0.3)
    assert report.find_faults() == []
    assert len(report.outcomes) > 3
    assert report.outcomes.total() >= 32


BEFORE = ResourceUsage(sockets=1, threads=2, objects=1000, memory=10**8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"failures": ["Wrong answer: ''."]}, "Wrong answer"),
        ({"after": BEFORE._replace(sockets=3)}, "2 sockets"),
        ({"after": BEFORE._replace(threads=3)}, "1 threads"),
        ({"after": BEFORE._replace(objects=2000)}, "1,000 more objects"),
        ({"after": BEFORE._replace(memory=2 * 10**8)}, "100.0 MB"),
        ({"tasks": 4}, "4 tasks"),
        ({"server_stats": {"open_connections": 5}}, "5 open connections"),
    ],
)
def test_report_with_one_fault_names_it(changes: dict[str, Any], message: str) -> None:
    report = SoakReport(before=BEFORE, after=BEFORE._replace(objects=1050), server_stats={"open_connections": 0})
    report.outcomes["answer"] = 7
    assert report.find_faults() == []
    (fault,) = replace(report, **changes).find_faults()
    assert message in fault
