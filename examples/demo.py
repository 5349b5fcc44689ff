"""`make demo`: run the examples, live with a key, and replayed from bundled cassettes without one.

`make demo PROVIDER=llama.cpp` runs one against llama.cpp's own HTTP server with a tiny model instead.
"""

import os

from examples import own_server
from tests.support import llama_server
from tests.support.scenarios import DEMO
from tests.support.vcr_config import provenance_of, replayed


def main() -> None:
    """Run each example, and print whether its replies are live or come from a cassette."""
    if os.environ.get("PROVIDER"):
        run_own_server(os.environ["PROVIDER"])
        return
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


def run_own_server(provider: str) -> None:
    """Start llama.cpp's server with a tiny model that writes one fixed text, and run the example of own servers."""
    if provider != "llama.cpp":
        print(f"PROVIDER={provider}: the demo has one server of its own, llama.cpp.")
        return
    if not llama_server.is_available():
        print(f"{llama_server.REASON}.")
        return
    print("llama.cpp's own HTTP server, with a tiny model that writes one fixed text:")
    with llama_server.serve("hello") as server:
        own_server.main(server.base_url)


if __name__ == "__main__":
    main()
