"""Send one conversation in every call mode: both frameworks, sync and async, streamed and whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.support.model_factories import KEY

Api = Literal["openai", "dashscope"]
APIS: tuple[Api, ...] = ("openai", "dashscope")


@dataclass(frozen=True)
class CallMode:
    """A framework and the way to call its model."""

    framework: Literal["langchain", "llama_index"]
    streamed: bool
    asynchronous: bool

    @property
    def is_odd(self) -> bool:
        """Whether the mode is in one half of a pairwise design: in it, each two choices meet exactly once."""
        return (self.framework == "langchain") ^ self.streamed ^ self.asynchronous

    def __str__(self) -> str:
        return " ".join(
            (
                self.framework,
                "async" if self.asynchronous else "sync",
                "streamed" if self.streamed else "whole",
            )
        )


_FRAMEWORKS: tuple[Literal["langchain", "llama_index"], ...] = ("langchain", "llama_index")
CALL_MODES = tuple(CallMode(*choices) for choices in product(_FRAMEWORKS, (False, True), (False, True)))


class Server(Protocol):
    """Anything that has the base URLs of both APIs."""

    @property
    def compat_url(self) -> str: ...

    @property
    def native_url(self) -> str: ...


class BaseUrl:
    """Server with one base URL for both APIs."""

    def __init__(self, url: str) -> None:
        self.compat_url = self.native_url = url


class ModelPair:
    """The models of both frameworks for one API, with one event loop for all async calls."""

    def __init__(self, server: Server, api: Api, **keywords: Any) -> None:
        url = server.compat_url if api == "openai" else server.native_url
        keywords = {"api": api, "base_url": url, "api_key": KEY, **keywords}
        self.langchain = ChatQwenVL(**keywords)
        self.llama_index = QwenVL(**keywords)
        self._runner = asyncio.Runner()

    def send(self, call_mode: CallMode, conversation: Sequence[tuple[Any, Any]] | None = None, **keywords: Any) -> Any:
        """Send a conversation and return the answer, a LangChain message or a LlamaIndex response.

        Args:
            call_mode: The framework and the way to call its model.
            conversation: Pairs of the same message as a LangChain and a LlamaIndex message.
            keywords: Settings of this call. Thinking is off by default, so that whole answers are whole on the wire.
        """
        keywords = {"enable_thinking": False, **keywords}
        messages = [pair[call_mode.framework == "llama_index"] for pair in conversation or [HI]]
        model = self.langchain if call_mode.framework == "langchain" else self.llama_index
        if call_mode.asynchronous:
            return self._runner.run(_acall(model, call_mode, messages, keywords))
        return _call(model, call_mode, messages, keywords)

    def close(self) -> None:
        """Close both models, sync and async, and the event loop."""
        for model in (self.langchain, self.llama_index):
            model.close()
            self._runner.run(model.aclose())
        self._runner.close()


HI: tuple[BaseMessage, ChatMessage] = (HumanMessage("Hi"), ChatMessage(role="user", content="Hi"))


def _call(model: Any, call_mode: CallMode, messages: list[Any], keywords: dict[str, Any]) -> Any:
    if call_mode.framework == "langchain":
        if call_mode.streamed:
            return sum_chunks(model.stream(messages, **keywords))
        return model.invoke(messages, **keywords)
    if call_mode.streamed:
        return list(model.stream_chat(messages, **keywords))[-1]
    return model.chat(messages, **keywords)


async def _acall(model: Any, call_mode: CallMode, messages: list[Any], keywords: dict[str, Any]) -> Any:
    if call_mode.framework == "langchain":
        if call_mode.streamed:
            return sum_chunks([chunk async for chunk in model.astream(messages, **keywords)])
        return await model.ainvoke(messages, **keywords)
    if call_mode.streamed:
        return [chunk async for chunk in await model.astream_chat(messages, **keywords)][-1]
    return await model.achat(messages, **keywords)


def sum_chunks(chunks: Iterable[Any]) -> Any:
    """Return the sum of LangChain's message chunks."""
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


def text_of(answer: AIMessage | ChatResponse) -> str:
    """Return the text of an answer."""
    return (answer.message.content or "") if isinstance(answer, ChatResponse) else str(answer.content)


def metadata_of(answer: AIMessage | ChatResponse) -> dict[str, Any]:
    """Return the metadata of an answer, wherever its framework has them."""
    if isinstance(answer, ChatResponse):
        return {**(answer.raw or {}), **answer.additional_kwargs}
    return answer.response_metadata
