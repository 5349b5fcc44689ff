"""Test that the snippets of the README run and that the README is short."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT
from tests.support.scenarios import readme_snippets
from tests.support.vcr_config import replayed

README = ROOT / "README.md"
READMES = sorted(path.name for path in ROOT.glob("README*.md"))  # the README and its translations
SNIPPETS = [(readme, name) for readme in READMES for name in readme_snippets(readme)]

each_readme = pytest.mark.parametrize("readme", READMES)


@pytest.mark.parametrize(("readme", "name"), SNIPPETS)
def test_readme_snippet_replays_its_cassette(readme: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with replayed(name) as cassette:
        exec(compile(readme_snippets(readme)[name], f"{readme} ({name})", "exec", dont_inherit=True), {})
    assert cassette.all_played
    assert capsys.readouterr().out


@each_readme
def test_readme_every_python_snippet_names_cassette(readme: str) -> None:
    assert (ROOT / readme).read_text(encoding="utf-8").count("```python") == len(readme_snippets(readme))


@each_readme
def test_readme_has_the_cassettes_of_the_english_one(readme: str) -> None:
    assert list(readme_snippets(readme)) == list(readme_snippets())


def test_readme_is_short_and_starts_with_demo_and_test_commands() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 125
    first = re.search(r"```console\n(.*?)```", "\n".join(lines), re.DOTALL)
    assert first is not None
    assert "make demo" in first[1]
    assert "make test" in first[1]
