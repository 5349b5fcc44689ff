"""JSON objects out of text that is only nearly JSON, in one pass.

Models put prose around JSON, cut it off, lose or double a bracket, leave commas behind the last item, and use
Python's quotes. `json.loads` gives up on all of that, recurses on nesting, and retrying it from every brace is
quadratic. This scanner keeps a short stack of open brackets and hands out every object that was closed; what does
not fit is skipped. Nothing is evaluated.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwenvl_core.parsing.unescape import unescape_json

COORDINATES = ("bbox_2d", "bbox", "point_2d", "point", "bbox_3d")
"""Keys that make an object worth handing out."""

# Outer brackets beyond this many are forgotten: what is inside them is still read, and memory stays small.
_MAX_DEPTH = 64
# A quote inside a string is taken as its end only where an end can be; so many are tried.
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
_PIECE = {q: re.compile(rf"[^{q}\\]*+(?:\\.[^{q}\\]*+)*+{q}", re.DOTALL) for q in "\"'"}
_COORDINATE_KEY = re.compile(r"(?:bbox|point)(?:_[23]d)?[\"']\s{0,9}:")
_END_IN_LIST = re.compile(r"\s*+(?:[,}\]]|\Z)")
_NEXT_KEY = r"""(?:"[^"\n]{0,80}"|'[^'\n]{0,80}'|[A-Za-z_]\w{0,80})\s{0,9}:"""
_END_IN_OBJECT = re.compile(rf"\s*+(?:[}}\]]|\Z|,\s*+(?:[}}\]{{\[/]|\Z|{_NEXT_KEY})|{_NEXT_KEY})")
_MORE_OF_OBJECT = re.compile(rf"\s*+,\s*+{_NEXT_KEY}")
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
    "NaN": float("nan"),
}


@dataclass(slots=True)
class _Open:
    """A bracket that waits for its end. `key` is the key in an object whose value comes next."""

    start: int
    value: dict[str, Any] | list[Any]
    key: str | None = None


@dataclass(slots=True)
class ScanResult:
    """What was found.

    Attributes:
        objects: Objects with a coordinate key, each with its offset, in the order of their ends.
        rows: Lists of four numbers that are not a value in an object, each with its offset.
    """

    objects: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    rows: list[tuple[int, list[Any]]] = field(default_factory=list)


def scan_json(text: str) -> ScanResult:
    """All closed objects with a coordinate key, wherever they are in `text`. Linear; never raises."""
    scanner = _Scanner(text)
    scanner.run()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found = ScanResult()
        self._text = text
        self._open: deque[_Open] = deque(maxlen=_MAX_DEPTH)
        self._no_end: set[str] = set()  # quotes that no later quote ends
        self._handlers: dict[str, Callable[[re.Match[str]], int]] = {
            "skip": re.Match.end,
            "open": self._on_open,
            "close": self._on_close,
            "quote": self._on_quote,
            "number": self._on_number,
            "word": self._on_word,
        }

    def run(self) -> None:
        text, at = self._text, 0
        while at < len(text):
            # Outside of every bracket is prose: its quotes and numbers mean nothing.
            match = _TOKEN.match(text, at) if self._open else _OPENING.search(text, at)
            if match is None:
                return
            at = self._handlers[match.lastgroup or "open"](match)

    def _on_open(self, match: re.Match[str]) -> int:
        self._open.append(_Open(match.start(), {} if match.group() == "{" else []))
        return match.end()

    def _on_close(self, match: re.Match[str]) -> int:
        kind: type = dict if match.group() == "}" else list
        if kind is list and self._is_stray_bracket(match.end()):
            return match.end()
        if any(isinstance(frame.value, kind) for frame in self._open):
            while not isinstance(self._open[-1].value, kind):
                self._close()
            self._close()
        return match.end()

    def _is_stray_bracket(self, end: int) -> bool:
        """Whether a `]` stands inside an object that goes on behind it."""
        return isinstance(self._open[-1].value, dict) and bool(_MORE_OF_OBJECT.match(self._text, end))

    def _on_quote(self, match: re.Match[str]) -> int:
        key = _KEY.match(self._text, match.start())
        if key and self._is_list_in_object():  # a list holds no keys: its end is missing
            self._close()
        top = self._open[-1]
        if isinstance(top.value, dict) and top.key is None:
            if key is None:
                return match.end()
            top.key = unescape_json(key.group(1) if key.group(1) is not None else key.group(2))
            return key.end()
        end = self._string_end(match.end(), match.group(), isinstance(top.value, dict))
        if end is None:
            return match.end()
        self._put(unescape_json(self._text[match.end() : end - 1]))
        return end

    def _is_list_in_object(self) -> bool:
        if len(self._open) < 2:
            return False
        return isinstance(self._open[-1].value, list) and isinstance(self._open[-2].value, dict)

    def _string_end(self, start: int, quote: str, in_object: bool) -> int | None:
        """The offset behind the quote that ends the string which begins at `start`."""
        if quote in self._no_end:
            return None
        may_follow = _END_IN_OBJECT if in_object else _END_IN_LIST
        at = start
        for _ in range(_MAX_INNER_QUOTES):
            piece = _PIECE[quote].match(self._text, at)
            if piece is None:
                if at == start:  # then no later one of these quotes can have an end either
                    self._no_end.add(quote)
                return None
            at = piece.end()
            if may_follow.match(self._text, at):
                return at
            if _COORDINATE_KEY.match(self._text, at):  # the quote was prose, or its end got lost
                return None
        return None

    def _on_number(self, match: re.Match[str]) -> int:
        digits = match.group()
        self._put(int(digits) if len(digits) < 16 and digits.lstrip("+-").isdigit() else float(digits))
        return match.end()

    def _on_word(self, match: re.Match[str]) -> int:
        top, word = self._open[-1], match.group()
        if isinstance(top.value, dict) and top.key is None:
            colon = _COLON.match(self._text, match.end())
            if colon:
                top.key = word
        else:
            self._put(_WORDS.get(word, word))
        return match.end()

    def _put(self, value: Any) -> None:
        """Gives `value` to the innermost open bracket."""
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            if top.key in COORDINATES and top.key in top.value:  # the brackets between two objects are missing
                self._hand_out(top)
                top.value = {}
            top.value[top.key] = value
            top.key = None

    def _close(self) -> None:
        frame = self._open.pop()
        self._hand_out(frame)
        if self._open:
            self._put(frame.value)

    def _hand_out(self, frame: _Open) -> None:
        value = frame.value
        if isinstance(value, dict):
            if any(key in value for key in COORDINATES):
                self.found.objects.append((frame.start, value))
        elif len(value) == 4 and all(is_number(item) for item in value) and not self._in_object():
            self.found.rows.append((frame.start, value))

    def _in_object(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict)


def is_number(value: object) -> bool:
    """Whether `value` is a number (in Python, `True` is one too)."""
    return isinstance(value, int | float) and not isinstance(value, bool)
