"""Write files that are whole or not there."""

from __future__ import annotations

import uuid
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there, also if the disk is full or another process reads it meanwhile.

    Raises:
        OSError: The folder can't be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
