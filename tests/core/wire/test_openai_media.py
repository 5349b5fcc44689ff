"""Encode media for the OpenAI-compatible API."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, TextPart, VideoPart
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire import openai as wire
from tests.core.wire.openai_requests import (
    HI,
    HYBRID,
    JSON_OBJECT,
    JSON_SCHEMA,
    NEWER,
    ON,
    PLAIN,
    THINKER,
    TOOL,
    UNKNOWN,
    Case,
    assistant,
    call,
    check,
    image_url,
    sent_call,
    tool,
    video_url,
)
from tests.support.pipeline import JPEG, PNG, body_of, prepare, request, user

URL = "https://example.com/a.png"
CLIP = "https://example.com/a.mp4"
FRAMES = tuple(UrlSource(f"https://example.com/{n}.png") for n in range(4))
FRAME_URLS = [frame.url for frame in FRAMES]
DEFAULTS: dict[str, Any] = {"min_pixels": 4096, "max_pixels": 1_000_000, "fps": 1.5}


PARTS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    # part, encoded without defaults, encoded with defaults for every image and video
    (TextPart("Hi"), {"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
    (ImagePart(UrlSource(URL)), image_url(URL), image_url(URL, min_pixels=4096, max_pixels=1_000_000)),
    (
        ImagePart(UrlSource(URL), min_pixels=0, max_pixels=5000),
        image_url(URL, min_pixels=0, max_pixels=5000),
        image_url(URL, min_pixels=0, max_pixels=5000),
    ),
    (
        ImagePart(UrlSource(URL), max_pixels=1),
        image_url(URL, max_pixels=1),
        image_url(URL, min_pixels=4096, max_pixels=1),
    ),
    (
        ImagePart(UrlSource("oss://a/b.png")),
        image_url("oss://a/b.png"),
        image_url("oss://a/b.png", min_pixels=4096, max_pixels=1_000_000),
    ),
    (
        VideoPart(UrlSource(CLIP)),
        video_url(CLIP),
        video_url(CLIP, fps=1.5, min_pixels=4096, max_pixels=1_000_000),
    ),
    (
        VideoPart(UrlSource(CLIP), fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
        video_url(CLIP, fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
        video_url(CLIP, fps=0.5, min_pixels=1, max_pixels=2, total_pixels=3),
    ),
    (
        FramesPart(FRAMES),
        {"type": "video", "video": FRAME_URLS},
        {"type": "video", "video": FRAME_URLS, "fps": 1.5, "min_pixels": 4096, "max_pixels": 1_000_000},
    ),
    (
        FramesPart(FRAMES, fps=2, total_pixels=9),
        {"type": "video", "video": FRAME_URLS, "fps": 2, "total_pixels": 9},
        {
            "type": "video",
            "video": FRAME_URLS,
            "fps": 2,
            "min_pixels": 4096,
            "max_pixels": 1_000_000,
            "total_pixels": 9,
        },
    ),
]


@pytest.mark.parametrize(("part", "bare", "defaulted"), PARTS)
def test_part_options_override_defaults(part: Any, bare: dict[str, Any], defaulted: dict[str, Any]) -> None:
    question = {"type": "text", "text": "?"}
    for settings, sent in (({}, bare), (DEFAULTS, defaulted)):
        body = body_of(request(user(part, "?"), **settings))
        assert body["messages"] == [{"role": "user", "content": [sent, question]}]
        assert not set(DEFAULTS) & set(body)  # next to the parts only
        cached = body_of(request(user(replace(part, cache=True), "?"), **settings))
        marked = {**sent, "cache_control": {"type": "ephemeral"}}
        assert cached["messages"] == [{"role": "user", "content": [marked, question]}]


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_cached_text_is_sent_as_part(role: Any) -> None:
    marked = Message(role, (TextPart("Hi", cache=True),), tool_call_id="call_1" if role == "tool" else None)
    before = (assistant(tool_calls=(call(),)),) if role == "tool" else ()
    content = body_of(request(user("?"), *before, marked, model=UNKNOWN))["messages"][-1]["content"]
    assert content == [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]


def test_bytes_and_files_are_inlined(tmp_path: Path) -> None:
    path = tmp_path / "misnamed.gif"
    path.write_bytes(JPEG)
    body = body_of(
        request(
            user(
                ImagePart(InlineSource(PNG)),
                ImagePart(FileSource(path)),
                FramesPart((InlineSource(PNG), UrlSource(URL), FileSource(path), UrlSource(URL))),
            )
        )
    )
    image, file, frames = body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert file["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert frames["video"] == [image["image_url"]["url"], URL, file["image_url"]["url"], URL]


@pytest.mark.parametrize(
    ("part", "headers"),
    [
        (ImagePart(UrlSource("oss://a/b.png")), {"X-DashScope-OssResourceResolve": "enable"}),
        (
            FramesPart((UrlSource(URL), UrlSource("OSS://a"), UrlSource(URL), UrlSource(URL))),
            {"X-DashScope-OssResourceResolve": "enable"},
        ),
        (ImagePart(UrlSource(URL)), {}),
        (TextPart("oss://a"), {}),
    ],
)
def test_oss_url_adds_resolve_header(part: Any, headers: dict[str, str]) -> None:
    assert wire.headers(prepare(request(user(part)))) == headers


# --- media of tool results --------------------------------------------------------------------------------------------

A, B, C = (ImagePart(UrlSource(f"https://example.com/{name}.png")) for name in "abc")
PLACEHOLDER = "The result follows as media in the next user message."


def sent_tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def sent_media(*parts: Any) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else image_url(part.source.url) for part in parts
    ]
    return {"role": "user", "content": content}


ONE, TWO = (assistant(tool_calls=tuple(call(f"c{n}") for n in range(1, count + 1))) for count in (1, 2))
SENT_ONE, SENT_TWO = (
    {"role": "assistant", "content": "", "tool_calls": [sent_call(f"c{n}") for n in range(1, count + 1)]}
    for count in (1, 2)
)

RELOCATED: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    ((ONE, tool("c1", "Cropped.", A)), [SENT_ONE, sent_tool("c1", "Cropped."), sent_media(A)]),
    ((ONE, tool("c1", A)), [SENT_ONE, sent_tool("c1", PLACEHOLDER), sent_media(A)]),
    ((ONE, tool("c1", A, "a", B, "b")), [SENT_ONE, sent_tool("c1", "a\nb"), sent_media(A, B)]),
    (  # parallel results: all tool messages come first
        (TWO, tool("c1", A), tool("c2", "x", B)),
        [
            SENT_TWO,
            sent_tool("c1", PLACEHOLDER),
            sent_tool("c2", "x"),
            sent_media("Result of the tool call c1:", A, "Result of the tool call c2:", B),
        ],
    ),
    (
        (TWO, tool("c1", "only text"), tool("c2", B)),
        [
            SENT_TWO,
            sent_tool("c1", "only text"),
            sent_tool("c2", PLACEHOLDER),
            sent_media("Result of the tool call c2:", B),
        ],
    ),
    (  # each run of tool messages gets a user message of its own
        (ONE, tool("c1", A), ONE, tool("c1", B), assistant("Done."), user("And?")),
        [
            SENT_ONE,
            sent_tool("c1", PLACEHOLDER),
            sent_media(A),
            SENT_ONE,
            sent_tool("c1", PLACEHOLDER),
            sent_media(B),
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "And?"},
        ],
    ),
    (  # the media precede the next user message
        (ONE, tool("c1", A), user("And?")),
        [SENT_ONE, sent_tool("c1", PLACEHOLDER), sent_media(A), {"role": "user", "content": "And?"}],
    ),
]


@pytest.mark.parametrize(("messages", "sent"), RELOCATED)
def test_media_of_tool_results_move_to_user_message(messages: tuple[Message, ...], sent: list[dict[str, Any]]) -> None:
    check(Case(request(user("Hi"), *messages), ON, [*HI, *sent], ("media of tool results",)))


def test_moved_media_keep_options_and_cache_markers() -> None:
    image = replace(A, max_pixels=7, cache=True)
    body = body_of(request(user("Hi"), ONE, tool("c1", TextPart("Cropped.", cache=True), image), min_pixels=3))
    marker = {"cache_control": {"type": "ephemeral"}}
    assert body["messages"][2]["content"] == [{"type": "text", "text": "Cropped.", **marker}]
    assert body["messages"][3]["content"] == [
        image_url("https://example.com/a.png", min_pixels=3, max_pixels=7, **marker)
    ]


# --- properties -------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([HYBRID, THINKER, PLAIN, NEWER, UNKNOWN]),
    st.lists(
        st.sampled_from(
            [
                user("Hi"),
                Message("system", (TextPart("S"),)),
                user("?", A),
                ONE,
                tool("c1", A, "x"),
                assistant("a", reasoning="Hm."),
                assistant("Once", partial=True),
            ]
        ),
        max_size=6,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "enable_thinking": st.booleans(),
            "thinking_source": st.sampled_from(["default", "model", "call"]),
            "tools": st.just((TOOL,)),
            "tool_choice": st.sampled_from(["auto", "required", NamedTool("crop")]),
            "response_format": st.sampled_from([JSON_OBJECT, JSON_SCHEMA]),
            "forced_output": st.sampled_from(["think_first", "no_thinking", "ask"]),
            "thinking_budget": st.integers(1, 9),
            "fold_system_prompt": st.booleans(),
            "preserve_thinking": st.booleans(),
            "extra_body": st.just({"x": {"y": 1}}),
        },
    ),
)
def test_encoding_keeps_request_and_service_rules(
    model: str, messages: list[Message], settings: dict[str, Any]
) -> None:
    chat_request = request(*messages, model=model, **settings)
    before = copy.deepcopy(chat_request)
    try:
        first = body_of(chat_request)
    except QwenVLInputError:
        assert chat_request == before
        return
    assert body_of(chat_request) == first
    assert chat_request == before
    thinks = first.get("enable_thinking") or model == THINKER
    if thinks:
        assert first["stream"] is True
        assert first["stream_options"] == {"include_usage": True}
        assert first.get("tool_choice") in (None, "auto", "none")
        assert "response_format" not in first
        assert "partial" not in first["messages"][-1]
    else:
        assert "thinking_budget" not in first or model == UNKNOWN
    for message in first["messages"]:
        assert message.get("tool_calls") != []
        assert message["role"] != "tool" or isinstance(message["content"], str)
    assert None not in first.values()
