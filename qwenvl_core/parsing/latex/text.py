r"""LaTeX text as plain text: `\textbf{50\%}` is `50%`. Formulas and unknown commands stay as they are. Linear."""

from __future__ import annotations

import re

from qwenvl_core.parsing.text import collapse_whitespace

TOKEN = re.compile(
    r"(?P<row>\\tabularnewline(?![a-zA-Z])"
    r"|\\\\(?:\*|[ \t]{0,9}\[[ \t]{0,9}-?[\d.]{1,9}[ \t]{0,9}[a-z]{2}[ \t]{0,9}\])?)"
    r"|(?P<begin>\\begin(?![a-zA-Z]))|(?P<end>\\end(?![a-zA-Z]))|(?P<command>\\(?:[a-zA-Z]++\*?|.|\Z))"
    r"|(?P<open>\{)|(?P<close>\})|(?P<cell>&)|(?P<math>\$)|(?P<text>[^\\{}&$]++)",
    re.DOTALL,
)
"""One piece of LaTeX; together the pieces are the whole text."""


def _commands(text: str) -> frozenset[str]:
    return frozenset("\\" + name for name in text.split())


# The argument shows.
_WRAPPERS = _commands(
    "textbf textit emph text textrm texttt textsf textsc textup textmd textnormal textsubscript underline uline mbox "
    "hbox makecell thead shortstack tabincell"
)
# Nothing shows.
_DECLARATIONS = _commands(
    "bf it rm sf tt em bfseries itshape tiny scriptsize footnotesize small normalsize large Large centering "
    "raggedright raggedleft noindent relax hfill strut hline toprule midrule bottomrule"
)
# The first argument does not show.
_WITH_SETTING = _commands(
    "caption cellcolor cline color colorbox fontsize hspace label parbox rotatebox textcolor vspace end"
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
_OPTION = re.compile(r"\s*+\[[^\[\]]{0,40}\]")


def plain(source: str) -> str:
    """A piece of LaTeX as text, on as many lines as it asks for."""
    writer = _Writer()
    for match in TOKEN.finditer(source):
        writer.add(match.lastgroup or "text", match.group())
    return collapse_whitespace("".join(writer.parts))


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._shown: list[bool] = []  # of each open brace, whether it is written
        self._keeps_braces = False  # the next brace belongs to a command that is written
        self._skips_option = False
        self._to_drop = 0  # arguments that are still to be left out
        self._dropping = 0  # depth inside of one that is left out
        self._name: list[str] | None = None  # of an environment that begins
        self._in_math = False

    def add(self, kind: str, text: str) -> None:
        if self._dropping:
            self._drop(kind, text)
        elif kind == "math":
            self._in_math = not self._in_math
            self.parts.append(text)
        elif self._in_math:
            self.parts.append(text)
        else:
            handler = getattr(self, f"_on_{kind}")
            handler(text)

    def _drop(self, kind: str, text: str) -> None:
        self._dropping += {"open": 1, "close": -1}.get(kind, 0)
        if self._name is not None and self._dropping:
            self._name.append(text)
        if not self._dropping and self._name is not None:
            if "tab" in "".join(self._name):
                self._to_drop, self._skips_option = 1, True  # the columns, and where it stands on the line
            self._name = None

    def _on_row(self, _: str) -> None:
        self.parts.append("\n")

    def _on_cell(self, _: str) -> None:
        self.parts.append(" ")

    def _on_begin(self, _: str) -> None:
        self._to_drop, self._name = 1, []

    def _on_end(self, _: str) -> None:
        self._to_drop = 1

    def _on_command(self, command: str) -> None:
        self._keeps_braces = False
        self._skips_option = command in _WRAPPERS or command in _WITH_SETTING
        if command in _WITH_SETTING:
            self._to_drop = 1
        elif command not in _WRAPPERS and command not in _DECLARATIONS:
            self.parts.append(_SYMBOLS.get(command, command))
            self._keeps_braces = command not in _SYMBOLS

    def _on_open(self, brace: str) -> None:
        self._skips_option = False
        if self._to_drop:
            self._to_drop -= 1
            self._dropping = 1
            return
        self._shown.append(self._keeps_braces)
        if self._keeps_braces:
            self.parts.append(brace)
        self._keeps_braces = False

    def _on_close(self, brace: str) -> None:
        shown = self._shown.pop() if self._shown else False
        if shown:
            self.parts.append(brace)
        self._keeps_braces = shown  # a command may have several arguments

    def _on_text(self, text: str) -> None:
        if self._skips_option:
            option = _OPTION.match(text)
            text = text[option.end() :] if option else text
        self._skips_option = self._keeps_braces = False
        if text.strip():
            self._to_drop = 0
        self.parts.append(text.replace("~", " ").replace("``", '"').replace("''", '"'))
