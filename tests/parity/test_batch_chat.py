"""Test Batch Chat in both frameworks: where requests go, how replies come back, and what is refused."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from llama_index.core.base.llms.types import ChatMessage

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.documents.page_cache import compute_cache_key
from qwenvl_core.errors import QwenVLContextOverflowError, QwenVLError, QwenVLInputError, QwenVLTimeoutError
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.request import batch_context
from qwenvl_core.types.settings import ModelSettings
from tests.emulator import Emulator, Fault, Reply
from tests.parity.call_modes import CALL_MODES, CallMode, ModelPair, metadata_of, text_of
from tests.support.model_factories import KEY
from tests.support.raw_server import head, raw_server

per_mode = pytest.mark.parametrize("mode", CALL_MODES, ids=str)
per_adapter = pytest.mark.parametrize("model_class", [ChatQwenVL, QwenVL])
THOUGHT = Reply(reasoning="Hm.", text="Ein Löwe.")


@pytest.fixture
def models(emulator: Emulator) -> Iterator[ModelPair]:
    pair = ModelPair(emulator, "openai", service_tier="batch")
    yield pair
    pair.close()


@per_mode
@pytest.mark.parametrize("enable_thinking", [True, False])
def test_batch_chat_reply_is_whole_on_the_wire_and_for_the_caller(
    mode: CallMode, enable_thinking: bool, models: ModelPair, emulator: Emulator
) -> None:
    emulator.script(THOUGHT if enable_thinking else Reply(text="Ein Löwe."))
    answer = models.send(mode, enable_thinking=enable_thinking)
    (request,) = emulator.requests
    assert request.json == {
        "model": "qwen3-vl-plus",
        "messages": [{"role": "user", "content": "Hi"}],
        "enable_thinking": enable_thinking,
    }
    assert text_of(answer) == "Ein Löwe."
    assert metadata_of(answer)["finish_reason"] == "stop"


def test_batch_chat_stream_yields_text_in_one_chunk(models: ModelPair, emulator: Emulator) -> None:
    emulator.script(THOUGHT, THOUGHT)
    texts = [chunk.text for chunk in models.langchain.stream("Hi")]
    deltas = [chunk.delta for chunk in models.llama_index.stream_complete("Hi")]
    assert [text for text in texts if text] == ["Ein Löwe."]
    assert [delta for delta in deltas if delta] == ["Ein Löwe."]


@per_mode
def test_batch_chat_tier_of_a_call_applies_to_that_call(mode: CallMode, emulator: Emulator) -> None:
    pair = ModelPair(emulator, "openai")
    pair.send(mode, service_tier="batch", enable_thinking=True)
    pair.send(mode, enable_thinking=True)
    pair.close()
    assert ["stream" in request.json for request in emulator.requests] == [False, True]
    assert not any("service_tier" in request.json for request in emulator.requests)


@per_mode
def test_batch_chat_timeout_is_not_repeated_and_states_that_nothing_was_billed(
    mode: CallMode, models: ModelPair, emulator: Emulator
) -> None:
    emulator.script(Fault(stall=1.0), Fault(stall=1.0))
    with pytest.raises(QwenVLTimeoutError, match="nothing was billed"):
        models.send(mode, timeout=0.3)
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("status", [408, 504])
def test_batch_chat_timeout_of_the_server_is_not_repeated(status: int, models: ModelPair, emulator: Emulator) -> None:
    emulator.script(Fault(status=status, code="RequestTimeOut", headers={"Retry-After": "0.01"}), THOUGHT)
    with pytest.raises(QwenVLTimeoutError, match="nothing was billed"):
        models.send(CALL_MODES[0])
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_batch_chat_repeats_faults(status: int, models: ModelPair, emulator: Emulator) -> None:
    emulator.script(Fault(status=status, headers={"Retry-After": "0.01"}), Reply(text="ok"))
    assert text_of(models.send(CALL_MODES[0])) == "ok"


class _Sent:
    """Records the requests of an HTTP client, and answers each."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.client = httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        message = {"role": "assistant", "content": "Hi"}
        return httpx.Response(200, json={"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@per_adapter
@pytest.mark.parametrize(
    ("keywords", "timeout"),
    [({}, 3600.0), ({"timeout": 60.0}, 60.0), ({"timeout": None}, None)],
)
def test_batch_chat_goes_to_the_batch_host_and_waits_an_hour_by_default(
    model_class: Any, keywords: dict[str, Any], timeout: float | None
) -> None:
    sent = _Sent()
    llm = model_class(api_key=KEY, http_client=sent.client, service_tier="batch", **keywords)
    llm.invoke("Hi") if isinstance(llm, ChatQwenVL) else llm.complete("Hi")
    (request,) = sent.requests
    assert str(request.url) == "https://batch.dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.extensions["timeout"]["read"] == timeout


@per_mode
def test_batch_chat_ignores_workspace_of_the_environment_and_reports_it(
    mode: CallMode, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "ws-1")
    pair = ModelPair(emulator, "openai", service_tier="batch")
    answer = pair.send(mode)
    pair.close()
    assert any("DASHSCOPE_WORKSPACE" in note for note in metadata_of(answer)["adjustments"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "native API": ({"api": "dashscope"}, 'api="openai"'),
    "other provider": ({"provider": "vllm", "base_url": "http://127.0.0.1:1/v1"}, "Model Studio"),
    "workspace": ({"workspace": "ws-1"}, "workspace="),
    "other region": ({"region": "singapore"}, "cn-beijing"),
    "model without Batch Chat": ({"model": "qwen-vl-max"}, "qwen3.8-max"),
    "stream-only model": ({"model": "qvq-max"}, "qvq-max"),
}


@per_adapter
@pytest.mark.parametrize(("keywords", "message"), REFUSED.values(), ids=list(REFUSED))
def test_batch_chat_refuses_what_has_no_batch_chat(model_class: Any, keywords: dict[str, Any], message: str) -> None:
    llm = model_class(api_key=KEY, service_tier="batch", **keywords)
    with pytest.raises(QwenVLInputError, match=message) as caught:
        llm.invoke("Hi") if isinstance(llm, ChatQwenVL) else llm.complete("Hi")
    assert isinstance(caught.value, ValueError)


@per_adapter
def test_service_tier_with_another_value_is_an_error(model_class: Any) -> None:
    with pytest.raises(ValueError, match="service_tier"):
        model_class(api_key=KEY, service_tier="flex")
    llm = model_class(api_key=KEY)
    with pytest.raises(QwenVLError, match="service_tier='flex'"):
        llm._settings({"service_tier": "flex"})


@per_mode
def test_batch_chat_refuses_what_is_longer_than_its_context(mode: CallMode, emulator: Emulator) -> None:
    pair = ModelPair(emulator, "openai", service_tier="batch", model="qwen3.7-plus")
    long, fitting = ([(HumanMessage(text), ChatMessage(text))] for text in ("a " * 270_000, "a " * 250_000))
    with pytest.raises(QwenVLContextOverflowError, match=r"270,000 input tokens.*262,144") as caught:
        pair.send(mode, long)
    assert isinstance(caught.value, QwenVLInputError)
    assert emulator.requests == []
    assert text_of(pair.send(mode, fitting))
    pair.close()


@per_adapter
async def test_batch_chat_counts_long_texts_off_the_event_loop(model_class: Any, emulator: Emulator) -> None:
    llm = model_class(base_url=emulator.compat_url, api_key=KEY, service_tier="batch")
    text = "word, 12 " * 30_000
    threads: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_context, "check_batch_context", lambda *_: threads.append(threading.current_thread().name))
        await (llm.ainvoke(text) if isinstance(llm, ChatQwenVL) else llm.acomplete(text))
        await (llm.ainvoke("Hi") if isinstance(llm, ChatQwenVL) else llm.acomplete("Hi"))
    await llm.aclose()
    assert ["MainThread" in name for name in threads] == [False, True]


async def test_batch_chat_keeps_hundreds_of_calls_waiting_at_once() -> None:
    count, is_reached = 128, threading.Event()
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    response = head(f"Content-Length: {len(body)}", kind="application/json") + body
    with raw_server([is_reached, response]) as server:
        llm = ChatQwenVL(
            base_url=server.url, api_key=KEY, provider="model-studio", service_tier="batch", enable_thinking=False
        )
        call = asyncio.create_task(llm.abatch(["Hi"] * count, config={"max_concurrency": 500}))
        async with asyncio.timeout(60):
            while len(server.bodies) < count and not call.done():
                await asyncio.sleep(0.01)
        is_reached.set()
        assert [message.text for message in await call] == ["ok"] * count
        await llm.aclose()


@tool
def crop(x: int) -> str:
    """Crop."""
    return str(x)


def test_batch_chat_follow_up_of_forced_output_goes_the_same_way(models: ModelPair, emulator: Emulator) -> None:
    emulator.script(Reply(reasoning="Hm.", text="No."))
    message = models.langchain.bind_tools([crop], tool_choice="crop").invoke("Hi")
    assert [call["name"] for call in message.tool_calls] == ["crop"]
    assert ["stream" in request.json for request in emulator.requests] == [False, False]
    assert [request.json["enable_thinking"] for request in emulator.requests] == [True, False]


def test_cache_key_of_a_page_does_not_depend_on_its_price() -> None:
    page = PageImage(1, "1", 10, 10, b"jpeg")
    settings = ModelSettings()
    assert compute_cache_key(page, "", replace(settings, service_tier="batch")) == compute_cache_key(page, "", settings)
