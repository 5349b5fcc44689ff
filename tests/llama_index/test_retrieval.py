"""Use embeddings and rerankers in LlamaIndex's pipelines and indexes."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.embeddings import MultiModalEmbedding
from llama_index.core.indices.multi_modal import MultiModalVectorIndexRetriever, MultiModalVectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import (
    ImageDocument,
    ImageNode,
    MediaResource,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)
from llama_index.core.storage.kvstore import SimpleKVStore

from llama_index_qwenvl import QwenVLEmbedding, QwenVLReader, QwenVLRerank
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from tests.emulator import Emulator, Fault
from tests.llama_index.callback_handlers import RecordingCallbackHandler
from tests.support.pictures import save_picture
from tests.support.scanned_pages import scan

per_mode = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def make(emulator: Emulator, **keywords: Any) -> QwenVLEmbedding:
    return QwenVLEmbedding(
        **{"api_key": "sk-test", "base_url": emulator.compat_url, "dimensions": 256, "max_retries": 0, **keywords}
    )


def make_reranker(emulator: Emulator, **keywords: Any) -> QwenVLRerank:
    return QwenVLRerank(api_key="sk-test", base_url=emulator.compat_url, max_retries=0, **keywords)


class Limiter(BaseRateLimiter):
    """A rate limiter that counts."""

    acquired: int = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquired += 1


def test_classes_are_those_that_llama_index_expects() -> None:
    assert issubclass(QwenVLEmbedding, MultiModalEmbedding)
    assert issubclass(QwenVLRerank, BaseNodePostprocessor)
    assert (QwenVLEmbedding.class_name(), QwenVLRerank.class_name()) == ("QwenVLEmbedding", "QwenVLRerank")


def test_model_name_is_an_alias_of_model(emulator: Emulator) -> None:
    model = make(emulator, model_name="text-embedding-v4")
    assert (model.model, model.model_name) == ("text-embedding-v4", "text-embedding-v4")
    assert QwenVLEmbedding(api_key="k").model_name == "qwen3-vl-embedding"


@pytest.mark.parametrize(
    ("keywords", "size"),
    [
        ({}, 80),
        ({"max_concurrency": 2}, 40),
        ({"model": "text-embedding-v4"}, 40),
        ({"embed_batch_size": 7}, 7),
        ({"max_concurrency": 500}, 2048),
    ],
)
def test_embed_batch_size_fills_concurrent_requests(keywords: Any, size: int) -> None:
    assert QwenVLEmbedding(api_key="k", **keywords).embed_batch_size == size


def test_to_dict_has_no_key_and_gives_an_equal_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-environment")
    for model in (
        QwenVLEmbedding(api_key="sk-explicit", dimensions=512, instruct="find", max_concurrency=2),
        QwenVLRerank(api_key="sk-explicit", top_n=3, instruct="find", image_key="picture"),
    ):
        stored = model.to_dict()
        assert "sk-" not in str(stored)
        loaded = type(model).from_dict(stored)
        assert loaded.to_dict() == stored
        assert loaded.api_key is not None
        assert loaded.api_key.get_secret_value() == "sk-environment"
        assert "sk-" not in model.to_json()
        assert type(model).from_json(model.to_json()).to_dict() == stored


@per_mode
def test_text_batches_need_fewest_requests_in_order(emulator: Emulator, is_async: bool) -> None:
    model = make(emulator)
    texts = [f"text {index}" for index in range(1000)]
    vectors = asyncio.run(model.aget_text_embedding_batch(texts)) if is_async else model.get_text_embedding_batch(texts)
    assert len(emulator.requests) == 50
    assert len(vectors) == 1000
    assert [vectors[index] for index in (0, 499, 999)] == model.embed([texts[0], texts[499], texts[999]])
    assert emulator.refusals == []


@per_mode
def test_bad_item_of_a_late_batch_raises_before_any_request(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    model = make(emulator, embed_batch_size=10)
    picture = save_picture(tmp_path, "red", emulator, "red")
    texts: Any = [*["a"] * 35, "  "]
    pictures: Any = [*[picture] * 35, "missing.png"]
    with pytest.raises(QwenVLInputError, match=r"texts\[35\].*empty"):
        _ = asyncio.run(model.aget_text_embedding_batch(texts)) if is_async else model.get_text_embedding_batch(texts)
    with pytest.raises(QwenVLInputError, match=r"images\[35\].*missing"):
        _ = (
            asyncio.run(model.aget_image_embedding_batch(pictures))
            if is_async
            else model.get_image_embedding_batch(pictures)
        )
    nodes = [ImageNode(image_path=picture), TextNode(text="")]
    with pytest.raises(QwenVLInputError, match=r"nodes\[1\].*empty"):
        _ = asyncio.run(model.acall(nodes)) if is_async else model(nodes)
    assert emulator.requests == []


@per_mode
def test_no_request_begins_after_an_error_of_another_batch(emulator: Emulator, is_async: bool) -> None:
    model = make(emulator, max_concurrency=1, embed_batch_size=20)
    emulator.retrieval_faults.append(Fault(status=400))
    texts = [f"t{index}" for index in range(200)]

    async def fail() -> None:
        with pytest.raises(QwenVLError):
            await model.aget_text_embedding_batch(texts)
        await asyncio.sleep(0.2)  # the other tasks go on

    if is_async:
        asyncio.run(fail())
    else:
        with pytest.raises(QwenVLError):
            model.get_text_embedding_batch(texts)
    assert len(emulator.requests) == 1


@per_mode
def test_rate_limiter_waits_once_a_request(emulator: Emulator, is_async: bool) -> None:
    limiter = Limiter()
    model = make(emulator, rate_limiter=limiter)
    texts = [f"t{index}" for index in range(100)]
    _ = asyncio.run(model.aget_text_embedding_batch(texts)) if is_async else model.get_text_embedding_batch(texts)
    assert limiter.acquired == len(emulator.requests) == 5
    _ = asyncio.run(model.aget_query_embedding("q")) if is_async else model.get_query_embedding("q")
    assert limiter.acquired == len(emulator.requests) == 6
    reranker = make_reranker(emulator, rate_limiter=limiter)
    reranker.rerank("q", ["a", "b"])
    assert limiter.acquired == len(emulator.requests) == 7


def test_nodes_in_ingestion_pipeline_share_requests_and_keep_order(emulator: Emulator, tmp_path: Path) -> None:
    red = save_picture(tmp_path, "red", emulator, "a red rose")
    blue = save_picture(tmp_path, "blue", emulator, "the blue sea")
    nodes = [
        TextNode(text="a red rose"),
        ImageNode(image_path=red),
        ImageDocument(image_path=blue),
        TextNode(text="nothing"),
        Node(image_resource=MediaResource(path=Path(blue))),
        ImageNode(image=MediaResource(data=Path(red).read_bytes()).data.decode()),  # type: ignore[union-attr]
        ImageNode(text="words of a node whose picture is at ''", image_path=""),
    ]
    model = make(emulator)
    embedded = IngestionPipeline(transformations=[model]).run(nodes=nodes)
    vectors = [node.embedding for node in embedded]
    assert vectors[0] == vectors[1] == vectors[5]
    assert vectors[2] == vectors[4]
    assert vectors[6] == model.embed(["words of a node whose picture is at ''"])[0]
    assert len(emulator.requests) == 2
    asyncio.run(IngestionPipeline(transformations=[model]).arun(nodes=nodes))
    assert len(emulator.requests) == 3


def test_thousand_texts_and_200_pictures_in_one_call_need_fewest_requests(emulator: Emulator, tmp_path: Path) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")
    nodes: list[Any] = [TextNode(text=f"t{index}") for index in range(1000)]
    for index in range(200):
        nodes.insert(index * 5, ImageNode(image_path=picture))
    make(emulator)(nodes)
    assert len(emulator.requests) == 60
    assert all(node.embedding for node in nodes)
    assert emulator.refusals == []


def test_embeddings_cache_keeps_texts_and_pictures_are_embedded(emulator: Emulator, tmp_path: Path) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")
    model = make(emulator, embeddings_cache=SimpleKVStore())
    for requests in (2, 3):
        nodes = [TextNode(text="a"), ImageNode(image_path=picture)]
        model(nodes)
        assert len(emulator.requests) == requests
        assert nodes[0].embedding != nodes[1].embedding


def test_embedding_of_nodes_reports_to_callbacks(emulator: Emulator, tmp_path: Path) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")
    handler = RecordingCallbackHandler()
    model = make(emulator, callback_manager=CallbackManager([handler]))
    model([TextNode(text="a"), ImageNode(image_path=picture)])
    reranker = make_reranker(emulator, callback_manager=CallbackManager([handler]))
    reranker.postprocess_nodes([NodeWithScore(node=TextNode(text="a"))], query_str="a")
    assert handler.recorded == [
        ("start", CBEventType.EMBEDDING),
        ("end", CBEventType.EMBEDDING),
        ("start", CBEventType.RERANKING),
        ("end", CBEventType.RERANKING),
    ]
    assert "sk-test" not in str(handler.payloads)


@per_mode
def test_multi_modal_index_finds_pictures_by_text_and_by_picture(
    emulator: Emulator, is_async: bool, tmp_path: Path
) -> None:
    red = save_picture(tmp_path, "red", emulator, "a red rose")
    blue = save_picture(tmp_path, "blue", emulator, "the blue sea")
    model = make(emulator)
    index = MultiModalVectorStoreIndex(
        [
            # LlamaIndex leaves out nodes with neither text nor metadata.
            ImageNode(image_path=red, metadata={"file_name": "red.png"}),
            ImageNode(image_path=blue, metadata={"file_name": "blue.png"}),
            TextNode(text="some words"),
        ],
        embed_model=model,
        image_embed_model=model,
        use_async=is_async,
    )
    retriever = index.as_retriever(similarity_top_k=1, image_similarity_top_k=1)
    assert isinstance(retriever, MultiModalVectorIndexRetriever)
    found: Any = retriever.text_to_image_retrieve("sea")
    assert [node.node.image_path for node in found] == [blue]
    found = retriever.image_to_image_retrieve(red)
    assert [node.node.image_path for node in found] == [red]
    assert len(retriever.retrieve("some words")) == 2
    assert emulator.refusals == []


def test_page_pictures_of_reader_are_found_in_multi_modal_index(emulator: Emulator, tmp_path: Path) -> None:
    documents: list[Any] = QwenVLReader(mode="image", image_dir=tmp_path).load_data(scan(3))
    for document in documents:
        emulator.eyes.learn(Path(document.image_path).read_bytes(), f"page number {document.metadata['page_label']}")
    model = make(emulator)
    index = MultiModalVectorStoreIndex.from_documents(
        documents, embed_model=model, image_embed_model=model, transformations=[SentenceSplitter()]
    )
    (found,) = index.as_retriever(image_similarity_top_k=1).text_to_image_retrieve("number 2")
    assert found.metadata["page_number"] == 2
    assert len(emulator.requests) == 2


def test_plain_index_skips_nodes_without_text(emulator: Emulator, tmp_path: Path) -> None:
    picture = save_picture(tmp_path, "red", emulator, "red")
    index = VectorStoreIndex([ImageNode(image_path=picture), TextNode(text="red")], embed_model=make(emulator))
    assert len(index.as_retriever(similarity_top_k=5).retrieve("red")) == 1


@per_mode
def test_streams_of_pictures_are_read_twice(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    data = Path(save_picture(tmp_path, "red", emulator, "red")).read_bytes()
    model = make(emulator)
    streams: Any = [io.BytesIO(data) for _ in range(3)]
    vectors = (
        asyncio.run(model.aget_image_embedding_batch(streams)) if is_async else model.get_image_embedding_batch(streams)
    )
    assert vectors == model.embed(["red"]) * 3


@per_mode
def test_reranker_ranks_text_and_image_nodes(emulator: Emulator, is_async: bool, tmp_path: Path) -> None:
    red = save_picture(tmp_path, "red", emulator, "a red rose")
    nodes = [
        NodeWithScore(node=TextNode(text="nothing"), score=0.9),
        NodeWithScore(node=TextNode(text="a page", metadata={"image_path": red}), score=0.5),
        NodeWithScore(node=TextNode(text="red", metadata={"image_path": ""})),
        NodeWithScore(node=ImageNode(image_path=red), score=0.1),
    ]
    reranker = make_reranker(emulator, top_n=3)
    bundle = QueryBundle("red rose")
    best = (
        asyncio.run(reranker.apostprocess_nodes(nodes, bundle))
        if is_async
        else reranker.postprocess_nodes(nodes, bundle)
    )
    assert [(node.node.node_id, node.score) for node in best] == [
        (nodes[1].node.node_id, 1.0),
        (nodes[3].node.node_id, 1.0),
        (nodes[2].node.node_id, 0.5),
    ]
    assert [node.score for node in nodes] == [0.9, 0.5, None, 0.1]
    assert [kind for document in emulator.requests[0].json["input"]["documents"] for kind in document] == [
        "text",
        "image",
        "text",
        "image",
    ]
    assert reranker.postprocess_nodes([], bundle) == []
    with pytest.raises(QwenVLInputError, match="Missing query"):
        reranker.postprocess_nodes(nodes)
    by_picture = reranker.postprocess_nodes(nodes, QueryBundle("", image_path=red))
    assert by_picture[0].node is nodes[1].node
    assert len(emulator.requests) == 2
