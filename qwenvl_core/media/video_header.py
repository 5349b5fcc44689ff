"""Read the duration, size and frame rate of a video from its header.

Supported are MP4, MOV and related containers (the atoms `mvhd`, `tkhd`, `mdhd` and `stsz`, ISO/IEC 14496-12) and AVI
(its main header). Other containers, fragmented files and implausible headers give less information, never an error.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass

from qwenvl_core.media.byte_reader import END_OF_FILE, Reader, find_atoms, limit_reads

__all__ = ["VideoInfo", "read_video_header"]

_MAX_FPS = 1000  # a higher rate is implausible
_UNKNOWN_DURATIONS = (0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The facts in a video's header; `None` is unknown.

    Attributes:
        seconds: Duration.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        frames: Number of frames.
        fps: Frames per second.
    """

    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    fps: float | None = None


def read_video_header(read: Reader) -> VideoInfo:
    """Read the header of a video; raises what `read` raises."""
    read = limit_reads(read)
    head = read(0, 72)
    with suppress(struct.error):  # the header ends early
        if head[:4] + head[8:12] == b"RIFFAVI ":
            return _parse_avi(head)
        moov = next(find_atoms(read, 0, END_OF_FILE, b"moov"), None)
        if moov is not None:
            return _parse_mp4(read, *moov)
    return VideoInfo()


def _parse_avi(head: bytes) -> VideoInfo:
    if head[24:28] != b"avih":
        return VideoInfo()
    microseconds, *_, frames, _, _, _, width, height = struct.unpack("<10I", head[32:72])
    fps = 1e6 / microseconds if microseconds else 0.0
    return _discard_implausible(frames / fps if fps else 0.0, width, height, frames, fps)


def _parse_mp4(read: Reader, start: int, end: int) -> VideoInfo:
    seconds = _read_duration(read, next(find_atoms(read, start, end, b"mvhd"), None))
    for track in find_atoms(read, start, end, b"trak"):
        media = next(find_atoms(read, *track, b"mdia"), None)
        handler = media and next(find_atoms(read, *media, b"hdlr"), None)
        if media and handler and read(handler[0] + 8, 4) == b"vide":
            width, height = _read_sides(read, next(find_atoms(read, *track, b"tkhd"), None))
            frames = _count_frames(read, media)
            track_seconds = _read_duration(read, next(find_atoms(read, *media, b"mdhd"), None))
            fps = frames / track_seconds if track_seconds else 0.0
            return _discard_implausible(seconds or track_seconds, width, height, frames, fps)
    return _discard_implausible(seconds, 0, 0, 0, 0.0)


def _read_duration(read: Reader, atom: tuple[int, int] | None) -> float:
    """Read the seconds in `mvhd` or `mdhd`, which start alike; 0 where they are unknown."""
    if atom is None:
        return 0.0
    if read(atom[0], 1) == b"\x01":  # version 1: wider fields
        scale, duration = struct.unpack(">IQ", read(atom[0] + 20, 12))
    else:
        scale, duration = struct.unpack(">II", read(atom[0] + 12, 8))
    return duration / scale if scale and duration not in _UNKNOWN_DURATIONS else 0.0


def _read_sides(read: Reader, atom: tuple[int, int] | None) -> tuple[int, int]:
    """Read width and height, the last two fields of `tkhd`, in 65,536ths of a pixel."""
    if atom is None:
        return 0, 0
    width, height = struct.unpack(">II", read(atom[1] - 8, 8))
    return width >> 16, height >> 16


def _count_frames(read: Reader, media: tuple[int, int]) -> int:
    """Read the number of samples of the track from the table of their sizes."""
    parent = media
    for name in (b"minf", b"stbl"):
        atom = next(find_atoms(read, *parent, name), None)
        if atom is None:
            return 0
        parent = atom
    for name in (b"stsz", b"stz2"):
        for start, _ in find_atoms(read, *parent, name):
            (count,) = struct.unpack(">I", read(start + 8, 4))
            return int(count)
    return 0


def _discard_implausible(seconds: float, width: int, height: int, frames: int, fps: float) -> VideoInfo:
    """Keep the plausible values: frames only together with their rate, and width only together with height."""
    has_size = width > 0 and height > 0
    has_frames = frames > 0 and 0 < fps <= _MAX_FPS
    return VideoInfo(
        seconds=seconds or None,
        width=width if has_size else None,
        height=height if has_size else None,
        frames=frames if has_frames else None,
        fps=fps if has_frames else None,
    )
