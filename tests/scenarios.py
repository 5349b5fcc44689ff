"""What the cassettes hold: one scenario each, with what the emulator is to say when there is no live service."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples import langchain_image
from tests.emulator import Fault, Reply


@dataclass(frozen=True)
class Scenario:
    """A piece of user code that talks to the service.

    `run` takes key and endpoint from the environment, as a user's code does, and asserts what it gets.
    """

    name: str
    title: str
    run: Callable[[], Any]
    replies: Sequence[Reply | Fault]


def _words(text: str) -> list[str]:
    """A text as a model streams it: word by word."""
    return re.findall(r"\s*\S+", text)


_ADDS_UP = Reply(
    reasoning=_words(
        "The receipt lists 2 flat whites for 8.40, a lemon tart for 5.20 and a mineral water for 3.10. "
        "8.40 + 5.20 + 3.10 = 16.70, which is the subtotal. Ten percent of 16.70 is 1.67, and 16.70 + 1.67 = 18.37."
    ),
    text=_words(
        "Yes. The three items make 16.70, the 10 % service charge is 1.67, and together that is the printed 18.37."
    ),
)

DEMO = (
    Scenario("demo_langchain_image", "LangChain: an image, thinking, an answer", langchain_image.main, [_ADDS_UP]),
)



def readme_snippets() -> dict[str, str]:
    """The README's Python snippets by the name of their cassette."""
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- cassette: (\w+) -->\n```python\n(.*?)```", text, re.DOTALL))


def _snippet(name: str) -> Callable[[], None]:
    return lambda: exec(compile(readme_snippets()[name], "README.md", "exec"), {})


_PAID = Reply(
    reasoning=_words("The receipt's total line says 18.37, and it was paid by card."),
    text=_words("18.37, by card."),
)

README = (Scenario("readme_langchain", "README: LangChain", _snippet("readme_langchain"), [_PAID, _PAID]),)

SCENARIOS = {scenario.name: scenario for scenario in (*DEMO, *README)}
