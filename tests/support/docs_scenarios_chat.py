"""Define the replies of the emulator for the pages about chat models, in the order of each page's requests."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.emulator import Reply, ToolCall
from tests.support.docs_pages import Page
from tests.support.scenario import split_words
from tests.support.video_files import encode_video

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

_LOOKS_CLOSER = Reply(
    reasoning=split_words("The line at the bottom is small. I look closer."),
    tool_calls=[ToolCall("call_1", "crop", ['{"bbox_2d": ', "[200, 850, ", "800, 950]}"])],
)
_BY_CARD = Reply(reasoning=split_words("Now I can read it."), text=split_words(" By card."))
_RATE = Reply(
    reasoning=split_words("There is a tool for this."),
    tool_calls=[ToolCall("call_1", "get_rate", ['{"currency": ', '"CHF"}'])],
)
_LOST_RESULT = Reply(
    reasoning=split_words("The method was not looked up."), text=split_words("18.37. How it was paid, I could not see.")
)
_NO_FILE = Reply(reasoning=split_words("I cannot open it."), text=split_words("The report is there, as a ZIP file."))
_GOES_ON = Reply(text=split_words(" lemon tart and a mineral water."))

_AGENTS = [
    *[_LOOKS_CLOSER, _BY_CARD, _LOOKS_CLOSER, _BY_CARD],
    *[_RATE, _RATE, _LOST_RESULT, _NO_FILE, _NO_FILE, _GOES_ON, _GOES_ON],
]

_THOUGHT = split_words("Four lines, and a service charge.")
_ITEMS = '[{"name": "Flat white", "price": 8.4}, {"name": "Lemon tart", "price": 5.2}]'
_OBJECT = f'{{"items": {_ITEMS}, "total": 18.37}}'
_DELTAS = [
    '{"items": [',
    '{"name": "Flat white", "price": 8.4}, ',
    '{"name": "Lemon tart", "price": 5.2}',
    '], "total": 18.37}',
]
_CALLS_RECEIPT = Reply(reasoning=_THOUGHT, tool_calls=[ToolCall("call_1", "Receipt", _OBJECT)])
_WRITES_RECEIPT = Reply(reasoning=_THOUGHT, text=_OBJECT)

_LIST_TOOL = "RootModel_list_Item__93a18d"  # on the wire; the name has brackets

_STRUCTURED_OUTPUT = [
    *[_CALLS_RECEIPT, _WRITES_RECEIPT],  # a picture into an object
    *[_CALLS_RECEIPT, _WRITES_RECEIPT],  # the raw message
    *[Reply(tool_calls=[ToolCall("call_1", "Receipt", _DELTAS)]), Reply(text=_DELTAS)],  # streamed
    Reply(reasoning=_THOUGHT, tool_calls=[ToolCall("call_1", _LIST_TOOL, f'{{"root": {_ITEMS}}}')]),
    Reply(reasoning=_THOUGHT, text=f'{{"root": {_ITEMS}}}'),
    *[_CALLS_RECEIPT, Reply(reasoning=_THOUGHT, text=split_words("18.37.")), _WRITES_RECEIPT],  # agents
    Reply(tool_calls=[ToolCall("call_1", "Receipt", f'{{"items": {_ITEMS}}}')]),
]

_PAID = Reply(reasoning=split_words("The last line says it."), text=split_words("18.37, by card."))
_SAME = Reply(reasoning=split_words("Both get brighter."), text=split_words("Yes: a grey area that gets brighter."))
_BRIGHTER = Reply(reasoning=split_words("Six frames."), text=split_words("It gets brighter."))
_SIGNED = Reply(reasoning=split_words("The last page has two names."), text=split_words("Both parties, on page 3."))
_BLACK = Reply(reasoning=split_words("All pixels are equal."), text=split_words("A black area."))

_MEDIA = [
    *[_PAID, _PAID, _SAME, _SAME, _BRIGHTER, _BRIGHTER, _SIGNED, _SIGNED],
    *[_PAID, _PAID, _PAID, _PAID],  # uploaded
    *[_BLACK, _BLACK],  # fitted; the emulator answers the requests with OCR tasks
]


def _write_video(folder: Path) -> None:
    """Write a video and four frames of it."""
    (folder / "clip.mp4").write_bytes(encode_video())
    for number in range(1, 5):
        Image.new("L", (64, 48), 50 * number).save(folder / f"{number}.jpg")


PAGES = (
    Page("index.md", [_PAID, _PAID]),
    Page("quickstart-langchain.md", [_RECEIPT, _RECEIPT]),
    Page("quickstart-llama-index.md", [_RECEIPT, _RECEIPT]),
    Page("thinking.md", _THINKING),
    Page("media.md", _MEDIA, _write_video),
    Page("tools-and-agents.md", _AGENTS),
    Page("structured-output.md", _STRUCTURED_OUTPUT),
)
