"""Define the scenario that the page of `make app` replays: the bundled scans and its questions."""

from __future__ import annotations

from examples.app import scans
from langchain_qwenvl import ChatQwenVL
from tests.emulator import Reply
from tests.support import sample_agreement
from tests.support.scenario import Scenario, split_words


def _build_answer(thinking: str, answer: str) -> Reply:
    return Reply(reasoning=split_words(thinking), text=split_words(answer))


def _build_rows(*rows: tuple[str, str]) -> str:
    return "".join(f"<tr><td>{name}</td><td>{amount}</td></tr>" for name, amount in rows)


_ITEMS = _build_rows(("2 x Flat white", "8.40"), ("1 x Lemon tart", "5.20"), ("1 x Mineral water", "3.10"))
_SUMS = _build_rows(("Subtotal", "16.70"), ("Service 10 %", "1.67"), ("TOTAL", "18.37"))
_RECEIPT = Reply(
    text=(
        '<html><body><h2 data-bbox="294 62 778 105">CORNER CAFE</h2>'
        '<div class="text" data-bbox="314 133 644 160">12 Harbour Street</div>'
        f'<div class="table" data-bbox="81 250 889 467"><table>{_ITEMS}</table></div>'
        f'<div class="table" data-bbox="81 569 906 800"><table>{_SUMS}</table></div>'
        '<div class="text" data-bbox="258 881 711 914">Paid by card - thank you</div></body></html>'
    )
)

_REPLIES = (
    *sample_agreement.PAGES,
    _build_answer(
        "Six weeks are 42 days, more than 30 days before the hire begins. Then a quarter of the hire price is kept. "
        "The hire price for one week is 1,480.00. 1,480.00 / 4 = 370.00.",
        "370.00: a quarter of the hire price is kept [1], which is 1,480.00 [3].",
    ),
    _build_answer(
        "The paragraph on damage says that the hirer pays for it up to the deposit, and beyond that only for damage "
        "done on purpose.",
        "The hirer, up to the deposit, and beyond it only if the damage was done on purpose [1].",
    ),
    _build_answer(
        "Each hour of late return costs 40.00, and from four hours on a whole day. Five hours are more than four, so "
        "a whole day is owed. The hire of one week costs 1,480.00, and 1,480.00 / 7 = 211.43.",
        "A whole day [1]. At 1,480.00 for the week [5], a day is about 211.43.",
    ),
    _RECEIPT,
    _build_answer(
        "8.40 + 5.20 + 3.10 = 16.70, which is the subtotal. Ten percent of it are 1.67, and 16.70 + 1.67 = 18.37.",
        "Yes. The items make 16.70 [4]; with the service of 1.67 that is the printed 18.37 [1].",
    ),
    _build_answer("The last line of the receipt says it.", "By card [1]."),
)
"""In the order of the requests: each scan is read, then its questions are answered."""


def _ask_bundled_scans() -> str:
    """Read the bundled scans and ask their questions, in the order in which the page replays them."""
    reader, llm = ChatQwenVL(enable_thinking=False), ChatQwenVL()
    answers = []
    for name, questions in scans.QUESTIONS.items():
        *_, scan = scans.read_scan(scans.open_scan(scans.EXAMPLES / name), reader, max_concurrency=1)
        for question in questions:
            *_, turn = scans.ask(scan, question, llm)
            assert turn.thinking
            answers.append(turn.answer)
    return "\n".join(answers)


APP = Scenario(
    "app",
    "The page of `make app`: the bundled scans and its questions",
    _ask_bundled_scans,
    _REPLIES,
    "\n".join("".join(reply.text) for reply in _REPLIES if reply.reasoning),
)
