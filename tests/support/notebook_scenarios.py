"""Define the replies of the emulator for the notebooks of the documentation, and what their outputs show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tests.emulator import Reply, ToolCall
from tests.support import sample_agreement
from tests.support.notebooks import Notebook
from tests.support.scenario import split_words

_LOOKS_CLOSER = [
    Reply(
        reasoning=split_words("The line at the bottom is small. I should look closer."),
        tool_calls=[ToolCall("call_1", "crop", ['{"bbox_2d": ', "[200, 865, ", "800, 930]}"])],
    ),
    Reply(
        reasoning=split_words("Now it is large enough: paid by card, thank you."),
        text=split_words("It was paid by card."),
    ),
]
_LOOKED_CLOSER = [
    *(
        "Thinking: The line at the bottom is small.",
        "Tool call: crop {",
        "[200, 865, 800, 930]}",
        "returned: a picture",
    ),
    *("Thinking: Now it is large enough", "Answer: It was paid by card."),
]

_CITES_ELEMENTS = replace(
    sample_agreement.ANSWER,
    text=split_words("It costs 370.00: a quarter of the hire price is kept [9], which is 1,480.00 for one week [6]."),
)
_CITED_ELEMENTS = [
    *("[6] page 2 table", "[9] page 3", "The hirer may cancel in writing.", "3 pages, "),
    *("Thinking: Six weeks are 42 days", "Answer: It costs 370.00", "[9] page 3, Box(", "[6] page 2, Box("),
]

_RANKED_PAGES = [
    *("3 pages of 1344 × 1920 pixels", "total_tokens", "[1] page 3, relevance 0.58", "[3] page 2, relevance"),
    *("Thinking: Six weeks are 42 days", "Answer: 370.00"),
    *("[1] page 3: ['The hirer may cancel in writing']", "[3] page 2: ['Hire, one week: 1,480.00']"),
]

_RECEIPT: dict[str, object] = {
    "shop": "Corner Cafe",
    "items": [
        {"count": 2, "name": "Flat white", "price": 8.40},
        {"count": 1, "name": "Lemon tart", "price": 5.20},
        {"count": 1, "name": "Mineral water", "price": 3.10},
    ],
    "total": 18.37,
    "adds_up": True,
}
_TIP: dict[str, object] = {"percent": 10, "amount": 1.84}
_ADDS_UP = split_words(
    "8.40 + 5.20 + 3.10 = 16.70, the subtotal. Ten percent of it is 1.67. 16.70 + 1.67 = 18.37, the total."
)
_ANSWERS_IN_WORDS = Reply(
    reasoning=split_words("Ten percent were charged already. Another ten percent of 18.37 is 1.84."),
    text=split_words("The service charge is paid already. I would add ten percent, that is 1.84."),
)
_EXTRACTED = [
    *("Thinking: 8.40 + 5.20 + 3.10", "Receipt(shop='Corner Cafe'", "adds_up=True", "Adjustments:\n- "),
    *("Thinking: Ten percent were charged", "Tip(percent=10, amount=1.84)", "sent another request, without thinking"),
    *("Thinking: (none)", "Tip(percent=10, amount=1.84)"),
]


def _call(name: str, arguments: dict[str, object], reasoning: Sequence[str] = ()) -> Reply:
    """Reply with a tool call, which LangChain's structured output demands by default."""
    return Reply(reasoning=reasoning, tool_calls=[ToolCall("call_1", name, split_words(json.dumps(arguments)))])


NOTEBOOKS = {
    notebook.name: notebook
    for notebook in (
        Notebook("langchain_looks_closer", _LOOKS_CLOSER, [*_LOOKED_CLOSER, "774 of them for pictures"], 2),
        Notebook("llama_index_looks_closer", _LOOKS_CLOSER, [*_LOOKED_CLOSER, "'reasoning_tokens': "], 2),
        Notebook("langchain_cited_contract", [*sample_agreement.PAGES, _CITES_ELEMENTS], _CITED_ELEMENTS, 2),
        Notebook("llama_index_cited_contract", [*sample_agreement.PAGES, _CITES_ELEMENTS], _CITED_ELEMENTS, 2),
        *(
            Notebook(
                name,
                [sample_agreement.ANSWER_FROM_PAGES, *sample_agreement.PASSAGES],
                _RANKED_PAGES,
                2,
                sample_agreement.describe_pictures,
            )
            for name in ("langchain_visual_retrieval", "llama_index_visual_retrieval")
        ),
        Notebook(
            "langchain_extraction",
            [_call("Receipt", _RECEIPT, _ADDS_UP), _ANSWERS_IN_WORDS, _call("Tip", _TIP), _call("Tip", _TIP)],
            _EXTRACTED,
            1,
        ),
        Notebook(
            "llama_index_extraction",
            [
                Reply(reasoning=_ADDS_UP, text=split_words(json.dumps(_RECEIPT))),
                _ANSWERS_IN_WORDS,
                *[Reply(text=split_words(json.dumps(_TIP)))] * 2,
            ],
            _EXTRACTED,
            1,
        ),
    )
}
