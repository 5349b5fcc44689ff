"""Every snippet of the README runs, and the README is short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.scenarios import readme_snippets
from tests.support.vcr_config import replayed

README = Path(__file__).resolve().parent.parent / "README.md"


@pytest.mark.parametrize("name", readme_snippets())
def test_a_snippet_runs_as_it_stands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with replayed(name) as cassette:
        exec(compile(readme_snippets()[name], f"README.md ({name})", "exec"), {})
    assert cassette.all_played
    assert capsys.readouterr().out


def test_every_python_snippet_names_its_cassette() -> None:
    assert README.read_text(encoding="utf-8").count("```python") == len(readme_snippets())


def test_the_readme_fits_two_screens_and_leads_with_the_two_commands() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 125
    first = re.search(r"```console\n(.*?)```", "\n".join(lines), re.DOTALL)
    assert first is not None
    assert "make demo" in first[1]
    assert "make test" in first[1]
