"""A request body: JSON that is written while it is sent, so that media in it is never held a second time."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import DataUri

_STREAMED_FROM = 1 << 20  # bytes; below it one joined body is cheaper, and easier to look at


class Body:
    """A body of known length that can be sent any number of times, each time from its beginning.

    It has the little of a file that HTTP clients ask for. `tell` is always 0: a client asks it before each try, to
    seek back to it for the next one.
    """

    def __init__(self, pieces: list[bytes | DataUri]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))
        self._sending = self.blocks()

    def __len__(self) -> int:
        return self._length

    def blocks(self) -> Iterator[bytes]:
        """The body, a block at a time."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from piece.blocks()

    def read(self, size: int = -1) -> bytes:
        """The next block, of any size; `b""` at the end."""
        return next(self._sending, b"")

    def seekable(self) -> bool:
        """True: it can be sent again."""
        return True

    def tell(self) -> int:
        """0: it is only ever sent from its beginning."""
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to the beginning; or, from the end, tell the length."""
        if whence == 2:
            return self._length
        self._sending = self.blocks()
        return 0


class SyncBody(Body):
    """A body for a sync client."""

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks()


class AsyncBody(Body):
    """A body for an async client, which must not be a sync iterable as well."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self.blocks():
            yield block


class _Joined(bytes):
    """A body in one piece. SDKs write the options of a request into their logs, and media are no text for a log."""

    def __repr__(self) -> str:
        return f"<a body of {len(self)} bytes>"

    __str__ = __repr__


def encode_body(value: Any, streamed: type[Body]) -> Body | bytes:
    """`value` as a JSON body.

    Args:
        value: JSON-like data that may hold `DataUri` objects where a string may stand.
        streamed: What a large body with media becomes, `SyncBody` or `AsyncBody`. A small one is joined.

    Raises:
        QwenVLInputError: Something in it has no JSON form.
    """
    uris: list[DataUri] = []
    mark = secrets.token_hex(16)  # unguessable, so no text of a message can pass for a place to put media

    def note(item: Any) -> str:
        if not isinstance(item, DataUri):
            raise TypeError(f"{type(item).__name__} has no JSON form")
        uris.append(item)
        return mark

    try:
        text = json.dumps(value, default=note, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise QwenVLInputError(f"The request can't be written as JSON: {error}.") from error
    if not uris:
        return _Joined(text)
    first, *others = text.split(mark.encode())
    pieces: list[bytes | DataUri] = [first]
    for uri, between in zip(uris, others, strict=True):
        pieces += (uri, between)
    body = streamed(pieces)
    return body if len(body) > _STREAMED_FROM else _Joined(b"".join(body.blocks()))
