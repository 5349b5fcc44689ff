"""Find the JSON value in an answer that arrives in pieces: bare, or in a code fence amid words.

An answer is JSON if it begins with a value, or if a code fence begins with one. The words around the value are kept
apart, so that a stream can pass the JSON on while it arrives. A whole answer is split by the same code, in one piece.
All methods take time linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

_DECODER = json.JSONDecoder(strict=False)  # accepts control characters in strings: models write line breaks there
_OUTSIDE_STRING = re.compile(r'["{}\[\]]')
_INSIDE_STRING = re.compile(r'["\\]')
_FENCE_BEGINNING = re.compile(r"```(?:json)?\s{0,100}\Z", re.IGNORECASE)
_FENCE_END = re.compile(r"\s*```")
_SPACE = r"\s{0,100}"  # bounded, because the text is searched again with each piece
_OPENERS: dict[type, str] = {dict: rf'\{{{_SPACE}["}}]', list: rf'\[{_SPACE}[\[\]{{"\d-]'}
"""Beginnings of objects and arrays: a bracket alone may begin a placeholder or a note."""
_PARTIAL_OPENER = re.compile(rf"[{{\[]{_SPACE}\Z")
_PARTIAL_FENCE = re.compile(rf"(?:`{{1,3}}|```[a-z]{{0,4}}{_SPACE}(?:[{{\[]{_SPACE})?)\Z", re.IGNORECASE)


class JsonEndScanner:
    """Find the end of an object or array in text that arrives in pieces, without parsing it."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def find_end(self, text: str) -> int | None:
        """Return the offset in `text`, the next piece, at which the value has ended; `None` if it continues."""
        offset = 1 if self._is_escaped and text else 0
        self._is_escaped = self._is_escaped and not text
        while True:
            match = (_INSIDE_STRING if self._is_in_string else _OUTSIDE_STRING).search(text, offset)
            if match is None:
                return None
            offset = match.end()
            match match.group():
                case '"':
                    self._is_in_string = not self._is_in_string
                case "\\":
                    self._is_escaped = offset == len(text)
                    offset += 1
                case "{" | "[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth <= 0:
                        return offset


class JsonSplitter:
    """Split an answer into a JSON value and the words around it.

    Attributes:
        words_before: The words before the JSON, once it has begun; before that, all text.
        raw_after: The text after the JSON.
        words_after: The same without the end of the JSON's fence.
        json_text: The JSON that has arrived.
        has_begun: Whether the JSON has begun.
        has_ended: Whether its last bracket has arrived.
    """

    def __init__(self, types: tuple[type, ...] = (dict,)) -> None:
        """Prepare to find a value of one of `types`: `dict`, `list`."""
        self._types = types
        opener = "|".join(_OPENERS[kind] for kind in types)
        self._opener = re.compile(opener)
        self._fence = re.compile(rf"```(?:json)?{_SPACE}(?={opener})", re.IGNORECASE)
        self._scanner = JsonEndScanner()
        self._before: list[str] = []
        self._json: list[str] = []
        self._after: list[str] = []
        self._window = ""  # the end of the words, where the value or its fence may begin
        self._is_at_start = True  # whether the answer may begin with the value
        self._is_fenced = False
        self.has_begun = False
        self.has_ended = False

    @property
    def words_before(self) -> str:
        """Return the words before the JSON, without the beginning of its fence; all text while it has not begun."""
        text = "".join(self._before) + self._window
        return _FENCE_BEGINNING.sub("", text) if self._is_fenced else text

    @property
    def raw_after(self) -> str:
        """Return the text after the JSON as it arrived."""
        return "".join(self._after)

    @property
    def words_after(self) -> str:
        """Return the words after the JSON, without the end of its fence."""
        text = self.raw_after
        end = _FENCE_END.match(text) if self._is_fenced else None
        return text[end.end() :] if end else text

    @property
    def json_text(self) -> str:
        """Return the JSON that has arrived."""
        return "".join(self._json)

    def push(self, text: str) -> str:
        """Add the next piece of the answer, and return the piece of the JSON in it."""
        if not self.has_begun:
            text = self._find_beginning(text)
        if self.has_ended:
            self._after.append(text)
            return ""
        end = self._scanner.find_end(text) if self.has_begun else None
        if end is not None:
            self.has_ended = True
            self._after.append(text[end:])
            text = text[:end]
        self._json.append(text)
        return text

    def parse(self) -> Any:
        """Parse the JSON of the whole answer.

        Raises:
            ValueError: The answer has no JSON value of the accepted types, a broken one, or further values.
        """
        if not self.has_begun:
            reason = "it has no JSON" if self.words_before.strip() else "it is empty"
            raise ValueError(reason)
        try:
            value = _DECODER.decode(self.json_text)
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error
        if not isinstance(value, self._types):
            raise ValueError(f"found {type(value).__name__}")
        if self._opener.search(self.words_after):
            raise ValueError("further values follow the first one")
        return value

    def _find_beginning(self, text: str) -> str:
        """Return the text from the beginning of the JSON on, or nothing if it has not begun."""
        self._window += text
        if self._is_at_start:
            stripped = self._window.lstrip()
            if self._opener.match(stripped):
                self.has_begun = True
                return self._take_window(stripped)
            self._is_at_start = not stripped or bool(_PARTIAL_OPENER.match(stripped))
            if self._is_at_start:
                self._window = self._take_window(stripped)
                return ""
        fence = self._fence.search(self._window)
        if fence:
            self.has_begun = self._is_fenced = True
            return self._take_window(self._window[fence.end() :])
        partial = _PARTIAL_FENCE.search(self._window)
        self._window = self._take_window(partial.group() if partial else "")
        return ""

    def _take_window(self, end: str) -> str:
        """Move the window to the words, except its `end`, which is returned."""
        self._before.append(self._window[: len(self._window) - len(end)])
        self._window = ""
        return end
