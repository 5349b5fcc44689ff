"""Extract JSON objects with coordinates from text that is only nearly JSON, in one pass.

Models put prose around JSON, cut it off, omit or repeat a bracket, write trailing commas, and use Python's quotes and
NumPy's numbers. `json.loads` rejects all of that and recurses on nesting, and retrying it from every brace is
quadratic. This scanner keeps a short stack of open brackets and records every object that was closed; tokens that
do not fit are skipped. A string that the end of the text cuts off ends the scan, since brackets in it are text. Nothing
is evaluated.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qwenvl_core.parsing.coordinate_keys import get_kind
from qwenvl_core.parsing.numbers import is_number
from qwenvl_core.parsing.unescape import unescape_json

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
    | (?P<number>[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?![\w.]))
    | (?P<word>[^\s,:;\[\](){}"']++)
    """,
    re.VERBOSE,
)
_KEY = re.compile(r"""(?: "((?:[^"\\\n{}\[\]]|\\.){0,200}+)" | '((?:[^'\\\n{}\[\]]|\\.){0,200}+)' )\s*+:""", re.VERBOSE)
_KEY_WITH_BRACKETS = re.compile(
    r"""(?: "((?:[^"\\\n]|\\.){0,200}+)" | '((?:[^'\\\n]|\\.){0,200}+)' )\s*+:""", re.VERBOSE
)
_COLON = re.compile(r"\s*+:")
_UP_TO_QUOTE = {q: re.compile(rf"[^{q}\\]*+(?:\\.[^{q}\\]*+)*+{q}", re.DOTALL) for q in "\"'"}
_NEXT_KEY_INSIDE = re.compile(r"([\w -]{1,40})[\"']\s{0,9}:")
_MISSING_END = re.compile(r"(?:\s*+\}[\s,\]}]*+(?:\[\s*+)?\{|,)\s*\Z")
_END_IN_LIST = re.compile(r"\s*+(?:[,}\]]|\Z)")
_NEXT_KEY = r"""(?:"[^"\n]{0,80}"|'[^'\n]{0,80}'|[A-Za-z_]\w{0,80})\s{0,9}:"""
_END_IN_OBJECT = re.compile(rf"\s*+(?:[}}\]]|\Z|,\s*+(?:[}}\]{{\[/]|\Z|{_NEXT_KEY})|{_NEXT_KEY})")
_CALL = re.compile(
    r"(?:(?:np|numpy|torch|jnp)\.)?(?:float|int|uint|double|array|asarray|tensor|list|tuple)\d{0,3}_?", re.I
)
_REST_OF_OBJECT = re.compile(rf"\s*+,\s*+{_NEXT_KEY}")
_LABEL_KEYS = ("label", "text_content")
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
        is_call: Whether the bracket is that of a call such as `np.float32(1.0)`, whose value is the first argument.
        is_damaged: Whether a value of the object could not be read, so that it is not recorded.
        rows: Lists of four or eight numbers in an object, which count if it has no coordinate key.
    """

    start: int
    value: dict[str, Any] | list[Any]
    key: str | None = None
    is_call: bool = False
    is_damaged: bool = False
    rows: list[ScannedRow] = field(default_factory=list)


class ScannedObject(NamedTuple):
    """A closed object with a coordinate key: its offset, its items, and the key that it stands under."""

    start: int
    value: dict[str, Any]
    key: str | None


class ScannedRow(NamedTuple):
    """A list of four or eight numbers: its offset, the numbers, and the label or key that it stands under."""

    start: int
    numbers: list[Any]
    label: str | None


@dataclass(slots=True)
class ScanResult:
    """The objects and lists with coordinates in a text.

    Attributes:
        objects: The objects, in the order of their ends.
        rows: The lists, except those in objects with a coordinate key and in objects that are not closed.
    """

    objects: list[ScannedObject] = field(default_factory=list)
    rows: list[ScannedRow] = field(default_factory=list)


def scan_json(text: str, source: str | None = None) -> ScanResult:
    """Find all closed objects with a coordinate key in a text, in linear time and without raising.

    Args:
        text: The text.
        source: The text in which signs were replaced, of the same length; the content of strings is taken from it.
    """
    scanner = _Scanner(text, text if source is None else source)
    scanner.scan()
    return scanner.result


class _Scanner:
    def __init__(self, text: str, source: str) -> None:
        self.result = ScanResult()
        self._text = text
        self._source = source
        self._last_quotes = {quote: text.rfind(quote) for quote in "\"'"}
        self._is_call_next = False  # whether the next bracket is that of a call
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
        bracket = _OpenBracket(match.start(), {} if match.group() == "{" else [], is_call=self._is_call_next)
        self._is_call_next = False
        self._open.append(bracket)
        return match.end()

    def _read_closing_bracket(self, match: re.Match[str]) -> int:
        kind: type = dict if match.group() == "}" else list
        if kind is list and self._is_stray_bracket(match.end()):
            return match.end()
        if isinstance(self._open[-1].value, kind):
            self._close_bracket()
        elif any(isinstance(bracket.value, kind) for bracket in self._open):
            while not isinstance(self._open[-1].value, kind):
                self._close_bracket()
            self._close_bracket()
        return match.end()

    def _is_stray_bracket(self, end: int) -> bool:
        """Return whether the `]` before `end` is inside an object that continues after it."""
        return isinstance(self._open[-1].value, dict) and bool(_REST_OF_OBJECT.match(self._text, end))

    def _read_quoted(self, match: re.Match[str]) -> int:
        key = _KEY.match(self._text, match.start())
        if key and isinstance(self._open[-1].value, list):  # a list has no keys
            self._repair_list(match.start())
        top = self._open[-1]
        if isinstance(top.value, dict) and top.key is None:
            key = key or _KEY_WITH_BRACKETS.match(self._text, match.start())
            if key is None:
                return self._skip_quote(match)
            top.key = unescape_json(key.group(1) if key.group(1) is not None else key.group(2))
            return key.end()
        end, content_end = self._find_string_end(match.end(), match.group(), isinstance(top.value, dict))
        if end is None:
            return self._skip_quote(match)
        self._add_value(unescape_json(self._source[match.end() : content_end]))
        return end

    def _skip_quote(self, match: re.Match[str]) -> int:
        """Return the offset after a quote without an end; of a string in an object that is cut off, the text's end."""
        bracket = self._find_open_object()
        if bracket is None:
            return match.end()
        bracket.is_damaged |= isinstance(self._open[-1].value, list) or self._open[-1].key is not None
        is_last = match.group() in self._unclosed_quotes or self._last_quotes[match.group()] == match.start()
        return len(self._text) if is_last and (bracket.key or bracket.value) else match.end()

    def _repair_list(self, start: int) -> None:
        """Add what is missing before a key in a list: the end of the list, or the brace of an object, which is lost."""
        values = self._open[-1].value
        parent = self._open[-2] if len(self._open) > 1 else None
        is_in_object = parent is not None and isinstance(parent.value, dict)
        has_objects = bool(values) and isinstance(values, list) and isinstance(values[-1], dict)
        is_list_of_objects = has_objects or (not values and not (parent and get_kind(parent.key or "")))
        if is_list_of_objects:
            self._open.append(_OpenBracket(start, {}, is_damaged=True))
        elif is_in_object:
            self._close_bracket()

    def _find_string_end(self, start: int, quote: str, is_in_object: bool) -> tuple[int | None, int]:
        """Find the end of the string whose content begins at `start`.

        Returns:
            The offset to continue at, or `None` if there is no end; and the offset of the content's end.
        """
        if quote in self._unclosed_quotes:
            return None, start
        end_pattern = _END_IN_OBJECT if is_in_object else _END_IN_LIST
        offset = start
        for _ in range(_MAX_INNER_QUOTES):
            match = _UP_TO_QUOTE[quote].match(self._text, offset)
            if match is None:  # no later quote of this kind is closed either
                self._unclosed_quotes.add(quote)
                return None, start
            offset = match.end()
            if end_pattern.match(self._text, offset):
                return offset, offset - 1
            key = _NEXT_KEY_INSIDE.match(self._text, offset)
            if key:  # the quote is prose, or its end is missing
                missing = _MISSING_END.search(self._text, max(start, offset - 41), offset - 1) if is_in_object else None
                if missing:
                    return missing.start(), missing.start()
                if not is_in_object or get_kind(key[1]):
                    return None, start
        return None, start

    def _read_number(self, match: re.Match[str]) -> int:
        digits = match.group()
        self._add_value(int(digits) if len(digits) < 16 and digits.lstrip("+-").isdigit() else float(digits))
        return match.end()

    def _read_word(self, match: re.Match[str]) -> int:
        top, word = self._open[-1], match.group()
        if self._text.startswith("(", match.end()) and _CALL.fullmatch(word):
            self._is_call_next = True
        elif isinstance(top.value, dict) and top.key is None:
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
            if top.key in top.value and self._is_next_object(top):  # the brackets between two objects are missing
                self._record_object(top)
                top.value, top.rows, top.is_damaged = {}, [], False
            top.value[top.key] = value
            top.key = None

    def _is_next_object(self, bracket: _OpenBracket) -> bool:
        """Return whether the key of an open object, which it has already, begins another object."""
        key = bracket.key or ""
        return get_kind(key) is not None or (key in _LABEL_KEYS and any(map(get_kind, bracket.value)))

    def _close_bracket(self) -> None:
        """Close the innermost open bracket."""
        bracket = self._open.pop()
        if isinstance(bracket.value, dict):
            self._record_object(bracket)
        elif len(bracket.value) in (4, 8) and all(map(is_number, bracket.value)) and not bracket.is_call:
            self._add_row(ScannedRow(bracket.start, bracket.value, None))
        if not self._open:
            return
        if not bracket.is_call:
            self._add_value(bracket.value)
        elif isinstance(bracket.value, list) and bracket.value:
            self._add_value(bracket.value[0])

    def _record_object(self, bracket: _OpenBracket) -> None:
        """Add an object to the result if it contains coordinates, else the rows in it."""
        value = bracket.value
        if bracket.is_damaged or not isinstance(value, dict):
            return
        if any(map(get_kind, value)):
            parent = self._find_open_object(bracket)
            self.result.objects.append(ScannedObject(bracket.start, value, parent.key if parent else None))
            return
        label = next((str(value[key]) for key in _LABEL_KEYS if isinstance(value.get(key), str)), None)
        for row in bracket.rows:
            self._add_row(row if label is None else row._replace(label=label))

    def _add_row(self, row: ScannedRow) -> None:
        """Add a row to the object around it, which may not be closed, or to the result."""
        parent = self._find_open_object()
        if parent is None:
            self.result.rows.append(row)
        else:
            parent.rows.append(row if row.label else row._replace(label=parent.key))

    def _find_open_object(self, inner: _OpenBracket | None = None) -> _OpenBracket | None:
        """Return the innermost object that is open, except `inner`."""
        return next((b for b in reversed(self._open) if b is not inner and isinstance(b.value, dict)), None)
