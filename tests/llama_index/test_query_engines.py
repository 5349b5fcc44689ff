"""Query engines: images that LlamaIndex inlines into prompts are sent to the model unchanged."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from llama_index.core.base.response.schema import PydanticResponse
from llama_index.core.indices.prompt_helper import ChatPromptHelper
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import ImageNode, MediaResource, Node, NodeWithScore, QueryBundle, TextNode
from pydantic import BaseModel

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Reply
from tests.support.media_files import data_uri, solid_image

PNG, JPEG = solid_image(), solid_image(kind="JPEG")
NODES = [
    TextNode(text="The receipt is from May."),
    ImageNode(image=base64.b64encode(PNG).decode()),
    Node(image_resource=MediaResource(data=JPEG, mimetype="image/jpeg")),
]


class AllNodesRetriever(BaseRetriever):
    """Return all nodes for every query."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=1.0) for node in NODES]


def image_urls(body: dict[str, Any]) -> list[str]:
    """Return the URLs of all images in a request."""
    parts = [
        part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.SIMPLE_SUMMARIZE])
def test_query_with_image_nodes_sends_all_images(emulator: Emulator, llm: QwenVL, mode: ResponseMode) -> None:
    emulator.respond = lambda request: Reply(reasoning="Hm.", text="In May.")
    # Before 0.14.24 LlamaIndex assumes a context window of 3,900 tokens unless a helper is passed.
    helper = ChatPromptHelper.from_llm_metadata(llm.metadata)
    synthesizer = get_response_synthesizer(llm, chat_prompt_helper=helper, response_mode=mode, multimodal=True)
    engine = RetrieverQueryEngine(AllNodesRetriever(), synthesizer)
    assert str(engine.query("When was it?")) == "In May."
    urls = [url for request in emulator.requests for url in image_urls(request.json)]
    assert set(urls) == {data_uri(PNG), data_uri(JPEG, "image/jpeg")}
    assert emulator.refusals == []


def test_query_streaming_yields_answer_text(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = lambda request: Reply(reasoning="Hm.", text="In May.")
    engine = RetrieverQueryEngine.from_args(AllNodesRetriever(), llm=llm, multimodal=True, streaming=True)
    response: Any = engine.query("When was it?")
    assert "".join(response.response_gen) == "In May."


def test_citation_query_engine_returns_answer(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = lambda request: Reply(text="In May [1].")
    engine = CitationQueryEngine(AllNodesRetriever(), llm=llm, multimodal=True)
    assert str(engine.query("When was it?")) == "In May [1]."
    assert emulator.refusals == []


def test_synthesize_with_output_class_returns_object(emulator: Emulator, llm: QwenVL) -> None:
    class Purchase(BaseModel):
        """The date of a purchase."""

        month: str

    emulator.respond = lambda request: Reply(text='{"month": "May"}')
    synthesizer = get_response_synthesizer(llm=llm, output_cls=Purchase, multimodal=True)
    response = synthesizer.synthesize("When was it?", nodes=[NodeWithScore(node=node) for node in NODES])
    assert isinstance(response, PydanticResponse)
    assert response.response == Purchase(month="May")
    assert emulator.refusals == []
