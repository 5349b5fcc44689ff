"""What these tests share: a model that talks to the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator

KEY = "sk-test-0123456789"


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Callable[..., QwenVL]]:
    """Makes models that talk to the emulator; they are closed in the end."""
    made: list[QwenVL] = []

    def build(**keywords: object) -> QwenVL:
        model = QwenVL(**{"base_url": emulator.compat_url, "api_key": KEY, **keywords})
        made.append(model)
        return model

    yield build
    for model in made:
        model.close()


@pytest.fixture
def llm(make: Callable[..., QwenVL]) -> QwenVL:
    return make()
