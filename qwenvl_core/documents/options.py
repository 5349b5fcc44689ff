"""What the loaders of both adapters can be told: one list of it, with its checks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from qwenvl_core.errors import QwenVLInputError

Mode = Literal["page", "element", "chunk", "single"]
Output = Literal["html", "markdown", "text"]
OnError = Literal["raise", "skip"]
Dpi = float | Literal["auto"]
Coordinates = Literal["relative", "absolute"]
Progress = bool | Callable[[int, int, Mapping[str, int]], object]

# The vendor's words (page "Visual understanding (Qwen-VL)", document parsing). The HTML has a box for every element, so
# plain text is taken from it as well.
_PROMPTS: dict[Output, str] = {"html": "qwenvl html", "markdown": "qwenvl markdown", "text": "qwenvl html"}
_RANGE = re.compile(r"\s*(?P<first>\d+)\s*(?P<to>-\s*(?P<last>\d+)?\s*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a document is read, and what becomes of its pages.

    Attributes:
        mode: One record for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring
            elements, or a `"single"` one.
        output: What a record's text is: HTML, Markdown or plain text.
        prompt: What the model is asked instead of the vendor's words for `output`.
        pages: Which pages, as in `"1-3,7,9-"`; all if `None`.
        dpi: See `sizing.Sizing`.
        high_resolution: Up to 16,384 tokens a page, which small print needs.
        max_concurrency: Most pages that are rendered and read at a time.
        on_error: Whether a page that can't be read ends the reading or is left out.
        cache_dir: Where answers are kept; a page that was answered is not asked for again.
        image_dir: Where the pages are kept as JPEG files, and their pictures cut out of them.
        progress: Show a bar, or call this with how many pages are done, of how many, and the usage so far.
        password: Of a PDF that has one.
        coordinates: Whether boxes are in thousandths or in pixels; by default what the catalogue says of the model.
        chunk_size: How long a chunk may grow, in characters. A single element is never split.

    Raises:
        QwenVLInputError: A value is none of these.
    """

    mode: Mode = "page"
    output: Output = "html"
    prompt: str | None = None
    pages: str | None = None
    dpi: Dpi = "auto"
    high_resolution: bool = False
    max_concurrency: int = 4
    on_error: OnError = "raise"
    cache_dir: str | Path | None = None
    image_dir: str | Path | None = None
    progress: Progress = False
    password: str | None = field(default=None, repr=False)
    coordinates: Coordinates | None = None
    chunk_size: int = 1000

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, get_args(Mode))
        _one_of("output", self.output, get_args(Output))
        _one_of("on_error", self.on_error, get_args(OnError))
        _one_of("coordinates", self.coordinates, (None, *get_args(Coordinates)))
        _positive("max_concurrency", self.max_concurrency, int)
        _positive("chunk_size", self.chunk_size, int)
        if self.dpi != "auto":
            _positive("dpi", self.dpi, int | float)
        if self.pages is not None:
            _ranges(self.pages)

    @property
    def prompt_for_page(self) -> str:
        """What the model is asked about each page."""
        return _PROMPTS[self.output] if self.prompt is None else self.prompt

    def numbers(self, count: int) -> list[int]:
        """The pages that are asked for, in order, of a document that has `count`.

        Raises:
            QwenVLInputError: One of them is not there.
        """
        if self.pages is None:
            return list(range(1, count + 1))
        wanted: set[int] = set()
        for first, last in _ranges(self.pages):
            last = count if last is None else last
            if not first <= last <= count:
                raise QwenVLInputError(f"pages={self.pages!r}: the document has pages 1 to {count}.")
            wanted.update(range(first, last + 1))
        return sorted(wanted)


def _ranges(pages: object) -> list[tuple[int, int | None]]:
    """First and last page of each part; `None` for the last page of the document."""
    ranges = []
    for part in pages.split(",") if isinstance(pages, str) else ("",):
        match = _RANGE.fullmatch(part)
        first = int(match["first"]) if match else 0
        last = first if not (match and match["to"]) else int(match["last"]) if match["last"] else None
        if first < 1 or (last is not None and last < first):
            raise QwenVLInputError(f"pages={pages!r}: give page numbers from 1 and ranges of them, such as '1-3,7,9-'.")
        ranges.append((first, last))
    return ranges


def _one_of(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise QwenVLInputError(f"{name}={value!r} is none of {', '.join(map(repr, known))}.")


def _positive(name: str, value: float, kind: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
        raise QwenVLInputError(f"{name}={value!r} must be a {'whole ' if kind is int else ''}number above 0.")
