"""Test the notebooks in Jupyter kernels, and their pages in the built documentation."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from PIL import Image, ImageChops

from tests.docs import notebook_kernel
from tests.docs.built_site import BuiltSite
from tests.docs.notebook_kernel import execute, has_picture, read_text
from tests.docs.notebook_pages import find_pictures, render_page
from tests.support.notebook_scenarios import NOTEBOOKS
from tests.support.notebooks import Notebook
from tests.support.paths import ROOT
from tests.support.vcr_config import REPLAY_KEY, provenance_of

each_notebook = pytest.mark.parametrize("notebook", [pytest.param(item, id=name) for name, item in NOTEBOOKS.items()])

# Of Jupyter's client, which leaves sockets and event loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def read_outputs(document: Any) -> list[Any]:
    """Return the outputs of all cells."""
    return [output for cell in document.cells for output in cell.get("outputs", ())]


@each_notebook
def test_downloaded_notebook_has_text_and_pictures_of_its_cassette(notebook: Notebook, site: BuiltSite) -> None:
    document = nbformat.read(site.folder / "notebooks" / f"{notebook.name}.ipynb", as_version=4)
    outputs = read_outputs(document)
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    if provenance_of(notebook.cassette) == "emulator":
        text = "\n".join(map(read_text, outputs))
        assert [part for part in notebook.shown if part not in text] == []
        assert sum(map(has_picture, outputs)) == notebook.pictures
    for picture in find_pictures(document):
        with Image.open(io.BytesIO(picture)) as image:
            assert min(image.size) > 50


@each_notebook
def test_notebook_files_hold_no_paths_and_no_keys(notebook: Notebook, site: BuiltSite) -> None:
    for name in (f"{notebook.name}.ipynb", f"{notebook.name}.html"):
        text = (site.folder / "notebooks" / name).read_text(encoding="utf-8")
        private = [str(ROOT), str(Path.home()), sys.prefix, tempfile.gettempdir() + "/", REPLAY_KEY, "127.0.0.1"]
        assert [word for word in private if word in text] == []
        assert "notebook_replay" not in text  # of the injected cells


@each_notebook
def test_notebook_page_shows_its_outputs_and_links_its_file(notebook: Notebook, site: BuiltSite) -> None:
    path = site.folder / "notebooks" / f"{notebook.name}.html"
    page = site.pages[path]
    assert f"{notebook.name}.ipynb" in page.links
    pictures = [name for name in page.resources if name.startswith(f"{notebook.name}/")]
    assert pictures == [f"{notebook.name}/{number}.png" for number in range(1, notebook.pictures + 1)]
    assert all((path.parent / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert "Thinking: " in path.read_text(encoding="utf-8")
    assert not path.with_suffix(".py").exists()


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if "contract" in name or "retrieval" in name])
def test_notebook_pictures_have_boxes_drawn(name: str, site: BuiltSite) -> None:
    for file in (site.folder / "notebooks" / name).glob("*.png"):
        with Image.open(file) as image:
            red, green, blue = image.convert("RGB").split()
        reddish = ImageChops.subtract(red, ImageChops.lighter(green, blue))
        assert sum(reddish.histogram()[100:]) > 500  # pixels of the lines


def test_notebook_executed_again_has_the_same_outputs(site: BuiltSite) -> None:
    notebook = NOTEBOOKS["llama_index_extraction"]
    built = (site.folder / "notebooks" / f"{notebook.name}.ipynb").read_text(encoding="utf-8")
    assert nbformat.writes(execute(notebook.path, notebook.cassette)) == built


CALL = (
    "from langchain_qwenvl import ChatQwenVL\n"
    "ChatQwenVL(enable_thinking=False).invoke('What is 17 times 23?').content\n"
)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("pass", "0 of 1 requests of the cassette came"),
        (f"{CALL}ChatQwenVL().invoke('hi')", "No match for the request"),
        ("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)", "SocketConnectBlockedError"),
    ],
)
def test_execute_with_requests_unlike_the_cassette_raises(code: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "notebook.py"
    path.write_text(f"# %%\n{code}\n")
    with pytest.raises(CellExecutionError, match=message):
        execute(path, "whole_reply")


def test_execute_ignores_the_users_folder_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", "http://192.0.2.1/v1")
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    path = tmp_path / "notebook.py"
    path.write_text(
        f"# %% [markdown]\n# # Title\n\n# %%\n{CALL}\n# %%\nfrom pathlib import Path\nlist(Path().glob('*.py'))"
    )
    document = execute(path, "whole_reply")
    assert [(cell.cell_type, cell.get("execution_count")) for cell in document.cells] == [
        ("markdown", None),
        ("code", 1),
        ("code", 2),
    ]
    assert [read_text(output) for output in read_outputs(document)] == ["'391'", "[]"]


def test_execute_all_executes_changed_notebooks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[str] = []

    def pretend(path: Path, cassette: str) -> nbformat.NotebookNode:
        executed.append(path.stem)
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(path.read_text(), id="cell-1")])

    monkeypatch.setattr(notebook_kernel, "execute", pretend)
    monkeypatch.setattr(notebook_kernel, "_CACHE", tmp_path / "cache")
    monkeypatch.setattr("tests.support.notebooks.FOLDER", tmp_path)
    notebooks = [Notebook(name, (), (), 0) for name in ("a", "b")]
    monkeypatch.setattr(notebook_kernel, "path_of", lambda name: tmp_path / f"{name[-1]}.py")
    for name in "ab":
        (tmp_path / f"{name}.py").write_text(f"text of {name}")
    for _ in range(2):
        documents = notebook_kernel.execute_all(notebooks)
        assert [documents[name].cells[0].source for name in "ab"] == ["text of a", "text of b"]
    (tmp_path / "a.py").write_text("new")
    assert notebook_kernel.execute_all(notebooks)["a"].cells[0].source == "new"
    assert sorted(executed) == ["a", "a", "b"]
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_render_page_fences_backticks_and_numbers_pictures() -> None:
    new_output = nbformat.v4.new_output
    document = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title\n\ntext"),
            nbformat.v4.new_code_cell(
                "print(1)",
                outputs=[
                    new_output("stream", text="```json\n1\n```\n"),
                    new_output("display_data", {"image/png": "iVBORw0=", "text/plain": "<Image>"}),
                    new_output("display_data", {"image/png": "iVBORw0=", "text/plain": "<Image>"}),
                    new_output("execute_result", {"text/plain": "2"}),
                ],
            ),
        ]
    )
    name = next(iter(NOTEBOOKS))
    download = f"[Download this notebook]({name}.ipynb){{ download }} (outputs recorded from the project's emulator)"
    assert render_page(name, document) == (
        f"# Title\n\n{download}\n\ntext\n\n```python\nprint(1)\n```\n\n"
        f"````{{ .text .output }}\n```json\n1\n```\n````\n\n"
        f"![Picture 1 of the outputs]({name}/1.png){{ .output }}\n\n"
        f"![Picture 2 of the outputs]({name}/2.png){{ .output }}\n\n"
        "```{ .text .output }\n2\n```\n"
    )
