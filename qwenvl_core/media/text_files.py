"""Decode text files: UTF-8, UTF-16, UTF-32, and GB18030, which includes GBK and GB2312."""

from __future__ import annotations

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, of which its mark has the prefix
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # not the escape of terminals, nor the form feed
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
_SAMPLE_BYTES = 4096


def decode_text(data: bytes, mime: str | None = None) -> tuple[str, str]:
    """Decode the bytes of a text file.

    Args:
        data: The bytes.
        mime: The MIME type; its `charset` takes precedence if it is known and fits the bytes.

    Returns:
        The text, without a byte order mark, and the name of its encoding.

    Raises:
        ValueError: The bytes are not text in any of the encodings.
    """
    for encoding in _list_encodings(data, mime):
        try:
            text = data.decode(encoding)
        except (ValueError, LookupError):
            continue
        if not _CONTROL.search(text):
            return text.removeprefix("\ufeff"), encoding
    raise ValueError("its bytes are not text in UTF-8, UTF-16 or GB18030")


def _list_encodings(data: bytes, mime: str | None) -> list[str]:
    declared = _CHARSET.search(mime or "")
    marked = [encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)][:1]
    return [
        *marked,
        *([declared[1]] if declared else []),
        "utf-8",
        *_guess_utf16(data[:_SAMPLE_BYTES]),
        *(["gb18030"] if _has_paired_high_bytes(data) else []),
    ]


def _guess_utf16(sample: bytes) -> list[str]:
    """Guess UTF-16 without a mark: in most texts, one byte of many pairs is zero, always the same one."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) * 10 < len(sample):
        return []
    return ["utf-16-be" if even > odd else "utf-16-le"]


def _has_paired_high_bytes(data: bytes) -> bool:
    """Return whether bytes from 0x80 on come in pairs, as in Chinese text; in Latin alphabets they stand alone."""
    runs = [len(run) for run in _HIGH_BYTES.findall(data)]
    return sum(length % 2 == 0 for length in runs) * 10 >= len(runs) * 9
