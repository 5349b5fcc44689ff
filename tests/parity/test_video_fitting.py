"""Test `media_policy="fit"` for videos in both frameworks and both APIs: what is sent, reported and counted."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, TextBlock
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL, video
from qwenvl_core.media import video_decoding
from tests.emulator import Emulator
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair, metadata_of, text_of
from tests.support.media_files import mp4_header
from tests.support.model_factories import KEY
from tests.support.video_files import encode_video


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest) -> Api:
    chosen: Api = request.param
    return chosen


@pytest.fixture
def models(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    pair = ModelPair(emulator, api, media_policy="fit")
    yield pair
    pair.close()


def build_turn(path: Path, **options: Any) -> tuple[HumanMessage, ChatMessage]:
    block: dict[str, Any] = {"type": "video_url", "video_url": {"url": path}, **options}
    return (
        HumanMessage([block, {"type": "text", "text": "What?"}]),
        ChatMessage(role="user", blocks=[video(path, **options), TextBlock(text="What?")]),
    )


def read_frames(emulator: Emulator) -> tuple[list[Image.Image], Any]:
    """Return the frames and the rate of the first part of the last request."""
    body = emulator.requests[-1].json
    part = body.get("input", body)["messages"][0]["content"][0]
    images: list[Image.Image] = [
        Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in part["video"]
    ]
    return images, part.get("fps")


VIDEOS: dict[str, tuple[dict[str, Any], str]] = {
    "container": ({"frames": 30, "container": "webm", "codec": "libvpx-vp9"}, "the service reads no video/webm"),
    "too short": ({"frames": 10}, "it is too short"),
}


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
@pytest.mark.parametrize("name", VIDEOS)
def test_video_that_is_refused_is_sent_as_frames(
    models: ModelPair, emulator: Emulator, tmp_path: Path, name: str, call_mode: CallMode
) -> None:
    options, reason = VIDEOS[name]
    path = tmp_path / "a.video"
    path.write_bytes(encode_video(size=(320, 192), **options))
    answer = models.send(call_mode, [build_turn(path)])
    assert text_of(answer)
    frames, fps = read_frames(emulator)
    assert len(frames) == (6 if name == "container" else 4)
    assert fps == (2 if name == "container" else 4)
    assert {frame.size for frame in frames} == {(320, 192)}
    (note,) = metadata_of(answer)["adjustments"]
    assert f"video sent as a list of {len(frames)} frames at {fps:g} per second, because {reason}" in note


def test_limit_of_size_depends_on_upload(models: ModelPair, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    data = encode_video(40, has_index_first=True)
    path.write_bytes(data + b"\0\0\0\x08free" + bytes(8_000_000 - len(data)))
    call_mode = CALL_MODES[0]
    assert text_of(models.send(call_mode, [build_turn(path)]))
    assert [upload.content for upload in emulator.uploads] == [path.read_bytes()]
    assert text_of(models.send(call_mode, [build_turn(path, fps=1)], upload="never"))
    frames, fps = read_frames(emulator)
    assert (len(frames), fps) == (4, 1)
    assert len(emulator.uploads) == 1


def test_long_video_is_sampled_within_the_frames_of_the_model(
    models: ModelPair, emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_video(10, times=[100.0 * number for number in range(10)]))
    assert text_of(models.send(CALL_MODES[0], [build_turn(path)], model="qwen2.5-vl-7b-instruct"))  # up to 10 minutes
    frames, fps = read_frames(emulator)
    assert len(frames) == 512
    assert fps == pytest.approx(512 / 900.1, abs=0.002)


def test_video_that_is_accepted_is_not_decoded(
    models: ModelPair, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_decoding, "_import_av", lambda location: pytest.fail("PyAV was used"))
    path = tmp_path / "a.mp4"
    path.write_bytes(mp4_header(60))
    assert text_of(models.send(CALL_MODES[0], [build_turn(path)]))
    assert "data:video/mp4" in emulator.requests[-1].body.decode()


def test_upload_always_uploads_each_frame_once(models: ModelPair, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(encode_video(30, container="webm", codec="libvpx-vp9"))
    for _ in range(3):
        assert text_of(models.send(CALL_MODES[0], [build_turn(path)], upload="always"))
    assert len(emulator.uploads) == 6
    assert all(upload.content.startswith(b"\xff\xd8\xff") for upload in emulator.uploads)


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_broken_video_raises_value_error_with_location(
    models: ModelPair, emulator: Emulator, tmp_path: Path, call_mode: CallMode
) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(1000))
    with pytest.raises(ValueError, match=r"messages\[0\].*can't be decoded"):
        models.send(call_mode, [build_turn(path)])
    assert not emulator.requests


@pytest.mark.parametrize("is_broken", [False, True])
def test_video_of_a_tool_is_fitted_or_described(emulator: Emulator, api: Api, is_broken: bool) -> None:
    data = encode_video(30, container="webm", codec="libvpx-vp9")
    if is_broken:
        data = data[:40] + bytes(500)
    url = emulator.compat_url if api == "openai" else emulator.native_url
    model = ChatQwenVL(api=api, base_url=url, api_key=KEY, media_policy="fit", enable_thinking=False)
    block: dict[str, Any] = {"type": "video", "base64": base64.b64encode(data).decode(), "mime_type": "video/webm"}
    assert model.invoke([
        HumanMessage("Look."),
        AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
        ToolMessage([block], tool_call_id="1"),
    ]).content  # fmt: skip
    body = emulator.requests[-1].body
    assert (b"data:image/jpeg" in body) is not is_broken
    assert b"data:video" not in body
    assert not emulator.refusals
    model.close()


def test_check_names_fit_for_size_and_duration(emulator: Emulator, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(mp4_header(2 * 3600))
    pair = ModelPair(emulator, api)
    with pytest.raises(ValueError, match=r'7200.* seconds.*media_policy="fit"'):
        pair.send(CALL_MODES[0], [build_turn(path)])
    path.write_bytes(mp4_header(60).ljust(9_000_000, b"\0"))
    with pytest.raises(ValueError, match='media_policy="fit"'):
        pair.send(CALL_MODES[0], [build_turn(path)], upload="never")
    pair.close()


def test_server_without_videos_gets_images(emulator: Emulator, tmp_path: Path) -> None:
    emulator.strict = False
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_video(30))
    pair = ModelPair(emulator, "openai", provider="ollama", base_url=emulator.self_hosted_url, media_policy="fit")
    answer = pair.send(CALL_MODES[0], [build_turn(path)])
    content = emulator.requests[-1].json["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 6 + ["text"]
    assert any("because ollama takes no videos" in note for note in metadata_of(answer)["adjustments"])
    pair.close()


def test_count_is_that_of_the_frames(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(encode_video(30, container="webm", codec="libvpx-vp9", size=(320, 192)))
    langchain_message, llama_index_message = build_turn(path)
    keywords: dict[str, Any] = {"base_url": emulator.compat_url, "api_key": KEY, "model": "qwen3-vl-plus"}
    counts = []
    for policy in ("fit", "check"):
        model, llm = ChatQwenVL(media_policy=policy, **keywords), QwenVL(media_policy=policy, **keywords)
        count = model.get_num_tokens_from_messages([langchain_message])
        assert llm.count_tokens([llama_index_message]) == count
        counts.append(count)
    text = ChatQwenVL(**keywords).get_num_tokens_from_messages([HumanMessage("What?")])
    assert counts[0] - text == 3 * (320 // 32) * (192 // 32) + 2
    assert counts[1] > counts[0]  # of unknown size: the most that it may cost
    assert not emulator.requests
