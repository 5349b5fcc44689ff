"""A process that is asked questions: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from bench.venvs import ROOT, clean_environ, python


class Child:
    """`python -m module *arguments` of an environment, running until it is closed."""

    def __init__(self, environment: str, module: str, *arguments: str) -> None:
        self._command = [str(python(environment)), "-m", module, *arguments]
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=clean_environ(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @cached_property
    def ready(self) -> dict[str, Any]:
        """The first line it says, which may take a while: several can get ready at once."""
        return self._answer()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one question.

        Raises:
            RuntimeError: The process died of it; why is on its standard error.
        """
        assert self.ready is not None
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._command} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
