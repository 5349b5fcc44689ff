"""Starts of `make app` that end at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytest.importorskip("rank_bm25")


@pytest.mark.parametrize("port", ["http", "0", "-1", "65517", "70000", "8000.0", "9" * 5000, "８０００x"])
def test_port_out_of_range_names_what_is_allowed(port: str) -> None:
    from examples.app.__main__ import set_variables

    with pytest.raises(ValueError, match=r"Invalid PORT: .* Pass a number from 1 to 65516\."):
        set_variables(port, "unused")


def test_start_with_unknown_provider_ends_with_its_message() -> None:
    command = [sys.executable, "-m", "examples.app"]
    variables = {**os.environ, "PROVIDER": "olama"}
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert "Did you mean 'ollama'?" in result.stderr
    assert "Traceback" not in result.stderr
