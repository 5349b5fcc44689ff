"""Detect answers in which the model repeated itself: elements that recur, repeated text, or one endless sign."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

LONG_TEXT = 20
"""Length in characters from which equal texts on one page are unlikely to be intentional."""

_MIN_REPEATS = 4  # in a row
_MAX_PERIOD = 8  # elements that recur together
_MAX_TAIL = 4000  # characters at the end of an element that are examined
_MIN_REPEATED_LENGTH = 500  # characters; shorter repetition can be intentional, as in a table of zeros
_NOT_COUNTED = frozenset(".…·•‥。・ \t\n|")  # dot leaders, and the empty cells of a form
_RUN = re.compile(
    r"(?:\s|&nbsp;){8,}+|\|[|\s]{7,}+|([!-/:-@\[-`{-~\u2010-\u203b\u2500-\u25ff！＿－～])(?:[ \t]?\1){7,}+"
)
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_MIN_EMPTY_ROWS = 4000  # characters; fewer can be the rows of an empty form
_STEP = _MIN_REPEATED_LENGTH // 2
_DOTS = frozenset(".…·•‥")


def has_repeated_elements(identities: Sequence[Hashable], texts: Sequence[str]) -> bool:
    """Return whether one element or a group of neighbours occurs several times in a row.

    Args:
        identities: A key for each element; elements with equal keys count as equal.
        texts: The text of each element. Groups of short texts do not count, because answers to questions and columns
            of a form repeat legitimately.
    """
    return any(_has_period(identities, texts, period) for period in range(1, _MAX_PERIOD + 1))


def _has_period(identities: Sequence[Hashable], texts: Sequence[str], period: int) -> bool:
    run = 0
    for index in range(period, len(identities)):
        run = run + 1 if identities[index] == identities[index - period] else 0
        is_long_run = run >= period * (_MIN_REPEATS - 1)
        if is_long_run and (period == 1 or _has_long_text(texts[index - period + 1 : index + 1])):
            return True
    return False


def _has_long_text(texts: Sequence[str]) -> bool:
    return sum(map(len, set(texts))) >= LONG_TEXT


def has_endless_run(text: str) -> bool:
    """Return whether an answer has blanks, pipes or another sign, except dots, for hundreds of characters."""
    # A long run includes one of these positions and as many characters after it; the whole text is searched then only.
    positions = range(0, len(text), _STEP)
    if not any(_is_in_run(text, position) for position in positions):
        return False
    return any(_is_endless(match.group()) for match in _RUN.finditer(text) if match[1] not in _DOTS)


def _is_in_run(text: str, position: int) -> bool:
    """Return whether a run of signs goes on at a position, or begins a few characters after it."""
    has_words = _LETTER_OR_DIGIT.search(text, position, position + 12) is not None
    if has_words and "&" not in text[max(0, position - 5) : position + 12]:
        return False
    starts = range(position, position + len("&nbsp;"))
    return any((match := _RUN.match(text, start)) and match.end() - start > _STEP // 2 for start in starts)


def _is_endless(run: str) -> bool:
    run = run.replace("&nbsp;", " ")
    if len(run) < _MIN_REPEATED_LENGTH:
        return False
    is_table = "|" in run and "\n" in run
    return not is_table or len(run) >= _MIN_EMPTY_ROWS or max(map(len, run.split("\n"))) >= _MIN_REPEATED_LENGTH


def has_repeated_ending(text: str) -> bool:
    """Return whether a text ends with the same words or rows several times in a row.

    Dot leaders and empty cells do not count.
    """
    if len(text) < _MIN_REPEATED_LENGTH:
        return False
    # The end of a repeated text occurs once more before it, one period away.
    tail = text[: -_MAX_TAIL - 1 : -1]
    shortest = tail[: _MIN_REPEATED_LENGTH - _MIN_REPEATED_LENGTH // _MIN_REPEATS]
    period = tail.find(shortest, 1)
    while 0 < period <= len(tail) // _MIN_REPEATS:
        length = max(_MIN_REPEATED_LENGTH, _MIN_REPEATS * period)
        if tail[period:length] == tail[: length - period] and not _NOT_COUNTED.issuperset(tail[:period]):
            return True
        period = tail.find(shortest, period + 1)
    return False
