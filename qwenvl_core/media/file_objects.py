"""Read file objects: open files, responses of HTTP clients, bodies of object stores, uploads of web frameworks."""

from __future__ import annotations

import inspect
from typing import Any

from qwenvl_core.errors import QwenVLInputError

_NAMES = ("filename", "name")  # web frameworks have the name of the form's field in `name`


def is_file_object(value: object) -> bool:
    """Return whether a value can be read as a file, itself or by its attribute `file`."""
    return callable(getattr(value, "read", None)) or callable(getattr(getattr(value, "file", None), "read", None))


def can_seek(file: Any) -> bool:
    """Return whether a file object can be read again from its start."""
    try:
        return bool(_unwrap(file).seekable())
    except (AttributeError, OSError, ValueError, TypeError):
        return False


def read_file_object(file: Any) -> bytes:
    """Read a file object: from its start if it can seek, else the rest of it.

    The position of one that can seek is restored.

    Raises:
        OSError: The file can't be read.
        QwenVLInputError: It is open for text, closed, or can be read asynchronously only.
    """
    file = _unwrap(file)
    try:
        position = file.tell() if can_seek(file) else None
        if position is not None:
            file.seek(0)
        # urllib3's responses, as of `requests.get(…, stream=True).raw`, give compressed bytes by default.
        data = file.read(decode_content=True) if hasattr(file, "decode_content") else file.read()
        if position is not None:
            file.seek(position)
    except OSError:  # its subclass UnsupportedOperation is a ValueError, too
        raise
    except ValueError as error:
        raise QwenVLInputError(f"This file object can't be read: {error}. Open it again, or pass its bytes.") from error
    if inspect.isawaitable(data):
        getattr(data, "close", lambda: None)()
        raise QwenVLInputError(
            f"Unsupported file object: {type(file).__name__} is read asynchronously. Pass its bytes: await file.read()."
        )
    if isinstance(data, str):
        raise QwenVLInputError("The file is opened in text mode. Open it in binary mode: open(path, 'rb').")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise QwenVLInputError(
            f"Unsupported file object: {type(file).__name__}.read() gives {type(data).__name__}, not bytes. "
            "Pass its bytes, or a file opened in binary mode."
        )
    return bytes(data)


def get_file_name(file: object) -> str | None:
    """Return the name or path of a file object; `None` if it has none, as for `<stdin>` or a number."""
    for attribute in _NAMES:
        name = getattr(file, attribute, None)
        if isinstance(name, str) and name and not name.startswith("<"):
            return name
    return None


def _unwrap(file: Any) -> Any:
    """Return the file inside an upload object; its own `read` may be asynchronous."""
    inner = getattr(file, "file", None)
    return inner if callable(getattr(inner, "read", None)) else file
