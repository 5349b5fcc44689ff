"""Base64 text in the forms that callers give, and ranges of it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.media.base64_text import (
    CHUNK_SIZE,
    canonicalize,
    compute_base64_length,
    decode,
    decode_range,
    is_canonical,
)


@given(st.binary(max_size=80), st.booleans(), st.booleans())
def test_decode_accepts_both_alphabets_line_breaks_and_missing_padding(data: bytes, url_safe: bool, pad: bool) -> None:
    text = base64.urlsafe_b64encode(data) if url_safe else base64.encodebytes(data)
    text = text if pad else text.rstrip(b"=\n")
    assert decode(text) == data
    assert canonicalize(text) == canonicalize(text.decode()) == base64.b64encode(data)


@given(st.binary(max_size=80), st.integers(0, 90), st.integers(0, 90), st.sampled_from(["", "data:;base64,"]))
def test_decode_range_equals_a_slice_of_the_bytes(data: bytes, offset: int, count: int, head: str) -> None:
    text = head + base64.b64encode(data).decode()
    expected = data[offset : offset + count]
    assert decode_range(text, len(head), offset, count) == expected
    assert decode_range(text.encode(), len(head), offset, count) == expected


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, CHUNK_SIZE // 4 * 3 - 1, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_canonical_text_has_the_computed_length(size: int) -> None:
    text = base64.b64encode(bytes(size))
    assert is_canonical(text, 0)
    assert is_canonical("data:," + text.decode(), len("data:,"))
    assert len(text) == compute_base64_length(size)


@pytest.mark.parametrize("text", ["AAA", "A===", "AA=A", "AA-_", "AA\nA", "ÄAAA", "A" * (CHUNK_SIZE + 3) + "*"])
def test_is_canonical_rejects_text_that_json_or_the_service_would_not_take(text: str) -> None:
    assert not is_canonical(text, 0)


@pytest.mark.parametrize("text", ["A", "AB=C", "%%%", "A" * 5, "ö" * 8])
def test_canonicalize_text_that_is_not_base64_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        canonicalize(text)
