"""Validation of prepared requests: each limit just inside and just outside."""

from __future__ import annotations

import base64
import inspect
import math
import random
import timeit
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.request import policy, validation
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart, VideoPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from tests.support import media_files

APIS: tuple[Api, ...] = ("openai", "dashscope")
LOCATION = "messages[0].content[1] (image)"
URL = UrlSource("https://example.com/a.jpg")
VALID_FRAME = InlineSource(media_files.png(640, 480))


def check_parts(*parts: Part, api: Api = "openai", has_storage: bool = False, **settings: Any) -> None:
    """Prepare and validate a request with the parts, as the client does."""
    model_settings = ModelSettings(**settings)
    request = Request(messages=(Message("user", (TextPart("Hi"), *parts)),), settings=model_settings)
    facts = describe(model_settings.model)
    prepared = replace(policy.prepare(request, facts), has_storage=has_storage)
    validation.check(prepared, facts, api)


def get_error(*parts: Part, **settings: Any) -> str:
    with pytest.raises(QwenVLInputError) as caught:
        check_parts(*parts, **settings)
    return str(caught.value)


def image_part(data: bytes) -> ImagePart:
    return ImagePart(InlineSource(data), location=LOCATION)


# --- parameters -------------------------------------------------------------------------------------------------------

SEED = {"openai": 2**31 - 1, "dashscope": 2**63 - 1}
RANGES: list[tuple[str, list[Any], list[Any]]] = [
    ("temperature", [0, 0.0, 1.999, 1], [-0.001, 2, 2.0, math.nan, math.inf, "1", True]),
    ("top_p", [0.001, 1, 1.0], [0, 0.0, 1.001, -1, math.nan]),
    ("top_k", [0, 1, 100], [-1, 1.0, True]),
    ("presence_penalty", [-2, 2, 0, -2.0], [-2.001, 2.001]),
    ("repetition_penalty", [0.001, 1, 5], [0, -1, math.inf]),
    ("top_logprobs", [0, 5], [-1, 0.5]),
    ("max_tokens", [1, 32_768], [0, -1, 32_769, 1.5]),
    ("thinking_budget", [1, 81_920], [81_921, 0, -1, 1.5, "100", True]),
    ("min_pixels", [1, 4096], [0, -1, "many"]),
    ("max_pixels", [1, 16_777_216], [0, -1]),
    ("fps", [0.1, 10, 2], [0, 0.099, 10.001, math.nan]),
    ("stop", [("a",), ("a", "b")], [("",), ("a", "")]),
    ("media_policy", ["check", "fit"], ["error", "shrink", ""]),
    ("upload", ["auto", "always", "never"], ["yes", "", True]),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, inside, _ in RANGES for value in inside])
def test_value_within_its_range_passes(name: str, value: Any, api: Api) -> None:
    check_parts(api=api, **{name: value})


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, outside in RANGES for value in outside])
def test_value_outside_its_range_raises_input_error(name: str, value: Any, api: Api) -> None:
    message = get_error(api=api, **{name: value})
    assert message.startswith(f"{name}=")
    assert repr(list(value) if isinstance(value, tuple) else value) in message


@pytest.mark.parametrize("api", APIS)
def test_seed_range_depends_on_the_api(api: Api) -> None:
    check_parts(api=api, seed=0)
    check_parts(api=api, seed=SEED[api])
    assert f"{SEED[api]:,}" in get_error(api=api, seed=SEED[api] + 1)
    assert "seed=-1" in get_error(api=api, seed=-1)


def test_range_error_names_the_range_and_extra_body() -> None:
    message = get_error(temperature=2.0)
    assert "a number from 0 to below 2" in message
    assert "extra_body={'temperature': 2.0}" in message
    assert "for qwen3-vl-plus" in get_error(max_tokens=40_000)
    assert "1 to 32,768" in get_error(max_tokens=40_000)
    assert "above 0 to 1" in get_error(top_p=0)
    assert "0 or more" in get_error(top_k=-1)


def test_extra_body_is_not_checked() -> None:
    check_parts(extra_body={"temperature": 5, "top_k": -1})


