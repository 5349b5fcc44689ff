"""Media that are too large for a data URI."""

from __future__ import annotations

from pathlib import Path

from tests.core.transport.native import PNG

MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
MB = 1024 * 1024


def fill(head: bytes, size: int) -> bytes:
    """Return a file of `size` bytes that begins with `head`."""
    pattern = bytes(range(251)) * (size // 251 + 1)  # 251 divides no buffer size, so that a lost buffer shows
    return (head + pattern)[:size]


VIDEO = fill(MP4, 9 * MB + 1)
PICTURE = fill(PNG, 16 * MB + 2)


def write_video(folder: Path) -> Path:
    """Write `VIDEO` under a name that must not be sent."""
    path = folder / "a holiday, 好.mov"
    path.write_bytes(VIDEO)
    return path
