"""Test the encodings of text files."""

from __future__ import annotations

import pytest

from qwenvl_core.media.text_files import decode_text

CHINESE, ENGLISH, FRENCH = "发票金额：壹佰元整。\n第二行", "Total: 12.80\n\tpaid by card", "négligé, déjà payé à l'été"


@pytest.mark.parametrize("text", [CHINESE, ENGLISH, FRENCH, "", "🧾 ok"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_decode_text_with_mark_or_utf8(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding))[0] == text


@pytest.mark.parametrize("encoding", ["gbk", "gb2312", "gb18030"])
def test_decode_text_chinese_encodings(encoding: str) -> None:
    assert decode_text(CHINESE.encode(encoding)) == (CHINESE, "gb18030")
    assert decode_text((ENGLISH + CHINESE).encode(encoding))[0] == ENGLISH + CHINESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_decode_text_utf16_without_mark(encoding: str) -> None:
    assert decode_text(ENGLISH.encode(encoding)) == (ENGLISH, encoding)
    assert decode_text(("a,b\r\n" + CHINESE).encode(encoding))[0] == "a,b\r\n" + CHINESE


def test_decode_text_declared_charset_takes_precedence() -> None:
    assert decode_text(FRENCH.encode("latin-1"), "text/plain; charset=ISO-8859-1")[0] == FRENCH
    assert decode_text("발행".encode("euc-kr"), 'text/plain;charset="euc-kr"')[0] == "발행"
    assert decode_text(ENGLISH.encode(), "text/plain; charset=no-such-charset")[0] == ENGLISH
    assert decode_text(CHINESE.encode(), "text/plain; charset=us-ascii")[0] == CHINESE


@pytest.mark.parametrize(
    "data",
    [FRENCH.encode("latin-1"), b"PK\x03\x04\0\x08\0", bytes(range(256)), b"\xff\xfe\x01\0", b"\0" * 10, b"a\0b"],
)
def test_decode_text_other_bytes_raise(data: bytes) -> None:
    with pytest.raises(ValueError, match="UTF-8, UTF-16 or GB18030"):
        decode_text(data)
