r"""Convert LaTeX text to plain text, in linear time: `\textbf{50\%}` becomes `50%`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from qwenvl_core.parsing.text import collapse_whitespace

TOKEN = re.compile(
    r"(?P<row>\\tabularnewline(?![a-zA-Z])"
    r"|\\\\(?:\*|[ \t]{0,9}\[[ \t]{0,9}-?[\d.]{1,9}[ \t]{0,9}[a-z]{2}[ \t]{0,9}\])?)"
    r"|(?P<begin>\\begin(?![a-zA-Z]))|(?P<end>\\end(?![a-zA-Z]))|(?P<command>\\(?:[a-zA-Z]++\*?|.|\Z))"
    r"|(?P<open>\{)|(?P<close>\})|(?P<cell>&)|(?P<math>\$)|(?P<text>[^\\{}&$]++)",
    re.DOTALL,
)
"""A token of LaTeX. The tokens of a text cover all of it."""


def _split_commands(text: str) -> frozenset[str]:
    return frozenset("\\" + name for name in text.split())


# Commands whose argument is shown.
_WRAPPERS = _split_commands(
    "textbf textit emph text textrm texttt textsf textsc textup textmd textnormal textsubscript underline uline mbox "
    "hbox makecell thead shortstack tabincell"
)
# Commands without output.
_DECLARATIONS = _split_commands(
    "bf it rm sf tt em bfseries itshape tiny scriptsize footnotesize small normalsize large Large centering "
    "raggedright raggedleft noindent relax hfill strut hline toprule midrule bottomrule"
)
# Commands whose first argument is a setting or a name, which is not shown.
_WITH_SETTING = _split_commands(
    "caption cellcolor cline color colorbox fontsize hspace label parbox rotatebox textcolor thanks vspace end"
)
_SYMBOLS = {
    **{f"\\{sign}": sign for sign in "&%$#_{}"},
    **{f"\\{sign}": " " for sign in " ,;:\n\t"},
    **{f"\\{sign}": "" for sign in "!/-@"},
    "\\textbackslash": "\\",
    "\\textasciitilde": "~",
    "\\textasciicircum": "^",
    "\\textless": "<",
    "\\textgreater": ">",
    "\\textbar": "|",
    "\\newline": "\n",
    "\\linebreak": "\n",
    "\\quad": " ",
    "\\qquad": " ",
    "\\ldots": "…",
    "\\dots": "…",
}
_MATH_DELIMITERS = ("\\(", "\\)")
_OPTIONAL_ARGUMENT = re.compile(r"\s*+\[[^\[\]]{0,40}\]")


def convert_latex_to_text(source: str, marks: Mapping[str, tuple[str, str]] | None = None) -> str:
    """Convert LaTeX to plain text. Formulas and unknown commands are unchanged; line breaks become newlines.

    Args:
        source: The LaTeX source.
        marks: What to write before and after the argument of a command, by the command.
    """
    writer = _TextWriter(marks or {})
    for match in TOKEN.finditer(source):
        writer.add(match.lastgroup or "text", match.group())
    return collapse_whitespace("".join(writer.parts))


class _TextWriter:
    def __init__(self, marks: Mapping[str, tuple[str, str]]) -> None:
        self.parts: list[str] = []
        self._marks = marks
        self._closing_mark = ""  # of the command whose argument comes next
        self._closing_braces: list[str] = []  # for each open brace, what is written where it closes
        self._should_keep_braces = False  # whether the next braces belong to a command that was written
        self._should_skip_option = False  # whether to skip an optional argument that may follow
        self._arguments_to_skip = 0
        self._skipped_depth = 0  # open braces inside the argument that is being skipped
        self._environment: list[str] | None = None  # the tokens of the name of an environment that is being opened
        self._is_in_math = False
        self._handlers: dict[str, Callable[[str], None]] = {
            "row": self._add_row_end,
            "cell": self._add_cell_end,
            "begin": self._add_begin,
            "end": self._add_end,
            "command": self._add_command,
            "open": self._add_opening_brace,
            "close": self._add_closing_brace,
            "text": self._add_text,
        }

    def add(self, kind: str, text: str) -> None:
        """Add a token; `kind` is the name of its group in `TOKEN`."""
        if self._skipped_depth:
            self._skip(kind, text)
        elif kind == "math":
            self._is_in_math = not self._is_in_math
            self.parts.append(text)
        elif self._is_in_math and text in _MATH_DELIMITERS:
            self._is_in_math = text == "\\("
            self.parts.append("$")
        elif self._is_in_math:
            self.parts.append(text)
        else:
            self._handlers[kind](text)

    def _skip(self, kind: str, text: str) -> None:
        self._skipped_depth += {"open": 1, "close": -1}.get(kind, 0)
        if self._environment is not None and self._skipped_depth:
            self._environment.append(text)
        if not self._skipped_depth and self._environment is not None:
            if "tab" in "".join(self._environment):
                # The vertical position and the columns of the table follow.
                self._arguments_to_skip, self._should_skip_option = 1, True
            self._environment = None

    def _add_row_end(self, _: str) -> None:
        self.parts.append("\n")

    def _add_cell_end(self, _: str) -> None:
        self.parts.append(" ")

    def _add_begin(self, _: str) -> None:
        self._arguments_to_skip, self._environment = 1, []

    def _add_end(self, _: str) -> None:
        self._arguments_to_skip = 1

    def _add_command(self, command: str) -> None:
        self._should_keep_braces, self._closing_mark = False, ""
        if command in _MATH_DELIMITERS:
            self._is_in_math = command == "\\("
            self.parts.append("$")
            return
        if command in self._marks:
            opening, self._closing_mark = self._marks[command]
            self.parts.append(opening)
            return
        self._should_skip_option = command in _WRAPPERS or command in _WITH_SETTING
        if command in _WITH_SETTING:
            self._arguments_to_skip = 1
        elif command not in _WRAPPERS and command not in _DECLARATIONS:
            self.parts.append(_SYMBOLS.get(command, command))
            self._should_keep_braces = command not in _SYMBOLS

    def _add_opening_brace(self, brace: str) -> None:
        self._should_skip_option = False
        if self._arguments_to_skip:
            self._arguments_to_skip -= 1
            self._skipped_depth = 1
            return
        self._closing_braces.append("}" if self._should_keep_braces else self._closing_mark)
        if self._should_keep_braces:
            self.parts.append(brace)
        self._should_keep_braces, self._closing_mark = False, ""

    def _add_closing_brace(self, brace: str) -> None:
        closing = self._closing_braces.pop() if self._closing_braces else ""
        self.parts.append(closing)
        self._should_keep_braces = closing == brace  # a command may have several arguments

    def _add_text(self, text: str) -> None:
        if self._should_skip_option:
            option = _OPTIONAL_ARGUMENT.match(text)
            text = text[option.end() :] if option else text
        self._should_skip_option = self._should_keep_braces = False
        if text.strip():
            self._arguments_to_skip = 0
            if self._closing_mark:  # the command has no argument
                self.parts.append(self._closing_mark)
                self._closing_mark = ""
        self.parts.append(text.replace("~", " ").replace("``", '"').replace("''", '"'))
