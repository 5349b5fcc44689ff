"""Define and validate the options of the loaders of both adapters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from qwenvl_core.errors import QwenVLInputError

Mode = Literal["page", "element", "chunk", "single", "image"]
Output = Literal["html", "markdown", "text"]
OnError = Literal["raise", "skip"]
Dpi = float | Literal["auto"]
Coordinates = Literal["relative", "absolute"]
Progress = bool | Callable[[int, int, Mapping[str, int]], object]

# The vendor's prompts (page "Visual understanding (Qwen-VL)", document parsing). Plain text is extracted from the
# HTML, which has a box for every element.
_PROMPTS: dict[Output, str] = {"html": "qwenvl html", "markdown": "qwenvl markdown", "text": "qwenvl html"}
_PAGE_RANGE = re.compile(r"\s*(?P<first>\d+)\s*(?P<to>-\s*(?P<last>\d+)?\s*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderOptions:
    """The options of a loader: how pages are transcribed, and which records are built from them.

    The public classes repeat these keywords, so that `help()`, `inspect.signature` and editors show them with their
    defaults; a test of each class compares names, types and defaults.

    Attributes:
        mode: One record for each `"page"`, for each `"element"` of the pages, for each `"chunk"` of neighbouring
            elements, or a `"single"` one; with `"image"` one for the picture of each page, without a model.
        output: Format of the records' text: `"html"`, `"markdown"` or `"text"`.
        prompt: Prompt for each page, instead of the vendor's prompt for `output`.
        pages: Page numbers and ranges, such as `"1-3,7,9-"`; `None` for all pages.
        dpi: Resolution, see `qwenvl_core.rendering.page_size.PageSizing`.
        high_resolution: Whether to use up to 16,384 tokens per page, for small print.
        max_concurrency: Number of pages that are rendered and transcribed at the same time.
        on_error: Whether a failed page raises or is skipped.
        cache_dir: Folder of the cache: a page in it is not requested again.
        image_dir: Folder for JPEG files of the pages and of the pictures on them.
        progress: `True` for a progress bar, or a callable that takes the pages done, their total number, and the usage.
        password: Password of the PDF, if it has one.
        coordinates: Unit of the model's boxes: thousandths (`"relative"`) or pixels (`"absolute"`); `None` for the
            unit in the catalog.
        chunk_size: Maximum length of a chunk, in characters; a longer element becomes one chunk and is not split.

    Raises:
        QwenVLInputError: A value is not allowed.
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
        _check_choice("mode", self.mode, get_args(Mode))
        _check_choice("output", self.output, get_args(Output))
        _check_choice("on_error", self.on_error, get_args(OnError))
        _check_choice("high_resolution", self.high_resolution, (False, True))
        _check_path("cache_dir", self.cache_dir)
        _check_path("image_dir", self.image_dir)
        if not isinstance(self.password, str | None):
            raise QwenVLInputError(f"Invalid password: a {type(self.password).__name__}. Allowed: a string.")
        if self.mode == "image" and self.image_dir is None:
            raise QwenVLInputError(
                'Missing image_dir: mode="image" writes the pictures of pages there. Pass image_dir=.'
            )
        _check_choice("coordinates", self.coordinates, (None, *get_args(Coordinates)))
        _check_positive("max_concurrency", self.max_concurrency, int, "a whole number above 0")
        _check_positive("chunk_size", self.chunk_size, int, "a whole number above 0")
        if self.dpi != "auto":
            _check_positive("dpi", self.dpi, int | float, "'auto', or a number above 0")
        if self.pages is not None:
            _parse_ranges(self.pages)

    @property
    def prompt_for_page(self) -> str:
        """The prompt that is sent with each page."""
        return _PROMPTS[self.output] if self.prompt is None else self.prompt

    def select_pages(self, count: int) -> list[int]:
        """Return the selected page numbers in ascending order.

        Args:
            count: Number of pages of the document.

        Raises:
            QwenVLInputError: `pages` selects a page that the document does not have.
        """
        if self.pages is None:
            return list(range(1, count + 1))
        numbers: set[int] = set()
        for first, last in _parse_ranges(self.pages):
            last = count if last is None else last
            if not first <= last <= count:
                raise QwenVLInputError(f"Page out of range: pages={self.pages!r}. The document has pages 1 to {count}.")
            numbers.update(range(first, last + 1))
        return sorted(numbers)


def _parse_ranges(pages: object) -> list[tuple[int, int | None]]:
    """Return first and last page of each range; `None` is the last page of the document."""
    ranges = []
    for part in pages.split(",") if isinstance(pages, str) else ("",):
        match = _PAGE_RANGE.fullmatch(part)
        first = int(match["first"]) if match else 0
        last = first if not (match and match["to"]) else int(match["last"]) if match["last"] else None
        if first < 1 or (last is not None and last < first):
            raise QwenVLInputError(
                f"Invalid pages: {pages!r}. Allowed: page numbers from 1 and ranges of them, such as '1-3,7,9-'."
            )
        ranges.append((first, last))
    return ranges


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise QwenVLInputError(f"Invalid {name}: {value!r}. Allowed: {', '.join(map(repr, choices))}.")


def _check_path(name: str, folder: object) -> None:
    """Raise for an empty path, which would be the working directory, and for what is no path."""
    if folder is not None and not (isinstance(folder, str | PathLike) and str(folder).strip()):
        raise QwenVLInputError(f"Invalid {name}: {folder!r}. Allowed: the path of a folder, such as '.'.")


def _check_positive(name: str, value: float, kind: Any, allowed: str) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
        raise QwenVLInputError(f"Invalid {name}: {value!r}. Allowed: {allowed}.")
