"""Answers that the service blocked or broke off raise, in both frameworks and APIs and in every call mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core import exceptions as langchain_errors
from langchain_core.messages import AIMessage
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLAPIError, QwenVLContentFilterError, QwenVLError
from tests.emulator import Emulator, Reply, ToolCall
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair
from tests.support.model_factories import KEY

REASONS: dict[str, type[QwenVLError]] = {"content_filter": QwenVLContentFilterError, "error": QwenVLAPIError}
every_reason = pytest.mark.parametrize("reason", REASONS)


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def models(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    pair = ModelPair(emulator, api)
    yield pair
    pair.close()


class Total(BaseModel):
    """A total."""

    total: float


@every_reason
@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
@pytest.mark.parametrize("thinking", [True, False])
def test_failed_finish_reason_raises_with_partial_text(
    emulator: Emulator, models: ModelPair, call_mode: CallMode, reason: str, thinking: bool
) -> None:
    emulator.script(Reply(reasoning="Hm." if thinking else "", text=["Half ", "of"], finish=reason))
    with pytest.raises(REASONS[reason], match=reason) as caught:
        models.send(call_mode, enable_thinking=thinking)
    assert caught.value.partial == "Half of"
    assert caught.value.request_id
    assert len(emulator.requests) == 1


@every_reason
@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_failed_finish_reason_with_a_call_raises(
    emulator: Emulator, models: ModelPair, call_mode: CallMode, reason: str
) -> None:
    """A call that arrived before is not executed either."""
    tool = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
    emulator.script(Reply(tool_calls=[ToolCall("a", "crop")], finish=reason))
    with pytest.raises(REASONS[reason]):
        models.send(call_mode, tools=[tool])


@pytest.fixture
def langchain(emulator: Emulator) -> Iterator[ChatQwenVL]:
    llm = ChatQwenVL(base_url=emulator.compat_url, api_key=KEY)
    yield llm
    llm.close()


@pytest.fixture
def llama_index(emulator: Emulator) -> Iterator[QwenVL]:
    llm = QwenVL(base_url=emulator.compat_url, api_key=KEY)
    yield llm
    llm.close()


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
@pytest.mark.parametrize("include_raw", [True, False])
def test_langchain_structured_answer_blocked_raises_refusal(
    emulator: Emulator, langchain: ChatQwenVL, method: Any, include_raw: bool
) -> None:
    blocked = Reply(text='{"total": 1', finish="content_filter")
    emulator.script(blocked, blocked)
    chain = langchain.with_structured_output(Total, method=method, include_raw=include_raw)
    for call in (lambda: chain.invoke("json"), lambda: list(chain.stream("json"))):
        with pytest.raises(langchain_errors.ModelInvalidRequestError) as caught:
            call()
        assert isinstance(caught.value, QwenVLContentFilterError)
        assert isinstance(caught.value, getattr(langchain_errors, "ModelRefusalError", langchain_errors.ModelError))
        error: Any = caught.value
        assert not error.is_retryable
        assert isinstance(error.raw_message, AIMessage)
        assert error.raw_message.content == error.partial == '{"total": 1'


@every_reason
def test_llama_index_structured_answer_failed_raises(emulator: Emulator, llama_index: QwenVL, reason: str) -> None:
    failed = Reply(text='{"total": 1.0}', finish=reason)
    emulator.script(failed, failed, failed)
    prompt = PromptTemplate("The total?")
    for call in (
        lambda: llama_index.structured_predict(Total, prompt),
        lambda: list(llama_index.stream_structured_predict(Total, prompt)),
        lambda: llama_index.complete("The total?"),
    ):
        with pytest.raises(REASONS[reason]) as caught:
            call()
        assert caught.value.partial == '{"total": 1.0}'


async def test_agent_with_blocked_answer_raises(emulator: Emulator, llama_index: QwenVL) -> None:
    def now() -> str:
        """Return the time."""
        return "noon"

    emulator.script(Reply(tool_calls=[ToolCall("a", "now")]), Reply(text="It is n", finish="content_filter"))
    with pytest.raises(QwenVLContentFilterError):
        await FunctionAgent(llm=llama_index, tools=[now]).run(user_msg="When is it?")
    await llama_index.aclose()
