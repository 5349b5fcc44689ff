"""Convert the `image_documents` of completions, in every form that LlamaIndex has used for them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock
from llama_index.core.schema import Document, ImageDocument, ImageNode, MediaResource, Node, NodeWithScore, TextNode
from PIL import Image
from pydantic import AnyUrl

from llama_index_qwenvl import QwenVL, video_frames
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator
from tests.llama_index.wire_parts import image_part, text_part
from tests.support.media_files import data_uri, solid_image

PNG, JPEG = solid_image(), solid_image(kind="JPEG")
URL = "https://example.com/a.png?Signature=ab%2Bc%3D"
ENCODED = base64.b64encode(PNG).decode()
DOCUMENTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "ImageNode(image)": (lambda directory: ImageNode(image=ENCODED), data_uri(PNG)),
    "ImageNode(path)": (lambda directory: ImageNode(image_path=str(directory / "a.png")), data_uri(PNG)),
    "ImageNode(url)": (lambda directory: ImageNode(image_url=URL), URL),
    "ImageNode(metadata)": (
        lambda directory: ImageNode(metadata={"file_path": str(directory / "a.png")}),
        data_uri(PNG),
    ),
    "ImageNode(url, metadata)": (lambda directory: ImageNode(image_url=URL, metadata={"file_path": "scan.pdf"}), URL),
    "ImageDocument(metadata)": (
        lambda directory: ImageDocument(metadata={"file_path": str(directory / "a.png")}),
        data_uri(PNG),
    ),
    "ImageDocument(image)": (lambda directory: ImageDocument(image=ENCODED), data_uri(PNG)),
    "ImageDocument(path)": (lambda directory: ImageDocument(image_path=str(directory / "a.png")), data_uri(PNG)),
    "ImageDocument(url)": (lambda directory: ImageDocument(image_resource=MediaResource(url=AnyUrl(URL))), URL),
    "Document": (lambda directory: Document(image_resource=MediaResource(data=PNG)), data_uri(PNG)),
    "Node": (lambda directory: Node(image_resource=MediaResource(path=directory / "a.png")), data_uri(PNG)),
    "NodeWithScore": (lambda directory: NodeWithScore(node=ImageNode(image=ENCODED)), data_uri(PNG)),
    "ImageBlock": (lambda directory: ImageBlock(image=PNG), data_uri(PNG)),
    "URL": (lambda directory: URL, URL),
    "data URI": (lambda directory: data_uri(PNG), data_uri(PNG)),
    "path": (lambda directory: str(directory / "a.png"), data_uri(PNG)),
    "Path": (lambda directory: directory / "a.png", data_uri(PNG)),
    "bytes": (lambda directory: PNG, data_uri(PNG)),
    "bytearray": (lambda directory: bytearray(PNG), data_uri(PNG)),
    "file object": (lambda directory: io.BytesIO(PNG), data_uri(PNG)),
    "Pillow image": (lambda directory: Image.open(io.BytesIO(PNG)), data_uri(PNG)),
}


@pytest.mark.parametrize("is_single", [False, True])
@pytest.mark.parametrize(("build", "url"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_complete_with_image_document_sends_image(
    emulator: Emulator, llm: QwenVL, directory: Path, build: Callable[[Path], Any], url: str, is_single: bool
) -> None:
    emulator.strict = False
    document = build(directory)
    llm.complete("What is this?", image_documents=document if is_single else [document])
    content = emulator.requests[0].json["messages"][0]["content"]
    assert content == [image_part(url), text_part("What is this?")]


async def test_image_documents_are_sent_by_every_completion_method(emulator: Emulator, llm: QwenVL) -> None:
    documents = [PNG, video_frames([URL] * 4)]
    llm.complete("?", image_documents=documents)
    list(llm.stream_complete("?", image_documents=documents))
    await llm.acomplete("?", image_documents=documents)
    async for _ in await llm.astream_complete("?", image_documents=documents):
        pass
    bodies = [request.json for request in emulator.requests]
    assert bodies == [bodies[0]] * 4
    assert [part["type"] for part in bodies[0]["messages"][0]["content"]] == ["image_url", "video", "text"]


@pytest.mark.parametrize("documents", [None, []])
def test_complete_without_image_documents_sends_text_only(emulator: Emulator, llm: QwenVL, documents: Any) -> None:
    llm.complete("?", image_documents=documents)
    assert emulator.requests[0].json["messages"] == [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("document", [TextNode(text="a"), Node(), 3])
def test_image_document_without_image_raises_with_index(llm: QwenVL, document: Any) -> None:
    with pytest.raises(QwenVLInputError, match=r"image_documents\[1\]"):
        llm.complete("?", image_documents=[PNG, document])


def test_legacy_images_key_sends_each_image_once(emulator: Emulator, llm: QwenVL) -> None:
    """LlamaIndex appends the images as blocks again each time it validates the message for an event."""
    documents = [ImageDocument(image=ENCODED), ImageDocument(image=base64.b64encode(JPEG).decode())]
    message = ChatMessage(role="user", content="?", additional_kwargs={"images": documents})
    for _ in range(3):
        llm.chat([message])
        content = emulator.requests[-1].json["messages"][0]["content"]
        assert content == [text_part("?"), image_part(data_uri(PNG)), image_part(data_uri(JPEG, "image/jpeg"))]
