r"""Format a paragraph of LaTeX as plain text, Markdown and HTML, with its emphasis: `\textbf{50\%}` is `**50%**`."""

from __future__ import annotations

import re
from typing import NamedTuple

from qwenvl_core.parsing.latex.text import convert_latex_to_text
from qwenvl_core.parsing.text import collapse_whitespace, escape, join_lines, mask_coordinates


class Inline(NamedTuple):
    """A paragraph in three formats."""

    text: str
    markdown: str
    html: str


class _Style(NamedTuple):
    """How the argument of a command is marked in the two formats with markup."""

    markdown: str
    tag: str


# The commands write a pair of control characters, which sanitized text does not hold, around their argument.
_STYLES = {"\x01": _Style("**", "b"), "\x02": _Style("*", "i"), "\x03": _Style("`", "code"), "\x04": _Style("", "u"),
           "\x05": _Style("~~", "del")}  # fmt: skip
_END = "\x06"
MARKS = {
    command: (mark, _END)
    for mark, commands in {
        "\x01": ("\\textbf",),
        "\x02": ("\\textit", "\\emph", "\\textsl"),
        "\x03": ("\\texttt",),
        "\x04": ("\\underline", "\\uline"),
        "\x05": ("\\sout", "\\st"),
    }.items()
    for command in commands
}
"""The marks around the argument of a command."""

_MARK = re.compile(rf"[{''.join(_STYLES)}{_END}]")
_EMPTY = re.compile(rf"[{''.join(_STYLES)}]([ \n]*){_END}")


def format_inline(source: str) -> Inline:
    """Format a paragraph; line breaks of the source are blanks, those that LaTeX shows are kept."""
    marked = collapse_whitespace(_EMPTY.sub(r"\1", convert_latex_to_text(_join_source_lines(source), MARKS)))
    return Inline(
        _MARK.sub("", marked), _render(marked, is_html=False), mask_coordinates(_render(marked, is_html=True))
    )


def _join_source_lines(source: str) -> str:
    return " ".join(line.strip() for line in source.split("\n"))


def _render(marked: str, *, is_html: bool) -> str:
    """Replace the marks by markup; a style that is open already, or has no text, gets none."""
    parts: list[str] = []
    open_styles: list[_Style | None] = []
    offset = 0
    for match in _MARK.finditer(marked):
        parts.append(_format_text(marked[offset : match.start()], is_html=is_html))
        offset = match.end()
        if match.group() == _END:
            style = open_styles.pop() if open_styles else None
            if style:
                parts.append(f"</{style.tag}>" if is_html else style.markdown)
        else:
            opened = _STYLES[match.group()]
            open_styles.append(None if opened in open_styles else opened)
            if open_styles[-1]:
                parts.append(f"<{opened.tag}>" if is_html else opened.markdown)
    parts.append(_format_text(marked[offset:], is_html=is_html))
    parts += [f"</{style.tag}>" if is_html else style.markdown for style in reversed(open_styles) if style]
    return "".join(parts)


def _format_text(text: str, *, is_html: bool) -> str:
    return escape(text).replace("\n", "<br/>") if is_html else text


def format_title(source: str) -> Inline:
    """Format a heading, which is one line."""
    inline = format_inline(source)
    return Inline(join_lines(inline.text), join_lines(inline.markdown), inline.html.replace("<br/>", " "))
