"""Script the replies of a model that transcribes `examples/agreement.pdf` and answers the examples' question."""

from __future__ import annotations

import re
from dataclasses import replace

from qwenvl_core.catalog.models import describe
from qwenvl_core.rendering.open import open_pages
from qwenvl_core.rendering.page_size import PageSizing
from qwenvl_core.rendering.pages import render_page
from tests.emulator import Reply
from tests.support.paths import ROOT


def _build_page(*elements: str) -> Reply:
    return Reply(text=f"<html><body>{''.join(elements)}</body></html>", usage={"prompt": 2540, "image": 2522})


def _build_paragraph(box: str, text: str) -> str:
    return f'<div class="text" data-bbox="{box}">{text}</div>'


_PRICES = (
    ("Item", "Price", "Due"),
    ("Hire, one week", "1,480.00", "with booking"),
    ("Deposit, returned", "900.00", "at handover"),
    ("Final cleaning", "95.00", "at handover"),
    ("Outboard motor", "60.00", "at handover"),
)
_ROWS = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in _PRICES)

PAGES = [
    _build_page(
        _build_paragraph("88 61 430 102", "Boat hire agreement"),
        _build_paragraph(
            "88 112 874 163",
            "Between Larkspur Boats, Quay 4, Port Ellery (the owner) and the crew named on page 3 (the hirer). "
            "It covers the sailing boat Tern, berth 17.",
        ),
        _build_paragraph(
            "88 171 885 239",
            "The hire runs from Saturday 6 June, 15:00, to Saturday 13 June, 10:00. The boat is handed over clean, "
            "with full water and diesel tanks, and comes back in the same state.",
        ),
        _build_paragraph(
            "88 247 824 278", "The hirer needs a coastal skipper's certificate and shows it at the handover."
        ),
    ),
    _build_page(
        _build_paragraph("88 61 311 97", "What it costs"),
        f'<div class="table" data-bbox="88 104 911 268"><table>{_ROWS}</table></div>',
        _build_paragraph(
            "88 278 895 329",
            "Diesel is paid by the hirer. Each hour of late return costs 40.00, and from four hours on a whole day.",
        ),
    ),
    _build_page(
        _build_paragraph("88 61 490 102", "Cancelling and damage"),
        _build_paragraph(
            "88 112 877 163",
            "The hirer may cancel in writing. Up to 30 days before the hire begins, a quarter of the hire price is "
            "kept; after that, three quarters; in the last 7 days, all of it.",
        ),
        _build_paragraph(
            "88 171 869 222",
            "Damage is reported to the owner on the same day. The hirer pays for it up to the deposit, and nothing "
            "beyond that unless it was done on purpose.",
        ),
        _build_paragraph(
            "88 230 906 281",
            "If the weather office warns of force 8 or more, the hirer stays in harbour; a day lost in this way is "
            "not refunded.",
        ),
        '<div class="image" data-bbox="104 291 404 355"></div>',
    ),
]

ANSWER = Reply(
    reasoning=re.findall(
        r"\s*\S+",
        "Six weeks are 42 days, more than 30 days before the hire begins. Then a quarter of the hire price is kept. "
        "The hire price for one week is 1,480.00. 1,480.00 / 4 = 370.00.",
    ),
    text=re.findall(r"\s*\S+", "370.00: a quarter of the hire price is kept [1], which is 1,480.00 [2]."),
)
ANSWER_FROM_PAGES = replace(ANSWER, text=[word.replace("[2]", "[3]") for word in ANSWER.text])
"""The same answer where the pages are 3, 1 and 2, in the order of their relevance."""

PASSAGES = [
    Reply(text='```json\n[{"bbox_2d": [88, 112, 877, 163], "label": "The hirer may cancel in writing"}]\n```'),
    Reply(text='```json\n[{"bbox_2d": [94, 139, 905, 172], "label": "Hire, one week: 1,480.00"}]\n```'),
]
"""The places of the two passages that the answer cites: on page 3, and on page 2."""


def describe_pictures() -> list[tuple[bytes, str]]:
    """Return the picture of each page, and its words."""
    sizing = PageSizing(describe("qwen3-vl-plus"))
    with open_pages(ROOT / "examples" / "agreement.pdf") as pages:
        pictures = [render_page(pages, number, sizing.fit).jpeg for number in range(1, pages.count + 1)]
    captions = [re.sub(r"<[^>]+>", " ", "".join(page.text)) for page in PAGES]
    return list(zip(pictures, captions, strict=True))
