"""Retrieval: pictures that the framework inlines, in its own way, reach the model whole."""

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
from tests.llama_index.media import image, uri

PNG, JPEG = image(), image(kind="JPEG")
NODES = [
    TextNode(text="The receipt is from May."),
    ImageNode(image=base64.b64encode(PNG).decode()),
    Node(image_resource=MediaResource(data=JPEG, mimetype="image/jpeg")),
]


class Everything(BaseRetriever):
    """Finds all there is."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=1.0) for node in NODES]


def pictures(body: dict[str, Any]) -> list[str]:
    parts = [
        part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.SIMPLE_SUMMARIZE])
def test_retrieved_pictures(emulator: Emulator, llm: QwenVL, mode: ResponseMode) -> None:
    emulator.respond = lambda request: Reply(reasoning="Hm.", text="In May.")
    # Below 0.14.24 the framework has the room of a context window of 3,900 tokens, unless it is told.
    helper = ChatPromptHelper.from_llm_metadata(llm.metadata)
    synthesizer = get_response_synthesizer(llm, chat_prompt_helper=helper, response_mode=mode, multimodal=True)
    engine = RetrieverQueryEngine(Everything(), synthesizer)
    assert str(engine.query("When was it?")) == "In May."
    found = [url for request in emulator.requests for url in pictures(request.json)]
    assert set(found) == {uri(PNG), uri(JPEG, "image/jpeg")}
    assert emulator.refusals == []


def test_a_streamed_answer(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = lambda request: Reply(reasoning="Hm.", text="In May.")
    engine = RetrieverQueryEngine.from_args(Everything(), llm=llm, multimodal=True, streaming=True)
    response: Any = engine.query("When was it?")
    assert "".join(response.response_gen) == "In May."


def test_citations(emulator: Emulator, llm: QwenVL) -> None:
    emulator.respond = lambda request: Reply(text="In May [1].")
    engine = CitationQueryEngine(Everything(), llm=llm, multimodal=True)
    assert str(engine.query("When was it?")) == "In May [1]."
    assert emulator.refusals == []


def test_a_structured_answer(emulator: Emulator, llm: QwenVL) -> None:
    class When(BaseModel):
        """When it was."""

        month: str

    emulator.respond = lambda request: Reply(text='{"month": "May"}')
    synthesizer = get_response_synthesizer(llm=llm, output_cls=When, multimodal=True)
    response = synthesizer.synthesize("When was it?", nodes=[NodeWithScore(node=node) for node in NODES])
    assert isinstance(response, PydanticResponse)
    assert response.response == When(month="May")
    assert emulator.refusals == []
