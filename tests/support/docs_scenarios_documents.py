"""Define the replies of the emulator for the pages about documents, retrieval, batches and migration."""

from __future__ import annotations

from tests.emulator import Reply, ToolCall
from tests.support import sample_agreement
from tests.support.docs_pages import Page
from tests.support.scenario import split_words

_PAID = Reply(
    reasoning=split_words("The receipt's total line says 18.37, and it was paid by card."),
    text=split_words("18.37, by card."),
)
_TOTAL = Reply(
    reasoning=split_words("The total line says 18.37."),
    tool_calls=[ToolCall("call_1", "Receipt", ['{"total": ', "18.37}"])],
)
_USAGE = {"prompt": 2540, "image": 2522}
_PRICES_IN_MARKDOWN = Reply(
    text="# What it costs\n\n<!-- Table (88, 104, 911, 268) -->\n\\begin{tabular}{lll}\nItem & Price & Due \\\\\n"
    "Hire, one week & 1,480.00 & with booking \\\\\n\\end{tabular}\n\nDiesel is paid by the hirer.",
    usage=_USAGE,
)
_CANCELLING_IN_MARKDOWN = Reply(
    text="# Cancelling and damage\n\nThe hirer may cancel in writing.\n\n<!-- Image (104, 291, 404, 355) -->",
    usage=_USAGE,
)
_TERMS, _PRICES, _ = sample_agreement.PAGES

PAGES: tuple[Page, ...] = (
    Page(
        "scanned-documents.md",
        [_PRICES, _PRICES, _PRICES_IN_MARKDOWN, _CANCELLING_IN_MARKDOWN, _TERMS, _TERMS],
    ),
    Page("migrating/chat-tongyi.md", [_PAID]),
    Page("migrating/chat-qwen.md", [_TOTAL, _PAID]),
    Page("migrating/chat-openai.md", [_PAID]),
    Page("migrating/dashscope.md", [_PAID, _PAID]),
    Page("migrating/openai-like.md", [_PAID]),
)
