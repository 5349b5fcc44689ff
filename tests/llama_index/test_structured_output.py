"""Structured prediction: four methods, three program modes, and answers that are not a valid object."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.program.function_program import FunctionCallingProgram
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLOutputError
from tests.emulator import Emulator, Reply, ToolCall
from tests.emulator.chat_request import RecordedRequest
from tests.support.media_files import solid_image


class Item(BaseModel):
    """One line of a receipt."""

    name: str
    price: float = Field(ge=0)


class Receipt(BaseModel):
    """A receipt."""

    shop: str
    items: list[Item]


TEXT = json.dumps({"shop": "Café {1}", "items": [{"name": "flat `white`", "price": 4.2}, {"name": "tart", "price": 5}]})
RECEIPT = Receipt.model_validate_json(TEXT)
PROMPT = PromptTemplate("What is on the receipt of {shop}?")

CallMode = Callable[[QwenVL, Any], Any]


async def _predict(llm: QwenVL, **keywords: Any) -> Any:
    return llm.structured_predict(Receipt, PROMPT, shop="x", **keywords)


async def _apredict(llm: QwenVL, **keywords: Any) -> Any:
    return await llm.astructured_predict(Receipt, PROMPT, shop="x", **keywords)


async def _stream(llm: QwenVL, **keywords: Any) -> Any:
    return list(llm.stream_structured_predict(Receipt, PROMPT, shop="x", **keywords))[-1]


async def _astream(llm: QwenVL, **keywords: Any) -> Any:
    objects = [result async for result in await llm.astream_structured_predict(Receipt, PROMPT, shop="x", **keywords)]
    return objects[-1]


CALL_MODES = {"predict": _predict, "apredict": _apredict, "stream": _stream, "astream": _astream}
every_call_mode = pytest.mark.parametrize("call_mode", CALL_MODES.values(), ids=CALL_MODES)


def reply_with_receipt(request: RecordedRequest) -> Reply:
    """Reply with the receipt: as the arguments of the forced tool, or as JSON text."""
    if "tools" in request.json:
        return Reply(tool_calls=[ToolCall("call_1", request.json["tools"][0]["function"]["name"], TEXT)])
    return Reply(text=TEXT)


MODES: dict[str, tuple[dict[str, Any], str | None, bool | None]] = {
    # keywords, how the object is requested, the value of `enable_thinking`
    "hybrid": ({}, None, True),
    "hybrid with JSON schemas": ({"model": "qwen3.7-plus"}, None, True),
    "hybrid without thinking first": ({"forced_output": "no_thinking"}, "json_object", False),
    "hybrid with JSON schemas, not thinking": (
        {"model": "qwen3.7-plus", "enable_thinking": False},
        "json_schema",
        False,
    ),
    "not thinking": ({"model": "qwen3-vl-8b-instruct"}, "json_object", None),
    "always thinking": ({"model": "qwen3-vl-8b-thinking"}, None, None),
    "without JSON mode": ({"model": "qwen2.5-vl-72b-instruct"}, None, None),
    "without tools": ({"model": "qwen-vl-max"}, "json_object", None),
    "tool": ({"pydantic_program_mode": PydanticProgramMode.FUNCTION}, "tool", True),
    "text": ({"pydantic_program_mode": PydanticProgramMode.LLM}, None, True),
}


@every_call_mode
@pytest.mark.parametrize(("keywords", "request_form", "enable_thinking"), MODES.values(), ids=MODES)
async def test_predict_in_every_mode_returns_object(
    emulator: Emulator,
    make: Callable[..., QwenVL],
    call_mode: Any,
    keywords: Any,
    request_form: str | None,
    enable_thinking: bool | None,
) -> None:
    emulator.respond = reply_with_receipt
    llm = make(system_prompt="Read closely.", temperature=0.5, **keywords)
    assert await call_mode(llm, llm_kwargs={"temperature": 0.0}) == RECEIPT
    (request,) = (recorded.json for recorded in emulator.requests)
    assert emulator.refusals == []
    assert request.get("enable_thinking") is enable_thinking
    assert request["temperature"] == 0.0
    assert request["messages"][0] == {"role": "system", "content": "Read closely."}
    prompt = request["messages"][1]["content"]
    assert prompt.startswith("What is on the receipt of x?")
    assert request.get("response_format", {}).get("type") == (None if request_form == "tool" else request_form)
    assert (request.get("tool_choice") is not None) is (request_form == "tool")
    assert ('"price"' in prompt) is (request_form != "tool")


ANSWERS: dict[str, Reply] = {
    "JSON": Reply(text=TEXT),
    "fenced": Reply(text=f"```json\n{TEXT}\n```"),
    "fenced without a name": Reply(text=f"```\n{TEXT}\n```"),
    "fenced between sentences": Reply(text=f"Here it is {{as asked}}:\n\n```json\n{TEXT}\n```\n\nAnything else?"),
    "between sentences": Reply(text=f"Here it is: {TEXT} That is all."),
    "tool call": Reply(tool_calls=[ToolCall("call_1", "Receipt", TEXT)]),
}


@every_call_mode
@pytest.mark.parametrize("reply", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("mode", [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION])
async def test_predict_accepts_every_form_of_answer(
    emulator: Emulator, make: Callable[..., QwenVL], call_mode: Any, reply: Reply, mode: PydanticProgramMode
) -> None:
    emulator.script(reply)
    assert await call_mode(make(pydantic_program_mode=mode)) == RECEIPT


WRONG: dict[str, tuple[Reply, str]] = {
    "plain text": (Reply(text="I can't read it."), "not a valid Receipt"),
    "another shape": (Reply(text='{"shop": 3}'), "items"),
    "out of range": (Reply(text='{"shop": "x", "items": [{"name": "a", "price": -1}]}'), "price"),
    "cut off": (Reply(text=TEXT[:-20], finish="length"), "max_tokens"),
    "broken arguments": (Reply(tool_calls=[ToolCall("call_1", "Receipt", TEXT[:-9])]), "not a valid Receipt"),
    "empty": (Reply(), "answer is empty"),
    "only spaces": (Reply(text=" \n"), "answer is empty"),
}


@every_call_mode
@pytest.mark.parametrize(("reply", "why"), WRONG.values(), ids=WRONG)
async def test_predict_invalid_answer_raises_output_error(
    emulator: Emulator, llm: QwenVL, call_mode: Any, reply: Reply, why: str
) -> None:
    emulator.script(*[reply] * 2)
    with pytest.raises(ValueError, match=why) as caught:
        await call_mode(llm)
    assert isinstance(caught.value, QwenVLOutputError)


@every_call_mode
async def test_predict_always_thinking_model_without_json_raises(
    emulator: Emulator, make: Callable[..., QwenVL], call_mode: Any
) -> None:
    emulator.script(Reply(reasoning="Hm.", text="I can't read it."))
    with pytest.raises(ValueError, match="not valid JSON"):
        await call_mode(make(model="qwen3-vl-8b-thinking"))


@every_call_mode
async def test_predict_does_not_change_llm_kwargs(emulator: Emulator, llm: QwenVL, call_mode: Any) -> None:
    emulator.respond = reply_with_receipt
    keywords = {"temperature": 0.0, "tool_required": True, "tool_choice": "x", "allow_parallel_tool_calls": True}
    before = dict(keywords)
    await call_mode(llm, llm_kwargs=keywords)
    assert keywords == before


@pytest.mark.parametrize("mode", [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION])
def test_stream_predict_yields_growing_objects(
    emulator: Emulator, make: Callable[..., QwenVL], mode: PydanticProgramMode
) -> None:
    emulator.respond = reply_with_receipt
    objects = list(make(pydantic_program_mode=mode).stream_structured_predict(Receipt, PROMPT, shop="x"))
    shops = [getattr(partial, "shop", None) or "" for partial in objects]
    assert len(objects) > 5
    assert shops == sorted(shops, key=len)
    assert shops[-1] == "Café {1}"
    assert objects[-1] == RECEIPT
    assert type(objects[0]).__name__ == "FlexibleReceipt"


async def test_predict_with_image_prompt_sends_image(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = reply_with_receipt
    message = ChatMessage(
        role="user", blocks=[ImageBlock(image=solid_image()), TextBlock(text="Read the receipt of {shop}.")]
    )
    prompt = ChatPromptTemplate(message_templates=[message])
    assert llm.structured_predict(Receipt, prompt, shop="x") == RECEIPT
    assert await llm.astructured_predict(Receipt, prompt, shop="x") == RECEIPT
    for request in emulator.requests:
        content = request.json["messages"][0]["content"]
        assert [part["type"] for part in content] == ["image_url", "text"]
        assert content[1]["text"].startswith("Read the receipt of x.")


# LlamaIndex serializes streamed objects by a method that pydantic has deprecated.
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")
async def test_structured_llm_methods_return_object(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = reply_with_receipt
    structured = llm.as_structured_llm(Receipt)
    messages = [ChatMessage(role="user", content="Read it.")]
    responses = [
        structured.chat(messages, temperature=0.0),
        await structured.achat(messages),
        list(structured.stream_chat(messages))[-1],
        [response async for response in await structured.astream_chat(messages)][-1],
        structured.complete("Read it."),
        await structured.acomplete("Read it."),
    ]
    assert [response.raw for response in responses] == [RECEIPT] * 6
    assert json.loads(responses[0].message.content or "") == RECEIPT.model_dump()
    assert emulator.requests[0].json["temperature"] == 0.0


async def test_function_calling_program_returns_object(emulator: Emulator, llm: QwenVL) -> None:
    """LlamaIndex's own program works with the model, streamed as well."""
    emulator.respond = lambda request: Reply(tool_calls=[ToolCall("call_1", "Receipt", TEXT)])
    program = FunctionCallingProgram.from_defaults(Receipt, prompt=PROMPT, llm=llm)
    assert program(shop="x") == RECEIPT
    assert await program.acall(shop="x") == RECEIPT
    assert list(program.stream_call(shop="x"))[-1] == RECEIPT
    assert [result async for result in await program.astream_call(shop="x")][-1] == RECEIPT
    assert [request.json.get("tool_choice") for request in emulator.requests] == ["auto", "auto", None, None]
