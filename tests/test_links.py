"""Test that the links between the project's Markdown files point at existing files and headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.markdown import find_anchors, find_broken_links, find_code_blocks, find_links, list_markdown_files


@pytest.mark.parametrize("name", list_markdown_files())
def test_markdown_links_point_at_existing_files_and_headings(name: str) -> None:
    assert find_broken_links(name) == []


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("[a](b.md) and [c](<d.md>)", ["b.md", "d.md"]),
        ('![picture](p.png "title")', ["p.png"]),
        ("[![badge](badge.svg)](c.md#d)", ["badge.svg", "c.md#d"]),
        ('<a href="x.md">x</a> <img width="1" src="y.png">', ["x.md", "y.png"]),
        ("[a]: b.md", ["b.md"]),
        ("`[a](b.md)` and ``[`](c.md)`` [d](e.md)", ["e.md"]),
        ("```\n[a](b.md)\n```\n[c](d.md)", ["d.md"]),
        ("    ```python\n    [a](b.md)\n    ```\n", []),
        ("ChatQwenVL(a)[b](c.md)", ["c.md"]),
        ("| a | [b](c.md) |", ["c.md"]),
    ],
)
def test_find_links_reads_links_outside_of_code(text: str, targets: list[str]) -> None:
    assert [link.target for link in find_links(text)] == targets


@pytest.mark.parametrize(
    ("text", "anchors"),
    [
        ("# Thinking is on by default", {"thinking-is-on-by-default"}),
        ("## `forced_output`: what it does", {"forced_output-what-it-does"}),
        ("# A\n## A\n## A", {"a", "a-1", "a-2"}),
        ("## See [the page](page.md)", {"see-the-page"}),
        ("## 快速开始", {"快速开始"}),
        ("## Named {#other}", {"other"}),
        ('<a id="place"></a>', {"place"}),
        ("```\n# comment\n```", set()),
    ],
)
def test_find_anchors_writes_headings_as_github_does(text: str, anchors: set[str]) -> None:
    assert find_anchors(text) == anchors


@pytest.mark.parametrize(
    ("target", "is_broken"),
    [
        ("other.md", False),
        ("other.md#there", False),
        ("#here", False),
        ("../README.md", False),
        ("https://example.com/x.md#y", False),
        ("mailto:a@example.com", False),
        ("missing.md", True),
        ("other.md#elsewhere", True),
        ("#there", True),
        ("picture.png", True),
        ("../docs#here", True),
        ("reference.md#package.module", False),
        ("reference.md#package.module.Class.method", False),
        ("reference.md#package.modules", True),
        ("reference.md#package", True),
    ],
)
def test_find_broken_links_checks_files_and_anchors(
    target: str, is_broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.markdown.ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").touch()
    (tmp_path / "docs" / "other.md").write_text("# There\n")
    (tmp_path / "docs" / "reference.md").write_text("::: package.module\n    options:\n")
    (tmp_path / "docs" / "page.md").write_text(f"# Here\n\n[link]({target})\n")
    assert find_broken_links("docs/page.md") == ([f"docs/page.md:3: {target}"] if is_broken else [])


def test_find_code_blocks_keeps_language_line_and_comment() -> None:
    text = 'a\n<!-- cassette: x -->\n```python title="a.py"\nif a:\n    b\n```\n\n    ~~~\n      c\n    ~~~\n'
    first, second = find_code_blocks(text)
    assert (first.language, first.code, first.line, first.comment) == ("python", "if a:\n    b\n", 4, ("cassette", "x"))
    assert (second.language, second.code, second.line, second.comment) == ("", "  c\n", 9, None)


def test_find_code_blocks_without_closing_fence_raises() -> None:
    with pytest.raises(ValueError, match=r"line 2 has no end: ```python\. Add a closing fence"):
        find_code_blocks("a\n```python\npass\n")
