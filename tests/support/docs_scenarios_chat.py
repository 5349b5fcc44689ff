"""Define the replies of the emulator for the pages about chat models, in the order of each page's requests."""

from __future__ import annotations

from tests.emulator import Reply
from tests.support.docs_pages import Page
from tests.support.scenario import split_words

_RECEIPT = Reply(
    reasoning=split_words(
        "Two coffees, a tart and a water make 16.70. With the service charge that is 18.37, paid by card."
    ),
    text=split_words("A receipt over 18.37, paid by card."),
)

PAGES = (
    Page("quickstart-langchain.md", [_RECEIPT, _RECEIPT]),
    Page("quickstart-llama-index.md", [_RECEIPT, _RECEIPT]),
)
