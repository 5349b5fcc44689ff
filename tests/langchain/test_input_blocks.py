"""Input blocks: every form of a content block, and its form on the wire."""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
)

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.message_normalization import normalize_messages
from langchain_qwenvl.messages import convert_messages
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator
from tests.langchain.conftest import MP4, PNG

URL = "https://example.com/a.png"
CLIP = "https://example.com/a.mp4"
FRAMES = [f"https://example.com/{number}.jpg" for number in range(4)]
B64 = base64.b64encode(PNG).decode()
DATA = f"data:image/png;base64,{B64}"
VIDEO_DATA = "data:video/mp4;base64," + base64.b64encode(MP4).decode()
CACHE = {"type": "ephemeral"}


def image(url: str = URL, **options: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **options}


def video(url: str = CLIP, **options: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **options}


def frames(**options: Any) -> dict[str, Any]:
    return {"type": "video", "video": FRAMES, **options}


def text(words: str, **options: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **options}


# The block as users write it, and the part on the wire.
FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    # --- text
    "a string": ("words", text("words")),
    "text": ({"type": "text", "text": "words"}, text("words")),
    "text without a type": ({"text": "words"}, text("words")),
    "text with an id and annotations": (
        {"type": "text", "text": "words", "id": "lc_1", "index": 0, "annotations": []}, text("words")),
    "text that looks like a path": ({"type": "text", "text": "/etc/passwd"}, text("/etc/passwd")),
    "text that looks like a file URL": ("file:///etc/passwd", text("file:///etc/passwd")),
    "cached text": ({"type": "text", "text": "words", "cache_control": CACHE}, text("words", cache_control=CACHE)),
    "cached text, v1": (
        {"type": "text", "text": "words", "extras": {"cache_control": CACHE}}, text("words", cache_control=CACHE)),
    "text-plain, text": ({"type": "text-plain", "text": "words", "mime_type": "text/plain"}, text("words")),
    "text-plain, base64": (
        {"type": "text-plain", "base64": base64.b64encode("wörds".encode()).decode(), "mime_type": "text/plain"},
        text("wörds")),
    "file of text": (
        {"type": "file", "base64": base64.b64encode(b"a,b").decode(), "mime_type": "text/csv"}, text("a,b")),
    "v0 file of text": (
        {"type": "file", "source_type": "text", "url": "words", "mime_type": "text/plain"},
        text("words"),
    ),
    "Anthropic document of text": (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}, text("words")),
    # --- images
    "v1 URL": ({"type": "image", "url": URL}, image()),
    "v1 URL with generated keys": (
        {"type": "image", "url": URL, "id": "lc_1", "mime_type": "image/png", "index": 0}, image()),
    "v1 base64": ({"type": "image", "base64": B64, "mime_type": "image/png"}, image(DATA)),
    "v1 base64 without a MIME type": ({"type": "image", "base64": B64}, image(DATA)),
    "v1 base64 with a wrong MIME type": ({"type": "image", "base64": B64, "mime_type": "image/jpeg"}, image(DATA)),
    "v1 base64 that is a data URI": ({"type": "image", "base64": DATA}, image(DATA)),
    "v1 base64 as bytes": ({"type": "image", "base64": B64.encode(), "mime_type": "image/png"}, image(DATA)),
    "v1 data URI": ({"type": "image", "url": DATA}, image(DATA)),
    "v1 bytes": ({"type": "image", "url": PNG}, image(DATA)),
    "v1 bytes as base64": ({"type": "image", "base64": PNG}, image(DATA)),
    "v1 bytearray": ({"type": "image", "url": bytearray(PNG)}, image(DATA)),
    "v1 file object": ({"type": "image", "url": io.BytesIO(PNG)}, image(DATA)),
    "v1 with extras": (
        {"type": "image", "url": URL, "extras": {"max_pixels": 900000, "min_pixels": 4000}},
        image(min_pixels=4000, max_pixels=900000)),
    "v1 with options": ({"type": "image", "url": URL, "max_pixels": 900000}, image(max_pixels=900000)),
    "v1 cached": ({"type": "image", "url": URL, "extras": {"cache_control": CACHE}}, image(cache_control=CACHE)),
    "file of an image": ({"type": "file", "url": URL, "mime_type": "image/png"}, image()),
    "v0 URL": ({"type": "image", "source_type": "url", "url": URL}, image()),
    "v0 base64": (
        {"type": "image", "source_type": "base64", "data": B64, "mime_type": "image/png"}, image(DATA)),
    "v0 base64 without a MIME type": ({"type": "image", "source_type": "base64", "data": B64}, image(DATA)),
    "v0 with options": (
        {"type": "image", "source_type": "url", "url": URL, "max_pixels": 900000}, image(max_pixels=900000)),
    "OpenAI": ({"type": "image_url", "image_url": {"url": URL}}, image()),
    "OpenAI, detail": ({"type": "image_url", "image_url": {"url": URL, "detail": "high"}}, image()),
    "OpenAI, string": ({"type": "image_url", "image_url": URL}, image()),
    "OpenAI, data URI": ({"type": "image_url", "image_url": {"url": DATA}}, image(DATA)),
    "OpenAI, bytes": ({"type": "image_url", "image_url": {"url": PNG}}, image(DATA)),
    "OpenAI, file object": ({"type": "image_url", "image_url": {"url": io.BytesIO(PNG)}}, image(DATA)),
    "vendor, compatible": (
        {"type": "image_url", "image_url": {"url": URL}, "min_pixels": 4000, "max_pixels": 900000},
        image(min_pixels=4000, max_pixels=900000)),
    "vendor, nested options": (
        {"type": "image_url", "image_url": {"url": URL, "max_pixels": 900000}}, image(max_pixels=900000)),
    "vendor, native": ({"image": URL, "max_pixels": 900000}, image(max_pixels=900000)),
    "Anthropic base64": (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}, image(DATA)),
    "Anthropic URL": ({"type": "image", "source": {"type": "url", "url": URL}}, image()),
    "Anthropic cached": (
        {"type": "image", "source": {"type": "url", "url": URL}, "cache_control": CACHE}, image(cache_control=CACHE)),
    # --- videos
    "v1 video URL": ({"type": "video", "url": CLIP}, video()),
    "v1 video base64": (
        {"type": "video", "base64": base64.b64encode(MP4).decode(), "mime_type": "video/mp4"}, video(VIDEO_DATA)),
    "v1 video base64 without a MIME type": (
        {"type": "video", "base64": base64.b64encode(MP4).decode()}, video(VIDEO_DATA)),
    "v1 video bytes": ({"type": "video", "url": MP4}, video(VIDEO_DATA)),
    "v1 video with extras": (
        {"type": "video", "url": CLIP, "extras": {"fps": 0.5, "max_pixels": 655360, "total_pixels": 9000000}},
        video(fps=0.5, max_pixels=655360, total_pixels=9000000)),
    "v1 video with a low fps": ({"type": "video", "url": CLIP, "extras": {"fps": 0.1}}, video(fps=0.1)),
    "v1 file of a video": ({"type": "file", "url": CLIP, "mime_type": "video/mp4"}, video()),
    "video_url": ({"type": "video_url", "video_url": {"url": CLIP}, "fps": 2}, video(fps=2)),
    "video_url, string": ({"type": "video_url", "video_url": CLIP}, video()),
    "video_url, nested options": ({"type": "video_url", "video_url": {"url": CLIP, "fps": 2}}, video(fps=2)),
    "vendor's video, native": ({"video": CLIP, "fps": 2}, video(fps=2)),
    "frames": ({"type": "video", "video": FRAMES}, frames()),
    "frames with a rate": ({"type": "video", "video": FRAMES, "fps": 2}, frames(fps=2)),
    "frames with extras": ({"type": "video", "video": FRAMES, "extras": {"fps": 0.5}}, frames(fps=0.5)),
    "frames, native": ({"video": tuple(FRAMES)}, frames()),
    "frames, cached": ({"type": "video", "video": FRAMES, "cache_control": CACHE}, frames(cache_control=CACHE)),
    "frames of bytes": (
        {"type": "video", "video": [PNG, io.BytesIO(PNG), DATA, URL]},
        {"type": "video", "video": [DATA, DATA, DATA, URL]}),
}  # fmt: skip


