"""`make demo`: run the examples, live with a key, and replayed from bundled cassettes without one."""

import os

from tests.support.scenarios import DEMO
from tests.support.vcr_config import provenance_of, replayed


def main() -> None:
    """Run each example, and print whether its replies are live or come from a cassette."""
    live = bool(os.environ.get("DASHSCOPE_API_KEY"))
    if not live:
        print("DASHSCOPE_API_KEY is not set: replaying bundled cassettes. No model is called.")
    for scenario in DEMO:
        print(f"\n── {scenario.title} " + "─" * max(0, 90 - len(scenario.title)))
        if live:
            scenario.run()
            continue
        source = provenance_of(scenario.name)
        replies = "replies of a live model" if source == "live" else "replies scripted for the project's emulator"
        print(f"(cassettes/{scenario.name}.yaml, recorded from: {source}; {replies})\n")
        with replayed(scenario.name):
            scenario.run()


if __name__ == "__main__":
    main()
