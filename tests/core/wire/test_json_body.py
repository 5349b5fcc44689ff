"""Encode request bodies: the bytes equal plain JSON, can be sent repeatedly and are not held in memory."""

from __future__ import annotations

import base64
import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import DataUri, to_url_or_data_uri
from qwenvl_core.types.media import FileSource, InlineSource, Source
from qwenvl_core.wire.json_body import AsyncBody, Body, SyncBody, encode_body
from tests.support.pipeline import PNG, png

BIG = png(padding=1_500_000)


def uri(source: Source) -> DataUri:
    located = to_url_or_data_uri(source, "image", "here")
    assert isinstance(located, DataUri)
    return located


def plain(value: Any) -> bytes:
    """Encode the same body with `json.dumps`."""
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), default=lambda item: b"".join(item.blocks()).decode()
    ).encode()


def sources(data: bytes, path: Path) -> list[Source]:
    """Return a source of the same bytes for every kind of source."""
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    return [
        InlineSource(data),
        FileSource(path),
        InlineSource(f"data:image/png;base64,{text}", base64_from=22),
        InlineSource(text, base64_from=0),
        InlineSource(text.encode(), base64_from=0),
        InlineSource("\n".join(text[start : start + 76] for start in range(0, len(text), 76)), base64_from=0),
    ]


@pytest.mark.parametrize("data", [PNG, PNG + b"\0", PNG + b"\0\0", png(padding=48 * 1024 - len(PNG)), BIG])
def test_body_with_media_equals_plain_json(data: bytes, tmp_path: Path) -> None:
    image = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    for source in sources(data, tmp_path / "a.png"):
        for value in (uri(source), [uri(source)] * 2, {"a": ['ö\u2028"\\', {"b": uri(source)}, None, 1.5], "c": ""}):
            expected = plain(value)
            assert image.encode() in expected
            body = encode_body(value, SyncBody)
            if isinstance(body, bytes):
                assert body == expected
                assert len(expected) <= 1 << 20
            else:
                assert len(body) == len(expected)
                assert b"".join(body.blocks()) == expected
                assert b"".join(body) == expected  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_json_around_media_is_unchanged(value: Any) -> None:
    image = uri(InlineSource(PNG))
    body = encode_body([value, image, {"x": value, "y": image}], SyncBody)
    text = b"".join(image.blocks()).decode()
    assert json.loads(bytes(body)) == [value, text, {"x": value, "y": text}]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), b"bytes", {1, 2}, object(), {"a": Path("x")}, "\ud800", {(1, 2): 3}]
)
def test_value_without_json_type_raises_input_error(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match="can't be written as JSON"):
        encode_body({"a": value}, SyncBody)


def test_circular_value_raises_input_error() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    with pytest.raises(QwenVLInputError, match="can't be written as JSON"):
        encode_body(value, SyncBody)


def read_all(body: Body) -> bytes:
    return b"".join(iter(lambda: body.read(65536), b""))


@pytest.mark.parametrize("kind", [SyncBody, AsyncBody])
def test_body_after_seek_is_sent_again(kind: type[Body], tmp_path: Path) -> None:
    for source in sources(BIG, tmp_path / "a.png"):
        body = encode_body([uri(source)], kind)
        assert isinstance(body, kind)
        expected = plain([uri(source)])
        assert body.seekable()
        assert read_all(body) == expected
        assert body.read() == b""
        assert body.seek(body.tell()) == 0
        for _ in range(3):
            assert body.read(10)  # a partial send
        body.seek(0)
        assert read_all(body) == expected
        assert body.seek(0, 2) == len(expected)


async def test_async_body_is_sent_again(tmp_path: Path) -> None:
    body = encode_body([uri(InlineSource(BIG))], AsyncBody)
    assert isinstance(body, AsyncBody)
    expected = plain([uri(InlineSource(BIG))])
    async for _ in body:
        break
    for _ in range(2):
        assert b"".join([chunk async for chunk in body]) == expected
    assert not hasattr(body, "__iter__")


def _peak(make: Any) -> int:
    """Return the peak memory, in bytes, while a body is encoded and sent."""
    tracemalloc.start()
    try:
        body = make()
        for _ in body.blocks():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["bytes", "path", "data URI"])
def test_large_images_are_not_held_in_memory(form: str, tmp_path: Path) -> None:
    data = png(padding=5_000_000)
    source: Source = InlineSource(data)
    if form == "path":
        path = tmp_path / "a.png"
        path.write_bytes(data)
        source = FileSource(path)
    elif form == "data URI":
        source = InlineSource(f"data:image/png;base64,{base64.b64encode(data).decode()}", base64_from=22)
    peak = _peak(lambda: encode_body([uri(source) for _ in range(20)], SyncBody))
    assert peak < 2_000_000


def test_body_repr_omits_content() -> None:
    """SDKs log the options of a request."""
    for media in ("secret", DataUri("image/png", b"secret" * 300_000, 2_400_000)):
        body = encode_body({"image": media}, SyncBody)
        assert "secret" not in f"{body!r} {body!s} {format(body)} {[body]}"
        assert b"".join(body.blocks() if isinstance(body, Body) else [body]).startswith(b'{"image":"')


def test_small_body_leaves_its_media_to_no_garbage_collection() -> None:
    gc.disable()
    try:
        gc.collect(0)  # what is created from here on is in the youngest generation
        encode_body({"image": uri(InlineSource(PNG))}, SyncBody)
        assert not [item for item in gc.get_objects(generation=0) if isinstance(item, Body)]
    finally:
        gc.enable()
