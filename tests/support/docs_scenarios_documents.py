"""Define the replies of the emulator for the pages about documents, retrieval, batches and migration."""

from __future__ import annotations

from dataclasses import replace

from tests.emulator import Fault, Reply, ToolCall
from tests.support import sample_agreement
from tests.support.docs_pages import Page
from tests.support.paths import ROOT
from tests.support.scenario import split_words

_PAID = Reply(
    reasoning=split_words("The receipt's total line says 18.37, and it was paid by card."),
    text=split_words("18.37, by card."),
)
_TOTAL = Reply(
    reasoning=split_words("The total line says 18.37."),
    tool_calls=[ToolCall("call_1", "Receipt", ['{"total": ', "18.37}"])],
)
_QUARTER = Reply(
    reasoning=split_words("Six weeks are more than 30 days. A quarter of 1,480.00 is 370.00."),
    text=split_words("370.00, a quarter of the hire price."),
)
_REFUSED = Fault(status=400, code="data_inspection_failed", message="Input data may contain inappropriate content.")
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
_COUNTED = replace(_PAID, usage={"prompt": 154, "image": 145})
_CACHED = [
    Reply(text="1,480.00 a week.", usage={"prompt": 7585, "image": 7566, "cache_creation": 7570}),
    Reply(text="900.00.", usage={"prompt": 7585, "image": 7566, "cached": 7570}),
]
_TERMS, _PRICES, _ = sample_agreement.PAGES


def _describe_pictures() -> list[tuple[bytes, str]]:
    receipt = (ROOT / "examples" / "receipt.png").read_bytes()
    return [*sample_agreement.describe_pictures(), (receipt, "a receipt with a lemon tart, paid by card")]


PAGES: tuple[Page, ...] = (
    Page(
        "scanned-documents.md",
        [_PRICES, _PRICES, _PRICES_IN_MARKDOWN, _CANCELLING_IN_MARKDOWN, _TERMS, _TERMS],
    ),
    Page(
        "visual-retrieval.md",
        [_QUARTER, _QUARTER],
        describe_pictures=_describe_pictures,
    ),
    Page(
        "batch.md",
        [
            *(Reply(text="18.37."), Reply(text="A lemon tart.")),
            *(Reply(text="18.37."), _REFUSED),
            *(Reply(text="391", reasoning="17 times 20 is 340."), Reply(text="408")),
        ],
    ),
    Page("costs-and-limits.md", [_COUNTED, _COUNTED, *_CACHED, Reply(text="391"), Reply(text="391")]),
    Page("migrating/chat-tongyi.md", [_PAID]),
    Page("migrating/chat-qwen.md", [_TOTAL, _PAID]),
    Page("migrating/chat-openai.md", [_PAID]),
    Page("migrating/dashscope.md", [_PAID, _PAID]),
    Page("migrating/openai-like.md", [_PAID]),
)
