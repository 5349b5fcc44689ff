"""Convert every content block to its wire form; unsupported content raises an error with its location."""

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

from llama_index_qwenvl import QwenVL, video, video_frames
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator
from tests.llama_index.wire_parts import image_part, text_part, video_part
from tests.support.media_files import MP4_HEAD, data_uri, solid_image

PNG, JPEG = solid_image(), solid_image(kind="JPEG")
URL = "https://example.com/a.png?Signature=ab%2Bc%3D"
VIDEO_URL = "https://example.com/walk.mp4"


def send_blocks(emulator: Emulator, llm: QwenVL, blocks: Sequence[Any], **additional_kwargs: Any) -> Any:
    """Send one user message of these blocks and return its content on the wire."""
    emulator.strict = False
    llm.chat([ChatMessage(role="user", blocks=list(blocks), additional_kwargs=additional_kwargs)])
    return emulator.requests[-1].json["messages"][0]["content"]


IMAGES: dict[str, tuple[Callable[[Path], ImageBlock], str]] = {
    "URL": (lambda directory: ImageBlock(url=URL), URL),
    "URL without a suffix": (
        lambda directory: ImageBlock(url="https://example.com/img?id=3"),
        "https://example.com/img?id=3",
    ),
    "URL in the vendor's storage": (lambda directory: ImageBlock(url="oss://bucket/a.png"), "oss://bucket/a.png"),
    "data URI": (lambda directory: ImageBlock(url=data_uri(PNG)), data_uri(PNG)),
    "data URI without a type": (lambda directory: ImageBlock(url=data_uri(PNG, "None")), data_uri(PNG)),
    "data URI of a wrong type": (
        lambda directory: ImageBlock(url=data_uri(JPEG, "image/png")),
        data_uri(JPEG, "image/jpeg"),
    ),
    "data URI of an unregistered type": (lambda directory: ImageBlock(url=data_uri(PNG, "image/jpg")), data_uri(PNG)),
    "path": (lambda directory: ImageBlock(path=directory / "a.png"), data_uri(PNG)),
    "path of a wrong suffix": (
        lambda directory: ImageBlock(path=directory / "wrong.png"),
        data_uri(JPEG, "image/jpeg"),
    ),
    "path without a suffix": (lambda directory: ImageBlock(path=directory / "no-suffix"), data_uri(PNG)),
    "file URL": (lambda directory: ImageBlock(url=(directory / "a.png").as_uri()), data_uri(PNG)),
    "bytes": (lambda directory: ImageBlock(image=PNG), data_uri(PNG)),
    "bytes of a wrong type": (
        lambda directory: ImageBlock(image=JPEG, image_mimetype="image/png"),
        data_uri(JPEG, "image/jpeg"),
    ),
    "base64": (lambda directory: ImageBlock(image=base64.b64encode(PNG)), data_uri(PNG)),
    "file object": (lambda directory: ImageBlock(image=io.BytesIO(PNG)), data_uri(PNG)),
    "subclass": (lambda directory: type("MyImage", (ImageBlock,), {})(image=PNG), data_uri(PNG)),
}


@pytest.mark.parametrize(("build", "url"), IMAGES.values(), ids=IMAGES)
def test_image_block_is_sent_as_image_url(
    emulator: Emulator, llm: QwenVL, directory: Path, build: Callable[[Path], ImageBlock], url: str
) -> None:
    llm = llm.model_copy(update={"local_files": directory})
    assert send_blocks(emulator, llm, [build(directory), TextBlock(text="?")]) == [
        image_part(url),
        {"type": "text", "text": "?"},
    ]


