"""Test documents in chats, in both frameworks and APIs: all pages of a TIFF are sent, and omissions are reported."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, TextBlock
from PIL import Image

from qwenvl_core.errors import QwenVLInputError
from tests.core.rendering.scan_samples import tiff
from tests.core.rendering.test_pdf_extent import portfolio
from tests.emulator import Emulator
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair
from tests.support.scanned_pages import scan, width_of

FAX, ONE_PAGE = scan(3, "TIFF"), scan(1, "TIFF")
THUMBNAIL = tiff([Image.new("L", (640, 480)), Image.new("L", (64, 48))], [{254: 0}, {254: 1}])
every_api = pytest.mark.parametrize("api", APIS)
every_call_mode = pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)


@pytest.fixture
def pairs(emulator: Emulator) -> Iterator[dict[Api, ModelPair]]:
    made: dict[Api, ModelPair] = {api: ModelPair(emulator, api) for api in APIS}
    yield made
    for pair in made.values():
        pair.close()


def image_conversation(data: bytes) -> list[tuple[Any, Any]]:
    block = {"type": "image", "base64": base64.b64encode(data).decode(), "mime_type": "image/tiff"}
    return [(HumanMessage([block, {"type": "text", "text": "Read."}]), ChatMessage(
        role="user", blocks=[ImageBlock(image=data, image_mimetype="image/tiff"), TextBlock(text="Read.")]
    ))]  # fmt: skip


def pdf_conversation(data: bytes) -> list[tuple[Any, Any]]:
    block = {"type": "file", "base64": base64.b64encode(data).decode(), "mime_type": "application/pdf"}
    return [(HumanMessage([block]), ChatMessage(role="user", blocks=[DocumentBlock(data=data)]))]


def sent_widths(emulator: Emulator) -> list[int]:
    text = emulator.requests[-1].body.decode()
    images = [part.partition(",")[2].partition('"')[0] for part in text.split("data:image/")[1:]]
    return [Image.open(io.BytesIO(base64.b64decode(image))).width for image in images]


def read_adjustments(answer: Any) -> list[str]:
    metadata = answer.response_metadata if isinstance(answer, AIMessage) else answer.additional_kwargs
    adjustments: list[str] = metadata.get("adjustments", [])
    return adjustments


@every_api
@every_call_mode
def test_tiff_of_several_pages_is_sent_as_images_of_all_pages(
    api: Api, call_mode: CallMode, pairs: dict[Api, ModelPair], emulator: Emulator
) -> None:
    pairs[api].send(call_mode, image_conversation(FAX))
    assert sent_widths(emulator) == [width_of(number) for number in (1, 2, 3)]
    assert not emulator.refusals


@every_api
@pytest.mark.parametrize("data", [ONE_PAGE, THUMBNAIL], ids=["one page", "thumbnail"])
def test_tiff_of_one_page_is_sent_unchanged(
    api: Api, data: bytes, pairs: dict[Api, ModelPair], emulator: Emulator
) -> None:
    pairs[api].send(CALL_MODES[0], image_conversation(data))
    assert f"data:image/tiff;base64,{base64.b64encode(data).decode()}" in emulator.requests[-1].body.decode()


@every_api
def test_tiff_that_begins_with_its_thumbnail_is_sent_as_its_page(
    api: Api, pairs: dict[Api, ModelPair], emulator: Emulator
) -> None:
    """The service reads the first frame of a TIFF."""
    data = tiff([Image.new("L", (64, 48)), Image.new("L", (640, 480))], [{254: 1}, {254: 0}])
    pairs[api].send(CALL_MODES[0], image_conversation(data))
    assert sent_widths(emulator) == [640]


@pytest.mark.parametrize("form", ["bytes", "path", "base64 with line breaks"])
def test_tiff_of_each_source_is_sent_as_all_pages(
    form: str, pairs: dict[Api, ModelPair], emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "fax.tiff"
    path.write_bytes(FAX)
    blocks: dict[str, dict[str, Any]] = {
        "bytes": {"type": "image", "data": FAX, "mime_type": "image/tiff"},
        "path": {"type": "image", "url": path},
        "base64 with line breaks": {
            "type": "image",
            "base64": base64.encodebytes(FAX).decode(),
            "mime_type": "image/tiff",
        },
    }
    pairs["openai"].langchain.invoke([HumanMessage([blocks[form]])])
    assert len(sent_widths(emulator)) == 3


def test_tiff_in_tool_result_is_sent_as_all_pages(pairs: dict[Api, ModelPair], emulator: Emulator) -> None:
    call = AIMessage("", tool_calls=[{"name": "fetch", "args": {}, "id": "call_1"}])
    block = {"type": "image", "base64": base64.b64encode(FAX).decode(), "mime_type": "image/tiff"}
    result = ToolMessage([block], tool_call_id="call_1")
    pairs["openai"].langchain.invoke([HumanMessage("Fetch it."), call, result])
    assert len(sent_widths(emulator)) == 3


def test_token_count_of_tiff_is_that_of_its_pages(pairs: dict[Api, ModelPair]) -> None:
    def count(data: bytes) -> int:
        return pairs["openai"].langchain.get_num_tokens_from_messages([image_conversation(data)[0][0]])

    one_page = (width_of(1) // 32) * 10 + 2
    assert count(FAX) - count(ONE_PAGE) == sum((width_of(number) // 32) * 10 + 2 for number in (1, 2, 3)) - one_page


def test_tiff_without_pillow_raises_error_that_names_extra(
    pairs: dict[Api, ModelPair], emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith("qwenvl_core.rendering.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(QwenVLInputError, match=r"content\[0\].*qwenvl-adapters\[documents\]"):
        pairs["openai"].langchain.invoke([image_conversation(FAX)[0][0]])
    assert emulator.requests == []


def test_tiff_of_too_many_pages_raises_error(pairs: dict[Api, ModelPair]) -> None:
    with pytest.raises(QwenVLInputError, match="51 pages, and at most 50"):
        pairs["openai"].langchain.invoke([image_conversation(scan(51, "TIFF", height=64))[0][0]])


@every_api
@every_call_mode
def test_attached_files_of_pdf_are_reported(api: Api, call_mode: CallMode, pairs: dict[Api, ModelPair]) -> None:
    answer = pairs[api].send(call_mode, pdf_conversation(portfolio("a.pdf", "b.pdf")))
    (note,) = [note for note in read_adjustments(answer) if "attached" in note]
    assert "2 attached file(s) are not read: a.pdf, b.pdf" in note
