"""What LlamaIndex's callbacks and tracers get: one pair of events for a public call, exact token counts, no secrets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock, callbacks
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, PrivateAttr

from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLStreamInterruptedError
from tests.emulator import Emulator, Fault, Reply, ToolCall
from tests.llama_index.conftest import KEY

ASK = [
    ChatMessage(
        role="user",
        # A host that does not exist: counting must not look at it.
        blocks=[ImageBlock(url="https://images.invalid/a.png"), TextBlock(text="What is this?")],
    )
]
REPLY = Reply(reasoning="Hm, so.", text="Yes it is.", usage={"prompt": 321, "completion": 45, "reasoning": 40})


async def _drained(chunks: Any) -> Any:
    return [chunk async for chunk in await chunks]


CALLS: dict[str, Callable[[QwenVL], Any]] = {
    "chat": lambda llm: llm.chat(ASK),
    "stream_chat": lambda llm: list(llm.stream_chat(ASK)),
    "complete": lambda llm: llm.complete("What is this?"),
    "stream_complete": lambda llm: list(llm.stream_complete("What is this?")),
    "achat": lambda llm: llm.achat(ASK),
    "astream_chat": lambda llm: _drained(llm.astream_chat(ASK)),
    "acomplete": lambda llm: llm.acomplete("What is this?"),
    "astream_complete": lambda llm: _drained(llm.astream_complete("What is this?")),
}
every_call = pytest.mark.parametrize("name", CALLS)


async def run(name: str, llm: QwenVL) -> Any:
    result = CALLS[name](llm)
    return await result if name.startswith("a") else result


class _Events(BaseEventHandler):
    _seen: list[Any] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._seen.append(event)

    @property
    def seen(self) -> list[Any]:
        return self._seen

    def counted(self) -> Counter[str]:
        return Counter(event.class_name() for event in self._seen)


@pytest.fixture
def events() -> Iterator[_Events]:
    handler, dispatcher = _Events(), get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield handler
    dispatcher.event_handlers.remove(handler)


class _Callbacks(BaseCallbackHandler):
    """Counts the older callbacks."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[tuple[str, CBEventType]] = []
        self.payloads: list[Any] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        self.seen.append(("start", event_type))
        self.payloads.append(payload)
        return ""

    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **kwargs: Any
    ) -> None:
        self.seen.append(("end", event_type))
        self.payloads.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None:
        """Nothing to do."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Nothing to do."""


@every_call
async def test_one_pair_of_events(make: Callable[..., QwenVL], emulator: Emulator, events: _Events, name: str) -> None:
    handler = _Callbacks()
    llm = make(callback_manager=CallbackManager([handler]))
    emulator.script(REPLY)
    result = await run(name, llm)
    kind = "Completion" if "complete" in name else "Chat"
    streamed = {f"LLM{kind}InProgressEvent": len(result)} if "stream" in name else {}
    assert events.counted() == {f"LLM{kind}StartEvent": 1, f"LLM{kind}EndEvent": 1, **streamed}
    assert handler.seen == [("start", CBEventType.LLM), ("end", CBEventType.LLM)]
    assert KEY not in repr([event.model_dump() for event in events.seen]) + repr(handler.payloads)


@every_call
async def test_tokens_are_counted_once_and_exactly(make: Callable[..., QwenVL], emulator: Emulator, name: str) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    emulator.script(REPLY)
    await run(name, make(callback_manager=CallbackManager([counter])))
    assert len(counter.llm_token_counts) == 1
    assert counter.prompt_llm_token_count == 321
    assert counter.completion_llm_token_count == 45


class _Limiter(BaseRateLimiter):
    def __init__(self) -> None:
        self.acquired: list[str] = []

    def acquire(self, num_tokens: int = 0) -> None:
        self.acquired.append("sync")

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquired.append("async")


@every_call
async def test_the_rate_limiter_is_asked_once(make: Callable[..., QwenVL], name: str) -> None:
    limiter = _Limiter()
    await run(name, make(rate_limiter=limiter))
    assert limiter.acquired == ["async" if name.startswith("a") else "sync"]


def test_the_payload_says_what_was_asked_of_which_model(make: Callable[..., QwenVL]) -> None:
    payload = make(temperature=0.0, thinking_budget=50).to_payload()
    assert payload["class_name"] == QwenVL.class_name()
    assert payload["model"] == payload["model_name"] == "qwen3-vl-plus"
    assert (payload["temperature"], payload["enable_thinking"], payload["thinking_budget"]) == (0.0, True, 50)
    assert "top_p" not in payload


