"""Probe the README's snippets, and what its translations have besides, with replies from their cassettes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tests.release.probes import Probe, is_installed
from tests.support.markdown import find_code_blocks, read_markdown
from tests.support.paths import ROOT
from tests.support.vcr_config import replayed

_PACKAGES_BY_NAME = {
    "langchain_qwenvl": ("langchain_core",),
    "llama_index_qwenvl": ("llama_index.core",),
    "QwenVLLoader": ("pypdfium2", "PIL"),
    "QwenVLReader": ("pypdfium2", "PIL"),
}
"""What the names need that a snippet imports from the project."""


def find_snippet_probes() -> Iterator[Probe]:
    """Yield a probe for each snippet of the README and its translations whose framework is installed, once each."""
    found = set()
    for readme in sorted(path.name for path in ROOT.glob("README*.md")):
        for block in find_code_blocks(read_markdown(readme)):
            if block.language == "python" and block.code not in found:
                found.add(block.code)
                assert block.comment, f"{readme}:{block.line}: this snippet has no cassette."
                needs = find_needs(block.code)
                if is_installed(needs[0]):
                    yield Probe(f"{readme}: {block.comment[1]}", needs, _build_run(block.code, block.comment[1]))


def find_needs(code: str) -> list[str]:
    """Return the packages of the extras that a snippet needs, the framework first."""
    names = re.findall(r"\w+", "\n".join(re.findall(r"^(?:from|import) .*", code, re.MULTILINE)))
    needs = [package for name, packages in _PACKAGES_BY_NAME.items() if name in names for package in packages]
    if not needs or needs[0] not in ("langchain_core", "llama_index.core"):
        raise ValueError(f"This snippet imports no adapter:\n{code}")
    return needs


def _build_run(code: str, cassette: str) -> Callable[[], None]:
    def run() -> None:
        with replayed(cassette) as tape:
            exec(compile(code, cassette, "exec", dont_inherit=True), {})
        assert tape.all_played

    return run
