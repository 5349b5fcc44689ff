"""Test that the notebooks of the documentation run from their cassettes, and read as a user's own code.

`tests/docs/test_notebooks.py` runs them in Jupyter.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.support.notebook_scenarios import NOTEBOOKS
from tests.support.notebooks import FOLDER, Notebook, run_cells
from tests.support.paths import ROOT
from tests.support.vcr_config import REPLAY_KEY, provenance_of, replayed

each_notebook = pytest.mark.parametrize("notebook", [pytest.param(item, id=name) for name, item in NOTEBOOKS.items()])


@each_notebook
def test_notebook_shows_thinking_answers_and_pictures(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with replayed(notebook.cassette) as cassette:
        shown = run_cells(notebook.path)
    assert cassette.all_played
    text = "\n".join([shown.printed, *map(repr, shown.values)])
    assert [value for value in (str(ROOT), str(tmp_path), REPLAY_KEY) if value in text] == []
    if provenance_of(notebook.cassette) == "emulator":
        assert [part for part in notebook.shown if part not in text] == []
        assert sum(isinstance(value, Image.Image) for value in shown.values) == notebook.pictures
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


@each_notebook
def test_notebook_reads_as_user_code(notebook: Notebook) -> None:
    text = notebook.path.read_text(encoding="utf-8")
    assert re.search(r"^(import|from) (tests|bench|examples)\b", text, re.MULTILINE) is None
    assert "sk-" not in text.replace("sk-…", "")
    first_cell = text.split("# %%")[1]
    for part in ("DASHSCOPE_API_KEY", "pip install --editable", "from a checkout", "no live\n# model was called"):
        assert part in first_cell


def test_every_notebook_has_a_scenario() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(NOTEBOOKS)


def test_run_cells_shows_the_value_that_ends_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "notebook.py"
    path.write_text(
        "# ---\n# header\n# ---\n\n# %% [markdown]\n# text\n\n# %%\nimport asyncio\n1\n2\n\n# %%\nNone\n\n"
        "# %%\nfrom IPython.display import display\ndisplay(3, 4)\nprint('printed')\n\n"
        "# %%\nloop = asyncio.get_running_loop()\nawait asyncio.sleep(0)\n\n"
        "# %%\nawait asyncio.sleep(0, asyncio.get_running_loop() is loop)\n"
    )
    shown = run_cells(path)
    assert shown.values == [2, 3, 4, True]
    assert shown.printed == "printed\n"


def test_run_cells_with_failing_cell_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "notebook.py"
    path.write_text("# %%\npass\n\n# %%\nraise KeyError\n")
    with pytest.raises(KeyError) as caught:
        run_cells(path)
    assert (str(caught.traceback[-1].path), caught.traceback[-1].lineno) == (str(path), 4)  # counted from 0
