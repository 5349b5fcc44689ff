"""Define the replies of the emulator for the pages about chat models, in the order of each page's requests."""

from __future__ import annotations

from tests.emulator import Reply, ToolCall
from tests.support.docs_pages import Page
from tests.support.scenario import split_words

_RECEIPT = Reply(
    reasoning=split_words(
        "Two coffees, a tart and a water make 16.70. With the service charge that is 18.37, paid by card."
    ),
    text=split_words("A receipt over 18.37, paid by card."),
)

_PRODUCT = Reply(reasoning=split_words("17 times 20 is 340, 17 times 3 is 51."), text="391")
_IN_WORDS = Reply(reasoning=split_words("The total is 18.37, so I save it."), text=split_words("I save 18.37."))
_SAVES_TOTAL = Reply(tool_calls=[ToolCall("call_1", "save_total", ['{"total": ', "18.37}"])])

_THINKING = [
    *[_PRODUCT, _PRODUCT],  # streamed by both frameworks
    *[Reply(text="391"), Reply(text="391")],  # without thinking
    *[_IN_WORDS, _SAVES_TOTAL, _IN_WORDS, _SAVES_TOTAL],
]

PAGES = (
    Page("quickstart-langchain.md", [_RECEIPT, _RECEIPT]),
    Page("quickstart-llama-index.md", [_RECEIPT, _RECEIPT]),
    Page("thinking.md", _THINKING),
)
