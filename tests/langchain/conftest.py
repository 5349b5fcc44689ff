"""What these tests share: models that talk to the emulator, small media, and what went over the wire."""

from __future__ import annotations

import ssl
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator

KEY = "sk-test-0123456789"
Make = Callable[..., ChatQwenVL]


def png(width: int = 32, height: int = 32, grey: int = 0) -> bytes:
    """A grey PNG of any size, small in bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([grey]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG = png()
MP4 = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0x200, b"isom") + b"\0" * 64


@pytest.fixture(scope="package", autouse=True)
def no_certificates() -> Iterator[None]:
    """Nothing here speaks TLS, and loading the world's certificates is most of what making a client costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)
        yield


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Make]:
    """Makes models that talk to the emulator; their connections are closed in the end."""
    made: list[ChatQwenVL] = []

    def build(**keywords: Any) -> ChatQwenVL:
        model = ChatQwenVL(**{"base_url": emulator.compat_url, "api_key": KEY, **keywords})
        made.append(model)
        return model

    yield build
    for model in made:
        model.close()


@pytest.fixture
def llm(make: Make) -> ChatQwenVL:
    """The model as it is by default: `qwen3-vl-plus`, thinking."""
    return make()


@pytest.fixture
def bodies(emulator: Emulator) -> Callable[[], list[dict[str, Any]]]:
    """The bodies of the requests so far; none of them has been refused."""

    def sent() -> list[dict[str, Any]]:
        assert not emulator.refusals
        return [request.json for request in emulator.requests]

    return sent


@pytest.fixture
def body(bodies: Callable[[], list[dict[str, Any]]]) -> Callable[[], dict[str, Any]]:
    """The body of the last request."""
    return lambda: bodies()[-1]


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """No test leaves a global cache behind."""
    yield
    set_llm_cache(None)