VIDEOS: dict[str, tuple[Callable[[Path], VideoBlock], dict[str, Any]]] = {
    "URL": (lambda directory: VideoBlock(url=VIDEO_URL), video_part(VIDEO_URL)),
    "URL with a rate": (lambda directory: VideoBlock(url=VIDEO_URL, fps=4), video_part(VIDEO_URL, fps=4)),
    "path": (lambda directory: VideoBlock(path=directory / "a.mp4"), video_part(data_uri(MP4_HEAD, "video/mp4"))),
    "bytes": (lambda directory: VideoBlock(video=MP4_HEAD), video_part(data_uri(MP4_HEAD, "video/mp4"))),
    "file object": (
        lambda directory: VideoBlock(video=io.BytesIO(MP4_HEAD)),
        video_part(data_uri(MP4_HEAD, "video/mp4")),
    ),
    "data URI without a type": (
        lambda directory: VideoBlock(url=data_uri(MP4_HEAD, "None")),
        video_part(data_uri(MP4_HEAD, "video/mp4")),
    ),
    "video(URL)": (lambda directory: video(VIDEO_URL), video_part(VIDEO_URL)),
    "video(URL, whole rate)": (lambda directory: video(VIDEO_URL, 2), video_part(VIDEO_URL, fps=2)),
    "video(URL, fraction)": (lambda directory: video(VIDEO_URL, 0.5), video_part(VIDEO_URL, fps=0.5)),
    "video(path)": (
        lambda directory: video(str(directory / "a.mp4"), fps=0.1),
        video_part(data_uri(MP4_HEAD, "video/mp4"), fps=0.1),
    ),
    "video(Path)": (lambda directory: video(directory / "a.mp4"), video_part(data_uri(MP4_HEAD, "video/mp4"))),
    "video(bytes)": (lambda directory: video(MP4_HEAD, 1), video_part(data_uri(MP4_HEAD, "video/mp4"), fps=1)),
    "video(data URI)": (
        lambda directory: video(data_uri(MP4_HEAD, "video/mp4")),
        video_part(data_uri(MP4_HEAD, "video/mp4")),
    ),
    "video(bounds)": (
        lambda directory: video(VIDEO_URL, fps=1.5, min_pixels=100, max_pixels=200, total_pixels=300),
        video_part(VIDEO_URL, fps=1.5, min_pixels=100, max_pixels=200, total_pixels=300),
    ),
    "video_frames(URLs)": (
        lambda directory: video_frames([URL] * 4, fps=0.5),
        {"type": "video", "video": [URL] * 4, "fps": 0.5},
    ),
    "video_frames(files)": (
        lambda directory: video_frames(
            [str(directory / "a.png"), directory / "a.png", PNG, data_uri(PNG), io.BytesIO(PNG)]
        ),
        {"type": "video", "video": [data_uri(PNG)] * 5},
    ),
    "video_frames(bounds)": (
        lambda directory: video_frames([URL] * 4, 2, min_pixels=1, max_pixels=2, total_pixels=3),
        {"type": "video", "video": [URL] * 4, "fps": 2, "min_pixels": 1, "max_pixels": 2, "total_pixels": 3},
    ),
}


@pytest.mark.parametrize(("build", "part"), VIDEOS.values(), ids=VIDEOS)
@pytest.mark.parametrize("stored", [False, True], ids=["direct", "stored"])
def test_video_block_is_sent_directly_and_after_storage(
    emulator: Emulator, llm: QwenVL, directory: Path, build: Callable[[Path], VideoBlock], part: Any, stored: bool
) -> None:
    message = ChatMessage(role="user", blocks=[build(directory), TextBlock(text="?")])
    if stored:
        message = ChatMessage.model_validate_json(message.model_dump_json())
    assert all(type(block) in (VideoBlock, TextBlock) for block in message.blocks)
    emulator.strict = False
    llm.model_copy(update={"local_files": directory}).chat([message])
    assert emulator.requests[0].json["messages"][0]["content"] == [part, {"type": "text", "text": "?"}]


async def test_frame_list_token_estimate_needs_no_network() -> None:
    message = ChatMessage(role="user", blocks=[video_frames([URL] * 4)])
    assert await message.aestimate_tokens(tokenizer=str.split) > 0


def test_tool_result_with_path_objects_is_read_from_disk(emulator: Emulator, llm: QwenVL, directory: Path) -> None:
    """Paths of frames are read as well, and those of a message restored from JSON."""
    path = directory / "a.png"
    call = ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})])
    result = ChatMessage(
        role="tool",
        blocks=[ImageBlock(path=path), video_frames([path] * 4, fps=2)],
        additional_kwargs={"tool_call_id": "1"},
    )
    for message in (result, ChatMessage.model_validate_json(result.model_dump_json())):
        llm.chat([ChatMessage(role="user", content="Look."), call, message])
        content = emulator.requests[-1].json["messages"][-1]["content"]
        assert content == [image_part(data_uri(PNG)), {"type": "video", "video": [data_uri(PNG)] * 4, "fps": 2}]


