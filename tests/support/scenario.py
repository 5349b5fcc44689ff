"""Define what a scenario of a cassette is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.emulator import Fault, Reply


@dataclass(frozen=True)
class Scenario:
    """A piece of user code that sends requests to the service.

    Attributes:
        name: Name of the cassette.
        title: Title for the reader.
        run: The code. It takes key and endpoint from the environment as user code does, asserts what holds for the
            answer of any model, and returns the text of the answer.
        replies: Replies of the emulator.
        answer: Text that `run` returns with these replies; `None` if it returns none.
        describe_pictures: Returns the pictures that are embedded or ranked, and what they show.
    """

    name: str
    title: str
    run: Callable[[], str | None]
    replies: Sequence[Reply | Fault]
    answer: str | None = None
    describe_pictures: Callable[[], Sequence[tuple[bytes, str]]] = tuple


def split_words(text: str) -> list[str]:
    """Split a text into words, as a model streams it."""
    return re.findall(r"\s*\S+", text)
