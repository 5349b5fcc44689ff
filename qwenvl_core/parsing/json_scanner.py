"""Extract JSON objects with coordinates from text that is only nearly JSON, in one pass.

Models put prose around JSON, cut it off, omit or repeat a bracket, write trailing commas, and use Python's quotes.
 `json.loads` rejects all of that and recurses on nesting, and retrying it from every brace is
quadratic. This scanner keeps a short stack of open brackets and records every object that was closed; tokens that
do not fit are skipped. Nothing is evaluated.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwenvl_core.parsing.numbers import is_number
from qwenvl_core.parsing.unescape import unescape_json

COORDINATE_KEYS = ("bbox_2d", "bbox", "point_2d", "point", "bbox_3d")
"""Keys of the objects to record."""

# The outermost brackets beyond this depth are dropped, so that memory stays small. Their content is still read.
_MAX_DEPTH = 64
# A quote inside a string ends it only where a string can end; at most this many quotes are tried.
_MAX_INNER_QUOTES = 8

_OPENING = re.compile(r"[{\[]")
_TOKEN = re.compile(
    r"""
      (?P<skip>[\s,:;]++|//[^\n]*+)
    | (?P<open>[{\[(])
    | (?P<close>[}\])])
    | (?P<quote>["'])
    | (?P<number>[-+]?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?(?![\w.]))
    | (?P<word>[^\s,:;\[\](){}"']++)
    """,
    re.VERBOSE,
)
_KEY = re.compile(r"""(?: "((?:[^"\\\n{}\[\]]|\\.){0,200}+)" | '((?:[^'\\\n{}\[\]]|\\.){0,200}+)' )\s*+:""", re.VERBOSE)
_COLON = re.compile(r"\s*+:")
_UP_TO_QUOTE = {q: re.compile(rf"[^{q}\\]*+(?:\\.[^{q}\\]*+)*+{q}", re.DOTALL) for q in "\"'"}
_COORDINATE_KEY = re.compile(r"(?:bbox|point)(?:_[23]d)?[\"']\s{0,9}:")
_END_IN_LIST = re.compile(r"\s*+(?:[,}\]]|\Z)")
_NEXT_KEY = r"""(?:"[^"\n]{0,80}"|'[^'\n]{0,80}'|[A-Za-z_]\w{0,80})\s{0,9}:"""
_END_IN_OBJECT = re.compile(rf"\s*+(?:[}}\]]|\Z|,\s*+(?:[}}\]{{\[/]|\Z|{_NEXT_KEY})|{_NEXT_KEY})")
_REST_OF_OBJECT = re.compile(rf"\s*+,\s*+{_NEXT_KEY}")
_CONSTANTS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
    "NaN": float("nan"),
}


@dataclass(slots=True)
class _OpenBracket:
    """A bracket that is not closed yet.

    Attributes:
        start: Offset of the bracket.
        value: The object or list so far.
        key: In an object, the key of the next value.
    """

    start: int
    value: dict[str, Any] | list[Any]
    key: str | None = None


@dataclass(slots=True)
class ScanResult:
    """The objects and lists with coordinates in a text.

    Attributes:
        objects: Objects with a coordinate key, each with its offset, in the order of their ends.
        rows: Lists of four numbers that are not a value in an object, each with its offset.
    """

    objects: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    rows: list[tuple[int, list[Any]]] = field(default_factory=list)


def scan_json(text: str) -> ScanResult:
    """Find all closed objects with a coordinate key in a text, in linear time and without raising."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.result


class _Scanner:
    def __init__(self, text: str) -> None:
        self.result = ScanResult()
        self._text = text
        self._open: deque[_OpenBracket] = deque(maxlen=_MAX_DEPTH)
        self._unclosed_quotes: set[str] = set()  # quotes without a further one; searching again would be quadratic
        self._handlers: dict[str, Callable[[re.Match[str]], int]] = {
            "skip": re.Match.end,
            "open": self._read_opening_bracket,
            "close": self._read_closing_bracket,
            "quote": self._read_quoted,
            "number": self._read_number,
            "word": self._read_word,
        }

    def scan(self) -> None:
        """Read the text to its end; each handler returns the offset to continue at."""
        text, offset = self._text, 0
        while offset < len(text):
            # Text outside all brackets is prose, whose quotes and numbers are skipped.
            match = _TOKEN.match(text, offset) if self._open else _OPENING.search(text, offset)
            if match is None:
                return
            offset = self._handlers[match.lastgroup or "open"](match)

    def _read_opening_bracket(self, match: re.Match[str]) -> int:
        self._open.append(_OpenBracket(match.start(), {} if match.group() == "{" else []))
        return match.end()

    def _read_closing_bracket(self, match: re.Match[str]) -> int:
        kind: type = dict if match.group() == "}" else list
        if kind is list and self._is_stray_bracket(match.end()):
            return match.end()
        if any(isinstance(bracket.value, kind) for bracket in self._open):
            while not isinstance(self._open[-1].value, kind):
                self._close_bracket()
            self._close_bracket()
        return match.end()

    def _is_stray_bracket(self, end: int) -> bool:
        """Return whether the `]` before `end` is inside an object that continues after it."""
        return isinstance(self._open[-1].value, dict) and bool(_REST_OF_OBJECT.match(self._text, end))

    def _read_quoted(self, match: re.Match[str]) -> int:
        key = _KEY.match(self._text, match.start())
        if key and self._is_in_list_of_object():  # a list has no keys, so its end is missing
            self._close_bracket()
        top = self._open[-1]
        if isinstance(top.value, dict) and top.key is None:
            if key is None:
                return match.end()
            top.key = unescape_json(key.group(1) if key.group(1) is not None else key.group(2))
            return key.end()
        end = self._find_string_end(match.end(), match.group(), isinstance(top.value, dict))
        if end is None:
            return match.end()
        self._add_value(unescape_json(self._text[match.end() : end - 1]))
        return end

    def _is_in_list_of_object(self) -> bool:
        if len(self._open) < 2:
            return False
        return isinstance(self._open[-1].value, list) and isinstance(self._open[-2].value, dict)

    def _find_string_end(self, start: int, quote: str, is_in_object: bool) -> int | None:
        """Return the offset after the closing quote of the string whose content begins at `start`."""
        if quote in self._unclosed_quotes:
            return None
        end_pattern = _END_IN_OBJECT if is_in_object else _END_IN_LIST
        offset = start
        for _ in range(_MAX_INNER_QUOTES):
            match = _UP_TO_QUOTE[quote].match(self._text, offset)
            if match is None:
                if offset == start:  # no later quote of this kind is closed either
                    self._unclosed_quotes.add(quote)
                return None
            offset = match.end()
            if end_pattern.match(self._text, offset):
                return offset
            if _COORDINATE_KEY.match(self._text, offset):  # the quote is prose, or its end is missing
                return None
        return None

    def _read_number(self, match: re.Match[str]) -> int:
        digits = match.group()
        self._add_value(int(digits) if len(digits) < 16 and digits.lstrip("+-").isdigit() else float(digits))
        return match.end()

    def _read_word(self, match: re.Match[str]) -> int:
        top, word = self._open[-1], match.group()
        if isinstance(top.value, dict) and top.key is None:
            if _COLON.match(self._text, match.end()):
                top.key = word
        else:
            self._add_value(_CONSTANTS.get(word, word))
        return match.end()

    def _add_value(self, value: Any) -> None:
        """Add a value to the innermost open bracket."""
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            if top.key in COORDINATE_KEYS and top.key in top.value:  # the brackets between two objects are missing
                self._record(top)
                top.value = {}
            top.value[top.key] = value
            top.key = None

    def _close_bracket(self) -> None:
        """Close the innermost open bracket."""
        bracket = self._open.pop()
        self._record(bracket)
        if self._open:
            self._add_value(bracket.value)

    def _record(self, bracket: _OpenBracket) -> None:
        """Add a closed bracket to the result if it contains coordinates."""
        value = bracket.value
        if isinstance(value, dict):
            if any(key in value for key in COORDINATE_KEYS):
                self.result.objects.append((bracket.start, value))
        elif len(value) == 4 and all(is_number(item) for item in value) and not self._is_in_object():
            self.result.rows.append((bracket.start, value))

    def _is_in_object(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict)
