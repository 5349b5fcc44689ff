"""The start and the end of `make app`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.app.conftest import serve
from tests.support.paths import ROOT

pytest.importorskip("gradio")


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run the page with variables that end it at once."""
    environment: Mapping[str, str] = {**os.environ, **variables}
    command = [sys.executable, "-m", "examples.app"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, "Invalid PORT: 'http'. Pass a number from 1 to"),
        ({"PORT": "70000"}, "Invalid PORT: '70000'"),
        ({"PROVIDER": "olama", "BASE_URL": "http://127.0.0.1:9/v1"}, "Did you mean 'ollama'?"),
        ({"DASHSCOPE_REGION": "mars"}, "Unknown region: 'mars'"),
    ],
)
def test_start_with_invalid_variable_names_what_is_allowed(variables: dict[str, str], message: str) -> None:
    result = start(**variables)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_page_at_busy_port_takes_the_next_and_ends_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with serve(tmp_path / "output.txt", PORT=str(port), TMPDIR=str(folder)) as server:
            assert server.url.rpartition(":")[2] != str(port)
            assert f"Port {port} is not free" in server.output.read_text()
            assert server.stop() == 0
    assert list(folder.iterdir()) == []
    assert "Traceback" not in server.output.read_text()
