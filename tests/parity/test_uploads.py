"""Test uploads in both frameworks and both APIs: exact bodies, agents of many turns, copies, and what is never read."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock, ToolCallBlock

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair, text_of
from tests.support.media_files import grey_png
from tests.support.model_factories import KEY

RESOLVE = "x-dashscope-ossresourceresolve"
Pair = tuple[BaseMessage, ChatMessage]


def build_turn(path: Path) -> Pair:
    """Return a user message with a local image, in both frameworks."""
    return (
        HumanMessage([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": path}}]),
        ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(path=path)]),
    )


def build_tool_result(image: bytes, text: str) -> list[Pair]:
    """Return a tool call, and a result with an image in bytes and a text."""
    encoded = {"type": "image", "base64": base64.b64encode(image).decode(), "mime_type": "image/png"}
    return [
        (
            AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
            ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="look", tool_kwargs={})]),
        ),
        (
            ToolMessage([{"type": "text", "text": text}, encoded], tool_call_id="1"),
            ChatMessage(
                role=MessageRole.TOOL,
                blocks=[TextBlock(text=text), ImageBlock(image=image)],
                additional_kwargs={"tool_call_id": "1"},
            ),
        ),
    ]


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "my holiday.png"
    path.write_bytes(grey_png())
    return path


@pytest.fixture
def models(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    pair = ModelPair(emulator, api, upload="always")
    yield pair
    pair.close()


def sent_messages(emulator: Emulator) -> list[dict[str, Any]]:
    body = emulator.requests[-1].json
    messages: list[dict[str, Any]] = body.get("input", body)["messages"]
    return messages


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_request_has_url_and_header(
    models: ModelPair, emulator: Emulator, api: Api, picture: Path, call_mode: CallMode
) -> None:
    assert text_of(models.send(call_mode, [build_turn(picture)]))
    policy, form, chat = emulator.requests
    (upload,) = emulator.uploads
    image: dict[str, Any] = {"type": "image_url", "image_url": {"url": upload.url}}
    text: dict[str, Any] = {"type": "text", "text": "What?"}
    if api == "dashscope":
        image, text = {"image": upload.url}, {"text": "What?"}
    assert sent_messages(emulator) == [{"role": "user", "content": [text, image]}]
    assert chat.headers[RESOLVE] == "enable"
    assert policy.path == "/api/v1/uploads?action=getPolicy&model=qwen3-vl-plus"
    assert policy.headers["authorization"] == f"Bearer {KEY}"
    assert list(upload.fields) == [
        "OSSAccessKeyId", "Signature", "policy", "key", "x-oss-object-acl", "x-oss-forbid-overwrite",
        "success_action_status", "x-oss-content-type",
    ]  # fmt: skip
    assert "authorization" not in form.headers
    for request in emulator.requests:
        assert b"holiday" not in request.body
        assert "holiday" not in request.path


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_agent_uploads_each_medium_once(
    models: ModelPair, emulator: Emulator, tmp_path: Path, call_mode: CallMode
) -> None:
    conversation: list[Pair] = []
    for turn in range(20):
        if turn < 10:
            path = tmp_path / f"{turn}.png"
            path.write_bytes(grey_png(grey=turn))
            conversation.append(build_turn(path))
        else:
            conversation += build_tool_result(grey_png(grey=turn - 10), "It looks like this.")  # bytes of a known image
        assert text_of(models.send(call_mode, conversation))
    assert len(emulator.uploads) == 10
    assert not emulator.refusals
    urls = [upload.url for upload in emulator.uploads]
    assert all(json.dumps(sent_messages(emulator)).count(url) == 2 for url in urls)


async def test_async_upload_reads_no_file_on_the_event_loop(
    emulator: Emulator, api: Api, picture: Path, tmp_path: Path
) -> None:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    keywords: dict[str, Any] = {"api": api, "base_url": url, "api_key": KEY, "upload": "always"}
    chat_model, llm = ChatQwenVL(upload_cache=tmp_path / "urls", **keywords), QwenVL(**keywords)
    langchain_message, llama_index_message = build_turn(picture)
    await chat_model.ainvoke("Hi")  # imports modules
    with blockbuster_ctx():
        await chat_model.ainvoke([langchain_message])
        await llm.achat([llama_index_message])
        emulator.storage.files.clear()
        await chat_model.ainvoke([langchain_message])
    assert len(emulator.uploads) == 1
    await chat_model.aclose()
    await llm.aclose()


def test_threads_of_one_model_upload_once(models: ModelPair, emulator: Emulator, picture: Path) -> None:
    for model, message in zip((models.langchain, models.llama_index), build_turn(picture), strict=True):
        before = len(emulator.uploads)

        def call(number: int, model: Any = model, message: Any = message) -> Any:
            name = "invoke" if isinstance(model, ChatQwenVL) else "chat"
            if number % 2:
                return getattr(model, name)([message])

            async def acall() -> Any:
                answer = await getattr(model, f"a{name}")([message])
                await model.aclose()
                return answer

            return asyncio.run(acall())

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(call, range(8)))
        assert len(emulator.uploads) == before + 1


@pytest.mark.parametrize("is_used_before", [False, True])
def test_copies_of_a_model_share_uploads(emulator: Emulator, api: Api, picture: Path, is_used_before: bool) -> None:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    keywords: dict[str, Any] = {"api": api, "base_url": url, "api_key": KEY, "upload": "always"}
    langchain_message, llama_index_message = build_turn(picture)
    chat_model, llm = ChatQwenVL(**keywords), QwenVL(**keywords)
    if is_used_before:
        chat_model.invoke([langchain_message])
        llm.chat([llama_index_message])
    for chat_copy in (
        chat_model,
        chat_model.model_copy(update={"temperature": 0.1}),
        chat_model.model_copy(update={"timeout": 9.0}),
        copy.deepcopy(chat_model),
        chat_model.bind(seed=1),
    ):
        assert chat_copy.invoke([langchain_message]).content
    assert len(emulator.uploads) == 1 + is_used_before
    for llm_copy in (llm, llm.model_copy(update={"timeout": 9.0}), copy.deepcopy(llm)):
        assert llm_copy.chat([llama_index_message]).message.content
        llm_copy.close()
    assert len(emulator.uploads) == 2
    chat_model.close()


def test_directory_is_shared_by_processes_and_frameworks(
    emulator: Emulator, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    keywords: dict[str, Any] = {
        "base_url": emulator.compat_url, "provider": "model-studio", "upload": "always",
        "upload_cache": str(tmp_path / "urls"),
    }  # fmt: skip
    langchain_message, llama_index_message = build_turn(picture)
    chat_model, llm = ChatQwenVL(**keywords), QwenVL(**keywords)
    models: list[Any] = [chat_model, pickle.loads(pickle.dumps(chat_model)), llm, pickle.loads(pickle.dumps(llm))]
    for model in models:
        assert model.upload_cache == str(tmp_path / "urls")
        if isinstance(model, ChatQwenVL):
            model.invoke([langchain_message])
        else:
            model.chat([llama_index_message])
        model.close()
    assert len(emulator.uploads) == 1


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_setting_of_a_call_wins(emulator: Emulator, models: ModelPair, picture: Path, call_mode: CallMode) -> None:
    assert text_of(models.send(call_mode, [build_turn(picture)], upload="auto"))
    assert text_of(models.send(call_mode, [build_turn(picture)], upload="never"))
    assert not emulator.uploads
    assert all(RESOLVE not in request.headers for request in emulator.requests)
    with pytest.raises(ValueError, match="upload='sometimes'"):
        models.send(call_mode, [build_turn(picture)], upload="sometimes")
    with pytest.raises(ValueError, match="upload_cache= belongs to the model"):
        models.send(call_mode, [build_turn(picture)], upload_cache="urls")


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_strings_of_tools_and_the_model_are_never_read(
    models: ModelPair, emulator: Emulator, picture: Path, call_mode: CallMode
) -> None:
    name = str(picture)
    conversation = [
        build_turn(picture),
        (AIMessage(name), ChatMessage(role="assistant", content=name)),
        *build_tool_result(grey_png(grey=200), f"file://{name}"),
    ]
    picture.write_bytes(grey_png(grey=100))
    assert text_of(models.send(call_mode, conversation))
    assert {upload.content for upload in emulator.uploads} == {grey_png(grey=100), grey_png(grey=200)}
    assert [message["role"] for message in sent_messages(emulator)][:4] == ["user", "assistant", "assistant", "tool"]


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_nothing_is_uploaded_for_an_invalid_request(
    models: ModelPair, emulator: Emulator, picture: Path, call_mode: CallMode
) -> None:
    path = picture.with_name("missing.png")
    path.touch()
    missing = build_turn(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"messages\[1\].*missing\.png"):
        models.send(call_mode, [build_turn(picture), missing])
    with pytest.raises(ValueError, match="top_p"):
        models.send(call_mode, [build_turn(picture)], top_p=7)
    assert not emulator.requests


@pytest.mark.parametrize("framework", [ChatQwenVL, QwenVL])
def test_unknown_upload_setting_raises_value_error(framework: Any) -> None:
    with pytest.raises(ValueError, match="upload"):
        framework(api_key=KEY, upload="yes")
