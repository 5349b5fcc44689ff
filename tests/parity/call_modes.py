"""One question in each way there is to ask it: both frameworks, sync and async, streamed and whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL

KEY = "sk-test-0123456789"
Api = Literal["openai", "dashscope"]
APIS: tuple[Api, ...] = ("openai", "dashscope")


@dataclass(frozen=True)
class CallMode:
    """How a question is asked."""

    framework: Literal["langchain", "llama_index"]
    streamed: bool
    asynchronous: bool

    @property
    def odd(self) -> bool:
        """Whether it is one of the half in which each two of the three choices meet once."""
        return (self.framework == "langchain") ^ self.streamed ^ self.asynchronous

    def __str__(self) -> str:
        how = ("async" if self.asynchronous else "sync", "streamed" if self.streamed else "whole")
        return " ".join((self.framework, *how))


CALL_MODES = tuple(CallMode(*each) for each in product(("langchain", "llama_index"), (False, True), (False, True)))


class Server(Protocol):
    """Anything that has the addresses of both APIs."""

    @property
    def compat_url(self) -> str: ...

    @property
    def native_url(self) -> str: ...


class Raw:
    """A server of raw bytes, which takes requests at any address."""

    def __init__(self, url: str) -> None:
        self.compat_url = self.native_url = url


class ModelPair:
    """Both frameworks' models of one API, and the one event loop that their async calls share."""

    def __init__(self, server: Server, api: Api, **keywords: Any) -> None:
        url = server.compat_url if api == "openai" else server.native_url
        given: dict[str, Any] = {"api": api, "base_url": url, "api_key": KEY, **keywords}
        self.langchain = ChatQwenVL(**given)
        self.llama_index = QwenVL(**given)
        self._runner = asyncio.Runner()

    def ask(self, call_mode: CallMode, conversation: Sequence[tuple[Any, Any]] | None = None, **keywords: Any) -> Any:
        """The answer: a LangChain message or a LlamaIndex response.

        Args:
            way: How to ask.
            conversation: Pairs of the same message in both frameworks' words.
            keywords: Settings of this call. Whole answers are whole on the wire, too: nothing thinks unless it is told.
        """
        keywords = {"enable_thinking": False, **keywords}
        said = [pair[call_mode.framework == "llama_index"] for pair in conversation or [HI]]
        model = self.langchain if call_mode.framework == "langchain" else self.llama_index
        if call_mode.asynchronous:
            return self._runner.run(_aasked(model, call_mode, said, keywords))
        return _asked(model, call_mode, said, keywords)

    def close(self) -> None:
        for model in (self.langchain, self.llama_index):
            model.close()
            self._runner.run(model.aclose())
        self._runner.close()


HI: tuple[BaseMessage, ChatMessage] = (HumanMessage("Hi"), ChatMessage(role="user", content="Hi"))


def _asked(model: Any, call_mode: CallMode, said: list[Any], keywords: dict[str, Any]) -> Any:
    if call_mode.framework == "langchain":
        return summed(list(model.stream(said, **keywords))) if call_mode.streamed else model.invoke(said, **keywords)
    return list(model.stream_chat(said, **keywords))[-1] if call_mode.streamed else model.chat(said, **keywords)


async def _aasked(model: Any, call_mode: CallMode, said: list[Any], keywords: dict[str, Any]) -> Any:
    if call_mode.framework == "langchain":
        if call_mode.streamed:
            return summed([chunk async for chunk in model.astream(said, **keywords)])
        return await model.ainvoke(said, **keywords)
    if call_mode.streamed:
        return [chunk async for chunk in await model.astream_chat(said, **keywords)][-1]
    return await model.achat(said, **keywords)


def summed(chunks: list[Any]) -> Any:
    """The message that LangChain's chunks make up."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


def text_of(answer: AIMessage | ChatResponse) -> str:
    """The words of an answer."""
    return (answer.message.content or "") if isinstance(answer, ChatResponse) else str(answer.content)


def told_of(answer: AIMessage | ChatResponse) -> dict[str, Any]:
    """What an answer tells of itself beside its words, where its framework has that."""
    if isinstance(answer, ChatResponse):
        return {**answer.raw, **answer.additional_kwargs}
    return answer.response_metadata
