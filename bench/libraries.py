"""The measured libraries, and how each is called: the same operations for all of them.

Imports are within the functions, because each library runs in an environment without the others.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ImageSource = str | bytes | Path
"""A data URI, the bytes of a file, or its path."""

MODEL = "qwen3-vl-plus"
_KEY = "sk-bench"
_QUESTION = "What was paid?"


@dataclass(frozen=True)
class Workload:
    """One call.

    Attributes:
        chunks: Number of chunks that the reply will have.
        images: The images that the prompt holds.
    """

    chunks: int
    images: list[ImageSource] = field(default_factory=list)


class LibraryCalls(NamedTuple):
    """The operations of one library. All of them stream on the wire.

    Attributes:
        build_prompt: Build the messages of a workload.
        stream: Stream a reply.
        astream: Stream a reply asynchronously.
        text_of_chunk: Return the text of one chunk: reasoning or answer.
        invoke: Return the text of a complete reply; `None` where the library has no such call.
        invoke_uploaded: The same, with local images uploaded first; `None` where the library has no uploads.
    """

    build_prompt: Callable[[Workload], Any]
    stream: Callable[[Any], Iterable[Any]]
    astream: Callable[[Any], Awaitable[Any]]
    text_of_chunk: Callable[[Any], str]
    invoke: Callable[[Any], str] | None = None
    invoke_uploaded: Callable[[Any], str] | None = None


class Library(NamedTuple):
    """A measured library.

    Attributes:
        name: Name in the report.
        venv: The virtual environment that it runs in.
        connect: Create its calls for a base URL.
        api: The API that it uses: "openai" or "dashscope".
    """

    name: str
    venv: str
    connect: Callable[[str], LibraryCalls]
    api: str = "openai"


def encode_data_uri(image: ImageSource) -> str:
    """Return an image as a data URI, as users must for a library that accepts nothing else."""
    if isinstance(image, str):
        return image
    data = image if isinstance(image, bytes) else image.read_bytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


_STREAM_PARAMETERS: dict[str, Any] = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "extra_body": {"enable_thinking": True},
}


def _connect_openai(url: str) -> LibraryCalls:
    import openai

    keywords: dict[str, Any] = {"base_url": url, "api_key": _KEY, "timeout": 300.0}
    create = partial(openai.OpenAI(**keywords).chat.completions.create, model=MODEL, **_STREAM_PARAMETERS)
    acreate: Any = partial(openai.AsyncOpenAI(**keywords).chat.completions.create, model=MODEL, **_STREAM_PARAMETERS)

    def stream(messages: Any) -> Any:
        return create(messages=messages)

    def text_of_chunk(chunk: Any) -> str:
        delta = chunk.choices[0].delta if chunk.choices else None
        return (delta and (delta.content or getattr(delta, "reasoning_content", None))) or ""

    return LibraryCalls(
        build_prompt=_build_openai_messages,
        stream=stream,
        astream=lambda messages: acreate(messages=messages),
        text_of_chunk=text_of_chunk,
        invoke=lambda messages: "".join(map(text_of_chunk, stream(messages))),
    )


def _build_openai_messages(workload: Workload) -> list[Any]:
    images = [{"type": "image_url", "image_url": {"url": encode_data_uri(image)}} for image in workload.images]
    return [{"role": "user", "content": [*images, {"type": "text", "text": _QUESTION}]}]


def _create_langchain_calls(llm: Any, invoke_llm: Any, to_url: Callable[[ImageSource], ImageSource]) -> LibraryCalls:
    from langchain_core.messages import HumanMessage

    def build_prompt(workload: Workload) -> list[Any]:
        images = [{"type": "image_url", "image_url": {"url": to_url(image)}} for image in workload.images]
        return [HumanMessage([*images, {"type": "text", "text": _QUESTION}])]

    async def astream(messages: Any) -> Any:
        return llm.astream(messages)

    return LibraryCalls(
        build_prompt=build_prompt,
        stream=llm.stream,
        astream=astream,
        text_of_chunk=lambda chunk: chunk.content or chunk.additional_kwargs.get("reasoning_content") or "",
        invoke=invoke_llm and (lambda messages: invoke_llm.invoke(messages).text),
    )


def _connect_langchain_openai(url: str) -> LibraryCalls:
    from langchain_openai import ChatOpenAI

    keywords: dict[str, Any] = {
        "model": MODEL, "base_url": url, "api_key": _KEY, "timeout": 300.0, "stream_usage": True,
        "extra_body": {"enable_thinking": True},
    }  # fmt: skip
    return _create_langchain_calls(ChatOpenAI(**keywords), ChatOpenAI(streaming=True, **keywords), encode_data_uri)


def _connect_langchain_qwenvl(url: str, api: Any = "openai") -> LibraryCalls:
    from langchain_qwenvl import ChatQwenVL

    llm = ChatQwenVL(model=MODEL, base_url=url, api=api, api_key=_KEY)
    calls = _create_langchain_calls(llm, llm, lambda image: image)
    return calls._replace(invoke_uploaded=lambda messages: llm.invoke(messages, upload="always").text)


def _connect_bare_langchain(url: str) -> LibraryCalls:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    chunks: list[ChatGenerationChunk] = []

    class BareChatModel(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "bare"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            return iter(chunks)

        def _astream(self, *args: Any, **kwargs: Any) -> Any:
            return _iterate_async(chunks)

    calls = _create_langchain_calls(BareChatModel(), None, encode_data_uri)

    def build_prompt(workload: Workload) -> Any:
        chunks[:] = [ChatGenerationChunk(message=AIMessageChunk(content=" a")) for _ in range(workload.chunks)]
        return calls.build_prompt(workload)

    return calls._replace(build_prompt=build_prompt)


def _create_llama_index_calls(
    llm: Any, to_block: Callable[[ImageSource], Any], *, has_chat: bool = True
) -> LibraryCalls:
    from llama_index.core.base.llms.types import ChatMessage, TextBlock

    def build_prompt(workload: Workload) -> list[Any]:
        return [ChatMessage(role="user", blocks=[*map(to_block, workload.images), TextBlock(text=_QUESTION)])]

    return LibraryCalls(
        build_prompt=build_prompt,
        stream=llm.stream_chat,
        astream=llm.astream_chat,
        text_of_chunk=lambda chunk: chunk.delta or chunk.additional_kwargs.get("thinking_delta") or "",
        invoke=(lambda messages: llm.chat(messages).message.content or "") if has_chat else None,
    )


def _build_image_block(image: ImageSource) -> Any:
    from llama_index.core.base.llms.types import ImageBlock

    if isinstance(image, str):
        return ImageBlock(url=image)
    return ImageBlock(image=image) if isinstance(image, bytes) else ImageBlock(path=image)


def _connect_openai_like(url: str) -> LibraryCalls:
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(
        model=MODEL, api_base=url, api_key=_KEY, timeout=300.0, is_chat_model=True, is_function_calling_model=True,
        additional_kwargs={name: value for name, value in _STREAM_PARAMETERS.items() if name != "stream"},
    )  # fmt: skip

    def invoke(messages: Any) -> str:
        # `OpenAILike.chat` never streams on the wire: this is how its users get a complete reply of a model that
        # only streams.
        *_, last = llm.stream_chat(messages)
        return last.message.content or ""

    return _create_llama_index_calls(llm, _build_image_block)._replace(invoke=invoke)


def _connect_llama_index_qwenvl(url: str, api: Any = "openai") -> LibraryCalls:
    from llama_index_qwenvl import QwenVL

    llm = QwenVL(model=MODEL, base_url=url, api=api, api_key=_KEY)
    calls = _create_llama_index_calls(llm, _build_image_block)
    return calls._replace(invoke_uploaded=lambda messages: llm.chat(messages, upload="always").message.content or "")


def _connect_bare_llama_index(url: str) -> LibraryCalls:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse
    from llama_index.core.llms import CustomLLM, LLMMetadata
    from llama_index.core.llms.callbacks import llm_chat_callback

    responses: list[ChatResponse] = []

    class BareLLM(CustomLLM):
        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata()

        def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            raise NotImplementedError

        stream_complete = complete

        @llm_chat_callback()
        def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
            return (response for response in responses)

        @llm_chat_callback()
        async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
            return _iterate_async(responses)

    calls = _create_llama_index_calls(BareLLM(), _build_image_block, has_chat=False)

    def build_prompt(workload: Workload) -> Any:
        message = ChatMessage(role="assistant", content=" a")
        responses[:] = [ChatResponse(message=message, delta=" a") for _ in range(workload.chunks)]
        return calls.build_prompt(workload)

    return calls._replace(build_prompt=build_prompt)


def _connect_dashscope(url: str) -> LibraryCalls:
    import dashscope

    dashscope.base_http_api_url = url
    keywords: dict[str, Any] = {
        "model": MODEL, "api_key": _KEY, "stream": True, "incremental_output": True, "enable_thinking": True,
    }  # fmt: skip

    def build_prompt(workload: Workload) -> list[Any]:
        images = [{"image": encode_data_uri(image)} for image in workload.images]
        return [{"role": "user", "content": [*images, {"text": _QUESTION}]}]

    def stream(messages: Any) -> Any:
        return dashscope.MultiModalConversation.call(messages=messages, **keywords)

    def text_of_chunk(chunk: Any) -> str:
        message = chunk.output.choices[0].message
        return (message.content and message.content[0]["text"]) or message.get("reasoning_content") or ""

    return LibraryCalls(
        build_prompt=build_prompt,
        stream=stream,
        astream=lambda messages: dashscope.AioMultiModalConversation.call(messages=messages, **keywords),
        text_of_chunk=text_of_chunk,
        invoke=lambda messages: "".join(map(text_of_chunk, stream(messages))),
    )


async def _iterate_async(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


BASELINE = "openai"
"""The library that the ratios refer to."""

LIBRARIES = {
    library.name: library
    for library in (
        Library("openai", "openai", _connect_openai),
        Library("langchain-openai", "langchain-openai", _connect_langchain_openai),
        Library("llama-index-openai-like", "openai-like", _connect_openai_like),
        Library("dashscope", "dashscope", _connect_dashscope, api="dashscope"),
        Library("bare langchain-core", "ours", _connect_bare_langchain),
        Library("bare llama-index-core", "ours", _connect_bare_llama_index),
        Library("langchain_qwenvl", "ours", _connect_langchain_qwenvl),
        Library("langchain_qwenvl, native", "ours", partial(_connect_langchain_qwenvl, api="dashscope"), "dashscope"),
        Library("llama_index_qwenvl", "ours", _connect_llama_index_qwenvl),
        Library(
            "llama_index_qwenvl, native", "ours", partial(_connect_llama_index_qwenvl, api="dashscope"), "dashscope"
        ),
    )
}
API_PATHS = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}
"""The path of the base URL by API."""