@pytest.mark.parametrize(("block", "part"), FORMS.values(), ids=FORMS)
def test_block_is_sent_as_part(
    block: Any, part: dict[str, Any], llm: ChatQwenVL, body: Callable[[], dict[str, Any]]
) -> None:
    llm.invoke([HumanMessage([block, {"type": "text", "text": "What is it?"}])])
    assert body()["messages"] == [{"role": "user", "content": [part, text("What is it?")]}]


@pytest.mark.filterwarnings("ignore:.*is in beta")  # LangChain's warning on v3 events
@pytest.mark.parametrize("how", ["invoke", "stream", "batch", "generate", "v3", "template"])
def test_image_without_mime_type_is_sent(how: str, llm: ChatQwenVL, body: Any) -> None:
    """LangChain's tracing raises on such an image unless a MIME type is added."""
    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

    messages: list[BaseMessage] = [HumanMessage([{"type": "image", "base64": B64}])]
    original = copy.deepcopy(messages)
    match how:
        case "invoke":
            llm.invoke(messages)
        case "stream":
            list(llm.stream(messages))
        case "batch":
            llm.batch([messages])
        case "generate":
            llm.generate([messages])
        case "v3":
            assert llm.stream_events(messages, version="v3").output.content
        case "template":
            (ChatPromptTemplate([MessagesPlaceholder("history")]) | llm).invoke({"history": messages})
    assert body()["messages"][0]["content"] == [image(DATA)]
    assert messages == original


