"""Every block, as it stands in the request; and what can't be said is an error that names its place."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.schema import Document, ImageDocument, ImageNode, MediaResource, Node, NodeWithScore, TextNode
from PIL import Image
from pydantic import AnyUrl

from llama_index_qwenvl import QwenVL, video, video_frames
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator
from tests.llama_index.media import MP4, image, uri

PNG, JPEG = image(), image(kind="JPEG")
URL = "https://example.com/a.png?Signature=ab%2Bc%3D"
FILM = "https://example.com/walk.mp4"


def image_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **hints}


def video_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **hints}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, data in {"a.png": PNG, "wrong.png": JPEG, "no-suffix": PNG, "a.mp4": MP4, "a.txt": b"Hello."}.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def sent(emulator: Emulator, llm: QwenVL, blocks: Sequence[Any], **beside: Any) -> Any:
    """The content of the one message that these blocks make."""
    emulator.strict = False
    llm.chat([ChatMessage(role="user", blocks=list(blocks), additional_kwargs=beside)])
    return emulator.requests[-1].json["messages"][0]["content"]


IMAGES: dict[str, tuple[Callable[[Path], ImageBlock], str]] = {
    "URL": (lambda at: ImageBlock(url=URL), URL),
    "URL without a suffix": (lambda at: ImageBlock(url="https://example.com/img?id=3"), "https://example.com/img?id=3"),
    "URL in the vendor's storage": (lambda at: ImageBlock(url="oss://bucket/a.png"), "oss://bucket/a.png"),
    "data URI": (lambda at: ImageBlock(url=uri(PNG)), uri(PNG)),
    "data URI without a type": (lambda at: ImageBlock(url=uri(PNG, "None")), uri(PNG)),
    "data URI of a wrong type": (lambda at: ImageBlock(url=uri(JPEG, "image/png")), uri(JPEG, "image/jpeg")),
    "data URI of a made-up type": (lambda at: ImageBlock(url=uri(PNG, "image/jpg")), uri(PNG)),
    "path": (lambda at: ImageBlock(path=at / "a.png"), uri(PNG)),
    "path of a wrong suffix": (lambda at: ImageBlock(path=at / "wrong.png"), uri(JPEG, "image/jpeg")),
    "path without a suffix": (lambda at: ImageBlock(path=at / "no-suffix"), uri(PNG)),
    "file URL": (lambda at: ImageBlock(url=(at / "a.png").as_uri()), uri(PNG)),
    "bytes": (lambda at: ImageBlock(image=PNG), uri(PNG)),
    "bytes of a wrong type": (lambda at: ImageBlock(image=JPEG, image_mimetype="image/png"), uri(JPEG, "image/jpeg")),
    "base64": (lambda at: ImageBlock(image=base64.b64encode(PNG)), uri(PNG)),
    "file object": (lambda at: ImageBlock(image=io.BytesIO(PNG)), uri(PNG)),
    "subclass": (lambda at: type("MyImage", (ImageBlock,), {})(image=PNG), uri(PNG)),
}


@pytest.mark.parametrize(("build", "url"), IMAGES.values(), ids=IMAGES)
def test_images(emulator: Emulator, llm: QwenVL, files: Path, build: Callable[[Path], ImageBlock], url: str) -> None:
    assert sent(emulator, llm, [build(files), TextBlock(text="?")]) == [image_part(url), {"type": "text", "text": "?"}]


VIDEOS: dict[str, tuple[Callable[[Path], VideoBlock], dict[str, Any]]] = {
    "URL": (lambda at: VideoBlock(url=FILM), video_part(FILM)),
    "URL with a rate": (lambda at: VideoBlock(url=FILM, fps=4), video_part(FILM, fps=4)),
    "path": (lambda at: VideoBlock(path=at / "a.mp4"), video_part(uri(MP4, "video/mp4"))),
    "bytes": (lambda at: VideoBlock(video=MP4), video_part(uri(MP4, "video/mp4"))),
    "file object": (lambda at: VideoBlock(video=io.BytesIO(MP4)), video_part(uri(MP4, "video/mp4"))),
    "data URI without a type": (lambda at: VideoBlock(url=uri(MP4, "None")), video_part(uri(MP4, "video/mp4"))),
    "video(URL)": (lambda at: video(FILM), video_part(FILM)),
    "video(URL, whole rate)": (lambda at: video(FILM, 2), video_part(FILM, fps=2)),
    "video(URL, fraction)": (lambda at: video(FILM, 0.5), video_part(FILM, fps=0.5)),
    "video(path)": (lambda at: video(str(at / "a.mp4"), fps=0.1), video_part(uri(MP4, "video/mp4"), fps=0.1)),
    "video(Path)": (lambda at: video(at / "a.mp4"), video_part(uri(MP4, "video/mp4"))),
    "video(bytes)": (lambda at: video(MP4, 1), video_part(uri(MP4, "video/mp4"), fps=1)),
    "video(data URI)": (lambda at: video(uri(MP4, "video/mp4")), video_part(uri(MP4, "video/mp4"))),
    "video(bounds)": (
        lambda at: video(FILM, fps=1.5, min_pixels=100, max_pixels=200, total_pixels=300),
        video_part(FILM, fps=1.5, min_pixels=100, max_pixels=200, total_pixels=300),
    ),
    "video_frames(URLs)": (
        lambda at: video_frames([URL] * 4, fps=0.5),
        {"type": "video", "video": [URL] * 4, "fps": 0.5},
    ),
    "video_frames(files)": (
        lambda at: video_frames([str(at / "a.png"), at / "a.png", PNG, uri(PNG), io.BytesIO(PNG)]),
        {"type": "video", "video": [uri(PNG)] * 5},
    ),
    "video_frames(bounds)": (
        lambda at: video_frames([URL] * 4, 2, min_pixels=1, max_pixels=2, total_pixels=3),
        {"type": "video", "video": [URL] * 4, "fps": 2, "min_pixels": 1, "max_pixels": 2, "total_pixels": 3},
    ),
}


@pytest.mark.parametrize(("build", "part"), VIDEOS.values(), ids=VIDEOS)
@pytest.mark.parametrize("stored", [False, True], ids=["at once", "stored"])
def test_videos(
    emulator: Emulator, llm: QwenVL, files: Path, build: Callable[[Path], VideoBlock], part: Any, stored: bool
) -> None:
    message = ChatMessage(role="user", blocks=[build(files), TextBlock(text="?")])
    if stored:
        message = ChatMessage.model_validate_json(message.model_dump_json())
    assert all(type(block) in (VideoBlock, TextBlock) for block in message.blocks)
    emulator.strict = False
    llm.chat([message])
    assert emulator.requests[0].json["messages"][0]["content"] == [part, {"type": "text", "text": "?"}]


async def test_a_frame_list_can_be_estimated_without_a_network() -> None:
    message = ChatMessage(role="user", blocks=[video_frames([URL] * 4)])
    assert await message.aestimate_tokens(tokenizer=str.split) > 0


def test_paths_of_a_tool_s_code_are_read(emulator: Emulator, llm: QwenVL, files: Path) -> None:
    """Also as frames, and also from a stored message."""
    path = files / "a.png"
    call = ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})])
    result = ChatMessage(
        role="tool",
        blocks=[ImageBlock(path=path), video_frames([path] * 4, fps=2)],
        additional_kwargs={"tool_call_id": "1"},
    )
    for message in (result, ChatMessage.model_validate_json(result.model_dump_json())):
        llm.chat([ChatMessage(role="user", content="Look."), call, message])
        shown = emulator.requests[-1].json["messages"][-1]["content"]
        assert shown == [image_part(uri(PNG)), {"type": "video", "video": [uri(PNG)] * 4, "fps": 2}]


@pytest.mark.parametrize("frames", [[], "walk.mp4", b"walk", [3]])
def test_what_is_no_frame_list(frames: Any) -> None:
    with pytest.raises(QwenVLInputError, match="video_frames"):
        video_frames(frames)


def test_what_is_no_video() -> None:
    with pytest.raises(QwenVLInputError, match="video"):
        video(3)
    with pytest.raises(ValueError, match="file"):
        video("no/such/file.mp4")


# --- Hints: the block's own win over the message's, those over the call's, those over the model's --------------


@pytest.mark.parametrize(
    ("detail", "hints"),
    [
        (None, {}),
        ("auto", {}),
        ("low", {"max_pixels": 512 * 512}),
        ("high", {"max_pixels": 16_384 * 32 * 32}),
        ('{"max_pixels": 9, "min_pixels": 3}', {"max_pixels": 9, "min_pixels": 3}),
    ],
)
def test_detail_of_an_image(emulator: Emulator, llm: QwenVL, detail: str | None, hints: dict[str, int]) -> None:
    assert sent(emulator, llm, [ImageBlock(url=URL, detail=detail)]) == [image_part(URL, **hints)]


def test_high_detail_depends_on_the_model(emulator: Emulator, llm: QwenVL) -> None:
    message = ChatMessage(role="user", blocks=[ImageBlock(url=URL, detail="high")])
    llm.chat([message], model="qwen2.5-vl-7b-instruct")
    part = emulator.requests[0].json["messages"][0]["content"][0]
    assert part["max_pixels"] == 16_384 * 28 * 28


def test_whose_hint_wins(emulator: Emulator, llm: QwenVL) -> None:
    emulator.strict = False
    plain, own = VideoBlock(url=FILM), video(FILM, fps=4, max_pixels=40)
    asks: list[tuple[VideoBlock, dict[str, Any], dict[str, Any]]] = [
        (plain, {}, {}), (plain, {}, {"fps": 2}), (plain, {"qwen_vl": {"fps": 3}}, {"fps": 2}),
        (own, {"qwen_vl": {"fps": 3, "max_pixels": 30}}, {"fps": 2, "max_pixels": 20}),
    ]  # fmt: skip
    llm = llm.model_copy(update={"fps": 1, "max_pixels": 10})
    for block, beside, call in asks:
        llm.chat([ChatMessage(role="user", blocks=[block], additional_kwargs=beside)], **call)
    parts = [request.json["messages"][0]["content"][0] for request in emulator.requests]
    assert [(part["fps"], part["max_pixels"]) for part in parts] == [(1, 10), (2, 10), (3, 10), (4, 40)]


# --- Text, quotations, documents, cache points -----------------------------------------------------------------

CACHE = CachePoint(cache_control=CacheControl(type="ephemeral"))
MARK = {"cache_control": {"type": "ephemeral"}}


def text_part(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


TEXTS: dict[str, tuple[list[Any], Any]] = {
    "one text": ([TextBlock(text="Hello.")], "Hello."),
    "two texts": ([TextBlock(text="a"), TextBlock(text="b")], [text_part("a"), text_part("b")]),
    "an empty text": ([TextBlock(text=""), TextBlock(text="b")], "b"),
    "text like a path": ([TextBlock(text="/etc/hosts")], "/etc/hosts"),
    "cache after text": ([TextBlock(text="a"), CACHE, TextBlock(text="b")], [text_part("a", **MARK), text_part("b")]),
    "cache after an image": (
        [ImageBlock(url=URL), CACHE, TextBlock(text="b")],
        [image_part(URL, **MARK), text_part("b")],
    ),
    "cache after nothing": ([CACHE, TextBlock(text="b")], "b"),
    "citable": (
        [CitableBlock(title="Law", source="law.pdf", content=[TextBlock(text="§ 1"), ImageBlock(url=URL)])],
        [text_part("Law (law.pdf)"), text_part("§ 1"), image_part(URL)],
    ),
    "citation": (
        [CitationBlock(title="Law", source="Law", cited_content=TextBlock(text="§ 1"), additional_location_info={})],
        [text_part("Law"), text_part("§ 1")],
    ),
    "text document": ([DocumentBlock(data=b"Hello.", document_mimetype="text/plain")], "Hello."),
    "image document": ([DocumentBlock(data=PNG)], [image_part(uri(PNG))]),
    "image document by URL": (
        [DocumentBlock(url="https://example.com/a.png")],
        [image_part("https://example.com/a.png")],
    ),
}


@pytest.mark.parametrize(("blocks", "content"), TEXTS.values(), ids=TEXTS)
def test_other_blocks(emulator: Emulator, llm: QwenVL, blocks: list[Any], content: Any) -> None:
    assert sent(emulator, llm, blocks) == content


TEXT_DOCUMENTS: dict[str, Callable[[Path], DocumentBlock]] = {
    "bytes": lambda at: DocumentBlock(data=b"Hello.", document_mimetype="text/plain"),
    "path": lambda at: DocumentBlock(path=at / "a.txt"),
    "file URL": lambda at: DocumentBlock(url=(at / "a.txt").as_uri()),
    "file object": lambda at: DocumentBlock(data=io.BytesIO(b"Hello."), document_mimetype="text/plain"),
    "data URI": lambda at: DocumentBlock(url="data:text/plain;base64,SGVsbG8u"),
    "plain data URI": lambda at: DocumentBlock(url="data:text/plain,Hello."),
}


@pytest.mark.parametrize("build", TEXT_DOCUMENTS.values(), ids=TEXT_DOCUMENTS)
def test_a_text_document(emulator: Emulator, llm: QwenVL, files: Path, build: Callable[[Path], DocumentBlock]) -> None:
    assert sent(emulator, llm, [build(files)]) == "Hello."


def test_what_is_no_text_document(emulator: Emulator, llm: QwenVL, files: Path) -> None:
    (files / "gone.txt").write_bytes(b"\xff\xfe")
    block = DocumentBlock(path=files / "gone.txt")
    for why in ("not readable UTF-8 text", "No such file"):
        with pytest.raises(QwenVLInputError, match=rf"blocks\[0\] \(document\).*{why}"):
            sent(emulator, llm, [block])
        (files / "gone.txt").unlink(missing_ok=True)


# --- What can't be said ------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, list[Any], str]] = {
    "audio": ("user", [TextBlock(text="a"), AudioBlock(audio=b"x")], r"messages\[1\]\.blocks\[1\] \(audio\)"),
    "PDF": ("user", [DocumentBlock(data=b"%PDF-1.7")], r"blocks\[0\] \(document\).*can.t read this PDF"),
    "empty image": ("user", [ImageBlock()], r"blocks\[0\] \(image\).*the block has no media"),
    "no image": ("user", [ImageBlock(image=b"not an image at all")], r"blocks\[0\] \(image\).*not an image"),
    "a video as image": ("user", [ImageBlock(image=MP4)], r"not an image; it looks like video/mp4"),
    "a rate of nothing": ("user", [video(FILM, 0)], r"blocks\[0\] \(video\).*fps=0: .*from 0.1 to 10"),
    "strange scheme": ("user", [ImageBlock(url="ftp://example.com/a.png")], "ftp"),
    "strange detail": ("user", [ImageBlock(url=URL, detail="ultra")], "ultra.*auto, low, high"),
    "broken detail": ("user", [ImageBlock(url=URL, detail="{max_pixels: 3}")], "detail is not a valid JSON object"),
    "unknown hint": ("user", [VideoBlock(url=FILM, detail='{"speed": 3}')], "speed.*fps"),
    "text document by URL": ("user", [DocumentBlock(url="https://example.com/a.txt")], "TextBlock"),
    "image of the system": ("system", [ImageBlock(url=URL)], r"\(image\).*system messages take text only"),
    "image of the assistant": ("assistant", [ImageBlock(url=URL)], "assistant messages take text only"),
    "frames of the system": ("system", [video_frames([URL])], "system messages take text only"),
    "file URL of a tool": ("tool", [ImageBlock(url="file:///etc/hosts")], "read from disk only in"),
    "frames that are not a list": (
        "user", [VideoBlock(url=FILM, detail='{"frames": "a.jpg"}')], "frames in detail must be a list, not str"
    ),
    "frame path of a tool": ("tool", [video_frames(["/etc/hosts"])], "read from disk only in"),
    "document path of a tool": ("tool", [DocumentBlock(path="a.txt", document_mimetype="text/plain")], "TextBlock"),
}  # fmt: skip


@pytest.mark.parametrize(("role", "blocks", "why"), WRONG.values(), ids=WRONG)
def test_what_cant_be_said(emulator: Emulator, llm: QwenVL, role: str, blocks: list[Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        llm.chat([ChatMessage(role="user", content="First."), ChatMessage(role=role, blocks=blocks)])
    assert isinstance(caught.value, QwenVLInputError)
    assert "messages[1]" in str(caught.value)
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("override", "why"),
    [({"max_pixel": 3}, "max_pixel'.*max_pixels"), ("max_pixels", "a dict of fps"), ([3], "a dict of fps")],
)
def test_what_is_no_override_is_an_error(emulator: Emulator, llm: QwenVL, override: Any, why: str) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[0\].*{why}"):
        sent(emulator, llm, [TextBlock(text="a")], qwen_vl=override)


def test_a_file_object_is_left_as_it_was(emulator: Emulator, llm: QwenVL) -> None:
    file = io.BytesIO(PNG)
    file.seek(5)
    for _ in range(2):
        assert sent(emulator, llm, [ImageBlock(image=file)]) == [image_part(uri(PNG))]
        assert file.tell() == 5


# --- image_documents ---------------------------------------------------------------------------------------------

ENCODED = base64.b64encode(PNG).decode()
DOCUMENTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "ImageNode(image)": (lambda at: ImageNode(image=ENCODED), uri(PNG)),
    "ImageNode(path)": (lambda at: ImageNode(image_path=str(at / "a.png")), uri(PNG)),
    "ImageNode(url)": (lambda at: ImageNode(image_url=URL), URL),
    "ImageNode(metadata)": (lambda at: ImageNode(metadata={"file_path": str(at / "a.png")}), uri(PNG)),
    "ImageNode(url, metadata)": (lambda at: ImageNode(image_url=URL, metadata={"file_path": "scan.pdf"}), URL),
    "ImageDocument(metadata)": (lambda at: ImageDocument(metadata={"file_path": str(at / "a.png")}), uri(PNG)),
    "ImageDocument(image)": (lambda at: ImageDocument(image=ENCODED), uri(PNG)),
    "ImageDocument(path)": (lambda at: ImageDocument(image_path=str(at / "a.png")), uri(PNG)),
    "ImageDocument(url)": (lambda at: ImageDocument(image_resource=MediaResource(url=AnyUrl(URL))), URL),
    "Document": (lambda at: Document(image_resource=MediaResource(data=PNG)), uri(PNG)),
    "Node": (lambda at: Node(image_resource=MediaResource(path=at / "a.png")), uri(PNG)),
    "NodeWithScore": (lambda at: NodeWithScore(node=ImageNode(image=ENCODED)), uri(PNG)),
    "ImageBlock": (lambda at: ImageBlock(image=PNG), uri(PNG)),
    "URL": (lambda at: URL, URL),
    "data URI": (lambda at: uri(PNG), uri(PNG)),
    "path": (lambda at: str(at / "a.png"), uri(PNG)),
    "Path": (lambda at: at / "a.png", uri(PNG)),
    "bytes": (lambda at: PNG, uri(PNG)),
    "bytearray": (lambda at: bytearray(PNG), uri(PNG)),
    "file object": (lambda at: io.BytesIO(PNG), uri(PNG)),
    "Pillow image": (lambda at: Image.open(io.BytesIO(PNG)), uri(PNG)),
}


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("build", "url"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_image_documents(
    emulator: Emulator, llm: QwenVL, files: Path, build: Callable[[Path], Any], url: str, alone: bool
) -> None:
    emulator.strict = False
    document = build(files)
    llm.complete("What is this?", image_documents=document if alone else [document])
    content = emulator.requests[0].json["messages"][0]["content"]
    assert content == [image_part(url), text_part("What is this?")]


async def test_image_documents_in_every_completion(emulator: Emulator, llm: QwenVL) -> None:
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
def test_no_image_documents(emulator: Emulator, llm: QwenVL, documents: Any) -> None:
    llm.complete("?", image_documents=documents)
    assert emulator.requests[0].json["messages"] == [{"role": "user", "content": "?"}]


@pytest.mark.parametrize("document", [TextNode(text="a"), Node(), 3])
def test_what_is_no_image_document(llm: QwenVL, document: Any) -> None:
    with pytest.raises(QwenVLInputError, match=r"image_documents\[1\]"):
        llm.complete("?", image_documents=[PNG, document])


def test_the_legacy_key_for_images(emulator: Emulator, llm: QwenVL) -> None:
    """LlamaIndex turns the key into blocks, once more with each event that it makes of the message."""
    documents = [ImageDocument(image=ENCODED), ImageDocument(image=base64.b64encode(JPEG).decode())]
    message = ChatMessage(role="user", content="?", additional_kwargs={"images": documents})
    for _ in range(3):
        llm.chat([message])
        content = emulator.requests[-1].json["messages"][0]["content"]
        assert content == [text_part("?"), image_part(uri(PNG)), image_part(uri(JPEG, "image/jpeg"))]
