"""Execute the notebooks of the documentation in Jupyter kernels that answer their requests from cassettes."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

from tests.support.notebooks import Notebook
from tests.support.paths import ROOT
from tests.support.vcr_config import path_of

_VENDOR_VARIABLES = ("DASHSCOPE_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "LC_")
_TIMEOUT = 300  # seconds a cell: the first one imports a framework
_SOURCES = (  # what the outputs depend on, beside a notebook and its cassette
    *("qwenvl_core/**/*.py", "langchain_qwenvl/**/*.py", "llama_index_qwenvl/**/*.py", "examples/*.p[dn][fg]"),
    *("tests/docs/notebook_kernel.py", "tests/docs/notebook_replay.py", "tests/support/vcr_config.py"),
)
_CACHE = Path(sys.prefix) / "notebooks"  # within the environment, so that other versions execute anew


def execute_all(notebooks: Iterable[Notebook]) -> dict[str, nbformat.NotebookNode]:
    """Execute notebooks, two at a time; those executed earlier from the same files come from a cache.

    Returns:
        The notebooks with their outputs, by name.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised, or requests of the cassette did not come.
    """
    notebooks = list(notebooks)
    sources = _compute_digest(file for pattern in _SOURCES for file in sorted(ROOT.glob(pattern)))
    with ThreadPoolExecutor(2) as pool:
        documents = pool.map(lambda notebook: _execute_once(notebook, sources), notebooks)
        return {notebook.name: document for notebook, document in zip(notebooks, documents, strict=True)}


def _execute_once(notebook: Notebook, sources: str) -> nbformat.NotebookNode:
    """Execute a notebook, unless the cache has its outputs."""
    digest = hashlib.sha256((sources + _compute_digest([notebook.path, path_of(notebook.cassette)])).encode())
    cached = _CACHE / f"{notebook.name}_{digest.hexdigest()[:16]}.ipynb"
    if not cached.exists():
        content = nbformat.writes(execute(notebook.path, notebook.cassette))
        _CACHE.mkdir(exist_ok=True)
        for outdated in _CACHE.glob(f"{notebook.name}_*"):
            outdated.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=_CACHE, encoding="utf-8", delete=False) as file:
            file.write(content)
        Path(file.name).replace(cached)  # at once, because several processes build the documentation
    return nbformat.reads(cached.read_text(encoding="utf-8"), as_version=4)


def _compute_digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def execute(path: Path, cassette: str) -> nbformat.NotebookNode:
    """Execute a notebook in an empty folder, with the requests of a cassette, and without a user's settings.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised, or requests of the cassette did not come.
    """
    document = jupytext.read(path)
    replay = "__import__('tests.docs.notebook_replay', fromlist=['_'])"
    document.cells.insert(0, nbformat.v4.new_code_cell(f"{replay}.start_replay({cassette!r})"))
    document.cells.append(nbformat.v4.new_code_cell(f"{replay}.finish_replay()"))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            document,
            timeout=_TIMEOUT,
            startup_timeout=_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            # Over TCP the kernel warns that its messages are not encrypted.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}}),
        )
        client.execute(env=_build_environment(folder))
    del document.cells[0], document.cells[-1]
    for number, cell in enumerate(document.cells, 1):
        cell.id = f"cell-{number}"  # random ones would differ in each build
        if cell.cell_type == "code":
            cell.execution_count -= 1
            cell.outputs = list(_clean_outputs(cell.outputs))
    return document


def _build_environment(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_VENDOR_VARIABLES)}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": f"{folder}/.ipython",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a notice of the debugger that ipykernel loads
    }


def _clean_outputs(outputs: Iterable[Any]) -> Iterator[Any]:
    """Join printed texts that follow each other, correct the numbers of the cells, and keep pictures as PNG only."""
    printed: Any = None
    for output in outputs:
        if output.output_type == "stream" and printed is not None and output.name == printed.name:
            printed.text += output.text
            continue
        printed = output if output.output_type == "stream" else None
        if "execution_count" in output:
            output.execution_count -= 1
        if has_picture(output):
            output.data.pop("image/jpeg", None)  # Pillow offers both
        yield output


def has_picture(output: Any) -> bool:
    """Return whether an output of a cell is a picture."""
    return "image/png" in output.get("data", {})


def read_text(output: Any) -> str:
    """Return what a cell printed, or its value as text."""
    text: str = output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
    return text
