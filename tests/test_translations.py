"""Test that the Chinese pages say the same as the English ones: code, tables, sections and links."""

from __future__ import annotations

import re

import pytest

from tests.support.markdown import find_code_blocks, find_links, list_markdown_files, read_markdown

TRANSLATIONS = {"README.md": "README.zh-CN.md"} | {
    name.replace("docs/zh/", "docs/"): name for name in list_markdown_files() if name.startswith("docs/zh/")
}

each_translation = pytest.mark.parametrize(("original", "translation"), TRANSLATIONS.items())


def _read_commands(name: str) -> list[tuple[str, str]]:
    """Return the code blocks of a page without their comments, which may be translated."""
    blocks = find_code_blocks(read_markdown(name))
    return [(block.language, re.sub(r"(?m)(?:^|\s{2,})#.*$", "", block.code)) for block in blocks]


def _read_tables(name: str) -> list[tuple[int, list[str]]]:
    """Return the number of cells of each table row, and the code in it."""
    rows = [line for line in read_markdown(name).splitlines() if line.startswith("|")]
    return [(row.count("|"), sorted(re.findall(r"`[^`]+`", row))) for row in rows]


def _read_levels(name: str) -> list[str]:
    """Return the levels of the headings."""
    prose = re.sub(r"(?ms)^```.*?^```", "", read_markdown(name))
    return re.findall(r"(?m)^#+(?= )", prose)


def _read_targets(name: str) -> set[str]:
    """Return the link targets, less the links between the two languages and anchors, which follow the headings."""
    files = [link.target.partition("#")[0] for link in find_links(read_markdown(name))]
    targets = {file.replace("../", "").replace("docs/zh/", "docs/") for file in files}
    return targets - {"README.md", "README.zh-CN.md", ""}


@each_translation
def test_translation_has_same_code(original: str, translation: str) -> None:
    assert _read_commands(translation) == _read_commands(original)


@each_translation
def test_translation_has_same_tables(original: str, translation: str) -> None:
    assert _read_tables(translation) == _read_tables(original)


@each_translation
def test_translation_has_same_sections_and_links(original: str, translation: str) -> None:
    assert _read_levels(translation) == _read_levels(original)
    assert _read_targets(translation) == _read_targets(original)


def test_python_snippets_of_both_readmes_are_equal() -> None:
    english, chinese = (
        [(block.comment, block.code) for block in find_code_blocks(read_markdown(name)) if block.language == "python"]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert chinese == english
    assert english


def test_readmes_link_to_each_other() -> None:
    assert "README.zh-CN.md" in {link.target for link in find_links(read_markdown("README.md"))}
    assert "README.md" in {link.target for link in find_links(read_markdown("README.zh-CN.md"))}
