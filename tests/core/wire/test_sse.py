"""Decode server-sent events: the payloads are the same for every split of the bytes and every line end."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwenvl_core.wire.sse import DONE, SSEDecodeError, SSEDecoder

END = "<done>"


def decode_all(*segments: bytes) -> list[tuple[str, Any]]:
    decoder = SSEDecoder()
    pairs = [pair for segment in segments for pair in decoder.decode(segment)]
    pairs += decoder.flush()
    return [(name, END if payload is DONE else payload) for name, payload in pairs]


def split(data: bytes, offsets: list[int]) -> list[bytes]:
    bounds = [0, *sorted(offset % (len(data) + 1) for offset in offsets), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


HELLO = {"text": "你好 😀\u2028\u0085\u000b\u001c\u00a0ö"}
WIRE = json.dumps(HELLO, ensure_ascii=False)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("data: 1\n\ndata: 2\n\n", [("", 1), ("", 2)]),
        ("data:1\n\n", [("", 1)]),
        ("data:   1\n\n", [("", 1)]),
        ("data: 1\r\n\r\ndata: 2\r\n\r\n", [("", 1), ("", 2)]),
        ("data: 1\r\rdata: 2\r\r", [("", 1), ("", 2)]),
        ("data: 1\r\n\rdata: 2\n\r\n", [("", 1), ("", 2)]),  # line ends may be mixed
        (": keep-alive\n\ndata: 1\n\n:\n\n", [("", 1)]),
        ("id:1\nevent:result\n:HTTP_STATUS/200\ndata:1\n\n", [("result", 1)]),
        ("retry: 3000\nid\nfoo: bar\nfoo\ndata: 1\n\n", [("", 1)]),
        ("event: error\ndata: 1\n\ndata: 2\n\n", [("error", 1), ("", 2)]),
        ('data: {\ndata: "a": 1\ndata: }\n\n', [("", {"a": 1})]),
        ('data: {"a":\n: comment\nid: 7\ndata: 1}\n\n', [("", {"a": 1})]),
        ("data: 1\ndata: 2\ndata: 3\n", [("", 1), ("", 2), ("", 3)]),  # no blank lines
        ("data: 1\n\ndata: 2", [("", 1), ("", 2)]),  # no line end
        ("data: 1\n\n\n\n\ndata: 2\n\n", [("", 1), ("", 2)]),
        ("data\ndata:\ndata: \n\ndata: 1\n\n", [("", 1)]),  # empty data yields no payload
        ("\ufeffdata: 1\n\n", [("", 1)]),
        ("\ufeff\n\ndata: 1\n\n", [("", 1)]),
        ("data: 1\n\ndata: [DONE]\n\n", [("", 1), ("", END)]),
        ("data:[DONE]", [("", END)]),
        ("data: [DONE] \r\n\r\n", [("", END)]),
        ('data: ["[DONE]"]\n\n', [("", ["[DONE]"])]),
        (f"data: {WIRE}\n\n", [("", HELLO)]),
        ("", []),
        ("\n\n\n", []),
        ("<html>\n</html>\n", []),
    ],
)
def test_stream_is_decoded_into_payloads(data: str, expected: list[tuple[str, Any]]) -> None:
    raw = data.encode()
    assert decode_all(raw) == expected
    assert decode_all(*(bytes([byte]) for byte in raw)) == expected  # one byte at a time
    for offset in range(len(raw)):
        assert decode_all(raw[:offset], raw[offset:]) == expected


@pytest.mark.parametrize(
    "data",
    [
        "data: {\n\n",
        'data: {"a": 1\n\ndata: [DONE]\n\n',
        'data: {"a": 1\ndata: [DONE]\n\n',  # `[DONE]` does not complete a broken event
        'data: {"a"',  # truncated within an event
        'data: {"a": "ö',
        "data: {'a': 1}\n\n",
        "data: oops\n\ndata: 1\n\n",
        "data: 1 2\n\n",
    ],
)
def test_invalid_json_raises_decode_error(data: str) -> None:
    raw = data.encode()
    for offset in range(len(raw)):
        with pytest.raises(SSEDecodeError):
            decode_all(raw[:offset], raw[offset:])


def test_invalid_utf8_raises_decode_error() -> None:
    with pytest.raises(SSEDecodeError):
        decode_all(b'data: {"a": "\xff\xfe"}\n\n')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, Any]]]:
    """Draw a stream in any framing that the format allows, and its payloads."""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines: list[str] = []
    expected: list[tuple[str, Any]] = []
    for payload in draw(st.lists(JSON | st.just(HELLO), max_size=4)):
        name = draw(st.sampled_from(["", "", "result", "error"]))
        field = draw(st.sampled_from(["data:", "data: "]))
        lines += draw(
            st.lists(st.sampled_from([":", ": ping", ":HTTP_STATUS/200", "id:1", "retry: 5", "x: y"]), max_size=2)
        )
        lines += [f"event: {name}"] if name else []
        is_multiline = isinstance(payload, dict | list) and draw(st.booleans())
        text = json.dumps(payload, ensure_ascii=False, indent=1 if is_multiline else None)
        lines += [field + line for line in text.split("\n")]
        if name or is_multiline or draw(st.booleans()):
            lines += [""]
        expected.append((name, payload))
    if draw(st.booleans()):
        lines += ["data: [DONE]", ""]
        expected.append(("", END))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return (bom + "".join(line + end for line in lines)).encode(), expected


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_split_at_any_offset_yields_same_payloads(
    stream: tuple[bytes, list[tuple[str, Any]]], offsets: list[int]
) -> None:
    data, expected = stream
    assert decode_all(*split(data, offsets)) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
@example(b"data: \x00\xff", [3])
@example(b"\r\ndata:1\r", [1])
def test_arbitrary_bytes_yield_same_result_for_any_split(data: bytes, offsets: list[int]) -> None:
    def outcome(*segments: bytes) -> Any:
        try:
            return decode_all(*segments)
        except SSEDecodeError:
            return "broken"

    assert repr(outcome(data)) == repr(outcome(*split(data, offsets)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_payload_is_yielded_with_its_line(end: str) -> None:
    decoder = SSEDecoder()
    assert list(decoder.decode(f"data: 1{end}{end}".encode())) == [("", 1)]
    assert list(decoder.decode(f"data: 2{end}{end}".encode())) == [("", 2)]
    if end != "\r":  # a CR may be the first half of a CRLF
        assert list(decoder.decode(f"data: 3{end}".encode())) == [("", 3)]


def _seconds(segments: list[bytes]) -> float:
    start = time.process_time()
    assert len(decode_all(*segments)) == 1
    return time.process_time() - start


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda size: [b"data: ", b'"' + b"x" * size + b'"', b"\n\n"], id="one long line"),
        pytest.param(
            lambda size: [b'data: "', *[b"x" * 16] * (size // 16), b'"\n\n'], id="one long line in small pieces"
        ),
        pytest.param(
            lambda size: [b"data: [\n", *[b"data: 1,\n"] * (size // 10), b"data: 1]\n\n"], id="many lines of one event"
        ),
        pytest.param(lambda size: [b"data: 1\n\n", *[b": comment\n\n"] * (size // 10)], id="many comments"),
        pytest.param(lambda size: [b"data: 1\n\n", *[b"\r"] * (size // 10)], id="many carriage returns"),
    ],
)
def test_decoding_time_is_linear(make: Any) -> None:
    small = min(_seconds(make(125_000)) for _ in range(3))
    large = min(_seconds(make(1_000_000)) for _ in range(2))
    assert large < 24 * max(small, 0.001)  # eight times the bytes
