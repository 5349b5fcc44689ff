"""Run the Python blocks of documentation pages.

All blocks of a page run in order in one namespace, as a reader pastes them one after the other, in an empty folder that
holds the project's `examples/`. A reader follows the content tabs of one label, so each label has a namespace of its
own, which also gets what the blocks outside of tabs define; these see the names of the first label. The requests of a
page come from one cassette, which the page declares at its top:

    <!-- cassette: docs_thinking -->

A page whose blocks send no request declares `<!-- cassette: none -->`. A translation may declare the cassette of the
page that it translates. A block behind `<!-- output -->` holds what the Python block before it prints; behind
content tabs, what each of their Python blocks prints. A "…" in it stands for any text within a line.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tests.emulator import Fault, Reply
from tests.support.markdown import CodeBlock, find_code_blocks, find_comment, list_markdown_files, read_markdown
from tests.support.paths import ROOT
from tests.support.scenario import Scenario

NO_CASSETTE = "none"
_SHORT_PAUSES = mock.patch("qwenvl_core.transport.batch_calls._FIRST_PAUSE", 0.01)  # between looks at a batch


@dataclass(frozen=True)
class Page:
    """A documentation page that sends requests.

    Attributes:
        name: File below `docs/`, as `thinking.md` or `migrating/chat-qwen.md`.
        replies: Replies of the emulator, in the order of the page's requests.
        prepare: Writes files that the reader of the page would have into the folder that it gets.
        describe_pictures: Returns the pictures that are embedded or ranked, and what they show.
    """

    name: str
    replies: Sequence[Reply | Fault]
    prepare: Callable[[Path], object] = lambda folder: None
    describe_pictures: Callable[[], Sequence[tuple[bytes, str]]] = tuple

    @property
    def cassette(self) -> str:
        """The name of the page's cassette."""
        return "docs_" + re.sub(r"\W", "_", self.name.removesuffix(".md"))

    def to_scenario(self) -> Scenario:
        """Return the scenario that records the page's cassette."""

        def run() -> None:
            run_page(f"docs/{self.name}", self.prepare)

        return Scenario(self.cassette, f"docs/{self.name}", run, self.replies, describe_pictures=self.describe_pictures)


def list_pages() -> list[str]:
    """Return the files below `docs/` that have Python blocks, relative to the project's root."""
    names = [name for name in list_markdown_files() if name.startswith("docs/")]
    return [name for name in names if any(block.language == "python" for block in read_blocks(name))]


def read_blocks(name: str) -> list[CodeBlock]:
    """Return the code blocks of a page."""
    return find_code_blocks(read_markdown(name))


def read_cassette_name(name: str) -> str | None:
    """Return the cassette that a page declares, or `None`."""
    return find_comment(read_markdown(name), "cassette")


@dataclass(frozen=True)
class Printed:
    """What a Python block printed, and what the output block in this line of the page shows."""

    line: int
    expected: str
    actual: str

    @property
    def is_as_shown(self) -> bool:
        """Whether the page shows what the block printed."""
        pattern = ".*".join(re.escape(text) for text in self.expected.split("…"))
        return re.fullmatch(pattern, self.actual) is not None


def run_page(name: str, prepare: Callable[[Path], object] = lambda folder: None) -> list[Printed]:
    """Run the Python blocks of a page and return what they printed where the page shows it."""
    compared = []
    namespaces = _Namespaces()
    with _working_folder() as folder, _SHORT_PAUSES:
        prepare(folder)
        printed: list[tuple[CodeBlock, str]] = []
        for block in read_blocks(name):
            if block.comment == ("output", ""):
                outputs = [text for source, text in printed if source is printed[-1][0] or block.tabs != source.tabs]
                compared += [Printed(block.line, block.code.rstrip(), text.rstrip()) for text in outputs]
            elif block.language == "python":
                printed = [item for item in printed if block.tabs is not None and item[0].tabs == block.tabs]
                printed.append((block, namespaces.run(name, block)))
    return compared


class _Namespaces:
    """The namespaces of a page: one for each label of content tabs."""

    def __init__(self) -> None:
        self._modules: dict[str, types.ModuleType] = {}
        self._shared: dict[str, Any] = {}

    def run(self, name: str, block: CodeBlock) -> str:
        """Run a block and return what it prints; tracebacks name its line of the page."""
        code = compile("\n" * (block.line - 1) + block.code, str(ROOT / name), "exec", dont_inherit=True)
        module = self._choose_module(block)
        before = dict(module.__dict__)
        # Pydantic resolves annotations in the module. `mock.patch.dict` would also remove what the block imports first,
        # and the next block would get other classes of the same names.
        sys.modules[module.__name__] = module
        try:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(code, module.__dict__)
        finally:
            del sys.modules[module.__name__]
        if not block.tab:
            self._share({key: value for key, value in module.__dict__.items() if before.get(key) is not value})
        return output.getvalue()

    def _choose_module(self, block: CodeBlock) -> types.ModuleType:
        if not self._modules or (block.tab and block.tab not in self._modules):
            module = types.ModuleType("docs_page")
            module.__dict__.update(self._shared)
            if self._modules.get("") and len(self._modules) == 1:
                module = self._modules.pop("")  # the first label goes on with what stood before it
            self._modules[block.tab] = module
        return self._modules[block.tab] if block.tab else next(iter(self._modules.values()))

    def _share(self, names: dict[str, Any]) -> None:
        self._shared.update(names)
        for module in self._modules.values():
            module.__dict__.update(names)


@contextlib.contextmanager
def _working_folder() -> Iterator[Path]:
    """Change into a temporary folder with the project's `examples/`, so that a page may write files."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        with contextlib.chdir(folder):
            yield Path(folder)