async def test_image_without_mime_type_is_sent_async(llm: ChatQwenVL, bodies: Any) -> None:
    messages: list[BaseMessage] = [HumanMessage([{"type": "image", "base64": B64}])]
    await llm.ainvoke(messages)
    await llm.abatch([messages])
    await llm.agenerate([messages])
    async for _ in llm.astream(messages):
        pass
    assert [sent["messages"][0]["content"] for sent in bodies()] == [[image(DATA)]] * 4


def test_pillow_image_is_sent_as_png(llm: ChatQwenVL, body: Callable[[], dict[str, Any]]) -> None:
    from PIL import Image

    picture = Image.new("RGB", (40, 30), (200, 0, 0))
    llm.invoke([HumanMessage([{"type": "image", "url": picture}, {"type": "image_url", "image_url": picture}])])
    for part in body()["messages"][0]["content"]:
        mime, _, data = part["image_url"]["url"].partition(";base64,")
        assert mime == "data:image/png"
        assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == picture.tobytes()


@pytest.mark.parametrize("form", [str, Path, lambda path: path.as_uri()], ids=["path", "Path", "file URL"])
@pytest.mark.parametrize("key", ["url", "path", "image_url", "image"])
def test_local_image_is_inlined(form: Any, key: str, tmp_path: Path, make: Any, body: Any) -> None:
    file = tmp_path / "not really.gif"  # the type is read from the bytes
    file.write_bytes(PNG)
    make(local_files=tmp_path).invoke([HumanMessage([{"type": "image", key: form(file)}])])
    assert body()["messages"][0]["content"] == [image(DATA)]


def test_local_video_and_frames_are_inlined(tmp_path: Path, make: Any, body: Any) -> None:
    clip, frame = tmp_path / "clip", tmp_path / "frame.jpg"
    clip.write_bytes(MP4)
    frame.write_bytes(PNG)
    make(local_files=tmp_path).invoke(
        [HumanMessage([{"type": "video", "url": str(clip)}, {"type": "video", "video": [str(frame), frame] * 2}])]
    )
    assert body()["messages"][0]["content"] == [video(VIDEO_DATA), {"type": "video", "video": [DATA] * 4}]


