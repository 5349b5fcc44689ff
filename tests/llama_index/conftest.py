"""Fixtures of the LlamaIndex tests: models that send their requests to the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.support.media_files import MP4_HEAD, solid_image
from tests.support.model_factories import KEY as KEY
from tests.support.model_factories import model_factory


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Callable[..., QwenVL]]:
    """Return a function that builds models for the emulator; they are closed after the test."""
    with model_factory(QwenVL, emulator.compat_url) as make_model:
        yield make_model


@pytest.fixture
def llm(make: Callable[..., QwenVL]) -> QwenVL:
    return make()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with images, a video and a text; two images have a wrong suffix or none."""
    png, jpeg = solid_image(), solid_image(kind="JPEG")
    files = {"a.png": png, "wrong.png": jpeg, "no-suffix": png, "a.mp4": MP4_HEAD, "a.txt": b"Hello."}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path
