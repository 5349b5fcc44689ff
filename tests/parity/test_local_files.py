"""Test `local_files` in both frameworks: in every block with media, in token counts, and over both APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, DocumentBlock, ImageBlock, ToolCallBlock, VideoBlock

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL, video, video_frames
from qwenvl_core.errors import QwenVLInputError
from tests.emulator import Emulator
from tests.parity.call_modes import APIS, Api
from tests.support.media_files import MP4_HEAD, solid_image
from tests.support.model_factories import KEY

PNG = solid_image()
Call = Callable[[Any], object]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with media; the working directory is its parent."""
    directory = tmp_path / "media"
    directory.mkdir()
    for name, data in (("a.png", PNG), ("a.mp4", MP4_HEAD), ("a.txt", b"text"), ("a.pdf", b"%PDF-1.7")):
        (directory / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return directory


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Callable[..., Any]]:
    emulator.strict = False
    models: list[Any] = []

    def make_model(model_class: Any, api: Api = "openai", **keywords: Any) -> Any:
        url = emulator.compat_url if api == "openai" else emulator.native_url
        models.append(model_class(api=api, base_url=url, api_key=KEY, **keywords))
        return models[-1]

    yield make_model
    for model in models:
        model.close()


def langchain_blocks(directory: Path) -> dict[str, Any]:
    image, clip, text, pdf = (str(directory / f"a.{suffix}") for suffix in ("png", "mp4", "txt", "pdf"))
    return {
        "url": {"type": "image", "url": image},
        "path": {"type": "image", "path": image},
        "file URL": {"type": "image_url", "image_url": {"url": (directory / "a.png").as_uri()}},
        "image_url": {"type": "image_url", "image_url": image},
        "vendor image": {"image": image},
        "vendor video": {"video": clip},
        "video_url": {"type": "video_url", "video_url": {"url": clip}, "fps": 2},
        "frames": {"type": "video", "video": [image] * 4},
        "file": {"type": "file", "url": image},
        "text file": {"type": "file", "path": text, "mime_type": "text/plain"},
        "text-plain": {"type": "text-plain", "url": text},
        "PDF": {"type": "file", "url": pdf, "mime_type": "application/pdf"},
        "document": {"type": "document", "source": {"type": "url", "url": image}},
        "data": {"type": "file", "data": (directory / "a.png").as_uri()},
        "media": {"type": "media", "file_uri": image, "mime_type": "image/png"},
    }


@pytest.mark.parametrize("form", langchain_blocks(Path("/")))
def test_langchain_string_is_not_read_by_default(form: str, files: Path, make: Any, emulator: Emulator) -> None:
    message = HumanMessage([langchain_blocks(files)[form]])
    model = make(ChatQwenVL)
    for call in (model.invoke, model.get_num_tokens_from_messages):
        with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.content\[0\].*is not read"):
            call([message])
    assert emulator.requests == []
    if form != "PDF":  # it has no pages
        make(ChatQwenVL, local_files=files).invoke([message])
        make(ChatQwenVL, local_files=True).invoke([message])
        assert len(emulator.requests) == 2
    with pytest.raises(QwenVLInputError, match="outside of it"):
        make(ChatQwenVL, local_files=files.parent / "media" / "..").model_copy(
            update={"local_files": Path(__file__).parent}
        ).invoke([message])


@pytest.mark.parametrize("api", APIS)
async def test_langchain_path_object_is_read_unless_closed(api: Api, files: Path, make: Any) -> None:
    message = HumanMessage(
        [{"type": "image", "url": files / "a.png"}, {"type": "video", "video": [files / "a.png"] * 4}]
    )
    for local_files in (None, Path(__file__).parent, True):
        await make(ChatQwenVL, api, local_files=local_files).ainvoke([message])
    with pytest.raises(QwenVLInputError, match="local_files=False"):
        await make(ChatQwenVL, api, local_files=False).ainvoke([message])


