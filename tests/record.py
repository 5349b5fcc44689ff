"""Record the cassettes again (`make record`): live if there is a key, else from the emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.emulator import Emulator
from tests.support.pictures import shrink
from tests.support.scenario import Scenario
from tests.support.scenarios import SCENARIOS
from tests.support.standard_suite_replies import FILE, SUITES
from tests.support.vcr_config import path_of, recorded


def record_from_emulator(scenario: Scenario, path: Path | None = None) -> None:
    """Record the cassette of a scenario from the emulator with the replies of the scenario."""
    with Emulator() as server:
        server.script(*scenario.replies)
        server.eyes.shrink = shrink
        for picture, caption in scenario.describe_pictures():
            server.eyes.learn(picture, caption)
        with recorded(path or path_of(scenario.name), emulator=server):
            scenario.run()


def record_suite(name: str) -> None:
    """Record a cassette of LangChain's own suite, under pytest with access to the network."""
    options = ["-q", "-o", "addopts=", "--benchmark-disable", "--record"]
    subprocess.run([sys.executable, "-m", "pytest", *options, f"{FILE}::{SUITES[name]}"], check=True)


def main() -> None:
    """Record all scenarios, or those named on the command line."""
    live = bool(os.environ.get("DASHSCOPE_API_KEY"))
    report = sys.stdout.write
    if not live:
        report("DASHSCOPE_API_KEY is not set: recording from the project's emulator (provenance: emulator).\n")
    names = sys.argv[1:] or [*SCENARIOS, *SUITES]
    if unknown := [name for name in names if name not in SCENARIOS and name not in SUITES]:
        sys.exit(f"Unknown cassettes: {', '.join(unknown)}. Known: {', '.join([*SCENARIOS, *SUITES])}.")
    for name in names:
        if name in SUITES:
            record_suite(name)
        elif live:
            with recorded(path_of(name)):
                SCENARIOS[name].run()
        else:
            record_from_emulator(SCENARIOS[name])
        report(f"cassettes/{name}.yaml\n")


if __name__ == "__main__":
    main()
