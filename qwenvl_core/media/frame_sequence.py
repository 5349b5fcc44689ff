"""Encode the frames of a video as one data URI, as vLLM reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from qwenvl_core.media.sources import DataUri

_HEAD = b"data:video/jpeg;base64,"


@dataclass(frozen=True, slots=True)
class FrameSequence:
    """A video as one data URI with the frames behind each other, separated by commas, as vLLM reads it.

    Attributes:
        frames: The frames, each an image.
    """

    frames: tuple[DataUri, ...]

    @property
    def is_file(self) -> bool:
        """Whether a frame is read from disk while it is encoded."""
        return any(frame.is_file for frame in self.frames)

    def __len__(self) -> int:
        return len(_HEAD) + sum(frame.length for frame in self.frames) + max(len(self.frames) - 1, 0)

    def blocks(self) -> Iterator[bytes]:
        """Yield the URI in chunks; see `DataUri.blocks`."""
        yield _HEAD
        for index, frame in enumerate(self.frames):
            if index:
                yield b","
            yield from islice(frame.blocks(), 1, None)  # without its own head
