r"""Convert LaTeX text to plain text, in linear time: `\textbf{50\%}` becomes `50%`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from qwenvl_core.parsing.html.page import simplify_html
from qwenvl_core.parsing.latex.symbols import ACCENTS, DINGBATS, LETTERS, MATH_SIGNS, SIGNS, add_accent
from qwenvl_core.parsing.text import collapse_whitespace

TOKEN = re.compile(
    r"(?P<row>\\tabularnewline(?![a-zA-Z])"
    r"|\\\\(?:\*|[ \t]{0,9}\[[ \t]{0,9}-?[\d.]{1,9}[ \t]{0,9}[a-z]{2}[ \t]{0,9}\])?)"
    r"|(?P<begin>\\begin(?![a-zA-Z]))|(?P<end>\\end(?![a-zA-Z]))|(?P<command>\\(?:[a-zA-Z]++\*?|.|\Z))"
    r"|(?P<open>\{)|(?P<close>\})|(?P<cell>&)|(?P<math>\$)|(?P<text>[^\\{}&$]++)",
    re.DOTALL,
)
"""A token of LaTeX. The tokens of a text cover all of it."""
_SPECIAL = re.compile(r"[\\{}&$]")


def _split_commands(text: str) -> frozenset[str]:
    return frozenset("\\" + name for name in text.split())


# Commands whose argument is shown.
_WRAPPERS = _split_commands(
    "textbf textit emph text textrm texttt textsf textsc textup textmd textnormal underline uline mbox "
    "hbox makecell thead shortstack textsuperscript textsubscript sout st num url"
)
# Commands without output.
_DECLARATIONS = _split_commands(
    "bf it rm sf tt em bfseries itshape tiny scriptsize footnotesize small normalsize large Large centering "
    "raggedright raggedleft noindent relax hfill strut hline toprule midrule bottomrule"
)
# Commands whose first argument is a setting or a name, which is not shown.
_WITH_SETTING = _split_commands(
    "caption cellcolor cline color colorbox fontsize href hspace label parbox rotatebox tabincell textcolor "
    "thanks vspace end"
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
    **SIGNS,
    **LETTERS,
}
_BARE_ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0300": "`", "\u0301": "´", "\u0308": "¨"}
_MATH_DELIMITERS = ("\\(", "\\)")
_DEFAULT_MARKS = {"\\footnote": (" (", ")")}
# Formulas that are one sign or one raised or lowered number, and commands with a number.
_SIMPLE_FORMULA = re.compile(
    r"(?<!\\)\$\s{0,9}(?:\{\}\s{0,9})?(?:(?P<script>[\^_])\s{0,9})?(?P<brace>\{)?\s{0,9}(?:\\(?P<sign>[A-Za-z]{1,20})"
    r"|(?P<number>(?<=[\^_{ ])[-+−]?[0-9]{1,9}[-+]?|(?<=[\^_{ ])(?:st|nd|rd|th)))\s{0,9}(?(brace)\})\s{0,9}\$"
    r"|\\ding\s{0,9}\{(?P<ding>\d{1,3})\}"
    r"|\\footnotemark\s{0,9}\[(?P<note>\d{1,4})\]"
)
# Tags of HTML that models write in LaTeX, and the commands with the same meaning.
_COMMAND_BY_TAG = {
    "sup": "textsuperscript", "sub": "textsubscript", "del": "sout", "s": "sout", "strike": "sout", "b": "textbf",
    "strong": "textbf", "i": "textit", "em": "textit", "u": "underline", "code": "texttt",
}  # fmt: skip
_ELEMENT = re.compile(
    rf"<({'|'.join(_COMMAND_BY_TAG)})(?:\s[^<>]{{0,200}})?>([^<>]*+)</\1\s{{0,9}}>|<br\s{{0,9}}/?>", re.IGNORECASE
)
_CODE = re.compile(r"\\(?:texttt\s{0,9}\{[^{}]{0,500}\}|verb\*?(?P<mark>[^\sA-Za-z*])[^\n]{0,500}?(?P=mark))")
_SIGN_BY_REFERENCE = {"&lt;": "\\textless{}", "&gt;": "\\textgreater{}", "&amp;": "\\&", "&quot;": '"', "&#x27;": "'"}
_REFERENCE = re.compile("|".join(_SIGN_BY_REFERENCE))
_MAX_NESTING = 3
_OPTIONAL_ARGUMENT = re.compile(r"\s*+\[[^\[\]]{0,40}\]")


def convert_latex_to_text(source: str, marks: Mapping[str, tuple[str, str]] | None = None) -> str:
    """Convert LaTeX to plain text. Formulas and unknown commands are unchanged; line breaks become newlines.

    Raised, lowered, struck and emphasized text between HTML tags is read as that of the commands.

    Args:
        source: The LaTeX source.
        marks: What to write before and after the argument of a command, by the command.
    """
    if "<" in source:
        source = _convert_html(source)
    if _SPECIAL.search(source) is None:
        return collapse_whitespace(_replace_ligatures(source))
    if "$" in source or "\\ding" in source or "\\footnotemark" in source:
        source = _SIMPLE_FORMULA.sub(_simplify_formula, source)
    writer = _TextWriter(_DEFAULT_MARKS if marks is None else {**_DEFAULT_MARKS, **marks})
    for match in TOKEN.finditer(source):
        writer.add(match.lastgroup or "text", match.group())
    return collapse_whitespace("".join(writer.parts))


def _convert_html(source: str) -> str:
    """Replace the tags of HTML that have a meaning in text by commands; those in code are kept."""
    done, pieces = 0, []
    for match in _CODE.finditer(source):
        pieces += [_convert_tags(source[done : match.start()]), match.group()]
        done = match.end()
    return "".join([*pieces, _convert_tags(source[done:])])


def _convert_tags(source: str) -> str:
    source = _REFERENCE.sub(lambda match: _SIGN_BY_REFERENCE[match.group()], simplify_html(source))
    for _ in range(_MAX_NESTING):
        source = _ELEMENT.sub(_convert_element, source)
    return source


def _convert_element(match: re.Match[str]) -> str:
    if not match[1]:
        return "\\newline "
    content = match[2]
    if (len(content) - len(content.rstrip("\\"))) % 2:  # the last backslash would escape the brace
        content = content[:-1] + "\\textbackslash{}"
    return f"\\{_COMMAND_BY_TAG[match[1].lower()]}{{{content}}}"


def _simplify_formula(match: re.Match[str]) -> str:
    """Return the text or the command for text with the same meaning; the formula itself if there is none."""
    if match["ding"]:
        return DINGBATS.get(match["ding"], match.group())
    if match["note"]:
        return f"\\textsuperscript{{{match['note']}}}"
    sign = MATH_SIGNS.get(match["sign"] or "")
    if sign is not None and (match["script"] is None or sign in "°′"):
        return sign
    if match["number"] and match["script"]:
        command = "textsuperscript" if match["script"] == "^" else "textsubscript"
        return f"\\{command}{{{match['number']}}}"
    return match.group()


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
        self._accent = ""  # the accent of the next letter
        self._is_after_letter = False  # whether the last token was a command for a letter
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
        if command in ACCENTS:
            self._accent = ACCENTS[command]
            return
        if self._accent and command in LETTERS:
            self.parts.append(add_accent(LETTERS[command], self._accent))
            self._accent, self._is_after_letter = "", True
            return
        self._is_after_letter = command in LETTERS
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
        if self._accent:  # without a letter the command shows the accent
            self.parts.append(_BARE_ACCENTS.get(self._accent, ""))
            self._accent = ""
        self.parts.append(closing)
        self._should_keep_braces = closing == brace  # a command may have several arguments

    def _add_text(self, text: str) -> None:
        if self._should_skip_option:
            option = _OPTIONAL_ARGUMENT.match(text)
            text = text[option.end() :] if option else text
        self._should_skip_option = self._should_keep_braces = False
        if self._is_after_letter:
            text = text.lstrip(" ")
        if self._accent and text.strip():
            text = text.lstrip()
            text, self._accent = add_accent(text[0], self._accent) + text[1:], ""
        self._is_after_letter = False
        if text.strip():
            self._arguments_to_skip = 0
            if self._closing_mark:  # the command has no argument
                self.parts.append(self._closing_mark)
                self._closing_mark = ""
        self.parts.append(_replace_ligatures(text))


def _replace_ligatures(text: str) -> str:
    """Replace the characters of LaTeX that stand for a blank and for quotation marks."""
    return text.replace("~", " ").replace("``", '"').replace("''", '"')