def test_file_object_keeps_its_position(llm: ChatQwenVL, body: Any) -> None:
    file = io.BytesIO(PNG)
    file.seek(5)
    llm.invoke([HumanMessage([{"type": "image", "url": file}])])
    assert file.tell() == 5
    assert body()["messages"][0]["content"] == [image(DATA)]


def test_block_options_override_the_models(make: Any, body: Any) -> None:
    model = make(min_pixels=4000, max_pixels=800000, fps=1)
    model.invoke([HumanMessage([{"type": "image", "url": URL}, {"type": "video", "url": CLIP, "fps": 3},
                                {"type": "image", "url": URL, "max_pixels": 5000}])])  # fmt: skip
    assert body()["messages"][0]["content"] == [
        image(min_pixels=4000, max_pixels=800000),
        video(fps=3, min_pixels=4000, max_pixels=800000),
        image(min_pixels=4000, max_pixels=5000),
    ]
    model.invoke([HumanMessage([{"type": "video", "video": FRAMES}])], fps=0.5, max_pixels=900000)
    assert body()["messages"][0]["content"] == [frames(fps=0.5, min_pixels=4000, max_pixels=900000)]


def test_blocks_keep_their_order(llm: ChatQwenVL, body: Any) -> None:
    blocks: list[str | dict[Any, Any]] = [
        "one",
        {"type": "image", "url": URL},
        "two",
        {"type": "video", "url": CLIP},
        {"type": "image", "url": DATA},
    ]
    llm.invoke([HumanMessage(blocks)])
    sent = body()["messages"][0]["content"]
    assert sent == [text("one"), image(), text("two"), video(), image(DATA)]


# The message, and what its error must name.
UNSUPPORTED: dict[str, tuple[BaseMessage, str]] = {
    "unknown block": (HumanMessage([{"type": "hologram"}]), r"messages\[1\].*hologram"),
    "no type": (HumanMessage([{"words": "Hi"}]), r"messages\[1\].*None"),
    "two keys in a vendor block": (
        HumanMessage([{"image": URL, "text": "What?"}]), r"messages\[1\]\.content\[0\] \(image and text\)"),
    "the vendor's audio": (HumanMessage([{"audio": "https://a/b.mp3"}]), r"messages\[1\]\.content\[0\] \(audio\)"),
    "empty block": (HumanMessage([{"type": "text", "text": "Hi"}, {}]), r"messages\[1\]\.content\[1\]"),
    "OpenAI audio": (
        HumanMessage([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]), r"\[1\].*audio"),
    "v1 audio": (HumanMessage([{"type": "audio", "base64": "AA==", "mime_type": "audio/wav"}]), r"\[1\].*audio"),
    "v1 image id": (HumanMessage([{"type": "image", "file_id": "file-1"}]), r"\[1\].*image.*file id"),
    "v0 image id": (HumanMessage([{"type": "image", "source_type": "id", "id": "file-1"}]), r"\[1\].*image"),
    "Anthropic file id": (
        HumanMessage([{"type": "image", "source": {"type": "file", "file_id": "f"}}]), r"\[1\].*image.*file id"),
    "OpenAI file id": (HumanMessage([{"type": "file", "file": {"file_id": "f"}}]), r"\[1\].*file"),
    "image without a source": (HumanMessage([{"type": "image"}]), r"\[1\].*image.*has no image"),
    "image of a number": (HumanMessage([{"type": "image", "url": 5}]), r"\[1\].*image.*int"),
    "image of an empty URL": (HumanMessage([{"type": "image", "url": ""}]), r"\[1\].*image.*empty"),
    "empty image": (HumanMessage([{"type": "image", "url": b""}]), r"\[1\].*empty"),
    "image of other bytes": (HumanMessage([{"type": "image", "url": b"%!PS text"}]), r"\[1\].*not an image"),
    "a video as an image": (HumanMessage([{"type": "image", "url": MP4}]), r"\[1\].*not an image"),
    "an image as a video": (HumanMessage([{"type": "video", "url": PNG}]), r"\[1\].*not a video"),
    "no such file": (HumanMessage([{"type": "image", "url": "/no/such.png"}]), r"\[1\].*/no/such\.png"),
    "an FTP URL": (HumanMessage([{"type": "image", "url": "ftp://a/b.png"}]), r"\[1\].*ftp"),
    "broken base64": (HumanMessage([{"type": "image", "base64": "*not base64*"}]), r"\[1\].*base64"),
    "text of another type": (HumanMessage([{"type": "text", "text": 5}]), r"\[1\].*text"),
    "text-plain by URL": (
        HumanMessage([{"type": "text-plain", "url": URL, "mime_type": "text/plain"}]), r"\[1\].*text-plain"),
    "an image in a system message": (SystemMessage([{"type": "image", "url": URL}]), r"\[1\].*image.*system"),
    "an unknown role": (ChatMessage(content="Hi", role="narrator"), r"\[1\].*narrator"),
    "a removal": (RemoveMessage("1"), r"\[1\].*RemoveMessage"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "pattern"), UNSUPPORTED.values(), ids=UNSUPPORTED)
