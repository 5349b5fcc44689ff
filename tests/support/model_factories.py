"""Make models that are closed at the end of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

KEY = "sk-test-0123456789"


class _Closable(Protocol):
    def close(self) -> None: ...


Model = TypeVar("Model", bound=_Closable)


@contextmanager
def model_factory(model_class: Callable[..., Model], base_url: str) -> Iterator[Callable[..., Model]]:
    """Provide a function that makes models for a server, and close these models on exit.

    Args:
        model_class: The model class of an adapter.
        base_url: Base URL of the server.
    """
    models: list[Model] = []

    def make(**keywords: object) -> Model:
        model = model_class(**{"base_url": base_url, "api_key": KEY, **keywords})
        models.append(model)
        return model

    yield make
    for model in models:
        model.close()
