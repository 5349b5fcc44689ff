"""Where the bytes of an image or a video come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class UrlSource:
    """Media the server fetches itself: `http(s)://`, or `oss://` in the vendor's storage."""

    url: str


@dataclass(frozen=True, slots=True)
class InlineSource:
    """Media in hand.

    Attributes:
        data: The medium's bytes; or base64 text, when `base64_from` is set.
        mime: What the caller said it is; the bytes decide.
        base64_from: Where in `data` the base64 text begins (after `data:…;base64,`, in a data URI).
    """

    data: bytes | str = field(repr=False)
    mime: str | None = None
    base64_from: int | None = None


@dataclass(frozen=True, slots=True)
class FileSource:
    """Media on this machine's disk; read only when the request is sent."""

    path: Path


Source = UrlSource | InlineSource | FileSource
