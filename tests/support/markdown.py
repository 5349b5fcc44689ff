"""Read code blocks, links and anchors of Markdown files."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

_FENCE = re.compile(r"(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w.+-]*)")
_COMMENT = re.compile(r"<!--\s*(?P<key>\w+)(?::\s*(?P<value>\w+))?\s*-->$")
_HEADING = re.compile(r"#{1,6}\s+(?P<title>.*?)(?:\s+#*)?(?:\s*\{#(?P<id>[\w-]+)\})?$")
_HTML_ANCHOR = re.compile(r"<\w+[^>]*\s(?:id|name)=\"([^\"]+)\"")
_LINK = re.compile(r"\]\(\s*<?([^\s)>]+)>?[^)]*\)|<(?:a|img)\b[^>]*\s(?:href|src)=\"([^\"]+)\"")
_REFERENCE = re.compile(r"\[[^\]]+\]:\s+(\S+)$")
_REFERENCE_OF = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block of code.

    Attributes:
        language: The word behind the opening fence, or `""`.
        code: The content, without the indentation of its fence.
        line: Number of the first line of the content, from 1.
        comment: Key and value of the HTML comment in the line before the fence: `("cassette", "readme_langchain")` of
            `<!-- cassette: readme_langchain -->`, `("output", "")` of `<!-- output -->`; or `None`.
        tabs: Number of the line that begins the content tabs around the block (`=== "LangChain"`), or `None`.
        tab: Label of the content tab, or `""`.
    """

    language: str
    code: str
    line: int
    comment: tuple[str, str] | None
    tabs: int | None
    tab: str


@dataclass(frozen=True)
class Link:
    """The target of a link or image, with its line number from 1."""

    target: str
    line: int


def list_markdown_files() -> list[str]:
    """Return the project's Markdown files, relative to its root."""
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in files)


def read_markdown(name: str) -> str:
    """Return the text of a Markdown file, relative to the project's root."""
    return (ROOT / name).read_text(encoding="utf-8")


def find_code_blocks(text: str) -> list[CodeBlock]:
    """Find the fenced blocks of a text, including those that are indented in lists and content tabs."""
    return [block for block in _split(text) if isinstance(block, CodeBlock)]


def find_comment(text: str, key: str) -> str | None:
    """Return the value of the first comment `<!-- key: value -->` outside of code, or `None`."""
    for item in _split(text):
        if isinstance(item, tuple) and (match := _COMMENT.match(item[1].strip())) and match["key"] == key:
            return match["value"] or ""
    return None


def find_links(text: str) -> list[Link]:
    """Find the links and images of a text outside of code."""
    links = []
    for item in _split(text):
        if not isinstance(item, CodeBlock):
            number, line = item
            line = _INLINE_CODE.sub("", line)
            targets = [inline or html for inline, html in _LINK.findall(line)] + _REFERENCE.findall(line.strip())
            links += [Link(target, number) for target in targets]
    return links


def find_anchors(text: str) -> set[str]:
    """Return the anchors of a text: its headings as GitHub writes them, and explicit ids."""
    anchors: set[str] = set()
    count: Counter[str] = Counter()
    for item in _split(text):
        if isinstance(item, CodeBlock):
            continue
        anchors.update(_HTML_ANCHOR.findall(item[1]))
        if heading := _HEADING.match(item[1]):
            slug = heading["id"] or _slugify(heading["title"])
            anchors.add(f"{slug}-{count[slug]}" if count[slug] else slug)
            count[slug] += 1
    return anchors


def find_broken_links(name: str) -> list[str]:
    """Return the relative links of a file that point at no file, or at no anchor of a Markdown file."""
    broken = []
    for link in find_links(read_markdown(name)):
        if re.match(r"[a-z][a-z0-9+.-]*:|//", link.target, re.IGNORECASE):
            continue
        file, _, anchor = link.target.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        if not target.exists() or (anchor and not _has_anchor(target, anchor)):
            broken.append(f"{name}:{link.line}: {link.target}")
    return broken


def _has_anchor(target: Path, anchor: str) -> bool:
    if target.suffix != ".md":
        return False
    text = target.read_text(encoding="utf-8")
    rendered = _REFERENCE_OF.findall(text)  # mkdocstrings gives each member an anchor
    return anchor in find_anchors(text) or any(f"{anchor}.".startswith(f"{name}.") for name in rendered)


def _slugify(title: str) -> str:
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)  # of a link, its text
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def _split(text: str) -> Iterator[CodeBlock | tuple[int, str]]:
    """Yield the code blocks of a text, and its other lines with their numbers."""
    lines = iter(enumerate(text.splitlines(), start=1))
    previous = ""
    tabs, tab = None, ""
    for number, line in lines:
        if line[:1].strip():  # an indented line belongs to the tab above it
            tabs, tab = (tabs or number, line[4:].strip(' "')) if line.startswith("=== ") else (None, "")
        opening = _FENCE.match(line)
        if opening is None:
            yield number, line
            previous = line.strip()
            continue
        content = []
        closing = re.compile(rf"\s*{re.escape(opening['fence'])}[`~]*\s*$")
        for _, inner in lines:
            if closing.match(inner):
                break
            content.append(inner)
        else:
            raise ValueError(f"The code block in line {number} has no end: {line.strip()}. Add a closing fence.")
        comment = _COMMENT.match(previous)
        pair = (comment["key"], comment["value"] or "") if comment else None
        code = textwrap.dedent("\n".join([f"{opening['indent']}.", *content]))[2:]  # never less than the fence
        yield CodeBlock(opening["language"], f"{code}\n", number + 1, pair, tabs, tab)
        previous = ""