@pytest.mark.parametrize("frames", [[], "walk.mp4", b"walk", [3]])
def test_video_frames_invalid_list_raises(frames: Any) -> None:
    with pytest.raises(QwenVLInputError, match="video_frames"):
        video_frames(frames)


def test_video_invalid_source_raises() -> None:
    with pytest.raises(QwenVLInputError, match="video"):
        video(3)
    with pytest.raises(ValueError, match="file"):
        video("no/such/file.mp4")


# --- Hints: the block overrides the message, the message the call, and the call the model ---------------------


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
def test_image_detail_sets_pixel_bounds(
    emulator: Emulator, llm: QwenVL, detail: str | None, hints: dict[str, int]
) -> None:
    assert send_blocks(emulator, llm, [ImageBlock(url=URL, detail=detail)]) == [image_part(URL, **hints)]


def test_image_detail_high_uses_limit_of_model(emulator: Emulator, llm: QwenVL) -> None:
    message = ChatMessage(role="user", blocks=[ImageBlock(url=URL, detail="high")])
    llm.chat([message], model="qwen2.5-vl-7b-instruct")
    part = emulator.requests[0].json["messages"][0]["content"][0]
    assert part["max_pixels"] == 16_384 * 28 * 28


def test_hints_of_block_message_call_and_model_override_in_this_order(emulator: Emulator, llm: QwenVL) -> None:
    emulator.strict = False
    plain, own = VideoBlock(url=VIDEO_URL), video(VIDEO_URL, fps=4, max_pixels=40)
    cases: list[tuple[VideoBlock, dict[str, Any], dict[str, Any]]] = [
        (plain, {}, {}), (plain, {}, {"fps": 2}), (plain, {"qwen_vl": {"fps": 3}}, {"fps": 2}),
        (own, {"qwen_vl": {"fps": 3, "max_pixels": 30}}, {"fps": 2, "max_pixels": 20}),
    ]  # fmt: skip
    llm = llm.model_copy(update={"fps": 1, "max_pixels": 10})
    for block, additional_kwargs, call in cases:
        llm.chat([ChatMessage(role="user", blocks=[block], additional_kwargs=additional_kwargs)], **call)
    parts = [request.json["messages"][0]["content"][0] for request in emulator.requests]
    assert [(part["fps"], part["max_pixels"]) for part in parts] == [(1, 10), (2, 10), (3, 10), (4, 40)]


# --- Text, quotations, documents, cache points -----------------------------------------------------------------

CACHE = CachePoint(cache_control=CacheControl(type="ephemeral"))
MARK = {"cache_control": {"type": "ephemeral"}}


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
    "image document": ([DocumentBlock(data=PNG)], [image_part(data_uri(PNG))]),
    "image document by URL": (
        [DocumentBlock(url="https://example.com/a.png")],
        [image_part("https://example.com/a.png")],
    ),
}


@pytest.mark.parametrize(("blocks", "content"), TEXTS.values(), ids=TEXTS)
def test_text_citation_and_document_blocks_are_sent_as_parts(
    emulator: Emulator, llm: QwenVL, blocks: list[Any], content: Any
) -> None:
    assert send_blocks(emulator, llm, blocks) == content


TEXT_DOCUMENTS: dict[str, Callable[[Path], DocumentBlock]] = {
    "bytes": lambda directory: DocumentBlock(data=b"Hello.", document_mimetype="text/plain"),
    "path": lambda directory: DocumentBlock(path=directory / "a.txt"),
    "file URL": lambda directory: DocumentBlock(url=(directory / "a.txt").as_uri()),
    "file object": lambda directory: DocumentBlock(data=io.BytesIO(b"Hello."), document_mimetype="text/plain"),
    "data URI": lambda directory: DocumentBlock(url="data:text/plain;base64,SGVsbG8u"),
    "plain data URI": lambda directory: DocumentBlock(url="data:text/plain,Hello."),
}


