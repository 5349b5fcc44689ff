"""How long a video is and how large its pictures are, by its header.

Read are MP4, MOV and their kin (the boxes `mvhd`, `tkhd`, `mdhd` and `stsz`, ISO/IEC 14496-12) and AVI (its main
header). Other containers, fragmented files and headers that make no sense give less knowledge, never an error.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass

from qwenvl_core.media.sniffing import Reader, iso_atoms, limit_reads

__all__ = ["VideoInfo", "read_video_header"]

_FAR = 1 << 62
_MOST_PER_SECOND = 1000  # frames; more is no video
_UNKNOWN_DURATIONS = (0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video; `None` is unknown.

    Attributes:
        seconds: Its duration.
        width: Width of its pictures in pixels.
        height: Height in pixels.
        frames: How many pictures it has.
        fps: How many of them make a second.
    """

    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None


def read_video_header(read: Reader) -> VideoInfo:
    """What a video's header tells; it raises what `read` raises."""
    read = limit_reads(read)
    head = read(0, 72)
    with suppress(struct.error):  # the header ends early
        if head[:4] + head[8:12] == b"RIFFAVI ":
            return _avi(head)
        moov = next(iso_atoms(read, 0, _FAR, b"moov"), None)
        if moov is not None:
            return _mp4(read, *moov)
    return VideoInfo()


def _avi(head: bytes) -> VideoInfo:
    if head[24:28] != b"avih":
        return VideoInfo()
    microseconds, *_, frames, _, _, _, width, height = struct.unpack("<10I", head[32:72])
    fps = 1e6 / microseconds if microseconds else 0.0
    return _discard_implausible(frames / fps if fps else 0.0, width, height, frames, fps)


def _mp4(read: Reader, start: int, end: int) -> VideoInfo:
    seconds = _seconds(read, next(iso_atoms(read, start, end, b"mvhd"), None))
    for track in iso_atoms(read, start, end, b"trak"):
        media = next(iso_atoms(read, *track, b"mdia"), None)
        handler = media and next(iso_atoms(read, *media, b"hdlr"), None)
        if media and handler and read(handler[0] + 8, 4) == b"vide":
            width, height = _sides(read, next(iso_atoms(read, *track, b"tkhd"), None))
            frames = _frames(read, media)
            shown = _seconds(read, next(iso_atoms(read, *media, b"mdhd"), None))
            return _discard_implausible(seconds or shown, width, height, frames, frames / shown if shown else 0.0)
    return _discard_implausible(seconds, 0, 0, 0, 0.0)


def _seconds(read: Reader, box: tuple[int, int] | None) -> float:
    """The duration in `mvhd` or `mdhd`, which begin alike; 0 where it is unknown."""
    if box is None:
        return 0.0
    if read(box[0], 1) == b"\x01":  # version 1: wider fields
        scale, duration = struct.unpack(">IQ", read(box[0] + 20, 12))
    else:
        scale, duration = struct.unpack(">II", read(box[0] + 12, 8))
    return duration / scale if scale and duration not in _UNKNOWN_DURATIONS else 0.0


def _sides(read: Reader, box: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height: the last two fields of `tkhd`, in 65,536ths of a pixel."""
    if box is None:
        return 0, 0
    width, height = struct.unpack(">II", read(box[1] - 8, 8))
    return width >> 16, height >> 16


def _frames(read: Reader, media: tuple[int, int]) -> int:
    """How many samples the track has, by its table of their sizes."""
    inner = media
    for name in (b"minf", b"stbl"):
        box = next(iso_atoms(read, *inner, name), None)
        if box is None:
            return 0
        inner = box
    for name in (b"stsz", b"stz2"):
        for start, _ in iso_atoms(read, *inner, name):
            (count,) = struct.unpack(">I", read(start + 8, 4))
            return int(count)
    return 0


def _discard_implausible(seconds: float, width: int, height: int, frames: int, fps: float) -> VideoInfo:
    """What of these is not absurd; pictures are counted only with their rate, sides are known only together."""
    sized = width > 0 and height > 0
    counted = frames > 0 and 0 < fps <= _MOST_PER_SECOND
    return VideoInfo(
        seconds=seconds or None,
        width=width if sized else None,
        height=height if sized else None,
        frames=frames if counted else None,
        fps=fps if counted else None,
    )
