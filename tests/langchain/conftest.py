"""Shared fixtures: models that use the emulator, small media files, and the request bodies."""

from __future__ import annotations

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


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Make]:
    """Return a function that creates models for the emulator, and close their connections after the test."""
    with model_factory(ChatQwenVL, emulator.compat_url) as make_model:
        yield make_model


@pytest.fixture
def llm(make: Make) -> ChatQwenVL:
    """Return a model with default settings: `qwen3-vl-plus`, thinking."""
    return make()


@pytest.fixture
def bodies(emulator: Emulator) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that returns the bodies of all requests; it fails if the emulator refused one."""

    def read_bodies() -> list[dict[str, Any]]:
        assert not emulator.refusals
        return [request.json for request in emulator.requests]

    return read_bodies


@pytest.fixture
def body(bodies: Callable[[], list[dict[str, Any]]]) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the body of the last request."""
    return lambda: bodies()[-1]


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """Remove the global cache after each test."""
    yield
    set_llm_cache(None)
