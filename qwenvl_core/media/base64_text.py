"""Clean and decode base64 text that callers give as `str` or `bytes`.

Callers' text may be in the URL-safe alphabet, broken into lines, percent-encoded or without padding. Large texts are
handled in chunks: one call over 10 MB would copy all of it and keep other threads, such as an event loop's, from
running.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

CHUNK_SIZE = 48 * 1024
"""Size of a chunk in bytes or characters; a multiple of 3 and 4, so that chunks join without padding between them."""

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet
_WHITE_SPACE = b" \t\n\r\x0b\x0c"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IRREGULAR = re.compile(r"[^A-Za-z0-9+/=]")
_IRREGULAR_BYTES = re.compile(_IRREGULAR.pattern.encode())
_SEARCHED_LENGTH = 4096  # longer than a line of any encoder


def compute_base64_length(size: int) -> int:
    """Return the number of characters of the base64 text of `size` bytes."""
    return (size + 2) // 3 * 4


def to_bytes(text: bytes | str) -> bytes:
    """Encode text that may be bytes already."""
    return text if isinstance(text, bytes) else text.encode()


def iter_chunks(text: bytes | str, start: int, end: int) -> Iterator[bytes]:
    """Yield `text[start:end]` in chunks of `CHUNK_SIZE`."""
    for offset in range(start, end, CHUNK_SIZE):
        yield to_bytes(text[offset : min(offset + CHUNK_SIZE, end)])


def is_canonical(text: bytes | str, start: int) -> bool:
    """Return whether `text[start:]` is padded standard base64 without white space, which can stand in JSON as it is."""
    if not text.isascii() or (len(text) - start) % 4:
        return False
    last = to_bytes(text[-3:])
    padding = len(last) - len(last.rstrip(b"="))
    if padding > 2:
        return False
    return not any(chunk.translate(None, _ALPHABET) for chunk in iter_chunks(text, start, len(text) - padding))


def canonicalize(text: bytes | str) -> bytes:
    """Convert base64 text to the standard alphabet, with padding, without white space and percent-encoding.

    Raises:
        ValueError: The text is not base64.
    """
    raw = unquote_to_bytes(text if isinstance(text, bytes) else text.encode(errors="replace"))
    chunks = (chunk.translate(_TO_STANDARD, _WHITE_SPACE) for chunk in iter_chunks(raw, 0, len(raw)))
    canonical = _pad(b"".join(chunks))
    if not is_canonical(canonical, 0):
        raise ValueError("this is not base64 text")
    return canonical


def decode(text: bytes) -> bytes:
    """Decode base64 text in either alphabet, with or without line breaks and padding.

    Raises:
        ValueError: The text is not base64.
    """
    return base64.b64decode(_pad(b"".join(text.translate(_TO_STANDARD).split())))


def decode_range(text: bytes | str, start: int, offset: int, count: int) -> bytes:
    """Decode up to `count` bytes from `offset` on of what `text[start:]` encodes, and nothing else of it.

    The text must be one line: offsets in the text follow from offsets in the bytes only then.

    Raises:
        ValueError: That part of the text is not base64.
    """
    skipped = offset % 3
    begin = start + offset // 3 * 4
    encoded = to_bytes(text[begin : begin + compute_base64_length(skipped + count)])
    return decode(encoded)[skipped : skipped + count]


def has_irregular_characters(text: bytes | str, start: int) -> bool:
    """Return whether `text[start:]` has line breaks or the URL-safe alphabet, judged by its first 4,096 characters."""
    end = start + _SEARCHED_LENGTH
    if isinstance(text, bytes):
        return _IRREGULAR_BYTES.search(text, start, end) is not None
    return _IRREGULAR.search(text, start, end) is not None


def _pad(text: bytes) -> bytes:
    text = text.rstrip(b"=")
    return text + b"=" * (-len(text) % 4)
