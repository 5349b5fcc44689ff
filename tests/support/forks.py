"""Run functions in forked processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

can_fork = pytest.mark.skipif(
    not hasattr(os, "fork") or sys.version_info >= (3, 12), reason="forking threads is warned of"
)


def run_in_fork(function: Callable[[], object]) -> int:
    """Call a function in a forked child, which a deadlock ends after ten seconds; return the child's wait status."""
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(10)
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]