LLAMA_INDEX_FIELDS: dict[str, Callable[[Path], Any]] = {
    "image": lambda directory: ImageBlock(path=directory / "a.png"),
    "video": lambda directory: VideoBlock(path=directory / "a.mp4"),
    "document": lambda directory: DocumentBlock(path=str(directory / "a.txt")),
    "video()": lambda directory: video(str(directory / "a.mp4"), fps=0.5),
    "frames": lambda directory: video_frames([directory / "a.png"] * 4),
}
LLAMA_INDEX_STRINGS: dict[str, Callable[[Path], Any]] = {
    "file URL": lambda directory: ImageBlock(url=(directory / "a.png").as_uri()),
    "video file URL": lambda directory: VideoBlock(url=(directory / "a.mp4").as_uri()),
    "document URL": lambda directory: DocumentBlock(url=str(directory / "a.txt")),
    "frames": lambda directory: video_frames([str(directory / "a.png")] * 4),
}


@pytest.mark.parametrize("name", LLAMA_INDEX_FIELDS)
def test_llama_index_path_field_is_read_unless_closed_or_limited(name: str, files: Path, make: Any) -> None:
    message = ChatMessage(role="user", blocks=[LLAMA_INDEX_FIELDS[name](files)])
    for conversation in ([message], [ChatMessage.model_validate_json(message.model_dump_json())]):
        for local_files in (None, True, files):
            make(QwenVL, local_files=local_files).chat(conversation)
        for local_files, why in ((False, "local_files=False"), (Path(__file__).parent, "outside of it")):
            model = make(QwenVL, local_files=local_files)
            for call in (model.chat, model.count_tokens):
                with pytest.raises(QwenVLInputError, match=rf"messages\[0\]\.blocks\[0\].*{why}"):
                    call(conversation)


@pytest.mark.parametrize("name", LLAMA_INDEX_STRINGS)
def test_llama_index_string_is_not_read_by_default(name: str, files: Path, make: Any, emulator: Emulator) -> None:
    message = ChatMessage(role="user", blocks=[LLAMA_INDEX_STRINGS[name](files)])
    with pytest.raises(QwenVLInputError, match=r"messages\[0\]\.blocks\[0\].*is not read"):
        make(QwenVL).chat([message])
    assert emulator.requests == []
    for local_files in (files, True):
        make(QwenVL, local_files=local_files).chat([message])


def test_strings_in_tool_results_are_never_read(files: Path, make: Any, emulator: Emulator) -> None:
    url = (files / "a.png").as_uri()
    call = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}])
    result = ToolMessage([{"type": "image", "url": url}], tool_call_id="1")
    llama_index_call = ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})]
    )
    llama_index_result = ChatMessage(role="tool", blocks=[ImageBlock(url=url)], additional_kwargs={"tool_call_id": "1"})
    llama_index_messages = [ChatMessage(role="user", content="?"), llama_index_call, llama_index_result]
    calls: list[tuple[Call, list[Any]]] = [
        (make(ChatQwenVL, local_files=True).invoke, [HumanMessage("?"), call, result]),
        (make(QwenVL, local_files=True).chat, llama_index_messages),
    ]
    for send, messages in calls:
        try:
            send(messages)
        except QwenVLInputError:
            continue
        assert b"base64" not in emulator.requests[-1].body


@pytest.mark.parametrize("document", ["missing.png", "media/a.png"])
def test_image_documents_are_typed_paths(document: str, files: Path, make: Any, emulator: Emulator) -> None:
    for local_files in (False, Path(__file__).parent):
        with pytest.raises(QwenVLInputError, match=r"image_documents\[0\].*is not read"):
            make(QwenVL, local_files=local_files).complete("?", image_documents=[document])
    assert emulator.requests == []
    if document == "media/a.png":
        make(QwenVL).complete("?", image_documents=[document])
        make(QwenVL, local_files="media").complete("?", image_documents=[document])


def test_setting_belongs_to_the_model_and_is_kept(files: Path, make: Any) -> None:
    for model_class in (ChatQwenVL, QwenVL):
        with pytest.raises(ValueError, match="local_files"):
            make(model_class, local_files=3)
        model = make(model_class, local_files=files)
        assert model.local_files == str(files)
        model.local_files = False
        assert model.model_copy().local_files is False
    with pytest.raises(QwenVLInputError, match="local_files= belongs to the model"):
        make(ChatQwenVL).invoke("?", local_files=True)
    with pytest.raises(QwenVLInputError, match="local_files= belongs to the model"):
        make(QwenVL).complete("?", local_files=True)
