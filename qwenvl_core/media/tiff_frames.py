"""Find the pages of a TIFF among its frames: thumbnails, reduced versions and masks are not pages.

Only the directories are read, in time linear in their number. Source: TIFF 6.0, tags 254 and 255.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qwenvl_core.media.byte_reader import Reader

MAX_FRAMES = 50_000
"""Number of frames that are read; a longer TIFF is an error where its pages are needed."""

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255
_REDUCED_OR_MASK = 0b101  # bits of tag 254
_OLD_REDUCED = 2  # value of tag 255
_FIRST_ENTRIES = 4  # entries are sorted by tag, and these two are the lowest of the baseline


@dataclass(frozen=True, slots=True)
class TiffFrames:
    """The frames of a TIFF.

    Attributes:
        pages: Indices of the frames that are pages, from 0; all frames if none of them is marked as one.
        is_complete: Whether the last directory was reached; not so in a file that was cut off.
    """

    pages: tuple[int, ...]
    is_complete: bool


def find_tiff_frames(read: Reader) -> TiffFrames:
    """Find the pages of a TIFF or BigTIFF; never raises for broken files."""
    head = read(0, 16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    layout = _Layout(order, "Q" if is_big else "H", "HHQ8s" if is_big else "HHI4s", "Q" if is_big else "I")
    pages: list[int] = []
    offsets: set[int] = set()
    try:
        (offset,) = struct.unpack(order + layout.offset, head[8:16] if is_big else head[4:8])
        while offset and offset not in offsets and len(offsets) <= MAX_FRAMES:
            is_page, following = _read_directory(read, offset, layout)
            if is_page:
                pages.append(len(offsets))
            offsets.add(offset)
            offset = following
    except struct.error:  # the file ends early
        return TiffFrames(tuple(pages or range(max(len(offsets), 1))), is_complete=False)
    return TiffFrames(tuple(pages or range(max(len(offsets), 1))), is_complete=True)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Byte order, and `struct` formats of the number of entries, of an entry, and of an offset."""

    order: str
    count: str
    entry: str
    offset: str


def _read_directory(read: Reader, offset: int, layout: _Layout) -> tuple[bool, int]:
    """Return whether a directory describes a page, and the offset of the next one."""
    count_size = struct.calcsize(layout.order + layout.count)
    (count,) = struct.unpack(layout.order + layout.count, read(offset, count_size))
    entry = struct.Struct(layout.order + layout.entry)
    start = offset + count_size
    is_page = True
    entries = read(start, min(count, _FIRST_ENTRIES) * entry.size)
    for tag, kind, _, value in entry.iter_unpack(entries[: len(entries) // entry.size * entry.size]):
        (number,) = struct.unpack_from(layout.order + ("H" if kind == 3 else "I"), value)
        is_reduced = tag == _SUBFILE_TYPE and number & _REDUCED_OR_MASK
        if is_reduced or (tag == _OLD_SUBFILE_TYPE and number == _OLD_REDUCED):
            is_page = False
    end = start + count * entry.size
    (following,) = struct.unpack(layout.order + layout.offset, read(end, struct.calcsize(layout.order + layout.offset)))
    return is_page, following
