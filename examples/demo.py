"""`make demo`: the examples, live with a key, and replayed from bundled cassettes without one."""

import os

from tests.support.scenarios import DEMO
from tests.support.vcr_config import provenance_of, replayed


def main() -> None:
    """Run each example, and say whether a model is asked or a cassette is replayed."""
    live = bool(os.environ.get("DASHSCOPE_API_KEY"))
    if not live:
        print("DASHSCOPE_API_KEY is not set: no model is asked. What follows is replayed from bundled cassettes.")
    for scenario in DEMO:
        print(f"\n── {scenario.title} " + "─" * max(0, 90 - len(scenario.title)))
        if live:
            scenario.run()
            continue
        source = provenance_of(scenario.name)
        words = "a live model's words" if source == "live" else "words scripted for the project's emulator"
        print(f"(cassettes/{scenario.name}.yaml, recorded from: {source}; {words})\n")
        with replayed(scenario.name):
            scenario.run()


if __name__ == "__main__":
    main()
