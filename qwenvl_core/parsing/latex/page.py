r"""Split a page in LaTeX into its elements: the answer of an OCR model to the task `document_parsing`.

The answer is a document (`\documentclass`, `\title`, `\section`, lists, `tabular`, formulas), or a piece of one. Tables
and formulas are read as in Markdown; commands without visible output are left out.
"""

from __future__ import annotations

import re

from qwenvl_core.parsing.elements import (
    PageElement,
    format_heading,
    format_html,
    format_list_item,
    format_placeholder,
)
from qwenvl_core.parsing.latex.inline import format_inline, format_title
from qwenvl_core.parsing.latex.text import TOKEN
from qwenvl_core.parsing.markdown.blocks import read_blocks
from qwenvl_core.parsing.text import mask_coordinates

_FENCE = re.compile(r"^[ \t]{0,9}```(?:latex|tex)[ \t]*+(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
_CLOSING_FENCE = re.compile(r"^[ \t]{0,9}```[ \t]*+$|```\s*\Z", re.MULTILINE)
_PAGE_START = re.compile(
    r"\s*+(?:```(?:latex|tex)\s++(?!\\begin\s{0,9}\{tab))?(?:%[^\n]*+\n\s*+)*+"
    r"(?:\\(?:documentclass|usepackage|title|author|maketitle|(?:sub)*section|chapter|part|paragraph)(?![a-z])"
    r"|\\begin\s{0,9}\{(?:document|abstract|itemize|enumerate|center|figure)\*?\})",
    re.IGNORECASE,
)
_DOCUMENT = re.compile(r"^\s{0,99}\\(?:documentclass\b|begin\{document\}|(?:sub){0,2}section\*?\{)", re.MULTILINE)
_BEGIN_DOCUMENT = re.compile(r"\\begin\s{0,9}\{document\}")
_END_DOCUMENT = re.compile(r"\\end\s{0,9}\{document\}")
_BEGIN_CODE = re.compile(
    r"\\begin\s{0,9}\{(?P<name>[Vv]erbatim|lstlisting|minted)\*?\}(?:\[[^\[\]\n]{0,200}\])?"
    r"(?:\{(?P<language>[\w+-]{1,30})\})?[ \t]*+\n?"
)
_COMMENT_LINE = re.compile(r"^[ \t]*+%[^\n]*+\n?", re.MULTILINE)

_LEVELS = {
    "title": 1, "part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5,
    "subparagraph": 6,
}  # fmt: skip
"""Levels of headings; a page in the middle of a document has no title, so that sections have a level of their own."""
_TEXT_COMMANDS = {"author": "text", "date": "text", "caption": "caption", "captionof": "caption"}
_ONE_ARGUMENT = (
    "documentclass", "usepackage", "label", "pagestyle", "thispagestyle", "bibliographystyle", "bibliography",
    "pagenumbering", "geometry", "hypersetup", "graphicspath", "vspace", "hspace", "setlength", "addtolength",
    "setcounter", "newcommand", "renewcommand", "captionsetup", "color", "pagecolor",
)  # fmt: skip
_TWO_ARGUMENTS = ("setlength", "addtolength", "setcounter", "newcommand", "renewcommand", "captionof")
_NO_ARGUMENT = (
    "maketitle", "tableofcontents", "newpage", "clearpage", "pagebreak", "centering", "par", "bigskip", "medskip",
    "smallskip", "hrule", "hfill", "vfill", "appendix", "raggedright",
)  # fmt: skip
_COMMAND_NAMES = sorted({*_LEVELS, *_TEXT_COMMANDS, *_ONE_ARGUMENT, *_NO_ARGUMENT, "includegraphics"}, key=len)
_STRUCTURE = re.compile(
    r"\\(?P<environment>begin|end)\s{0,9}\{(?P<name>[A-Za-z]{1,30})\*?\}"
    r"|\\(?P<item>item)(?![a-zA-Z])[ \t]{0,9}(?:\[(?P<label>[^\[\]\n]{0,80})\])?"
    rf"|\\(?P<command>{'|'.join(reversed(_COMMAND_NAMES))})(?![a-zA-Z])\*?"
    r"|(?P<blank>\n[ \t]*+\n\s*+)"
)
_OPTIONS = re.compile(r"(?:[ \t]{0,9}\[[^\[\]]{0,200}\])?\s{0,9}(?=\{)")
_ENVIRONMENT_OPTIONS = re.compile(r"(?:\[[^\[\]\n]{0,80}\])?")
_WITH_ARGUMENT = ("minipage", "multicols", "thebibliography", "wrapfigure", "adjustbox", "spacing")
_AUTHOR_SEPARATOR = re.compile(r"\s{0,9}\\and(?![a-zA-Z])\s{0,9}", re.IGNORECASE)
_LISTS = {"itemize": False, "enumerate": True, "description": False}


def is_latex_page(text: str) -> bool:
    """Return whether a text is a page in LaTeX, not one in Markdown that holds LaTeX tables or formulas."""
    return "\\" in text and bool(_PAGE_START.match(text) or _DOCUMENT.search(text))


def parse_latex_page(text: str) -> tuple[list[PageElement], bool]:
    """Parse a LaTeX page in linear time.

    Args:
        text: The page, sanitized.

    Returns:
        The elements in their order, and whether the page was cut off.
    """
    body, is_truncated = _strip_fence(text)
    body = _fence_code(body)
    begin = _BEGIN_DOCUMENT.search(body)
    preamble = _TextReader().read(body[: begin.start()], commands_only=True) if begin else []
    elements, is_block_truncated = read_blocks(body[begin.end() :] if begin else body, _TextReader().read)
    has_end = begin is None or bool(_END_DOCUMENT.search(body, begin.end()))
    return [*preamble, *elements], is_truncated or is_block_truncated or not has_end


def _fence_code(text: str) -> str:
    """Write code as Markdown does, between fences, and leave out the comment lines of the rest."""
    pieces: list[str] = []
    done = 0
    for match in _BEGIN_CODE.finditer(text):
        end = text.find(f"\\end{{{match['name']}", match.end())
        close = text.find("}", end)
        if end < 0 or close < 0:
            break  # cut off; a later one would not be closed either, or be part of this one
        code = text[match.end() : end].rstrip()
        if match.start() >= done and "```" not in code:
            fenced = f"\n```{match['language'] or ''}\n{code}\n```\n"
            pieces += [_COMMENT_LINE.sub("", text[done : match.start()]), fenced]
            done = close + 1
    return "".join([*pieces, _COMMENT_LINE.sub("", text[done:])])


def _strip_fence(text: str) -> tuple[str, bool]:
    """Return the content of the code fence, without prose around it, and whether the fence is not closed."""
    fence = _FENCE.search(text)
    if fence is None or (text[: fence.start()].strip() and not is_latex_page(text[fence.end() :])):
        return text, False
    closing = _CLOSING_FENCE.search(text, fence.end())
    return text[fence.end() : closing.start() if closing else len(text)], closing is None


class _TextReader:
    """Read the text between tables and formulas; lists that are open continue in the next piece of text."""

    def __init__(self) -> None:
        self._lists: list[int | None] = []  # for each open list the next number, or None for bullets
        self._marker = ""

    def read(self, text: str, *, commands_only: bool = False) -> list[PageElement]:
        """Read a piece of text; with `commands_only`, without its paragraphs."""
        elements: list[PageElement] = []
        ends = _find_brace_ends(text)
        done = offset = 0
        while match := _STRUCTURE.search(text, offset):
            elements += [] if commands_only else self._read_paragraph(text[done : match.start()])
            done = offset = match.end()
            if match["environment"]:
                done = offset = self._read_environment(match, text, ends)
            elif match["item"]:
                self._start_item(match["label"])
            elif match["command"]:
                found, done = _read_command(match, text, ends)
                offset = done
                elements += found
        return elements if commands_only else elements + self._read_paragraph(text[done:])

    def _read_environment(self, match: re.Match[str], text: str, ends: dict[int, int]) -> int:
        """Read the begin or the end of an environment, and return the offset behind it."""
        name, is_begin = match["name"], match["environment"] == "begin"
        if name in _LISTS and is_begin:
            self._lists.append(1 if _LISTS[name] else None)
        elif name in _LISTS and self._lists:
            self._lists.pop()
        self._marker = ""
        if not is_begin:
            return match.end()
        options = _ENVIRONMENT_OPTIONS.match(text, match.end())
        end = options.end() if options else match.end()
        return ends.get(end, end) if name in _WITH_ARGUMENT else end

    def _start_item(self, label: str | None) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None and label is None:
            self._lists[-1] = number + 1
        indent = "  " * (min(max(len(self._lists), 1), 9) - 1)
        bullet = "- " if number is None else f"{number}. "
        self._marker = indent + (f"- {label} " if label else bullet)

    def _read_paragraph(self, source: str) -> list[PageElement]:
        if not source.strip():
            return []
        inline = format_inline(source)
        if not inline.text:
            return []
        marker, self._marker = self._marker, ""
        if not marker:
            return [PageElement("text", inline.text, inline.markdown, f"<p>{inline.html}</p>")]
        number = marker.strip().rstrip(".")
        value = f' value="{number}"' if number.isdigit() else ""
        return [
            PageElement(
                "list_item", inline.text, format_list_item(marker, inline.markdown), f"<li{value}>{inline.html}</li>"
            )
        ]


def _find_brace_ends(text: str) -> dict[int, int]:
    """Return the offset behind each pair of braces by the offset of its opening brace."""
    ends: dict[int, int] = {}
    stack: list[int] = []
    for match in TOKEN.finditer(text):
        if match.lastgroup == "open":
            stack.append(match.start())
        elif match.lastgroup == "close" and stack:
            ends[stack.pop()] = match.end()
    return ends


def _read_command(match: re.Match[str], text: str, ends: dict[int, int]) -> tuple[list[PageElement], int]:
    """Read a command with its arguments; return its element, if it has one, and the offset behind it."""
    name, end = match["command"], match.end()
    if name in _NO_ARGUMENT:
        return [], end
    argument = ""
    for _ in range(2 if name in _TWO_ARGUMENTS else 1):
        options = _OPTIONS.match(text, end)
        argument_end = ends.get(options.end()) if options else None
        if options is None or argument_end is None:
            break
        argument, end = text[options.end() + 1 : argument_end - 1], argument_end
    if name == "includegraphics":
        return [PageElement("image", "", format_placeholder("image"), format_html("div", "", "image"))], end
    if name in _LEVELS:
        return _convert_title(argument, _LEVELS[name]), end
    inline = format_inline(_AUTHOR_SEPARATOR.sub(", ", argument)) if name in _TEXT_COMMANDS else None
    if inline is None or not inline.text or argument.strip() == "\\today":
        return [], end
    return [PageElement(_TEXT_COMMANDS[name], inline.text, inline.markdown, f"<p>{inline.html}</p>")], end


def _convert_title(source: str, level: int) -> list[PageElement]:
    title = format_title(source)
    if not title.text:
        return []
    html = mask_coordinates(f"<h{level}>{title.html}</h{level}>")
    return [PageElement("title", title.text, format_heading(title.markdown, level), html)]