@pytest.mark.parametrize("model", ["my-own-model", "Qwen/Qwen3-VL-8B-Thinking", "qwen3.6-27b", "qwen3.9-plus"])
def test_value_without_a_known_limit_passes(model: str) -> None:
    check_parts(model=model, thinking_budget=200_000, max_tokens=60_000)


def test_checkpoint_has_no_service_limits() -> None:
    frames = FramesPart((URL,) * 600, location="messages[0].content[1] (video)")
    check_parts(
        frames, VideoPart(InlineSource(media_files.mp4(7200))), model="Qwen/Qwen3-VL-8B-Instruct", max_tokens=40_960
    )
    assert "4 to 512" in get_error(frames, model="qwen3-vl-8b-instruct")
    for name in ("qwen3-vl:8b-instruct", "Qwen3-VL-8B-Instruct", "models--Qwen--Qwen3-VL-8B-Instruct"):
        check_parts(frames, *[ImagePart(URL)] * 300, model=name, max_tokens=40_960)


COUNTS = [("qwen3.8-max", 2048), ("qwen3.7-plus", 2048), ("qwen3.8-flash", 256), ("qwen2.5-vl-7b-instruct", 256)]


@pytest.mark.parametrize(("model", "limit"), COUNTS)
def test_number_of_images_by_url_is_limited_by_model(model: str, limit: int) -> None:
    check_parts(*[ImagePart(URL)] * limit, model=model)
    message = get_error(*[ImagePart(URL)] * (limit + 1), model=model)
    assert f"{limit + 1:,} images by URL; {model} takes at most {limit:,}" in message


def test_numbers_of_inline_images_and_videos_are_limited() -> None:
    inline, video = ImagePart(VALID_FRAME), VideoPart(URL)
    check_parts(*[inline] * 250, *[ImagePart(URL)] * 256, *[video] * 63, FramesPart((URL,) * 4))
    assert "251 images as data URIs" in get_error(*[inline] * 251)
    assert "65 videos; qwen3-vl-plus takes at most 64" in get_error(*[video] * 64, FramesPart((URL,) * 4))
    check_parts(*[inline] * 300, *[ImagePart(URL)] * 3000, *[video] * 100, model="qwen3.9-plus")
    check_parts(*[inline] * 300, *[video] * 100, model="my-own-model")


