"""Run the notebooks of the documentation without Jupyter, from their files in the percent format.

A kernel runs them in `tests/docs/notebook_kernel.py`, for the pages of the documentation.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from PIL import Image

from tests.emulator import Fault, Reply
from tests.support.paths import ROOT
from tests.support.scenario import Scenario

FOLDER = ROOT / "docs" / "notebooks"
_CELL = re.compile(r"^# %%.*$", re.MULTILINE)


@dataclass(frozen=True)
class Notebook:
    """A notebook of the documentation.

    Attributes:
        name: File name below `docs/notebooks/`, without its extension.
        replies: Replies of the emulator, in the order of the notebook's requests.
        shown: Texts that its outputs contain with these replies: thinking, answers, tokens.
        pictures: Number of pictures in its outputs.
        describe_pictures: Returns the pictures that are embedded or ranked, and what they show.
    """

    name: str
    replies: Sequence[Reply | Fault]
    shown: Sequence[str]
    pictures: int
    describe_pictures: Callable[[], Sequence[tuple[bytes, str]]] = tuple

    @property
    def path(self) -> Path:
        """The file of the notebook."""
        return FOLDER / f"{self.name}.py"

    @property
    def cassette(self) -> str:
        """The name of the notebook's cassette."""
        return f"notebook_{self.name}"

    def to_scenario(self) -> Scenario:
        """Return the scenario that records the notebook's cassette."""

        def run() -> None:
            run_cells(self.path)

        title = f"docs/notebooks/{self.name}.py"
        return Scenario(self.cassette, title, run, self.replies, describe_pictures=self.describe_pictures)


@dataclass(frozen=True)
class Shown:
    """What a notebook shows: printed text, and the values that are displayed or end a cell."""

    printed: str
    values: list[object]


def run_cells(path: Path) -> Shown:
    """Run the code cells of a notebook in order, in one namespace and one event loop."""
    module = types.ModuleType("notebook")  # a module, because pydantic resolves annotations there
    values: list[object] = []

    def display(*objects: object) -> None:
        for value in objects:
            if isinstance(value, Image.Image):
                value.load()  # Jupyter encodes it
            values.append(value)

    module.__dict__["__display__"] = lambda value: None if value is None else display(value)
    with (
        _replace_modules(notebook=module, **_fake_ipython(display)),
        _restore_event_handlers(),
        redirect_stdout(io.StringIO()) as printed,
        asyncio.Runner() as runner,
    ):
        for code in _compile_cells(path):
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, module.__dict__))
            else:
                exec(code, module.__dict__)
    return Shown(printed.getvalue(), values)


def _compile_cells(path: Path) -> Iterator[types.CodeType]:
    """Compile the cells of a file; the value that ends a cell is displayed, and text cells are comments."""
    text = path.read_text(encoding="utf-8")
    starts = [match.end() for match in _CELL.finditer(text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        lines_before = "\n" * text.count("\n", 0, start)  # tracebacks name the line of the file
        tree = ast.parse(lines_before + text[start:end])
        if tree.body and isinstance(last := tree.body[-1], ast.Expr):
            call = ast.Call(ast.Name("__display__", ast.Load()), [last.value], [])
            last.value = ast.fix_missing_locations(ast.copy_location(call, last.value))
        # `dont_inherit`, because the annotations of a notebook are values, of which tools make schemas.
        yield compile(tree, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def _fake_ipython(display: Callable[..., None]) -> dict[str, types.ModuleType]:
    """Return modules for `from IPython.display import display`, which the tests do without."""
    package: Any = types.ModuleType("IPython")
    package.display = types.ModuleType("IPython.display")
    package.display.display = display
    return {"IPython": package, "IPython.display": package.display}


@contextmanager
def _replace_modules(**modules: types.ModuleType) -> Iterator[None]:
    """Replace modules, and keep those that are imported meanwhile (`mock.patch.dict` would drop them)."""
    earlier = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in earlier.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


@contextmanager
def _restore_event_handlers() -> Iterator[None]:
    """Remove the handlers that a notebook adds to LlamaIndex's dispatcher, which all tests share."""
    dispatcher = get_dispatcher()
    handlers = list(dispatcher.event_handlers)
    try:
        yield
    finally:
        dispatcher.event_handlers = handlers
