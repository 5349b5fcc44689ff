"""Find the JSON of an answer: bare, in a code fence, or amid prose.

Models wrap JSON in fences although they were asked not to. A fence may be labelled, unlabelled or never closed, and a
string of the JSON may hold a fence itself, so the whole text is tried first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_FENCE = re.compile(r"```(?:json)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE_BEFORE_OBJECT = re.compile(r"```\w*\s*(?=\{)")


def parse_json_answer(text: str, *types: type) -> Any:
    """Parse the first JSON value of an answer: the whole text, else the content of a code fence.

    Args:
        text: The whole answer.
        types: The types to accept, such as `dict`; every JSON value is accepted without them.

    Returns:
        The value. Control characters within strings are accepted.

    Raises:
        ValueError: The answer holds no JSON value of these types.
    """
    first_error: Exception | None = None
    for candidate in _candidates(text):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError) as error:
            first_error = first_error or error
            continue
        if not types or isinstance(value, types):
            return value
    raise ValueError(str(first_error or "another JSON value")) from first_error


def find_json_object(text: str) -> str:
    """Return the text of the first JSON object of an answer, without the fence or the prose around it.

    Args:
        text: A whole answer, or the beginning of one: the object may be unfinished.

    Returns:
        The object's text, up to its end or that of `text`; an empty string where no object begins.
    """
    fence = None if text.lstrip().startswith("{") else _FENCE_BEFORE_OBJECT.search(text)
    start = text.find("{", fence.end() if fence else 0)
    if start < 0:
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        end = len(text)
    return text[start:end]


def _candidates(text: str) -> Iterator[str]:
    yield text
    yield from _FENCE.findall(text)