@pytest.mark.parametrize("build", TEXT_DOCUMENTS.values(), ids=TEXT_DOCUMENTS)
def test_text_document_is_sent_as_text(
    emulator: Emulator, llm: QwenVL, directory: Path, build: Callable[[Path], DocumentBlock]
) -> None:
    llm = llm.model_copy(update={"local_files": directory})
    assert send_blocks(emulator, llm, [build(directory)]) == "Hello."


def test_text_document_unreadable_raises(emulator: Emulator, llm: QwenVL, directory: Path) -> None:
    (directory / "gone.txt").write_bytes(b"\xff\x00\x01")
    block = DocumentBlock(path=directory / "gone.txt")
    for why in ("UTF-8", "No such file"):
        with pytest.raises(QwenVLInputError, match=rf"blocks\[0\] \(document\).*{why}"):
            send_blocks(emulator, llm, [block])
        (directory / "gone.txt").unlink(missing_ok=True)


# --- Unsupported content -----------------------------------------------------------------------------------------

WRONG: dict[str, tuple[str, list[Any], str]] = {
    "audio": ("user", [TextBlock(text="a"), AudioBlock(audio=b"x")], r"messages\[1\]\.blocks\[1\] \(audio\)"),
    "PDF": ("user", [DocumentBlock(data=b"%PDF-1.7")], r"blocks\[0\] \(document\).*can.t read this PDF"),
    "empty image": ("user", [ImageBlock()], r"blocks\[0\] \(image\).*the block has no media"),
    "bytes that are not an image": (
        "user", [ImageBlock(image=b"not an image at all")], r"blocks\[0\] \(image\).*not an image"
    ),
    "a video as image": ("user", [ImageBlock(image=MP4_HEAD)], r"not an image; it looks like video/mp4"),
    "zero frame rate": ("user", [video(VIDEO_URL, 0)], r"blocks\[0\] \(video\).*fps=0: .*from 0.1 to 10"),
    "unsupported scheme": ("user", [ImageBlock(url="ftp://example.com/a.png")], "ftp"),
    "unknown detail": ("user", [ImageBlock(url=URL, detail="ultra")], "ultra.*auto, low, high"),
    "broken detail": ("user", [ImageBlock(url=URL, detail="{max_pixels: 3}")], "detail is not a valid JSON object"),
    "unknown hint": ("user", [VideoBlock(url=VIDEO_URL, detail='{"speed": 3}')], "speed.*fps"),
    "text document by URL": ("user", [DocumentBlock(url="https://example.com/a.txt")], "in a text block"),
    "image of the system": ("system", [ImageBlock(url=URL)], r"\(image\).*system messages take text only"),
    "frames of the system": ("system", [video_frames([URL])], "system messages take text only"),
    "frames that are not a list": (
        "user", [VideoBlock(url=VIDEO_URL, detail='{"frames": "a.jpg"}')], "frames in detail must be a list, not str"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("role", "blocks", "why"), WRONG.values(), ids=WRONG)
def test_unsupported_content_raises_with_location(
    emulator: Emulator, llm: QwenVL, role: str, blocks: list[Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        llm.chat([ChatMessage(role="user", content="First."), ChatMessage(role=role, blocks=blocks)])
    assert isinstance(caught.value, QwenVLInputError)
    assert "messages[1]" in str(caught.value)
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("hints", "why"),
    [({"max_pixel": 3}, "max_pixel'.*max_pixels"), ("max_pixels", "a dict of fps"), ([3], "a dict of fps")],
)
def test_message_hints_invalid_raise_with_location(emulator: Emulator, llm: QwenVL, hints: Any, why: str) -> None:
    with pytest.raises(QwenVLInputError, match=rf"messages\[0\].*{why}"):
        send_blocks(emulator, llm, [TextBlock(text="a")], qwen_vl=hints)


def test_file_object_keeps_its_position(emulator: Emulator, llm: QwenVL) -> None:
    file = io.BytesIO(PNG)
    file.seek(5)
    for _ in range(2):
        assert send_blocks(emulator, llm, [ImageBlock(image=file)]) == [image_part(data_uri(PNG))]
        assert file.tell() == 5
