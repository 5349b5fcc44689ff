"""Encode request bodies as JSON; large media are encoded while the body is sent, and so not copied in memory."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.frame_sequence import FrameSequence
from qwenvl_core.media.sources import DataUri

_STREAMED_FROM = 1 << 20  # bytes; a smaller body is joined, which is cheaper and easier to inspect


class Body:
    """A body of known length that can be sent repeatedly, each time from its beginning.

    It implements the file methods that HTTP clients call. `tell` always returns 0, because clients call it before each
    attempt to seek back to that position for the next one.
    """

    def __init__(self, pieces: list[bytes | DataUri | FrameSequence]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))
        self._remaining = self.blocks()

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[bytes]:
        """Iterate over the bytes of the body."""
        return _iterate_blocks(self._pieces)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, regardless of `size`; `b""` at the end."""
        return next(self._remaining, b"")

    def seekable(self) -> bool:
        """Return True: the body can be sent again."""
        return True

    def tell(self) -> int:
        """Return 0: the body is only sent from its beginning."""
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek to the beginning; or return the length, if `whence` is the end of the body."""
        if whence == os.SEEK_END:
            return self._length
        self._remaining = self.blocks()
        return 0


class SyncBody(Body):
    """A body for a sync client."""

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks()


class AsyncBody(Body):
    """A body for an async client; it must not be a sync iterable too."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            elif piece.is_file:  # read off the event loop
                blocks = piece.blocks()
                while data := await asyncio.to_thread(next, blocks, b""):
                    yield data
            else:
                for data in piece.blocks():
                    yield data


class _Joined(bytes):
    """A whole body with a short `repr`, because SDKs log the options of a request and media would flood the log."""

    def __repr__(self) -> str:
        return f"<a body of {len(self)} bytes>"

    __str__ = __repr__


def encode_body(value: Any, body_class: type[Body]) -> Body | bytes:
    """Encode `value` as a JSON body.

    Args:
        value: JSON-like data that may contain `DataUri` and `FrameSequence` objects in place of strings.
        body_class: The class of a large body with media: `SyncBody` or `AsyncBody`. A small body is returned as bytes.

    Raises:
        QwenVLInputError: The data contain a value that JSON can't represent.
    """
    uris: list[DataUri | FrameSequence] = []
    marker = secrets.token_hex(16)  # random, so that it can't occur in the text of a message

    def replace_uri(item: Any) -> str:
        if not isinstance(item, DataUri | FrameSequence):
            raise TypeError(f"JSON has no type for {type(item).__name__}")
        uris.append(item)
        return marker

    try:
        text = json.dumps(
            value, default=replace_uri, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode()
    except (TypeError, ValueError) as error:
        raise QwenVLInputError(f"The request can't be written as JSON: {error}. Pass JSON values only.") from error
    if not uris:
        return _Joined(text)
    first, *others = text.split(marker.encode())
    pieces: list[bytes | DataUri | FrameSequence] = [first]
    for uri, following in zip(uris, others, strict=True):
        pieces += (uri, following)
    if sum(map(len, pieces)) > _STREAMED_FROM:
        return body_class(pieces)
    # Not by way of a `Body`, which references itself: its media would stay in memory until the garbage is collected.
    return _Joined(b"".join(_iterate_blocks(pieces)))


def _iterate_blocks(pieces: list[bytes | DataUri | FrameSequence]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from piece.blocks()
