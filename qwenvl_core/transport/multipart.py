"""Encode a multipart form with one file, which is read from disk while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, BinaryIO

from qwenvl_core.transport.http_errors import get_http_classes


class MultipartForm:
    """A multipart form with one file; it can be sent once.

    Args:
        fields: The text fields, which precede the file.
        file: The file's content, from its beginning.
        name: The file's name in the form.
        mime: The file's MIME type.

    Attributes:
        headers: The form's `content-type` and `content-length`.
    """

    def __init__(self, fields: Mapping[str, str], file: BinaryIO, *, name: str, mime: str) -> None:
        # This request is not sent: it only encodes the form, in the same way in both HTTP libraries.
        request = get_http_classes("Request")[0]
        encoded: Any = request("POST", "http://localhost", data=fields, files={"file": (name, file, mime)})
        self._data: Iterator[bytes] = iter(encoded.stream)
        self.headers = {name: encoded.headers[name] for name in ("content-type", "content-length")}

    def __iter__(self) -> Iterator[bytes]:
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # In a thread: the disk may be slow, and base64 text is decoded here.
        while (data := await asyncio.to_thread(next, self._data, None)) is not None:
            yield data
