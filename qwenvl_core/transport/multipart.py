"""The form that uploads a file, read from the file while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, BinaryIO

import httpx

from qwenvl_core.media.uploads import Upload
from qwenvl_core.wire.upload_policy import Form


class Multipart:
    """A multipart form with one file.

    Attributes:
        headers: The form's type and its length.
    """

    def __init__(self, form: Form, upload: Upload, file: BinaryIO) -> None:
        # Only encodes; the request that is sent is built by the client that sends it.
        files = {"file": (upload.name, file, upload.uri.mime)}
        encoded: Any = httpx.Request("POST", form.host, data=form.fields, files=files)
        self._blocks: Iterator[bytes] = iter(encoded.stream)
        self.headers = {name: encoded.headers[name] for name in ("Content-Type", "Content-Length")}

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # In a thread: a disk may be slow, and base64 has to be decoded.
        while (block := await asyncio.to_thread(next, self._blocks, None)) is not None:
            yield block
