"""Upload media to the vendor's temporary storage.

The uploader of the dashscope SDK blocks, reads the whole file into memory, opens its own connections, and uploads two
files of the same name to the same address. So the two requests of an upload are sent here, over the transport.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from typing import Any, BinaryIO, cast

from qwenvl_core.errors import QwenVLAPIError, QwenVLInputError, QwenVLPermissionDeniedError
from qwenvl_core.media.uploads import Upload
from qwenvl_core.transport.connection import HttpRequest
from qwenvl_core.transport.http_transport import HttpTransport
from qwenvl_core.transport.multipart import MultipartForm
from qwenvl_core.wire import upload_policy


class UploadStoppedError(Exception):
    """The upload was stopped because another one of its request failed."""


def upload_media(
    transport: HttpTransport, upload: Upload, model: str, storage_url: str, stop: threading.Event | None = None
) -> str:
    """Upload one file, for requests to `model`.

    Args:
        transport: The transport of the requests.
        upload: The file.
        model: The model.
        storage_url: The endpoint that grants the upload.
        stop: Stops the upload when it is set.

    Returns:
        Its `oss://` URL.

    Raises:
        QwenVLError: One of the two requests failed.
        UploadStoppedError: `stop` was set.
    """
    try:
        return _upload_once(transport, upload, model, storage_url, stop)
    except QwenVLPermissionDeniedError as error:
        if not upload_policy.is_expired(error):
            raise
    return _upload_once(transport, upload, model, storage_url, stop)


async def aupload_media(transport: HttpTransport, upload: Upload, model: str, storage_url: str) -> str:
    """Upload one file asynchronously; it is read and decoded in a thread. See `upload_media`."""
    try:
        return await _aupload_once(transport, upload, model, storage_url)
    except QwenVLPermissionDeniedError as error:
        if not upload_policy.is_expired(error):
            raise
    return await _aupload_once(transport, upload, model, storage_url)


def _upload_once(
    transport: HttpTransport, upload: Upload, model: str, storage_url: str, stop: threading.Event | None
) -> str:
    with transport.open(_build_policy_request(model, storage_url)) as response:
        form = _read_form(b"".join(response.data), upload, storage_url)
    with upload.open() as file:
        sent = _SentFile(file, stop)
        with transport.open(_build_storage_request(form, upload, sent)):
            sent.check(upload)
            return form.url


async def _aupload_once(transport: HttpTransport, upload: Upload, model: str, storage_url: str) -> str:
    async with transport.aopen(_build_policy_request(model, storage_url)) as response:
        form = _read_form(b"".join([data async for data in response.data]), upload, storage_url)
    with await asyncio.to_thread(upload.open) as file:
        sent = _SentFile(file)
        async with transport.aopen(_build_storage_request(form, upload, sent)):
            sent.check(upload)
            return form.url


def _build_policy_request(model: str, storage_url: str) -> HttpRequest:
    return HttpRequest("GET", storage_url + upload_policy.PATH, params=upload_policy.build_query(model))


def _read_form(body: bytes, upload: Upload, storage_url: str) -> upload_policy.Form:
    try:
        payload: Any = json.loads(body)
    except ValueError as error:
        raise QwenVLAPIError(f"The reply to an upload request is not JSON: {error}.") from error
    return upload_policy.build_form(payload, endpoint=storage_url, name=upload.name, mime=upload.uri.mime)


def _build_storage_request(form: upload_policy.Form, upload: Upload, file: _SentFile) -> HttpRequest:
    body = MultipartForm(form.fields, cast("BinaryIO", file), name=upload.name, mime=upload.uri.mime)
    return HttpRequest("POST", form.host, body, authenticate=False)


class _SentFile:
    """A file whose content is identified again while it is sent, since it may change after it was identified."""

    def __init__(self, file: BinaryIO, stop: threading.Event | None = None) -> None:
        self._file = file
        self._stop = stop
        self._hash = hashlib.sha256()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)  # `fileno`, `tell`, …: what an HTTP library calls to find the length

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position and return it; the content begins at 0."""
        self._hash = hashlib.sha256()
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the content.

        Raises:
            UploadStoppedError: The upload was stopped.
        """
        if self._stop is not None and self._stop.is_set():
            raise UploadStoppedError
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def check(self, upload: Upload) -> None:
        """Raise if the content that was sent is not that of `upload`."""
        if self._hash.hexdigest() != upload.digest:
            raise QwenVLInputError(
                f"{upload.location}: this {upload.kind} changed while it was uploaded. Send the request again."
            )
