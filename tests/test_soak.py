"""A short soak of what `make soak` does for a minute: many streams at a time, from a service that fails at random."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from bench.soak import Level, Report, soak
from qwenvl_core.transport import retry


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts what Linux tells in /proc")
def test_every_request_ends_and_nothing_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.01)
    report = soak(streams=32, seconds=1.0, patience=0.3)
    assert report.faults() == []
    assert len(report.ended) > 3
    assert report.ended.total() >= 32


GOOD = Report(before=Level(1, 2, 1000, 10**8), after=Level(1, 2, 1050, 10**8), served={"open": 0})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"wrong": ["An answer is ''."]}, "An answer"),
        ({"after": Level(3, 2, 1000, 10**8)}, "2 sockets"),
        ({"after": Level(1, 3, 1000, 10**8)}, "1 threads"),
        ({"after": Level(1, 2, 2000, 10**8)}, "1,000 more objects"),
        ({"after": Level(1, 2, 1000, 2 * 10**8)}, "100.0 MB"),
        ({"tasks": 4}, "4 tasks"),
        ({"served": {"open": 5}}, "5 open connections"),
    ],
)
def test_what_a_soak_finds(bad: dict[str, object], said: str) -> None:
    GOOD.ended["answer"] = 7
    assert GOOD.faults() == []
    (found,) = replace(GOOD, **bad).faults()  # type: ignore[arg-type]
    assert said in found
