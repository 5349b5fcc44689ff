"""Upload media to the vendor's temporary storage.

The uploader of the dashscope SDK blocks, reads the whole file into memory, opens its own connections, and uploads two
files of the same name to the same address. So the two requests of an upload are sent here, over the transport.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from qwenvl_core.errors import QwenVLAPIError, QwenVLError, QwenVLInputError
from qwenvl_core.media.uploads import Upload
from qwenvl_core.transport.connection import HttpRequest
from qwenvl_core.transport.http_transport import HttpTransport
from qwenvl_core.transport.multipart import MultipartForm
from qwenvl_core.wire import upload_policy


def upload_media(transport: HttpTransport, upload: Upload, model: str) -> str:
    """Upload one file, for requests to `model`.

    Returns:
        Its `oss://` URL.

    Raises:
        QwenVLError: One of the two requests failed.
    """
    with _add_location(upload):
        with transport.open(_build_policy_request(model)) as response:
            form = _read_form(b"".join(response.data), upload, transport)
        with upload.open() as file, transport.open(_build_storage_request(form, upload, file)):
            return form.url


async def aupload_media(transport: HttpTransport, upload: Upload, model: str) -> str:
    """Upload one file asynchronously; it is read and decoded in a thread. See `upload_media`."""
    with _add_location(upload):
        async with transport.aopen(_build_policy_request(model)) as response:
            form = _read_form(b"".join([data async for data in response.data]), upload, transport)
        with upload.open() as file:
            async with transport.aopen(_build_storage_request(form, upload, file)):
                return form.url


def _build_policy_request(model: str) -> HttpRequest:
    return HttpRequest("GET", upload_policy.PATH, params=upload_policy.build_query(model))


def _read_form(body: bytes, upload: Upload, transport: HttpTransport) -> upload_policy.Form:
    try:
        payload: Any = json.loads(body)
    except ValueError as error:
        raise QwenVLAPIError(f"The reply to an upload request is not JSON: {error}.") from error
    endpoint = transport.connection.base_url
    return upload_policy.build_form(payload, endpoint=endpoint, name=upload.name, mime=upload.uri.mime)


def _build_storage_request(form: upload_policy.Form, upload: Upload, file: BinaryIO) -> HttpRequest:
    body = MultipartForm(form.fields, file, name=upload.name, mime=upload.uri.mime)
    return HttpRequest("POST", form.host, body, authenticate=False)


@contextmanager
def _add_location(upload: Upload) -> Iterator[None]:
    """Add the location of the media to an error of its upload."""
    try:
        yield
    except QwenVLInputError:
        raise
    except QwenVLError as error:
        error.message = f"{upload.location}: the upload of this {upload.kind} failed: {error.message}"
        raise
