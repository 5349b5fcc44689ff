"""Read parts of a file or of bytes by offset, and walk the atoms of ISO media files.

A `Reader` is a function `read(offset, count) -> bytes`, which may return fewer bytes. The same parser so serves the
head of a file, base64 text, and a seekable file whose header is not at its start.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from qwenvl_core.errors import QwenVLInputError

Reader = Callable[[int, int], bytes]

END_OF_FILE = 1 << 62
"""An offset behind the end of any file."""

_MAX_HEADER_BYTES = 16384  # that are read of one header; those of real files need fewer


def create_file_reader(file: BinaryIO) -> Reader:
    """Create a reader for a seekable binary file.

    Raises:
        OSError: The file can't be read.
        QwenVLInputError: The file was opened as text.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(4096) or b""
    if isinstance(head, str):
        raise QwenVLInputError("file: this file was opened as text; open it in binary mode.")

    def read(offset: int, count: int) -> bytes:
        if offset + count <= len(head):
            return head[offset : offset + count]
        if offset >= size:  # a seek far behind the end can fail
            return b""
        file.seek(offset)
        return file.read(count) or b""

    return read


def limit_reads(read: Reader) -> Reader:
    """Return a reader that stops yielding bytes once it has read more than a header needs.

    It bounds the cost of any header to milliseconds: segments and atoms are walked, and each step of a walk may start
    another one.
    """
    remaining = _MAX_HEADER_BYTES

    def read_limited(offset: int, count: int) -> bytes:
        nonlocal remaining
        remaining -= count
        return read(offset, count) if remaining >= 0 else b""

    return read_limited


def find_atoms(read: Reader, offset: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of the content of each atom called `name` among siblings (ISO/IEC 14496-12).

    `read` must be limited, since it alone bounds the number of atoms that are walked.
    """
    while True:
        header = read(offset, 8) if offset < end else b""
        if len(header) < 8:
            return
        length, atom = struct.unpack(">I4s", header)
        start = offset + 8
        if length == 1:  # the length has 64 bits
            (length,), start = struct.unpack(">Q", read(start, 8)), start + 8
        following = min(offset + length, end) if length else end  # 0: up to the end
        if following < start:
            return
        if atom == name:
            yield start, following
        offset = following
