"""`make record`: write the cassettes anew, live when there is a key, from the emulator when there is none."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.emulator import Emulator
from tests.support.scenarios import SCENARIOS, Scenario
from tests.support.standard_suite_replies import FILE, SUITES
from tests.support.vcr_config import path_of, recorded


def record_from_emulator(scenario: Scenario, path: os.PathLike[str] | None = None) -> None:
    """Write a scenario's cassette from the emulator, which says the scenario's replies."""
    with Emulator() as server:
        server.script(*scenario.replies)
        with recorded(path or path_of(scenario.name), emulator=server):
            scenario.run()


def record_suite(name: str) -> None:
    """Write the cassette of LangChain's own suite, which runs under pytest alone; the network is open for once."""
    options = ["-q", "-o", "addopts=", "--benchmark-disable", "--record"]
    subprocess.run([sys.executable, "-m", "pytest", *options, f"{FILE}::{SUITES[name]}"], check=True)


def main() -> None:
    """Record all scenarios, or those named on the command line."""
    live = bool(os.environ.get("DASHSCOPE_API_KEY"))
    say = sys.stdout.write
    if not live:
        say("DASHSCOPE_API_KEY is not set: recording from the project's emulator (provenance: emulator).\n")
    for name in sys.argv[1:] or [*SCENARIOS, *SUITES]:
        if name in SUITES:
            record_suite(name)
        elif live:
            with recorded(path_of(name)):
                SCENARIOS[name].run()
        else:
            record_from_emulator(SCENARIOS[name])
        say(f"cassettes/{name}.yaml\n")


if __name__ == "__main__":
    main()
