"""Child processes that exchange lines of JSON: a request on standard input, a response on standard output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from bench.venvs import ROOT, build_process_environ, python_path


class WorkerProcess:
    """`python -m module *arguments` in a virtual environment, running until it is closed."""

    def __init__(self, venv: str, module: str, *arguments: str) -> None:
        self._command = [str(python_path(venv)), "-m", module, *arguments]
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=build_process_environ(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @cached_property
    def greeting(self) -> dict[str, Any]:
        """The first line of the process, which it prints when it is ready.

        It is read on first access, so that several processes can start at the same time.
        """
        return self._read_line()

    def request(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the response.

        Raises:
            RuntimeError: The process ended before it responded; the reason is on its standard error.
        """
        assert self.greeting is not None
        assert self._process.stdin
        self._process.stdin.write(json.dumps(payload) + "\n")
        self._process.stdin.flush()
        return self._read_line()

    def close(self) -> None:
        """Close the standard input of the process and wait until it ends."""
        self._process.communicate()

    def _read_line(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._command} ended with exit status {self._process.wait()}.")
        payload: dict[str, Any] = json.loads(line)
        return payload
