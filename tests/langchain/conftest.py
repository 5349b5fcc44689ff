"""What these tests share: models that talk to the emulator, small media, and what went over the wire."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.globals import set_llm_cache

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator
from tests.support.media_files import grey_png
from tests.support.model_factories import KEY as KEY
from tests.support.model_factories import model_factory

Make = Callable[..., ChatQwenVL]


png = grey_png
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
    with model_factory(ChatQwenVL, emulator.compat_url) as make_model:
        yield make_model


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