def test_thinking_streams_through_events(llm: QwenVL, emulator: Emulator, events: _Events) -> None:
    emulator.script(REPLY)
    list(llm.stream_chat(ASK))
    told = [e.response.additional_kwargs for e in events.seen if e.class_name() == "LLMChatInProgressEvent"]
    assert "".join(kwargs.get("thinking_delta", "") for kwargs in told) == "Hm, so."


async def test_structured_prediction_is_one_chat_within_its_own_events(
    llm: QwenVL, emulator: Emulator, events: _Events
) -> None:
    from llama_index.core.prompts import PromptTemplate

    class Paid(BaseModel):
        total: float

    reply = Reply(text='{"total": 18.37}')
    emulator.script(*[reply] * 4)
    prompt = PromptTemplate("What was paid? {hint}")
    llm.structured_predict(Paid, prompt, hint="JSON")
    await llm.astructured_predict(Paid, prompt, hint="JSON")
    once = {
        "LLMStructuredPredictStartEvent": 1, "LLMStructuredPredictEndEvent": 1,
        "LLMChatStartEvent": 1, "LLMChatEndEvent": 1,
    }  # fmt: skip
    assert events.counted() == {name: 2 * count for name, count in once.items()}
    events.seen.clear()
    list(llm.stream_structured_predict(Paid, prompt, hint="JSON"))
    stream: AsyncIterator[Any] = await llm.astream_structured_predict(Paid, prompt, hint="JSON")
    async for _ in stream:
        pass
    counted = events.counted()
    assert {name: counted[name] for name in once} == {name: 2 for name in once}
    assert counted["LLMStructuredPredictInProgressEvent"] >= 2


def test_tools_are_one_chat(llm: QwenVL, emulator: Emulator, events: _Events) -> None:
    def total(items: int) -> int:
        """Adds up."""
        return items

    emulator.script(Reply(tool_calls=[ToolCall("call_1", "total", '{"items": 3}')]))
    assert llm.predict_and_call([FunctionTool.from_defaults(total)], "Add up.").response == "3"
    assert events.counted() == {"LLMChatStartEvent": 1, "LLMChatEndEvent": 1}


streams = pytest.mark.parametrize("name", [name for name in CALLS if "stream" in name])


@streams
async def test_a_stream_is_the_same_whether_or_not_its_events_are_heard(
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
    older = _Callbacks()
    llm = make(callback_manager=CallbackManager([older]))
    unheard, made_unheard = await run(name, llm), len(made)
    dispatcher, handler = get_dispatcher(), _Events()
    dispatcher.add_event_handler(handler)
    try:
        heard = await run(name, llm)
    finally:
        dispatcher.event_handlers.remove(handler)
    assert [chunk.delta for chunk in unheard] == [chunk.delta for chunk in heard]
    assert unheard[-1].raw["usage"] == heard[-1].raw["usage"]
    assert len(made) - made_unheard == len(heard) == made_unheard
    assert older.seen == [("start", CBEventType.LLM), ("end", CBEventType.LLM)] * 2


@streams
async def test_an_unheard_stream_that_breaks_off_is_reported_once(
    make: Callable[..., QwenVL], emulator: Emulator, name: str
) -> None:
    older = _Callbacks()
    llm = make(callback_manager=CallbackManager([older]))
    emulator.script(Fault(reply=Reply(text=["So", " far", "."]), after=2, reset="after-events"))
    with pytest.raises(QwenVLStreamInterruptedError) as caught:
        await run(name, llm)
    assert caught.value.partial
    assert older.seen == [("start", CBEventType.LLM), ("end", CBEventType.LLM)]
    assert older.payloads[-1] == {EventPayload.EXCEPTION: caught.value}


async def test_an_unheard_stream_that_is_left_is_reported_once(make: Callable[..., QwenVL], emulator: Emulator) -> None:
    older = _Callbacks()
    llm = make(callback_manager=CallbackManager([older]))
    emulator.script(*[Reply(text=["So", " far", "."])] * 2)
    for _ in (chunks := llm.stream_chat(ASK)):
        break
    chunks.close()
    achunks = await llm.astream_chat(ASK)
    async for _ in achunks:
        break
    await achunks.aclose()
    assert older.seen == [("start", CBEventType.LLM), ("end", CBEventType.LLM)] * 2
    assert [type(told[EventPayload.EXCEPTION]) for told in older.payloads[1::2]] == [GeneratorExit] * 2
