r"""Read a tool call that a model wrote as text.

```
<tool_call>
{"name": "crop", "arguments": {"box": [0, 0, 1, 1]}}
</tool_call>

call
{"name": "crop", "arguments": {"box": [0, 0, 1, 1]}}

{"name": "crop", "arguments": {"box": [0, 0, 1, 1]}}
```

Models do so while they think, and behind servers without a parser for calls. Only a text that is one such call, of a
tool that is offered, is read as a call: amid words it may be an example.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from qwenvl_core.parsing.json_stream import JsonEndScanner

_DECODER = json.JSONDecoder(strict=False)
_MAX_HEADER = 1_000  # characters before the arguments; bounds the text that is compared again


class TextCall(NamedTuple):
    """A tool call that was written as text; `arguments` is JSON text."""

    name: str
    arguments: str


class _Form(NamedTuple):
    """A form of a call: the words before and after the JSON, and whether the JSON needs all keys of a call."""

    opening: str
    closing: str
    needs_arguments: bool


_FORMS = (_Form("<tool_call>", "</tool_call>", False), _Form("call", "", False), _Form("", "", True))


class TextCallReader:
    """Hold back a text that arrives in pieces as long as it can become one call of an offered tool."""

    def __init__(self, names: Iterable[str]) -> None:
        """Prepare to find a call of one of the tools with these names."""
        self._names = tuple(names)
        self._pieces: list[str] = []
        self._header = ""  # the text so far, until its form and the tool's name are known
        self._form: _Form | None = None
        self._scanner = JsonEndScanner()
        self._tail: str | None = None  # the text after the JSON

    @property
    def text(self) -> str:
        """Return the text that is held back."""
        return "".join(self._pieces)

    def push(self, text: str) -> bool:
        """Add the next piece, and return whether the text can still become a call."""
        self._pieces.append(text)
        if self._form is None:
            self._header += text
            matched = self._match_header()
            if self._form is None:
                return matched and len(self._header) <= _MAX_HEADER
            text = self._header[self._header.index("{") :]
        if self._tail is None:
            end = self._scanner.find_end(text)
            if end is None:
                return True
            self._tail, text = "", text[end:]
        self._tail = (self._tail + text).lstrip()
        closing = self._form.closing
        return closing.startswith(self._tail.rstrip()) or self._tail.rstrip() == closing

    def read(self) -> TextCall | None:
        """Return the call that the whole text is, if it is one."""
        text = self.text.strip()
        if self._form is None or not text.endswith(self._form.closing):
            return None
        content = text.removeprefix(self._form.opening).removesuffix(self._form.closing)
        try:
            value = _DECODER.decode(content.strip())
        except (ValueError, RecursionError):
            return None
        return self._read_call(value, needs_arguments=self._form.needs_arguments)

    def _read_call(self, value: Any, *, needs_arguments: bool) -> TextCall | None:
        if not isinstance(value, dict) or value.get("name") not in self._names:
            return None
        if not value.keys() <= {"name", "arguments"} or (needs_arguments and "arguments" not in value):
            return None
        arguments = value.get("arguments")
        arguments = {} if arguments is None else arguments
        if not isinstance(arguments, dict):
            return None
        return TextCall(value["name"], json.dumps(arguments, ensure_ascii=False))

    def _match_header(self) -> bool:
        """Return whether the text begins a call or can become the beginning of one; set the form once it is known."""
        can_match = False
        for form in _FORMS:
            for tokens in self._list_headers(form):
                is_whole, matches = _match_tokens(self._header, tokens)
                if is_whole:
                    self._form = form
                    return True
                can_match = can_match or matches
        return can_match

    def _list_headers(self, form: _Form) -> Iterable[Sequence[str]]:
        """Yield the beginnings of the calls of a form, each as its tokens."""
        opening = [form.opening] if form.opening else []
        yield [*opening, "{", '"arguments"', ":"]
        for name in self._names:
            yield [*opening, "{", '"name"', ":", json.dumps(name, ensure_ascii=False), ","]
            if not form.needs_arguments:
                yield [*opening, "{", '"name"', ":", json.dumps(name, ensure_ascii=False), "}"]


def _match_tokens(text: str, tokens: Sequence[str]) -> tuple[bool, bool]:
    """Return whether `text` begins with these tokens, and whether it can with more text; white space is ignored."""
    rest = text.lstrip()
    for token in tokens:
        if not rest.startswith(token):
            return False, token.startswith(rest)
        rest = rest[len(token) :].lstrip()
    return True, True


def read_text_call(text: str, names: Iterable[str]) -> TextCall | None:
    """Return the call that a whole text is, if it is one call of a tool with one of these names."""
    reader = TextCallReader(names)
    return reader.read() if reader.push(text) else None
