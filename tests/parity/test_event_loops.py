"""Test that no async call blocks its event loop: media are read, and SDK clients built, in other threads."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError, blockbuster_ctx
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, VideoBlock
from llama_index.core.schema import ImageNode, NodeWithScore

from langchain_qwenvl import ChatQwenVL, QwenVLEmbeddings, QwenVLReranker
from llama_index_qwenvl import QwenVL, QwenVLEmbedding, QwenVLRerank, video_frames
from qwenvl_core.media.inspection import read_bytes
from qwenvl_core.types.media import FileSource
from tests.emulator import Emulator
from tests.parity.call_modes import APIS, Api
from tests.support.media_files import MP4_HEAD, solid_image
from tests.support.model_factories import KEY


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, data in (
        ("a.png", solid_image()),
        ("big.png", solid_image() + bytes(3_000_000)),  # its body is encoded while it is sent
        ("a.mp4", MP4_HEAD),
        ("a.txt", b"text"),
    ):
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def _blocking_calls_raise() -> Iterator[None]:
    with blockbuster_ctx(["qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl", "openai", "dashscope"]):
        yield


@pytest.mark.usefixtures("_blocking_calls_raise")
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("keywords", [{}, {"media_policy": "fit"}], ids=["check", "fit"])
async def test_async_calls_do_not_block(api: Api, keywords: dict[str, Any], files: Path, emulator: Emulator) -> None:
    emulator.strict = False
    url = emulator.compat_url if api == "openai" else emulator.native_url
    options = {"api": api, "base_url": url, "api_key": KEY, "local_files": str(files), **keywords}
    langchain_messages = [
        HumanMessage(
            [
                {"type": "image", "url": files / "a.png"},
                {"type": "image", "url": str(files / "big.png")},
                {"type": "video", "url": files / "a.mp4"},
                {"type": "video", "video": [files / "a.png"] * 4},
                {"type": "file", "url": files / "a.txt"},
            ]
        )
    ]
    blocks = [
        ImageBlock.model_construct(path=files / "big.png"),  # LlamaIndex's validation reads the disk
        VideoBlock.model_construct(path=files / "a.mp4"),
        video_frames([files / "a.png"] * 4),
        DocumentBlock.model_construct(path=files / "a.txt"),
    ]
    llama_index_messages = [ChatMessage.model_construct(role="user", blocks=blocks, additional_kwargs={})]
    chat, llm = ChatQwenVL(**options), QwenVL(**options)
    await chat.ainvoke(langchain_messages)
    assert [chunk async for chunk in chat.astream(langchain_messages)]
    await llm.achat(llama_index_messages)
    assert [chunk async for chunk in await llm.astream_chat(llama_index_messages)]
    await chat.aclose()
    await llm.aclose()


@pytest.mark.usefixtures("_blocking_calls_raise")
@pytest.mark.parametrize("upload", ["auto", "always"])
async def test_async_retrieval_does_not_block(upload: Any, files: Path, emulator: Emulator) -> None:
    path = files / "big.png"
    options: dict[str, Any] = {"base_url": emulator.native_url, "api_key": KEY, "upload": upload}
    embeddings, embedding = QwenVLEmbeddings(**options), QwenVLEmbedding(**options)
    reranker, rerank = QwenVLReranker(**options), QwenVLRerank(**options)
    assert await embeddings.aembed(["a", path])
    assert await embeddings.aembed_image([str(path)])
    assert await embedding.aembed(["a", path])
    assert await embedding.aget_image_embedding(str(path))
    assert await embedding.acall([ImageNode(image_path=str(path))])
    assert await reranker.arerank("a", [path])
    assert await reranker.acompress_documents([Document("a", metadata={"image_path": str(path)})], "a")
    assert await rerank.arerank(path, ["a"])
    assert await rerank.apostprocess_nodes([NodeWithScore(node=ImageNode(image_path=str(path)))], query_str="a")


@pytest.mark.usefixtures("_blocking_calls_raise")
async def test_blocking_call_in_the_packages_is_found(files: Path) -> None:
    with pytest.raises(BlockingError):
        read_bytes(FileSource(files / "a.png"))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
async def test_model_dropped_after_its_stream_closes_connections(api: Api, framework: str, emulator: Emulator) -> None:
    """Unclosed sockets would warn, and warnings are errors."""
    url = emulator.compat_url if api == "openai" else emulator.native_url

    async def read_stream() -> None:
        if framework == "langchain":
            stream: Any = ChatQwenVL(api=api, base_url=url, api_key=KEY).astream("Hi")
        else:
            stream = await QwenVL(api=api, base_url=url, api_key=KEY).astream_chat([ChatMessage(content="Hi")])
        assert [chunk async for chunk in stream]
        del stream
        gc.collect()  # the model is garbage within a running loop

    await read_stream()
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)
