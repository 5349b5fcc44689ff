"""Who is measured, and how each is called: the same five things of everyone.

Imports are within the functions: each contender runs in an environment that has no other.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

Picture = str | bytes | Path  # a data URI, a file's bytes, or where it is

MODEL = "qwen3-vl-plus"
_KEY = "sk-bench"
_QUESTION = "What was paid?"


@dataclass(frozen=True)
class Load:
    """What a call is about: how many chunks will come, and the pictures that it sends."""

    chunks: int
    pictures: list[Picture] = field(default_factory=list)


class Calls(NamedTuple):
    """What is done with a contender. All of it streams on the wire."""

    prompt: Callable[[Load], Any]
    stream: Callable[[Any], Iterable[Any]]
    astream: Callable[[Any], Awaitable[Any]]
    words: Callable[[Any], str]
    """What a user reads from one chunk: reasoning or answer."""
    whole: Callable[[Any], str] | None = None
    """One whole answer."""


class Contender(NamedTuple):
    name: str
    environment: str
    open: Callable[[str], Calls]
    api: str = "openai"


def _openai(url: str) -> Calls:
    import openai

    keywords: dict[str, Any] = {"base_url": url, "api_key": _KEY, "timeout": 300.0}
    create = partial(openai.OpenAI(**keywords).chat.completions.create, model=MODEL, **_ON_THE_WIRE)
    acreate: Any = partial(openai.AsyncOpenAI(**keywords).chat.completions.create, model=MODEL, **_ON_THE_WIRE)

    def stream(messages: Any) -> Any:
        return create(messages=messages)

    def words(chunk: Any) -> str:
        delta = chunk.choices[0].delta if chunk.choices else None
        return (delta and (delta.content or getattr(delta, "reasoning_content", None))) or ""

    return Calls(
        prompt=_openai_messages,
        stream=stream,
        astream=lambda messages: acreate(messages=messages),
        words=words,
        whole=lambda messages: "".join(map(words, stream(messages))),
    )


_ON_THE_WIRE: dict[str, Any] = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "extra_body": {"enable_thinking": True},
}


def _openai_messages(load: Load) -> list[Any]:
    pictures = [{"type": "image_url", "image_url": {"url": data_uri(picture)}} for picture in load.pictures]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": _QUESTION}]}]


def data_uri(picture: Picture) -> str:
    """What a user has to make of a picture for a library that takes data URIs alone."""
    if isinstance(picture, str):
        return picture
    data = picture if isinstance(picture, bytes) else picture.read_bytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _langchain(llm: Any, whole_llm: Any, url_of: Callable[[Picture], str]) -> Calls:
    from langchain_core.messages import HumanMessage

    def prompt(load: Load) -> list[Any]:
        pictures = [{"type": "image_url", "image_url": {"url": url_of(picture)}} for picture in load.pictures]
        return [HumanMessage([*pictures, {"type": "text", "text": _QUESTION}])]

    async def astream(messages: Any) -> Any:
        return llm.astream(messages)

    return Calls(
        prompt=prompt,
        stream=llm.stream,
        astream=astream,
        words=lambda chunk: chunk.content or chunk.additional_kwargs.get("reasoning_content") or "",
        whole=whole_llm and (lambda messages: whole_llm.invoke(messages).text),
    )


def _langchain_openai(url: str) -> Calls:
    from langchain_openai import ChatOpenAI

    keywords: dict[str, Any] = {
        "model": MODEL, "base_url": url, "api_key": _KEY, "timeout": 300.0, "stream_usage": True,
        "extra_body": {"enable_thinking": True},
    }  # fmt: skip
    return _langchain(ChatOpenAI(**keywords), ChatOpenAI(streaming=True, **keywords), data_uri)


def _ours_langchain(url: str, api: Any = "openai") -> Calls:
    from langchain_qwenvl import ChatQwenVL

    llm = ChatQwenVL(model=MODEL, base_url=url, api=api)
    return _langchain(llm, llm, str)


def _bare_langchain(url: str) -> Calls:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    ready: list[ChatGenerationChunk] = []

    class Bare(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "bare"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            return iter(ready)

        def _astream(self, *args: Any, **kwargs: Any) -> Any:
            return _as_async(ready)

    calls = _langchain(Bare(), None, data_uri)

    def prompt(load: Load) -> list[Any]:
        ready[:] = [ChatGenerationChunk(message=AIMessageChunk(content=" a")) for _ in range(load.chunks)]
        return calls.prompt(load)  # type: ignore[no-any-return]

    return calls._replace(prompt=prompt)


def _llama_index(llm: Any, block_of: Callable[[Picture], Any], *, whole: bool = True) -> Calls:
    from llama_index.core.base.llms.types import ChatMessage, TextBlock

    def prompt(load: Load) -> list[Any]:
        return [ChatMessage(role="user", blocks=[*map(block_of, load.pictures), TextBlock(text=_QUESTION)])]

    return Calls(
        prompt=prompt,
        stream=llm.stream_chat,
        astream=llm.astream_chat,
        words=lambda chunk: chunk.delta or chunk.additional_kwargs.get("thinking_delta") or "",
        whole=(lambda messages: llm.chat(messages).message.content or "") if whole else None,
    )


def _image_block(picture: Picture) -> Any:
    from llama_index.core.base.llms.types import ImageBlock

    if isinstance(picture, str):
        return ImageBlock(url=picture)
    return ImageBlock(image=picture) if isinstance(picture, bytes) else ImageBlock(path=picture)


def _openai_like(url: str) -> Calls:
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(
        model=MODEL, api_base=url, api_key=_KEY, timeout=300.0, is_chat_model=True, is_function_calling_model=True,
        additional_kwargs={name: value for name, value in _ON_THE_WIRE.items() if name != "stream"},
    )  # fmt: skip

    def whole(messages: Any) -> str:
        """Its `chat` never streams on the wire; this is how its user gets a whole answer where it must."""
        *_, last = llm.stream_chat(messages)
        return last.message.content or ""

    return _llama_index(llm, _image_block)._replace(whole=whole)


def _ours_llama_index(url: str, api: Any = "openai") -> Calls:
    from llama_index_qwenvl import QwenVL

    return _llama_index(QwenVL(model=MODEL, base_url=url, api=api), _image_block)


def _bare_llama_index(url: str) -> Calls:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse
    from llama_index.core.llms import CustomLLM, LLMMetadata
    from llama_index.core.llms.callbacks import llm_chat_callback

    ready: list[ChatResponse] = []

    class Bare(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata()

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise NotImplementedError

        stream_complete = complete

        @llm_chat_callback()
        def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
            return (response for response in ready)

        @llm_chat_callback()
        async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
            return _as_async(ready)

    calls = _llama_index(Bare(), _image_block, whole=False)

    def prompt(load: Load) -> list[Any]:
        message = ChatMessage(role="assistant", content=" a")
        ready[:] = [ChatResponse(message=message, delta=" a") for _ in range(load.chunks)]
        return calls.prompt(load)  # type: ignore[no-any-return]

    return calls._replace(prompt=prompt)


def _dashscope(url: str) -> Calls:
    import dashscope

    dashscope.base_http_api_url = url
    keywords: dict[str, Any] = {
        "model": MODEL, "api_key": _KEY, "stream": True, "incremental_output": True, "enable_thinking": True,
    }  # fmt: skip

    def prompt(load: Load) -> list[Any]:
        pictures = [{"image": data_uri(picture)} for picture in load.pictures]
        return [{"role": "user", "content": [*pictures, {"text": _QUESTION}]}]

    def stream(messages: Any) -> Any:
        return dashscope.MultiModalConversation.call(messages=messages, **keywords)

    def words(chunk: Any) -> str:
        message = chunk.output.choices[0].message
        return (message.content and message.content[0]["text"]) or message.get("reasoning_content") or ""

    return Calls(
        prompt=prompt,
        stream=stream,
        astream=lambda messages: dashscope.AioMultiModalConversation.call(messages=messages, **keywords),
        words=words,
        whole=lambda messages: "".join(map(words, stream(messages))),
    )


async def _as_async(items: Iterable[Any]) -> Any:
    for item in items:
        yield item


BASELINE = "openai"

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("openai", "openai", _openai),
        Contender("langchain-openai", "langchain-openai", _langchain_openai),
        Contender("llama-index-openai-like", "openai-like", _openai_like),
        Contender("dashscope", "dashscope", _dashscope, api="dashscope"),
        Contender("bare langchain-core", "ours", _bare_langchain),
        Contender("bare llama-index-core", "ours", _bare_llama_index),
        Contender("langchain_qwenvl", "ours", _ours_langchain),
        Contender("langchain_qwenvl, native", "ours", partial(_ours_langchain, api="dashscope"), api="dashscope"),
        Contender("llama_index_qwenvl", "ours", _ours_llama_index),
        Contender("llama_index_qwenvl, native", "ours", partial(_ours_llama_index, api="dashscope"), api="dashscope"),
    )
}
PATHS = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}
