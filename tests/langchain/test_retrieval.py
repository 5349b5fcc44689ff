"""Use embeddings and rerankers with LangChain's stores, caches and retrievers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.exceptions import ModelAuthenticationError, ModelInvalidRequestError, ModelRateLimitError
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_qwenvl import QwenVLEmbeddings, QwenVLError, QwenVLReranker
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator, Fault
from tests.support.pictures import save_picture

per_mode = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def make(emulator: Emulator, **keywords: Any) -> QwenVLEmbeddings:
    return QwenVLEmbeddings(
        **{"api_key": "sk-test", "base_url": emulator.compat_url, "dimensions": 256, "max_retries": 0, **keywords}
    )


def make_reranker(emulator: Emulator, **keywords: Any) -> QwenVLReranker:
    return QwenVLReranker(api_key="sk-test", base_url=emulator.compat_url, max_retries=0, **keywords)


class Limiter(BaseRateLimiter):
    """A rate limiter that counts."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire(blocking=blocking)


@per_mode
def test_rate_limiter_waits_once_a_request(emulator: Emulator, is_async: bool) -> None:
    limiter = Limiter()
    model = make(emulator, rate_limiter=limiter)
    texts = [f"t{index}" for index in range(100)]
    _ = asyncio.run(model.aembed_documents(texts)) if is_async else model.embed_documents(texts)
    assert limiter.acquired == len(emulator.requests) == 5
    reranker = make_reranker(emulator, rate_limiter=limiter)
    _ = asyncio.run(reranker.arerank("q", ["a"])) if is_async else reranker.rerank("q", ["a"])
    assert limiter.acquired == len(emulator.requests) == 6


@per_mode
def test_errors_are_langchain_errors_and_name_request(emulator: Emulator, is_async: bool) -> None:
    model = make(emulator)

    def embed(texts: list[str]) -> Any:
        return asyncio.run(model.aembed_documents(texts)) if is_async else model.embed_documents(texts)

    with pytest.raises(ModelInvalidRequestError, match=r"texts\[1\]") as caught:
        embed(["a", ""])
    assert isinstance(caught.value, QwenVLInputError)
    for fault, error_class in (
        (Fault(status=401, code="InvalidApiKey", message="Invalid API-key provided."), ModelAuthenticationError),
        (Fault(status=429, code="Throttling.RateQuota", message="Requests rate limit exceeded."), ModelRateLimitError),
    ):
        emulator.retrieval_faults.append(fault)
        with pytest.raises(error_class) as refused:
            embed(["a"])
        assert isinstance(refused.value, QwenVLError)
        assert refused.value.status_code == fault.status
        assert refused.value.request_id
        assert "sk-test" not in str(refused.value)
    with pytest.raises(ModelInvalidRequestError, match="101 texts"):
        make_reranker(emulator).compress_documents([Document("t")] * 101, "q")


def test_vector_store_of_texts_finds_the_nearest(emulator: Emulator) -> None:
    store = InMemoryVectorStore(make(emulator, instruct="find the page"))
    store.add_documents([Document("red rose"), Document("blue sea")])
    (found,) = store.similarity_search("sea", k=1)
    assert found.page_content == "blue sea"
    assert [request.json["parameters"].get("instruct") for request in emulator.requests] == [None, "find the page"]


@per_mode
def test_embed_image_reads_typed_paths_that_local_files_allows(
    emulator: Emulator, is_async: bool, tmp_path: Path
) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")

    def embed(local_files: Any, uri: Any = picture) -> Any:
        model = make(emulator, local_files=local_files)
        return asyncio.run(model.aembed_image([uri])) if is_async else model.embed_image([uri])

    assert embed(None) == embed(tmp_path) == embed(True) == embed(None, Path(picture).as_uri())
    assert embed(tmp_path / "other", Path(picture)) == embed(None)  # `pathlib.Path` objects are read anywhere
    count = len(emulator.requests)
    for refused in (False, tmp_path / "other"):
        with pytest.raises(QwenVLInputError, match=r"uris\[0\].*local_files"):
            embed(refused)
    with pytest.raises(QwenVLInputError, match=r"uris\[0\].*missing"):
        embed(None, "missing.png")
    assert len(emulator.requests) == count
    assert make(emulator).embed([picture]) != embed(None)  # a string among items is a text


def test_block_items_follow_local_files(emulator: Emulator, tmp_path: Path) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")
    block = {"type": "image", "url": picture}
    with pytest.raises(QwenVLInputError, match=r"items\[0\].*local_files"):
        make(emulator).embed([block])
    by_block = make(emulator, local_files=tmp_path).embed([block])
    assert by_block == make(emulator).embed([Path(picture)])
    url = "https://example.invalid/a.png"
    make(emulator).embed([{"type": "image_url", "image_url": {"url": url}}, {"type": "video", "url": f"{url}.mp4"}])
    assert emulator.requests[-1].json["input"]["contents"] == [{"image": url}, {"video": f"{url}.mp4"}]


@per_mode
def test_compressor_ranks_pictures_and_texts(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    red = save_picture(tmp_path, "red", emulator, "a red rose")
    documents = [
        Document("nothing", metadata={"image_path": ""}),
        Document("", metadata={"image_path": red, "page": 1}),
        Document("a rose"),
        Document("", metadata={"image_path": Path(red)}),
    ]
    reranker = make_reranker(emulator, top_n=3)
    assert isinstance(reranker, BaseDocumentCompressor)
    best = (
        asyncio.run(reranker.acompress_documents(documents, "red rose"))
        if is_async
        else reranker.compress_documents(documents, "red rose")
    )
    assert [document.metadata["relevance_score"] for document in best] == [1.0, 1.0, 0.5]
    assert [document.metadata.get("image_path") for document in best] == [red, Path(red), None]
    assert "relevance_score" not in documents[1].metadata
    assert emulator.requests[-1].json["parameters"] == {"top_n": 3}
    assert emulator.refusals == []


@per_mode
def test_document_with_bad_picture_raises_naming_it(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    reranker = make_reranker(emulator, image_key="picture")
    for picture in ("missing.png", str(tmp_path / "a.png"), 7):
        documents = [Document("a"), Document("b", metadata={"picture": picture})]
        with pytest.raises(QwenVLInputError, match=r"documents\[1\]\.metadata\['picture'\]"):
            _ = (
                asyncio.run(reranker.acompress_documents(documents, "q"))
                if is_async
                else reranker.compress_documents(documents, "q")
            )
    assert emulator.requests == []


def test_query_of_reranker_may_be_a_picture(emulator: Emulator, tmp_path: Path) -> None:
    red = save_picture(tmp_path, "red", emulator, "a red rose")
    ranked = make_reranker(emulator, instruct="rank", fps=0.5).rerank(Path(red), ["nothing", "rose"], top_n=1)
    assert [row.index for row in ranked] == [1]
    body = emulator.requests[0].json
    assert list(body["input"]["query"]) == ["image"]
    assert body["parameters"] == {"top_n": 1, "instruct": "rank", "fps": 0.5}
    with pytest.raises(QwenVLInputError, match=r"items\[0\].*not a list"):
        make_reranker(emulator).rerank("q", [["a", "b"]])
    with pytest.raises(QwenVLInputError, match=r"top_n=0"):
        make_reranker(emulator).rerank("q", ["a"], top_n=0)
