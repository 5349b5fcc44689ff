"""Find the JSON in an answer: bare, in a code fence, or amid prose.

Models put JSON into code fences although they were asked not to. A fence may be labelled, unlabelled or not closed,
and a string in the JSON may contain a fence itself. All functions take linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_DECODER = json.JSONDecoder(strict=False)  # accepts control characters in strings: models write line breaks there
_FENCE = re.compile(r"```(?:json)?[ \t\r\n]*", re.IGNORECASE)
_FENCE_END = re.compile(r"[ \t\r\n]*(?:```|\Z)")
_FENCE_BEFORE_OBJECT = re.compile(r"```\w*\s*(?=\{)")
_FENCE_BEFORE_VALUE = re.compile(r"```\w*\s*(?=[{\[])")
# An error of the decoder counts the lines before it, so a decoder call for each of many fences would be quadratic.
_MAX_FENCES = 100
_MAX_QUOTE = 300  # characters of the reasoning in an error


def parse_json_answer(text: str, *types: type) -> Any:
    """Parse the JSON value of an answer: the whole text, or else the first code fence that contains only JSON.

    Args:
        text: The whole answer.
        types: The accepted types, such as `dict`. Without them every JSON value is accepted.

    Returns:
        The value. Control characters in its strings are accepted.

    Raises:
        ValueError: Neither the text nor a fence is JSON of these types. The message states why the text is not.
    """
    parse_error: Exception | None = None
    try:
        value = _DECODER.decode(text)
        if not types or isinstance(value, types):
            return value
        reason = f"found {type(value).__name__}, expected {' or '.join(expected.__name__ for expected in types)}"
    except (ValueError, RecursionError) as error:
        parse_error, reason = error, str(error)
    for value in _decode_fences(text):
        if not types or isinstance(value, types):
            return value
    raise ValueError(reason) from parse_error


def describe_empty_answer(reasoning: str, *, truncated: bool) -> str:
    """Describe an answer without any text, for an error.

    Args:
        reasoning: What the model thought; its end is quoted.
        truncated: Whether the answer ended by `length`.
    """
    cause = " It was cut off by max_tokens." if truncated else ""
    if not reasoning.strip():
        return f"The answer is empty.{cause}"
    quote = reasoning.strip()[-_MAX_QUOTE:]
    ellipsis = "…" if len(reasoning.strip()) > _MAX_QUOTE else ""
    return (
        f"The answer is empty: the model wrote nothing after its reasoning.{cause} Raise max_tokens=, or limit the "
        f"reasoning with thinking_budget= or enable_thinking=False. The reasoning ends with: {ellipsis}{quote!r}."
    )


def find_json_object(text: str) -> str:
    """Return the text of the first JSON object of an answer, without the fence or the prose around it.

    Args:
        text: A whole answer, or the beginning of one: the object may be unfinished.

    Returns:
        The object's text, up to its end or to that of `text`; an empty string where no object begins.
    """
    return _find_json(text, "{", _FENCE_BEFORE_OBJECT)


def find_json_value(text: str) -> str:
    """Return the text of the first JSON object or list of an answer; see `find_json_object`."""
    return _find_json(text, "{[", _FENCE_BEFORE_VALUE)


def _find_json(text: str, openings: str, fence_pattern: re.Pattern[str]) -> str:
    fence = None if text.lstrip()[:1] in tuple(openings) else fence_pattern.search(text)
    offset = fence.end() if fence else 0
    starts = [start for start in (text.find(opening, offset) for opening in openings) if start >= 0]
    if not starts:
        return ""
    start = min(starts)
    try:
        _, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        end = len(text)
    return text[start:end]


def _decode_fences(text: str) -> Iterator[Any]:
    """Yield the value of each code fence that contains one JSON value and nothing else, up to `_MAX_FENCES` fences."""
    offset = 0
    for _ in range(_MAX_FENCES):
        fence = _FENCE.search(text, offset)
        if fence is None:
            return
        # The closing fence is searched for after the decoded value, because strings in the value may contain fences.
        try:
            value, end = _DECODER.raw_decode(text, fence.end())
            closing = _FENCE_END.match(text, end)
        except (ValueError, RecursionError):
            closing = None
        if closing:
            yield value
            offset = closing.end()
        else:
            offset = text.find("```", fence.end()) + len("```")
            if offset < fence.end():  # the fence is not closed
                return