def test_image_that_is_uploaded_counts_as_one_by_url(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(media_files.png(64, 64))
    with path.open("r+b") as file:
        file.truncate(17_000_000)
    parts = [ImagePart(FileSource(path))] * 256
    check_parts(*parts, has_storage=True)
    assert "256 images as data URIs" in get_error(*parts)
    assert "256 images as data URIs" in get_error(*parts, has_storage=True, upload="never")
    assert "257 images by URL" in get_error(*parts, ImagePart(URL), has_storage=True)
    small = [ImagePart(VALID_FRAME)] * 251
    assert "251 images as data URIs" in get_error(*small, has_storage=True)
    check_parts(*small, has_storage=True, upload="always")
    assert "257 images by URL" in get_error(*[ImagePart(VALID_FRAME)] * 257, has_storage=True, upload="always")


@pytest.mark.parametrize("model", ["qwen3.7-max", "qwen3.7-max-preview", "qwen3.6-max-preview"])
def test_media_for_a_text_model_raise_input_error(model: str) -> None:
    for part in (ImagePart(URL, location=LOCATION), VideoPart(URL, location=LOCATION), FramesPart((URL,) * 4)):
        assert f"{model} takes no " in get_error(part, model=model)
        assert "Send text" in get_error(part, model=model)


def test_min_pixels_above_max_pixels_raises_input_error() -> None:
    assert "min_pixels=5000 is more than max_pixels=4096" in get_error(min_pixels=5000, max_pixels=4096)
    check_parts(min_pixels=4096, max_pixels=4096)
    message = get_error(ImagePart(URL, min_pixels=5000, location=LOCATION), max_pixels=4096)
    assert message.startswith(f"{LOCATION}: min_pixels=5000")
    check_parts(ImagePart(URL, min_pixels=5000, max_pixels=6000, location=LOCATION), max_pixels=4096)


@pytest.mark.parametrize("name", ["min_pixels", "max_pixels", "total_pixels", "fps"])
@pytest.mark.parametrize("value", [0, -1, "2", math.nan])
def test_invalid_part_option_raises_input_error_with_location(name: str, value: Any) -> None:
    message = get_error(VideoPart(URL, location="messages[0].content[1] (video)", **{name: value}))
    assert message.startswith(f"messages[0].content[1] (video): {name}={value!r}")


@pytest.mark.parametrize("part", [VideoPart(URL), FramesPart((URL,) * 4)])
def test_fps_of_a_part_is_checked(part: VideoPart | FramesPart) -> None:
    for fps in (0.1, 10):
        check_parts(replace(part, fps=fps))
    for fps in (0.09, 10.5):
        assert "from 0.1 to 10" in get_error(replace(part, fps=fps))


# --- images -----------------------------------------------------------------------------------------------------------

Make = Callable[[int, int], bytes]
SUPPORTED: list[Make] = [
    media_files.png,
    media_files.jpeg,
    media_files.bmp,
    media_files.tiff,
    media_files.webp,
    media_files.heic,
]


@pytest.mark.parametrize("make", SUPPORTED)
@pytest.mark.parametrize("size", [(11, 11), (11, 2200), (2200, 11), (3840, 2160), (2160, 3840)])
def test_image_within_the_limits_passes(make: Make, size: tuple[int, int]) -> None:
    check_parts(image_part(make(*size)))


@pytest.mark.parametrize("make", SUPPORTED)
@pytest.mark.parametrize("size", [(10, 10), (10, 500), (500, 10), (1, 1)])
def test_image_with_tiny_sides_raises_input_error(make: Make, size: tuple[int, int]) -> None:
    message = get_error(image_part(make(*size)))
    assert message.startswith(f"{LOCATION}: ")
    assert f"{size[0]}x{size[1]}" in message
    assert "larger than 10" in message
    assert 'media_policy="fit"' in message


@pytest.mark.parametrize("size", [(11, 2201), (2201, 11), (8, 1601), (100, 20_001)])
def test_image_above_the_max_ratio_raises_input_error(size: tuple[int, int]) -> None:
    message = get_error(image_part(media_files.png(*size)))
    assert message.startswith(f"{LOCATION}: ")
    assert f"{size[0]}x{size[1]}" in message
    assert "200" in message
    assert "split" in message
    check_parts(image_part(media_files.png(100, 20_000)))


@pytest.mark.parametrize("make", [media_files.bmp, media_files.tiff, media_files.webp, media_files.heic])
def test_large_image_of_other_format_raises_input_error(make: Make) -> None:
    check_parts(image_part(make(3840, 2160)))
    message = get_error(image_part(make(3841, 2160)))
    assert "3841x2160" in message
    assert "JPEG and PNG" in message
    for other in (media_files.jpeg, media_files.png):
        check_parts(image_part(other(3841, 2160)))
        check_parts(image_part(other(12_000, 9_000)))


@pytest.mark.parametrize(("make", "mime"), [(media_files.gif, "image/gif"), (media_files.avif, "image/avif")])
def test_image_of_unsupported_format_raises_input_error(make: Make, mime: str) -> None:
    message = get_error(image_part(make(640, 480)))
    assert mime in message
    assert "BMP, JPEG, PNG, TIFF, WEBP and HEIC" in message


def test_declared_format_is_checked_where_the_bytes_are_unknown() -> None:
    unknown = b"not a known header"
    for mime in ("image/png", "image/jpg", "image/*", None, "video/mp4"):
        check_parts(ImagePart(InlineSource(unknown, mime=mime), location=LOCATION))
    assert "image/svg+xml" in get_error(ImagePart(InlineSource(b"<svg/>", mime="image/svg+xml"), location=LOCATION))
    check_parts(ImagePart(InlineSource(media_files.png(64, 64), mime="image/gif"), location=LOCATION))


def create_sources(data: bytes, path: Path) -> list[Any]:
    text = base64.b64encode(data).decode()
    path.write_bytes(data)
    return [
        InlineSource(data),
        InlineSource(text, base64_from=0),
        InlineSource(text.encode(), base64_from=0),
        InlineSource(f"data:image/png;base64,{text}", base64_from=22),
        InlineSource(base64.encodebytes(data).decode(), base64_from=0),
        InlineSource(base64.urlsafe_b64encode(data).decode().rstrip("="), base64_from=0),
        FileSource(path),
    ]


@pytest.mark.parametrize("make", SUPPORTED)
def test_image_of_any_source_type_is_checked(make: Make, tmp_path: Path) -> None:
    for source in create_sources(make(10, 900), tmp_path / "a"):
        assert "10x900" in get_error(ImagePart(source, location=LOCATION))


def test_remote_or_missing_media_pass(tmp_path: Path) -> None:
    for source in (
        URL,
        UrlSource("oss://bucket/a.png"),
        FileSource(tmp_path / "none"),
        FileSource(tmp_path),
        FileSource(Path("a\0b")),
    ):
        check_parts(ImagePart(source), VideoPart(source))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", media_files.png(5, 5)[:20], b"BM", b"RIFF", b"II*\0"])
def test_header_without_a_size_passes(data: bytes) -> None:
    check_parts(image_part(data))


@given(st.data())
def test_broken_header_raises_only_input_error(data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([b"", *(make(300, 200) for make in SUPPORTED), media_files.mp4(5)[:4000]]))
    broken = bytearray(start[: data.draw(st.integers(0, len(start)))] + data.draw(st.binary(max_size=300)))
    for index in data.draw(st.lists(st.integers(0, max(len(broken) - 1, 0)), max_size=8)):
        if broken:
            broken[index] = data.draw(st.integers(0, 255))
    text = base64.b64encode(bytes(broken)).decode()
    for source in (
        InlineSource(bytes(broken)),
        InlineSource(text, base64_from=0),
        InlineSource(text[::-1], base64_from=0),
        InlineSource(bytes(broken), base64_from=0),
    ):
        for part in (ImagePart(source), VideoPart(source), FramesPart((source,) * 4)):
            with suppress(QwenVLInputError):
                check_parts(part)


# --- videos -----------------------------------------------------------------------------------------------------------

FRAME_LIMITS = [
    ("qwen3-vl-plus", 2000),
    ("qwen3-vl-plus-2025-12-19", 2000),
    ("qwen3-vl-flash", 2000),
    ("qwen2.5-vl-72b-instruct", 512),
    ("qvq-max", 512),
    ("qwen3-vl-235b-a22b-instruct", 2000),
    ("qwen3-vl-235b-a22b-thinking", 2000),
    ("qwen3-vl-8b-instruct", 512),
    ("qwen2-vl-72b-instruct", 80),
    ("qwen3.5-27b", 8000),
    ("qwen3.8-max", 8000),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("model", "max_frames"), FRAME_LIMITS)
def test_frame_count_limits_of_each_model(model: str, max_frames: int, api: Api) -> None:
    for count in (4, max_frames):
        check_parts(FramesPart((URL,) * count), model=model, api=api)
    for count in (1, 3, max_frames + 1):
        message = get_error(FramesPart((URL,) * count, location="messages[0].content[1] (video)"), model=model, api=api)
        assert message.startswith("messages[0].content[1] (video): ")
        assert f"{count:,} frames" in message
        assert f"{model} takes 4 to {max_frames:,}" in message


def test_frame_count_of_an_unknown_model_is_not_limited() -> None:
    check_parts(FramesPart((URL,)), model="my-own-model")
    check_parts(FramesPart((URL,) * 9000), model="my-own-model")


def test_invalid_frame_raises_input_error_with_its_index() -> None:
    bad = InlineSource(media_files.png(10, 480))
    message = get_error(
        FramesPart((VALID_FRAME, VALID_FRAME, bad, VALID_FRAME), location="messages[0].content[1] (video)")
    )
    assert message.startswith("messages[0].content[1] (video), frame 2: this image is 10x480")
    assert "image/gif" in get_error(
        FramesPart((VALID_FRAME, VALID_FRAME, VALID_FRAME, InlineSource(media_files.gif(64, 64))))
    )


SECONDS = [
    ("qwen3-vl-plus", 3600),
    ("qwen3-vl-flash", 3600),
    ("qwen3-vl-235b-a22b-thinking", 3600),
    ("qwen3-vl-8b-instruct", 1200),
    ("qwen3.8-flash", 7200),
    ("qwen-vl-max", 1200),
    ("qwen-vl-plus", 600),
    ("qvq-max", 600),
    ("qwen2-vl-7b-instruct", 40),
]


@pytest.mark.parametrize("make", [media_files.mp4, media_files.avi])
@pytest.mark.parametrize(("model", "longest"), SECONDS)
def test_duration_limits_of_each_model(make: Callable[[float], bytes], model: str, longest: int) -> None:
    for allowed in (2, longest):
        check_parts(VideoPart(InlineSource(make(allowed))), model=model)
    for seconds in (1.96, longest + 0.04):
        message = get_error(
            VideoPart(InlineSource(make(seconds)), location="messages[0].content[1] (video)"), model=model
        )
        assert message.startswith("messages[0].content[1] (video): this video has ")
        assert f"{model} takes 2 to {longest:,} seconds" in message


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_video_of_any_source_type_is_checked(wide: bool, first: bool, tmp_path: Path) -> None:
    for source in create_sources(media_files.mp4(1.5, wide=wide, first=first), tmp_path / "a.mp4"):
        is_irregular = isinstance(source, InlineSource) and source.base64_from == 0 and not is_plain(source.data)
        if is_irregular and not first:
            continue  # only the head of text with line breaks is read
        assert "1.5 seconds" in get_error(VideoPart(source))


def is_plain(data: bytes | str) -> bool:
    return not set("\n-_") & set(data if isinstance(data, str) else data.decode())


def test_video_of_unknown_duration_passes() -> None:
    live = media_files.mp4(5).replace((5000).to_bytes(4, "big"), b"\xff\xff\xff\xff")
    for data in (
        media_files.mp4(0),
        live,
        media_files.mp4(5)[:200],
        b"\0\0\0\x18ftypmp42" + bytes(50),
        b"FLV\x01" + bytes(50),
    ):
        check_parts(VideoPart(InlineSource(data)))


def test_media_that_the_model_does_not_support_raise_input_error() -> None:
    for part in (
        VideoPart(URL, location="messages[0].content[1] (video)"),
        FramesPart((URL,), location="messages[0].content[1]"),
    ):
        message = get_error(part, model="qwen-vl-ocr")
        assert message.startswith("messages[0].content[1]")
        assert "qwen-vl-ocr takes no videos" in message
        assert "qwen3-vl-plus" in message
    check_parts(ImagePart(URL), model="qwen-vl-ocr")


# --- requests and rules -----------------------------------------------------------------------------------------------


def test_tool_media_error_keeps_the_original_location() -> None:
    tool = Message(
        "tool",
        (ImagePart(InlineSource(media_files.png(5, 5)), location="messages[2].content[0] (image)"),),
        tool_call_id="1",
    )
    request = Request(messages=(Message("user", (TextPart("Hi"),)), tool), settings=ModelSettings())
    facts = describe("qwen3-vl-plus")
    with pytest.raises(QwenVLInputError, match=r"^messages\[2\]\.content\[0\] \(image\): this image is 5x5"):
        validation.check(policy.prepare(request, facts), facts, "openai")


def test_rules_name_their_sources() -> None:
    assert "Sources:" in (validation.__doc__ or "")
    rules = [rule for rule in (*validation._IMAGE_RULES, validation._check_frame_count, validation._check_duration)]
    assert all("Source: " in (inspect.getdoc(rule) or "") for rule in rules)


def test_check_takes_microseconds(tmp_path: Path) -> None:
    """The bound is ten times the time measured on a slow machine; decoding an image takes far longer."""
    data = media_files.png(4000, 3000) + random.Random(0).randbytes(7_000_000)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    facts = describe("qwen3-vl-plus")
    for part in (
        TextPart("Hi"),
        ImagePart(InlineSource(data)),
        ImagePart(FileSource(path)),
        ImagePart(InlineSource(text, base64_from=0)),
    ):
        prepared = policy.prepare(Request(messages=(Message("user", (part,)),), settings=ModelSettings()), facts)
        validate = partial(validation.check, prepared, facts, "openai")
        seconds = min(timeit.repeat(validate, number=20, repeat=5)) / 20
        assert seconds < 1e-3
