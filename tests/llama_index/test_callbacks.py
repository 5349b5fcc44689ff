"""Events and callbacks of calls and streams: one start and one end per call, exact token counts, no secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock, callbacks
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLStreamInterruptedError
from tests.emulator import Emulator, Fault, Reply, ToolCall
from tests.llama_index.callback_handlers import RecordingCallbackHandler, RecordingEventHandler
from tests.llama_index.conftest import KEY

MESSAGES = [
    ChatMessage(
        role="user",
        # The host does not exist: counting tokens must not fetch the image.
        blocks=[ImageBlock(url="https://images.invalid/a.png"), TextBlock(text="What is this?")],
    )
]
REPLY = Reply(reasoning="Hm, so.", text="Yes it is.", usage={"prompt": 321, "completion": 45, "reasoning": 40})


async def collect(chunks: Any) -> list[Any]:
    """Return all chunks of an async stream."""
    return [chunk async for chunk in await chunks]


CALLS: dict[str, Callable[[QwenVL], Any]] = {
    "chat": lambda llm: llm.chat(MESSAGES),
    "stream_chat": lambda llm: list(llm.stream_chat(MESSAGES)),
    "complete": lambda llm: llm.complete("What is this?"),
    "stream_complete": lambda llm: list(llm.stream_complete("What is this?")),
    "achat": lambda llm: llm.achat(MESSAGES),
    "astream_chat": lambda llm: collect(llm.astream_chat(MESSAGES)),
    "acomplete": lambda llm: llm.acomplete("What is this?"),
    "astream_complete": lambda llm: collect(llm.astream_complete("What is this?")),
}
every_call = pytest.mark.parametrize("name", CALLS)


async def run(name: str, llm: QwenVL) -> Any:
    """Call a method of the model and return its response, or all chunks of its stream."""
    result = CALLS[name](llm)
    return await result if name.startswith("a") else result


@pytest.fixture
def events() -> Iterator[RecordingEventHandler]:
    """Record all events during the test."""
    handler, dispatcher = RecordingEventHandler(), get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler
    dispatcher.event_handlers.remove(handler)


@every_call
async def test_call_reports_one_start_and_one_end(
    make: Callable[..., QwenVL], emulator: Emulator, events: RecordingEventHandler, name: str
) -> None:
    handler = RecordingCallbackHandler()
    llm = make(callback_manager=CallbackManager([handler]))
    emulator.script(REPLY)
    result = await run(name, llm)
    kind = "Completion" if "complete" in name else "Chat"
    in_progress = {f"LLM{kind}InProgressEvent": len(result)} if "stream" in name else {}
    assert events.count_by_class() == {f"LLM{kind}StartEvent": 1, f"LLM{kind}EndEvent": 1, **in_progress}
    assert handler.recorded == [("start", CBEventType.LLM), ("end", CBEventType.LLM)]
    assert KEY not in repr([event.model_dump() for event in events.recorded]) + repr(handler.payloads)


@every_call
async def test_token_counter_counts_call_once_and_exactly(
    make: Callable[..., QwenVL], emulator: Emulator, name: str
) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    emulator.script(REPLY)
    await run(name, make(callback_manager=CallbackManager([counter])))
    assert len(counter.llm_token_counts) == 1
    assert counter.prompt_llm_token_count == 321
    assert counter.completion_llm_token_count == 45


class RecordingRateLimiter(BaseRateLimiter):
    """Record which of its methods were called."""

    def __init__(self) -> None:
        self.acquired: list[str] = []

    def acquire(self, num_tokens: int = 0) -> None:
        self.acquired.append("sync")

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquired.append("async")


@every_call
async def test_call_acquires_rate_limiter_once(make: Callable[..., QwenVL], name: str) -> None:
    limiter = RecordingRateLimiter()
    await run(name, make(rate_limiter=limiter))
    assert limiter.acquired == ["async" if name.startswith("a") else "sync"]


def test_payload_holds_model_and_settings(make: Callable[..., QwenVL]) -> None:
    payload = make(temperature=0.0, thinking_budget=50).to_payload()
    assert payload["class_name"] == QwenVL.class_name()
    assert payload["model"] == payload["model_name"] == "qwen3-vl-plus"
    assert (payload["temperature"], payload["enable_thinking"], payload["thinking_budget"]) == (0.0, True, 50)
    assert "top_p" not in payload


def test_stream_events_carry_thinking_deltas(llm: QwenVL, emulator: Emulator, events: RecordingEventHandler) -> None:
    emulator.script(REPLY)
    list(llm.stream_chat(MESSAGES))
    in_progress = [event for event in events.recorded if event.class_name() == "LLMChatInProgressEvent"]
    assert "".join(event.response.additional_kwargs.get("thinking_delta", "") for event in in_progress) == "Hm, so."


async def test_structured_predict_reports_one_chat_within_its_own_events(
    llm: QwenVL, emulator: Emulator, events: RecordingEventHandler
) -> None:
    from llama_index.core.prompts import PromptTemplate

    class Paid(BaseModel):
        total: float

    reply = Reply(text='{"total": 18.37}')
    emulator.script(*[reply] * 4)
    prompt = PromptTemplate("What was paid? {hint}")
    llm.structured_predict(Paid, prompt, hint="JSON")
    await llm.astructured_predict(Paid, prompt, hint="JSON")
    events_per_call = {
        "LLMStructuredPredictStartEvent": 1, "LLMStructuredPredictEndEvent": 1,
        "LLMChatStartEvent": 1, "LLMChatEndEvent": 1,
    }  # fmt: skip
    assert events.count_by_class() == {name: 2 * count for name, count in events_per_call.items()}
    events.recorded.clear()
    list(llm.stream_structured_predict(Paid, prompt, hint="JSON"))
    stream: AsyncIterator[Any] = await llm.astream_structured_predict(Paid, prompt, hint="JSON")
    async for _ in stream:
        pass
    counts = events.count_by_class()
    assert {name: counts[name] for name in events_per_call} == {name: 2 for name in events_per_call}
    assert counts["LLMStructuredPredictInProgressEvent"] >= 2


def test_predict_and_call_reports_one_chat(llm: QwenVL, emulator: Emulator, events: RecordingEventHandler) -> None:
    def total(items: int) -> int:
        """Add up the items."""
        return items

    emulator.script(Reply(tool_calls=[ToolCall("call_1", "total", '{"items": 3}')]))
    assert llm.predict_and_call([FunctionTool.from_defaults(total)], "Add up.").response == "3"
    assert events.count_by_class() == {"LLMChatStartEvent": 1, "LLMChatEndEvent": 1}


every_stream = pytest.mark.parametrize("name", [name for name in CALLS if "stream" in name])


@every_stream
async def test_stream_makes_an_event_per_chunk_with_and_without_handler(
    make: Callable[..., QwenVL], emulator: Emulator, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[type] = []

    def record_constructions(event_class: type) -> Callable[..., Any]:
        def construct(**kwargs: Any) -> Any:
            made.append(event_class)
            return event_class(**kwargs)

        return construct

    for class_name in ("LLMChatInProgressEvent", "LLMCompletionInProgressEvent"):
        monkeypatch.setattr(callbacks, class_name, record_constructions(getattr(callbacks, class_name)))
    reply = Reply(reasoning=["Hm", ", so."], text=["Yes", " it", " is."])
    emulator.script(reply, reply)
    callback_handler = RecordingCallbackHandler()
    llm = make(callback_manager=CallbackManager([callback_handler]))
    without_handler = await run(name, llm)
    events_without_handler = len(made)
    dispatcher, event_handler = get_dispatcher(), RecordingEventHandler()
    dispatcher.add_event_handler(event_handler)
    try:
        with_handler = await run(name, llm)
    finally:
        dispatcher.event_handlers.remove(event_handler)
    assert [chunk.delta for chunk in without_handler] == [chunk.delta for chunk in with_handler]
    assert without_handler[-1].raw["usage"] == with_handler[-1].raw["usage"]
    assert len(made) - events_without_handler == len(with_handler) == events_without_handler
    assert callback_handler.recorded == [("start", CBEventType.LLM), ("end", CBEventType.LLM)] * 2


@every_stream
async def test_stream_interrupted_reports_one_end_with_exception(
    make: Callable[..., QwenVL], emulator: Emulator, name: str
) -> None:
    handler = RecordingCallbackHandler()
    llm = make(callback_manager=CallbackManager([handler]))
    emulator.script(Fault(reply=Reply(text=["So", " far", "."]), after=2, reset="after-events"))
    with pytest.raises(QwenVLStreamInterruptedError) as caught:
        await run(name, llm)
    assert caught.value.partial
    assert handler.recorded == [("start", CBEventType.LLM), ("end", CBEventType.LLM)]
    assert handler.payloads[-1] == {EventPayload.EXCEPTION: caught.value}


async def test_stream_closed_early_reports_one_end_with_generator_exit(
    make: Callable[..., QwenVL], emulator: Emulator
) -> None:
    handler = RecordingCallbackHandler()
    llm = make(callback_manager=CallbackManager([handler]))
    emulator.script(*[Reply(text=["So", " far", "."])] * 2)
    for _ in (chunks := llm.stream_chat(MESSAGES)):
        break
    chunks.close()
    achunks = await llm.astream_chat(MESSAGES)
    async for _ in achunks:
        break
    await achunks.aclose()
    assert handler.recorded == [("start", CBEventType.LLM), ("end", CBEventType.LLM)] * 2
    assert [type(payload[EventPayload.EXCEPTION]) for payload in handler.payloads[1::2]] == [GeneratorExit] * 2
