"""What these tests share: a model that talks to the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.support.model_factories import KEY as KEY
from tests.support.model_factories import model_factory


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Callable[..., QwenVL]]:
    """Makes models that talk to the emulator; they are closed in the end."""
    with model_factory(QwenVL, emulator.compat_url) as make_model:
        yield make_model


@pytest.fixture
def llm(make: Callable[..., QwenVL]) -> QwenVL:
    return make()