async def test_unsupported_message_raises_and_sends_nothing(
    message: BaseMessage, pattern: str, llm: ChatQwenVL, emulator: Emulator
) -> None:
    for call in (
        lambda: llm.invoke([HumanMessage("Hi"), message]),
        lambda: list(llm.stream([HumanMessage("Hi"), message])),
    ):
        with pytest.raises(ValueError, match=pattern) as raised:
            call()
        assert isinstance(raised.value, QwenVLInputError)
    with pytest.raises(QwenVLInputError, match=pattern):
        await llm.ainvoke([HumanMessage("Hi"), message])
    assert not emulator.requests


def test_invalid_pdf_raises_and_names_the_block(llm: ChatQwenVL) -> None:
    block = {"type": "file", "base64": base64.b64encode(b"%PDF-1.7").decode(), "mime_type": "application/pdf"}
    with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.content\[0\] \(file\).*can.t read this PDF"):
        llm.invoke([HumanMessage([block])])


def test_file_open_for_text_raises(llm: ChatQwenVL) -> None:
    with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.content\[0\] \(image\).*bytes"):
        llm.invoke([HumanMessage([{"type": "image", "url": io.StringIO("x")}])])


def test_convert_messages_unhashable_block_type_raises() -> None:
    with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.content\[0\]"):
        convert_messages([HumanMessage([{"type": []}])])


@pytest.mark.parametrize("name", FORMS)
def test_conversion_does_not_change_messages(name: str) -> None:
    block = FORMS[name][0]
    message = HumanMessage([block, "words"])
    before = (repr(message.model_dump()), message.content, [id(item) for item in message.content])
    convert_messages(normalize_messages([message]))
    assert (repr(message.model_dump()), message.content, [id(item) for item in message.content]) == before


_blocks = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_keys = st.sampled_from(
    ["type", "text", "url", "base64", "data", "source", "image_url", "video", "extras", "mime_type"]
)
_types = st.sampled_from(["text", "text-plain", "image", "image_url", "video", "video_url", "file", "tool_result"])


@given(st.dictionaries(_keys, _types | _blocks, max_size=4), _types | st.none())
def test_arbitrary_dict_is_converted_or_raises_input_error(block: dict[str, Any], kind: str | None) -> None:
    message = HumanMessage([block | ({"type": kind} if kind else {})])
    try:
        convert_messages(normalize_messages([message]))
    except QwenVLInputError as error:
        if "messages[0]" not in str(error):
            raise
