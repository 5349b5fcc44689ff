"""Whether a model ran in a loop: the same elements again and again, or the same words inside of one. Linear."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

LONG_TEXT = 20
"""Characters; shorter text may well stand in several places of a page."""

_TIMES = 4  # in a row
_MOST_ELEMENTS = 8  # that come round together
_TAIL = 4000  # characters at the end of an element that are looked at
_REPEATED = 500  # characters of it; less may be meant, as in a table of zeros


def repeats_elements(identities: Sequence[Hashable], texts: Sequence[str]) -> bool:
    """Whether elements come round several times in a row, alone or with their neighbours.

    Args:
        identities: By what elements are the same.
        texts: What they say. Several that are short together may well be meant: answers, columns of a form.
    """
    return any(_comes_round(identities, texts, period) for period in range(1, _MOST_ELEMENTS + 1))


def _comes_round(identities: Sequence[Hashable], texts: Sequence[str], period: int) -> bool:
    same = 0
    for at in range(period, len(identities)):
        same = same + 1 if identities[at] == identities[at - period] else 0
        if same >= period * (_TIMES - 1) and (period == 1 or _are_long(texts[at - period + 1 : at + 1])):
            return True
    return False


def _are_long(texts: Sequence[str]) -> bool:
    return sum(map(len, set(texts))) >= LONG_TEXT


def repeats_text(text: str) -> bool:
    """Whether a text ends in the same words, or rows, several times in a row. Lines of dots are no words."""
    if len(text) < _REPEATED:
        return False
    backwards = text[: -_TAIL - 1 : -1]
    borders = [0] * len(backwards)  # of each beginning: the longest other beginning that it ends in
    border = 0
    for at in range(1, len(backwards)):
        while border and backwards[at] != backwards[border]:
            border = borders[border - 1]
        border += backwards[at] == backwards[border]
        borders[at] = border
        length, period = at + 1, at + 1 - border
        if length >= max(_REPEATED, _TIMES * period) and any(map(str.isalnum, backwards[:period])):
            return True
    return False
