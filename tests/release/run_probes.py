"""Run probes in an environment with one extra: `python -m tests.release.run_probes packages` or `snippets`.

The packages are probed with nothing but the project installed, the snippets with vcrpy and PyYAML too. Each probe
prints a line of JSON: its name, and what went wrong or `null`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from tests.release.probes import Probe, check_probe


def find_probes(kind: str) -> Iterable[Probe]:
    """Return the probes of the packages or of the snippets."""
    if kind == "packages":
        from tests.release.package_probes import find_package_probes

        return find_package_probes()
    from tests.release.snippet_probes import find_snippet_probes

    return find_snippet_probes()


def main() -> None:
    """Run the probes that the command line names."""
    for probe in find_probes(sys.argv[1]):
        sys.stdout.write(json.dumps({"name": probe.name, "problem": check_probe(probe)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
