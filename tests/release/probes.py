"""Run a piece of user code, which must work or name the extra that is missing."""

from __future__ import annotations

import importlib
import io
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import NamedTuple

from tests.release.extras import find_extra_of


class Probe(NamedTuple):
    """A piece of user code.

    Attributes:
        name: Name in the report.
        needs: The packages that it needs. The first missing one decides on the extra that the error must name.
        run: The code.
    """

    name: str
    needs: Sequence[str]
    run: Callable[[], object]


def is_installed(package: str) -> bool:
    """Return whether a package can be imported."""
    try:
        importlib.import_module(package)
    except ModuleNotFoundError:
        return False
    return True


def check_probe(probe: Probe, is_available: Callable[[str], bool] = is_installed) -> str | None:
    """Run a probe; return what went wrong, or `None`.

    If a package is missing that the probe needs, it must fail with an error that names the extra to install.
    """
    missing = next((package for package in probe.needs if not is_available(package)), None)
    try:
        with redirect_stdout(io.StringIO()):
            probe.run()
    except Exception as error:
        if missing is None:
            return "".join(traceback.format_exception(error))
        extra = f"qwenvl-adapters[{find_extra_of(missing)}]"
        return None if extra in str(error) else f"{type(error).__name__} does not name {extra}: {error}"
    return None if missing is None else f"no error, though {missing} is missing"
