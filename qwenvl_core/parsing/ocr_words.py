"""Read the text lines that an OCR model located, from `words_info` or from the JSON text of the answer.

```
{"words_info": [{"text": "DAY", "location": [2682, 1242, 3336, 1242, 3336, 1527, 2682, 1527],
                 "rotate_rect": [3009, 1384, 285, 654, 90]}]}
```

`location` holds the four corners, `rotate_rect` centre, width, height and the rotation in degrees, both in pixels of
the image that was sent. The text of the answer repeats the rectangles in thousandths of the image. Sources: the
vendor's page "Text extraction (Qwen-OCR)", task `advanced_recognition`; recorded traffic.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qwenvl_core.parsing.numbers import enclose_corners, is_number
from qwenvl_core.parsing.text import sanitize

_LIST_START = re.compile(r"\s*+(?:```\w{0,20}\s++)?\[\s*+(?=[{\]]|\Z)")
_SEPARATOR = re.compile(r"[\s,]*+")
_MAX_NUMBER = 1e9  # larger ones are no pixels; they would overflow later


@dataclass(frozen=True, slots=True)
class OcrWord:
    """A line of text on an image.

    Attributes:
        text: The text.
        numbers: Left, top, right and bottom of the upright rectangle around it, in the unit of the source; `None` if
            no position is readable.
        attributes: The other fields, such as `location` and `rotate_rect`.
    """

    text: str
    numbers: list[float] | None
    attributes: dict[str, Any] = field(default_factory=dict)


def read_ocr_words(ocr_result: object) -> list[OcrWord] | None:
    """Read the lines of an `ocr_result`; what is not one is left out.

    Returns:
        The lines in their order, or `None` if the result holds none, such as one with `kv_result`.
    """
    words = ocr_result.get("words_info") if isinstance(ocr_result, Mapping) else None
    return _read_words(words) if isinstance(words, list | tuple) else None


def read_ocr_text(text: str) -> list[OcrWord] | None:
    """Read the lines of an answer's JSON text, whose numbers are thousandths of the image.

    Returns:
        The lines in their order, up to where the text is damaged or cut off; `None` if it does not begin as such
        JSON does.
    """
    start = _LIST_START.match(text)
    if start is None:
        return None
    values: list[Any] = []
    offset, decoder = start.end(), json.JSONDecoder()
    while text.startswith("{", offset):
        try:
            value, end = decoder.raw_decode(text, offset)
        except (ValueError, RecursionError):  # damaged or cut off
            break
        values.append(value)
        offset = _SEPARATOR.match(text, end).end()  # type: ignore[union-attr]  # it matches everywhere
    return _read_words(value for value in values if isinstance(value.get("text"), str))


def _read_words(values: Iterable[Any]) -> list[OcrWord]:
    return [_read_word(value) for value in values if isinstance(value, Mapping)]


def _read_word(value: Mapping[str, Any]) -> OcrWord:
    text = value.get("text")
    corners, rectangle = _read_numbers(value.get("location"), 8), _read_numbers(value.get("rotate_rect"), 5)
    return OcrWord(
        sanitize(text) if isinstance(text, str) else str(text) if is_number(text) else "",
        enclose_corners(corners) if corners else _enclose_rectangle(*rectangle) if rectangle else None,
        {name: field_value for name, field_value in value.items() if name != "text"},
    )


def _read_numbers(value: object, count: int) -> list[float] | None:
    """Return a list of `count` finite numbers; `None` for another value."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    if not all(is_number(number) and -_MAX_NUMBER < number < _MAX_NUMBER for number in value):
        return None
    return [float(number) for number in value]


def _enclose_rectangle(x: float, y: float, width: float, height: float, degrees: float) -> list[float]:
    """Return the upright rectangle around a rotated one."""
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    right, down = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return [x - right, y - down, x + right, y + down]
