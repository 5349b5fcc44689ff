"""The messages that each provider gets: history of reasoning, system messages, media, tool images, continuation."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest

from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import (
    FramesPart,
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    VideoPart,
)
from tests.core.wire.test_provider_contract import HYBRID, INSTRUCT, NEWEST, encode, prepare_for
from tests.support.pipeline import MP4, PNG, user

OTHERS = [row.name for row in PROVIDERS if not row.is_model_studio]
every_other = pytest.mark.parametrize("provider", OTHERS)
TEMPLATE_SERVERS = {"vllm", "sglang", "llama.cpp", "transformers", "lmdeploy", "xinference", "mlx-vlm"}
IMAGE = "data:image/png;base64," + base64.b64encode(PNG).decode()
VIDEO = "data:video/mp4;base64," + base64.b64encode(MP4).decode()


def messages_of(provider: str, *messages: Message | str, **settings: Any) -> list[dict[str, Any]]:
    body: list[dict[str, Any]] = encode(prepare_for(provider, *messages, **{"model": HYBRID, **settings}))["messages"]
    return body


def assistant(text: str = "", *, reasoning: str = "", calls: Iterable[ToolCall] = (), partial: bool = False) -> Message:
    return Message("assistant", (TextPart(text),), tuple(calls), reasoning=reasoning, partial=partial)


def result(call_id: str, *parts: Any) -> Message:
    return Message("tool", tuple(parts), tool_call_id=call_id)


CALL = ToolCall("call_1", "look", "{}")
HISTORY = (
    user("First"),
    assistant("Answer", reasoning="old"),
    user("Second"),
    assistant(reasoning="new", calls=[CALL]),
    result("call_1", TextPart("seen")),
)
FIELDS = {
    "reasoning_content": {"vllm", "sglang", "llama.cpp", "mlx-vlm", "novita", "fireworks"},
    "reasoning": {"ollama", "openrouter", "together", "groq"},
}


def reasoning_of(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (name, message[name]) for message in messages for name in ("reasoning", "reasoning_content") if name in message
    ]


@every_other
def test_reasoning_of_the_current_turn_goes_back(provider: str) -> None:
    field = next((name for name, providers in FIELDS.items() if provider in providers), None)
    expected = [(field, "new")] if field else []
    assert reasoning_of(messages_of(provider, *HISTORY)) == expected
    assert reasoning_of(messages_of(provider, *HISTORY, preserve_thinking=False)) == expected
    assert reasoning_of(messages_of(provider, *HISTORY, model=INSTRUCT)) == []


@every_other
def test_reasoning_of_all_turns_goes_back_where_it_is_preserved(provider: str) -> None:
    field = next((name for name, providers in FIELDS.items() if provider in providers), None)
    expected = [(field, "old"), (field, "new")] if field else []
    assert reasoning_of(messages_of(provider, *HISTORY, model=NEWEST)) == expected  # its template expects all
    if field is None:
        with pytest.raises(QwenVLInputError, match="preserve_thinking=True"):
            messages_of(provider, *HISTORY, preserve_thinking=True)
        return
    assert reasoning_of(messages_of(provider, *HISTORY, preserve_thinking=True)) == expected


@pytest.mark.parametrize(
    ("provider", "is_sent"), [("vllm", True), ("llama.cpp", True), ("ollama", False), ("groq", False)]
)
def test_preserve_thinking_is_a_variable_of_the_template(provider: str, is_sent: bool) -> None:
    body = encode(prepare_for(provider, *HISTORY, model=HYBRID, preserve_thinking=True))
    assert ("preserve_thinking" in body.get("chat_template_kwargs", {})) is is_sent
    assert "preserve_thinking" not in body


SYSTEM = (
    Message("system", (TextPart("One."),)),
    user("Hi"),
    Message("system", (TextPart("Two."),)),
    Message("system", (TextPart("Three."),)),
    user("There"),
)


@every_other
def test_system_messages_are_joined_where_templates_take_one(provider: str) -> None:
    roles = [(message["role"], message["content"]) for message in messages_of(provider, *SYSTEM)]
    if provider in TEMPLATE_SERVERS:
        assert roles == [("system", "One.\n\nTwo.\n\nThree."), ("user", "Hi"), ("user", "There")]
        assert "system messages joined" in prepare_for(provider, *SYSTEM, model=HYBRID).adjustments[-1]
    else:
        assert [role for role, _ in roles] == ["system", "user", "system", "system", "user"]
    first = (SYSTEM[0], user("Hi"))
    assert prepare_for(provider, *first, model=HYBRID).adjustments == ()


@every_other
def test_tool_images_stay_in_place_where_templates_expect_them(provider: str) -> None:
    messages = messages_of(
        provider,
        user("Look"),
        assistant(calls=[CALL]),
        result("call_1", TextPart("seen"), ImagePart(InlineSource(PNG))),
    )
    picture = {"type": "image_url", "image_url": {"url": IMAGE}}
    if provider in TEMPLATE_SERVERS:
        assert messages[2]["content"] == [{"type": "text", "text": "seen"}, picture]
        assert len(messages) == 3
    else:
        assert messages[2]["content"] == "seen"
        assert messages[3] == {"role": "user", "content": [picture]}


FRAMES = FramesPart((InlineSource(PNG), InlineSource(PNG)), fps=2.0, location="messages[0].content[0] (video)")
PLAIN = base64.b64encode(PNG).decode()


@every_other
def test_frames_are_sent_as_the_provider_reads_them(provider: str) -> None:
    prepared = prepare_for(provider, user(FRAMES), model=HYBRID)
    content = encode(prepared)["messages"][0]["content"]
    if provider == "vllm":
        assert content == [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{PLAIN},{PLAIN}"}}]
        assert [note for note in prepared.adjustments if note.startswith("fps")]
        return
    assert content == [{"type": "image_url", "image_url": {"url": IMAGE}}] * 2
    assert [note.split()[0] for note in prepared.adjustments] == ["fps", "frames"]


def test_frames_at_urls_are_images_at_vllm() -> None:
    frames = FramesPart((UrlSource("http://h/a.jpg"), InlineSource(PNG)))
    prepared = prepare_for("vllm", user(frames), model=HYBRID)
    assert [part["type"] for part in encode(prepared)["messages"][0]["content"]] == ["image_url"] * 2
    assert "frames" in prepared.adjustments[0]


WITH_VIDEOS = {
    *("vllm", "sglang", "llama.cpp", "transformers", "lmdeploy", "openrouter", "siliconflow", "novita", "together"),
    "fireworks",
}
VIDEO_OPTIONS: dict[str, dict[str, Any]] = {
    "sglang": {"fps": 2.0},
    "lmdeploy": {"fps": 2.0, "max_pixels": 700},
    "siliconflow": {"fps": 2.0},
    "fireworks": {"sample_fps": 2.0},
}


@every_other
def test_video_has_the_options_that_have_an_effect(provider: str) -> None:
    part = VideoPart(InlineSource(MP4), fps=2.0, max_pixels=700, location="messages[0].content[0] (video)")
    if provider not in WITH_VIDEOS:
        with pytest.raises(QwenVLInputError, match=rf"messages\[0\].content\[0\].*{provider} takes no videos.*frames"):
            prepare_for(provider, user(part), model=HYBRID)
        return
    prepared = prepare_for(provider, user(part), model=HYBRID)
    options = VIDEO_OPTIONS.get(provider, {})
    content = encode(prepared)["messages"][0]["content"]
    assert content == [{"type": "video_url", "video_url": {"url": VIDEO, **options}}]
    dropped = {"fps", "max_pixels"} - {"fps" if name == "sample_fps" else name for name in options}
    assert [note.split()[0] for note in prepared.adjustments] == sorted(dropped)


@every_other
def test_pixel_keys_without_effect_are_left_out_and_reported(provider: str) -> None:
    prepared = (
        prepare_for(
            provider,
            user(ImagePart(UrlSource("http://h/a.png"), max_pixels=500, location="messages[0].content[0] (image)")),
            model=HYBRID,
            min_pixels=400,
            vl_high_resolution_images=True,
        )
        if get_provider(provider).remote_media
        else None
    )
    if prepared is None:
        with pytest.raises(QwenVLInputError, match=rf"messages\[0\].*{provider} fetches nothing"):
            prepare_for(provider, user(ImagePart(UrlSource("http://h/a.png"), location="messages[0].content[0]")))
        return
    (part,) = encode(prepared)["messages"][0]["content"]
    body = encode(prepared)
    assert "vl_high_resolution_images" not in body
    if provider == "lmdeploy":
        assert part["image_url"] == {"url": "http://h/a.png", "min_pixels": 400, "max_pixels": 500}
        assert [note.split()[0] for note in prepared.adjustments] == ["vl_high_resolution_images"]
    else:
        assert part == {"type": "image_url", "image_url": {"url": "http://h/a.png"}}
        names = ["max_pixels", "min_pixels", "vl_high_resolution_images"]
        assert [note.split()[0] for note in prepared.adjustments] == names


def test_options_without_media_are_not_reported() -> None:
    prepared = prepare_for("vllm", "Hi", model=HYBRID, fps=2.0, max_pixels=5, vl_high_resolution_images=True)
    assert prepared.adjustments == ()


@every_other
def test_cache_markers_are_left_out_and_reported(provider: str) -> None:
    prepared = prepare_for(provider, user(TextPart("Hi", cache=True)), model=HYBRID)
    assert encode(prepared)["messages"] == [{"role": "user", "content": "Hi"}]
    assert [note.split(":")[0] for note in prepared.adjustments] == ["cache markers not sent"]


@every_other
def test_vendor_storage_is_refused(provider: str) -> None:
    with pytest.raises(QwenVLInputError, match="oss://"):
        prepare_for(provider, user(ImagePart(UrlSource("oss://a/b.png"))), model=HYBRID)


def test_image_formats_of_the_row_are_checked() -> None:
    gif = b"GIF89a\x20\x00\x20\x00" + bytes(60)
    with pytest.raises(QwenVLInputError, match=r"image/gif.*jpeg, png, webp.*fit"):
        prepare_for("ollama", user(ImagePart(InlineSource(gif), location="messages[0]")), model=HYBRID)
    prepare_for("vllm", user(ImagePart(InlineSource(gif))), model=HYBRID)


@every_other
def test_partial_message_is_continued_in_the_dialect_or_refused(provider: str) -> None:
    messages = (user("Count"), assistant("One, two", partial=True))
    if provider not in ("vllm", "sglang", "llama.cpp"):
        with pytest.raises(QwenVLInputError, match=rf"messages\[1\]: {provider} continues no partial message"):
            prepare_for(provider, *messages, model=HYBRID)
        return
    body = encode(prepare_for(provider, *messages, model=HYBRID))
    assert body["messages"][-1] == {"role": "assistant", "content": "One, two"}
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    sent = {name: body[name] for name in ("continue_final_message", "add_generation_prompt") if name in body}
    assert (
        sent
        == {
            "vllm": {"continue_final_message": True, "add_generation_prompt": False},
            "sglang": {"continue_final_message": True},
            "llama.cpp": {},
        }[provider]
    )


def test_last_assistant_message_is_continued_at_llama_cpp() -> None:
    prepared = prepare_for("llama.cpp", user("Count"), assistant("One, two"), model=HYBRID)
    assert prepared.enable_thinking is False
    assert "is continued" in prepared.adjustments[0]
    assert prepare_for("vllm", user("Count"), assistant("One, two"), model=HYBRID).enable_thinking is True
