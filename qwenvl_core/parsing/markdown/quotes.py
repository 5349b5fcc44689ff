"""Find quotations in Markdown: lines that begin with `>`, and are no comparisons such as `> 5 kg`."""

from __future__ import annotations

import re
from typing import NamedTuple

# Not `>=`, `->` and the prompt `>>>`. All marks are matched, so that no quoted line is itself a quotation.
_MARKS = r"[ ]{0,3}(>(?!>>|[=-])(?:[ \t]{0,4}>(?!>>|[=-]))*+)"
_QUOTED_LINE = re.compile(rf"^{_MARKS}[ \t]?(.*)$", re.MULTILINE)
_MARK = re.compile(r"[ \t]{0,4}>[ ]?")
_MARKS_AT_END = re.compile(rf"^{_MARKS}[ \t]*+\Z", re.MULTILINE)
_COMPARISON = re.compile(r"[ \t]*+(?!\d{1,9}[.)][ \t])(?:[-+±~≈€$£¥]?[ \t]?[.,]?\d|\Z)")
_FENCE = re.compile(r"[ ]{0,3}(?:(`{3,})[^`]*|(~{3,})[^~]*)\Z")


class Quote(NamedTuple):
    """Adjacent lines that are quoted equally often.

    Attributes:
        depth: How often they are quoted.
        end: Offset of their end in the text.
        lines: What is quoted.
        first: Index of the first of these lines that counts.
    """

    depth: int
    end: int
    lines: list[str]
    first: int

    @property
    def content(self) -> str:
        """What is quoted."""
        return "\n".join(self.lines[self.first :])


def find_quotes(text: str) -> dict[int, Quote]:
    """Return the quotation that goes on from each quoted line, by the offset of the line, in linear time."""
    quotes: dict[int, Quote] = {}
    lines: list[re.Match[str]] = []
    contents: list[str] = []
    depth, fence = 0, ""
    for match in _QUOTED_LINE.finditer(text) if ">" in text else ():
        is_adjacent = bool(lines) and match.start() == lines[-1].end() + 1
        line_depth = match[1].count(">")
        is_code = is_adjacent and bool(fence) and line_depth >= depth
        if not is_code and not (is_adjacent and line_depth == depth):
            _add_quote(quotes, lines, contents, depth)
            lines, contents, depth, fence = [], [], line_depth, ""
        content = _strip_marks(match.group(), depth) if is_code else match[2]
        lines.append(match)
        contents.append(content)
        fence = _update_fence(fence, content)
    _add_quote(quotes, lines, contents, depth)
    return quotes


def strip_last_marks(text: str) -> str:
    """Remove the marks of a quotation from the end of a text, where they have no text behind them."""
    return _MARKS_AT_END.sub("", text) if text.rstrip(" \t").endswith(">") else text


def strip_quote(line: str) -> str:
    """Return what is quoted on a line, or the line if it is no quotation."""
    match = _QUOTED_LINE.match(line) if ">" in line else None
    return match[2] if match else line


def _add_quote(quotes: dict[int, Quote], lines: list[re.Match[str]], contents: list[str], depth: int) -> None:
    """Add a quotation for each of its lines; lines that all begin with a number are comparisons."""
    if not all(map(_COMPARISON.match, contents)):
        end = lines[-1].end()
        quotes.update((line.start(), Quote(depth, end, contents, index)) for index, line in enumerate(lines))


def _strip_marks(line: str, depth: int) -> str:
    """Remove some of the marks of a line of quoted code, in which further marks are code."""
    offset = 0
    for _ in range(depth):
        match = _MARK.match(line, offset)
        offset = match.end() if match else offset
    return line[offset:]


def _update_fence(fence: str, content: str) -> str:
    """Return the fence of the code that is open after a line; empty outside code."""
    match = _FENCE.match(content)
    if match is None:
        return fence
    marks = match[1] or match[2]
    if not fence:
        return marks
    return "" if content.strip() == marks and marks.startswith(fence) else fence
