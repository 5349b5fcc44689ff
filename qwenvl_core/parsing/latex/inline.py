r"""Format a paragraph of LaTeX as plain text, Markdown and HTML, with its emphasis: `\textbf{50\%}` is `**50%**`."""

from __future__ import annotations

import re
from typing import NamedTuple

from qwenvl_core.parsing.elements import Inline
from qwenvl_core.parsing.html.marks import mark_inline
from qwenvl_core.parsing.html.tokenizer import Token
from qwenvl_core.parsing.latex.text import convert_latex_to_text
from qwenvl_core.parsing.text import collapse_whitespace, escape, escape_markdown, join_lines, mask_coordinates


class _Style(NamedTuple):
    """How the argument of a command is marked: its signs in Markdown, and its tag in HTML."""

    markdown: str
    tag: str


# The commands write a pair of control characters, which sanitized text does not hold, around their argument.
_STYLES = {"\x01": _Style("**", "b"), "\x02": _Style("*", "i"), "\x03": _Style("`", "code"), "\x04": _Style("", "u"),
           "\x05": _Style("", "del"), "\x07": _Style("", "sup"), "\x08": _Style("", "sub")}  # fmt: skip
_END = "\x06"
_MARKS_BY_COMMAND = {
    **dict.fromkeys(("\\textbf",), "\x01"),
    **dict.fromkeys(("\\textit", "\\emph", "\\textsl"), "\x02"),
    **dict.fromkeys(("\\texttt",), "\x03"),
    **dict.fromkeys(("\\underline", "\\uline"), "\x04"),
    **dict.fromkeys(("\\sout", "\\st"), "\x05"),
    **dict.fromkeys(("\\textsuperscript",), "\x07"),
    **dict.fromkeys(("\\textsubscript",), "\x08"),
}
MARKS = {command: (mark, _END) for command, mark in _MARKS_BY_COMMAND.items()}
"""The marks around the argument of a command."""

_NUMBER_MARKS = {command: marks for command, marks in MARKS.items() if marks[0] in "\x05\x07\x08"}
_MARK = re.compile(rf"[{''.join(_STYLES)}{_END}]")
_EMPTY = re.compile(rf"[{''.join(_STYLES)}]([ \n]*){_END}")


def format_inline(source: str) -> Inline:
    """Format a paragraph; line breaks of the source are blanks, those that LaTeX shows are kept."""
    source = " ".join(line.strip() for line in source.split("\n"))
    return _format_marked(_EMPTY.sub(r"\1", convert_latex_to_text(source, MARKS)))


def format_cell(source: str) -> Inline:
    """Format a cell or a caption, whose emphasis is not kept; struck, raised and lowered text is marked."""
    return _format_marked(_EMPTY.sub(r"\1", convert_latex_to_text(source, _NUMBER_MARKS)))


def _format_marked(marked: str) -> Inline:
    marked = collapse_whitespace(marked)
    if _MARK.search(marked) is None:
        return Inline(marked, escape_markdown(marked), _format_html(marked))
    tokens = _convert_marks(marked)
    written = mark_inline(tokens)
    return Inline(
        "".join(token.text for token in written),
        "".join(escape_markdown(token.text) if token.kind == "text" else _SIGNS[token.name] for token in written),
        "".join(_format_html(token.text) if token.kind == "text" else _format_tag(token) for token in tokens),
    )


_SIGNS = {style.tag: style.markdown for style in _STYLES.values()}


def _convert_marks(marked: str) -> list[Token]:
    """Convert text with marks to tags and text; a style that is open already gets no tag, except powers."""
    tokens: list[Token] = []
    open_tags: list[str | None] = []
    offset = 0
    for match in _MARK.finditer(marked):
        tokens.append(Token("text", text=marked[offset : match.start()]))
        offset = match.end()
        if match.group() != _END:
            tag = _STYLES[match.group()].tag
            open_tags.append(None if tag in open_tags and tag not in ("sup", "sub") else tag)
            if open_tags[-1]:
                tokens.append(Token("start", tag))
        elif open_tags and (opened := open_tags.pop()):
            tokens.append(Token("end", opened))
    tokens.append(Token("text", text=marked[offset:]))
    return [*tokens, *(Token("end", tag) for tag in reversed(open_tags) if tag)]


def _format_html(text: str) -> str:
    return mask_coordinates(escape(text).replace("\n", "<br/>"))


def _format_tag(token: Token) -> str:
    return f"</{token.name}>" if token.kind == "end" else f"<{token.name}>"


def format_title(source: str) -> Inline:
    """Format a heading, which is one line."""
    inline = format_inline(source)
    return Inline(join_lines(inline.text), join_lines(inline.markdown), inline.html.replace("<br/>", " "))
