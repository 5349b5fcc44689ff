"""What is refused before it is sent: each limit just inside and just outside."""

from __future__ import annotations

import base64
import inspect
import math
import random
import timeit
from collections.abc import Callable
from contextlib import suppress
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
WHERE = "messages[0].content[1] (image)"
URL = UrlSource("https://example.com/a.jpg")
FRAME = InlineSource(media_files.png(640, 480))


def check(*parts: Part, api: Api = "openai", **settings: Any) -> None:
    """What the client does with a request before it encodes it."""
    given = ModelSettings(**settings)
    asked = Request(messages=(Message("user", (TextPart("Hi"), *parts)),), settings=given)
    facts = describe(given.model)
    validation.check(policy.prepare(asked, facts), facts, api)


def refusal(*parts: Part, **settings: Any) -> str:
    with pytest.raises(QwenVLInputError) as caught:
        check(*parts, **settings)
    return str(caught.value)


def image(data: bytes) -> ImagePart:
    return ImagePart(InlineSource(data), location=WHERE)


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
    ("media_policy", ["error", "fit"], ["shrink", ""]),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, inside, _ in RANGES for value in inside])
def test_values_within_the_range_pass(name: str, value: Any, api: Api) -> None:
    check(api=api, **{name: value})


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, outside in RANGES for value in outside])
def test_values_outside_the_range_are_named(name: str, value: Any, api: Api) -> None:
    said = refusal(api=api, **{name: value})
    assert said.startswith(f"{name}=")
    assert repr(list(value) if isinstance(value, tuple) else value) in said


@pytest.mark.parametrize("api", APIS)
def test_the_seed_of_each_api(api: Api) -> None:
    check(api=api, seed=0)
    check(api=api, seed=SEED[api])
    assert f"{SEED[api]:,}" in refusal(api=api, seed=SEED[api] + 1)
    assert "seed=-1" in refusal(api=api, seed=-1)


def test_an_error_of_a_value_says_the_range_and_the_way_out() -> None:
    said = refusal(temperature=2.0)
    assert "a number from 0 to below 2" in said
    assert "extra_body={'temperature': 2.0}" in said
    assert "for qwen3-vl-plus" in refusal(max_tokens=40_000)
    assert "1 to 32,768" in refusal(max_tokens=40_000)
    assert "above 0 to 1" in refusal(top_p=0)
    assert "0 or more" in refusal(top_k=-1)


def test_what_extra_body_says_is_the_callers_own() -> None:
    check(extra_body={"temperature": 5, "top_k": -1})


@pytest.mark.parametrize("model", ["my-own-model", "Qwen/Qwen3-VL-8B-Thinking", "qwen3.6-plus"])
def test_a_budget_or_length_without_a_known_limit_passes(model: str) -> None:
    check(model=model, thinking_budget=200_000, max_tokens=60_000)


def test_a_checkpoint_has_the_models_abilities_but_not_the_services_limits() -> None:
    frames = FramesPart((URL,) * 300, location="messages[0].content[1] (video)")
    check(frames, VideoPart(InlineSource(media_files.mp4(7200))), model="Qwen/Qwen3-VL-8B-Instruct", max_tokens=40_960)
    assert "4 to 80" in refusal(frames, model="qwen3-vl-8b-instruct")


def test_pixels_that_cross() -> None:
    assert "min_pixels=5000 is more than max_pixels=4096" in refusal(min_pixels=5000, max_pixels=4096)
    check(min_pixels=4096, max_pixels=4096)
    said = refusal(ImagePart(URL, min_pixels=5000, location=WHERE), max_pixels=4096)
    assert said.startswith(f"{WHERE}: min_pixels=5000")
    check(ImagePart(URL, min_pixels=5000, max_pixels=6000, location=WHERE), max_pixels=4096)


@pytest.mark.parametrize("name", ["min_pixels", "max_pixels", "total_pixels", "fps"])
@pytest.mark.parametrize("value", [0, -1, "2", math.nan])
def test_hints_of_a_part_are_named_with_its_place(name: str, value: Any) -> None:
    said = refusal(VideoPart(URL, location="messages[0].content[1] (video)", **{name: value}))
    assert said.startswith(f"messages[0].content[1] (video): {name}={value!r}")


@pytest.mark.parametrize("part", [VideoPart(URL), FramesPart((URL,) * 4)])
def test_rates_of_a_part(part: VideoPart | FramesPart) -> None:
    for fps in (0.1, 10):
        check(type(part)(*([part.source] if isinstance(part, VideoPart) else [part.sources]), fps=fps))
    for fps in (0.09, 10.5):
        assert "from 0.1 to 10" in refusal(
            type(part)(*([part.source] if isinstance(part, VideoPart) else [part.sources]), fps=fps)
        )


# --- images -----------------------------------------------------------------------------------------------------------

Make = Callable[[int, int], bytes]
TAKEN: list[Make] = [
    media_files.png,
    media_files.jpeg,
    media_files.bmp,
    media_files.tiff,
    media_files.webp,
    media_files.heic,
]


@pytest.mark.parametrize("make", TAKEN)
@pytest.mark.parametrize("size", [(11, 11), (11, 2200), (2200, 11), (3840, 2160), (2160, 3840)])
def test_images_within_the_limits_pass(make: Make, size: tuple[int, int]) -> None:
    check(image(make(*size)))


@pytest.mark.parametrize("make", TAKEN)
@pytest.mark.parametrize("size", [(10, 10), (10, 500), (500, 10), (1, 1)])
def test_tiny_sides(make: Make, size: tuple[int, int]) -> None:
    said = refusal(image(make(*size)))
    assert said.startswith(f"{WHERE}: ")
    assert f"{size[0]}x{size[1]}" in said
    assert "larger than 10" in said
    assert 'media_policy="fit"' in said


@pytest.mark.parametrize("size", [(11, 2201), (2201, 11), (8, 1601), (100, 20_001)])
def test_ratios(size: tuple[int, int]) -> None:
    said = refusal(image(media_files.png(*size)))
    assert said.startswith(f"{WHERE}: ")
    assert f"{size[0]}x{size[1]}" in said
    assert "200" in said
    assert "split" in said
    check(image(media_files.png(100, 20_000)))


@pytest.mark.parametrize("make", [media_files.bmp, media_files.tiff, media_files.webp, media_files.heic])
def test_only_jpeg_and_png_above_4k(make: Make) -> None:
    check(image(make(3840, 2160)))
    said = refusal(image(make(3841, 2160)))
    assert "3841x2160" in said
    assert "JPEG and PNG" in said
    for other in (media_files.jpeg, media_files.png):
        check(image(other(3841, 2160)))
        check(image(other(12_000, 9_000)))


@pytest.mark.parametrize(("make", "mime"), [(media_files.gif, "image/gif"), (media_files.avif, "image/avif")])
def test_formats_that_are_not_read(make: Make, mime: str) -> None:
    said = refusal(image(make(640, 480)))
    assert mime in said
    assert "BMP, JPEG, PNG, TIFF, WEBP and HEIC" in said


def test_the_word_of_the_caller_counts_where_the_bytes_tell_nothing() -> None:
    unknown = b"not a header that anybody knows"
    for mime in ("image/png", "image/jpg", "image/*", None, "video/mp4"):
        check(ImagePart(InlineSource(unknown, mime=mime), location=WHERE))
    assert "image/svg+xml" in refusal(ImagePart(InlineSource(b"<svg/>", mime="image/svg+xml"), location=WHERE))
    check(ImagePart(InlineSource(media_files.png(64, 64), mime="image/gif"), location=WHERE))


def sources(data: bytes, path: Path) -> list[Any]:
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


@pytest.mark.parametrize("make", TAKEN)
def test_every_way_to_give_an_image_is_looked_at(make: Make, tmp_path: Path) -> None:
    for source in sources(make(10, 900), tmp_path / "a"):
        assert "10x900" in refusal(ImagePart(source, location=WHERE))


def test_what_is_behind_a_url_or_nowhere_passes(tmp_path: Path) -> None:
    for source in (
        URL,
        UrlSource("oss://bucket/a.png"),
        FileSource(tmp_path / "none"),
        FileSource(tmp_path),
        FileSource(Path("a\0b")),
    ):
        check(ImagePart(source), VideoPart(source))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", media_files.png(5, 5)[:20], b"BM", b"RIFF", b"II*\0"])
def test_a_header_that_does_not_tell_the_size_passes(data: bytes) -> None:
    check(image(data))


@given(st.data())
def test_broken_headers_raise_nothing_but_our_error(data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([b"", *(make(300, 200) for make in TAKEN), media_files.mp4(5)[:4000]]))
    broken = bytearray(start[: data.draw(st.integers(0, len(start)))] + data.draw(st.binary(max_size=300)))
    for at in data.draw(st.lists(st.integers(0, max(len(broken) - 1, 0)), max_size=8)):
        if broken:
            broken[at] = data.draw(st.integers(0, 255))
    text = base64.b64encode(bytes(broken)).decode()
    for source in (
        InlineSource(bytes(broken)),
        InlineSource(text, base64_from=0),
        InlineSource(text[::-1], base64_from=0),
        InlineSource(bytes(broken), base64_from=0),
    ):
        for part in (ImagePart(source), VideoPart(source), FramesPart((source,) * 4)):
            with suppress(QwenVLInputError):
                check(part)


# --- videos -----------------------------------------------------------------------------------------------------------

FRAME_LIMITS = [
    ("qwen3-vl-plus", 2000),
    ("qwen3-vl-plus-2025-12-19", 2000),
    ("qwen3-vl-flash", 512),
    ("qwen2.5-vl-72b-instruct", 512),
    ("qvq-max", 512),
    ("qwen3-vl-235b-a22b-instruct", 80),
    ("qwen2-vl-72b-instruct", 80),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("model", "most"), FRAME_LIMITS)
def test_frames_of_each_model(model: str, most: int, api: Api) -> None:
    for count in (4, most):
        check(FramesPart((URL,) * count), model=model, api=api)
    for count in (1, 3, most + 1):
        said = refusal(FramesPart((URL,) * count, location="messages[0].content[1] (video)"), model=model, api=api)
        assert said.startswith("messages[0].content[1] (video): ")
        assert f"{count:,} frames" in said
        assert f"{model} takes 4 to {most:,}" in said


def test_frames_of_a_model_that_no_row_knows() -> None:
    check(FramesPart((URL,)), model="my-own-model")
    check(FramesPart((URL,) * 9000), model="my-own-model")


def test_each_frame_is_an_image() -> None:
    bad = InlineSource(media_files.png(10, 480))
    said = refusal(FramesPart((FRAME, FRAME, bad, FRAME), location="messages[0].content[1] (video)"))
    assert said.startswith("messages[0].content[1] (video), frame 2: this image is 10x480")
    assert "image/gif" in refusal(FramesPart((FRAME, FRAME, FRAME, InlineSource(media_files.gif(64, 64)))))


SECONDS = [
    ("qwen3-vl-plus", 3600),
    ("qwen3-vl-flash", 1200),
    ("qwen3-vl-8b-instruct", 1200),
    ("qwen-vl-max", 1200),
    ("qwen-vl-plus", 600),
    ("qvq-max", 600),
    ("qwen2-vl-7b-instruct", 40),
]


@pytest.mark.parametrize("make", [media_files.mp4, media_files.avi])
@pytest.mark.parametrize(("model", "most"), SECONDS)
def test_durations_of_each_model(make: Callable[[float], bytes], model: str, most: int) -> None:
    for seconds in (2, most):
        check(VideoPart(InlineSource(make(seconds))), model=model)
    for seconds in (1.96, most + 0.04):
        said = refusal(VideoPart(InlineSource(make(seconds)), location="messages[0].content[1] (video)"), model=model)
        assert said.startswith("messages[0].content[1] (video): this video has ")
        assert f"{model} takes 2 to {most:,} seconds" in said


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_every_way_to_give_a_video_is_looked_at(wide: bool, first: bool, tmp_path: Path) -> None:
    for source in sources(media_files.mp4(1.5, wide=wide, first=first), tmp_path / "a.mp4"):
        broken_text = isinstance(source, InlineSource) and source.base64_from == 0 and not is_plain(source.data)
        if broken_text and not first:
            continue  # of text with line breaks, the head is read only
        assert "1.5 seconds" in refusal(VideoPart(source))


def is_plain(data: bytes | str) -> bool:
    return not set("\n-_") & set(data if isinstance(data, str) else data.decode())


def test_a_duration_that_is_not_told_passes() -> None:
    live = media_files.mp4(5).replace((5000).to_bytes(4, "big"), b"\xff\xff\xff\xff")
    for data in (
        media_files.mp4(0),
        live,
        media_files.mp4(5)[:200],
        b"\0\0\0\x18ftypmp42" + bytes(50),
        b"FLV\x01" + bytes(50),
    ):
        check(VideoPart(InlineSource(data)))


def test_media_that_a_model_does_not_take() -> None:
    for part in (
        VideoPart(URL, location="messages[0].content[1] (video)"),
        FramesPart((URL,), location="messages[0].content[1]"),
    ):
        said = refusal(part, model="qwen-vl-ocr")
        assert said.startswith("messages[0].content[1]")
        assert "qwen-vl-ocr takes no videos" in said
        assert "qwen3-vl-plus" in said
    check(ImagePart(URL), model="qwen-vl-ocr")


# --- all of it --------------------------------------------------------------------------------------------------------


def test_media_of_a_tool_are_checked_where_they_came_from() -> None:
    tool = Message(
        "tool",
        (ImagePart(InlineSource(media_files.png(5, 5)), location="messages[2].content[0] (image)"),),
        tool_call_id="1",
    )
    asked = Request(messages=(Message("user", (TextPart("Hi"),)), tool), settings=ModelSettings())
    facts = describe("qwen3-vl-plus")
    with pytest.raises(QwenVLInputError, match=r"^messages\[2\]\.content\[0\] \(image\): this image is 5x5"):
        validation.check(policy.prepare(asked, facts), facts, "openai")


def test_every_rule_says_where_it_comes_from() -> None:
    assert "Sources:" in (validation.__doc__ or "")
    rules = [rule for rule in (*validation._IMAGE_RULES, validation._check_frame_count, validation._check_duration)]
    assert all("Source: " in (inspect.getdoc(rule) or "") for rule in rules)


def test_a_check_costs_microseconds(tmp_path: Path) -> None:
    """The bounds are ten times what was measured on a slow machine: what a decode costs is far above them."""
    data = media_files.png(4000, 3000) + random.Random(0).randbytes(7_000_000)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    asked = Request(messages=(Message("user", (TextPart("Hi"),)),), settings=ModelSettings())
    facts = describe("qwen3-vl-plus")
    for part in (
        TextPart("Hi"),
        ImagePart(InlineSource(data)),
        ImagePart(FileSource(path)),
        ImagePart(InlineSource(text, base64_from=0)),
    ):
        prepared = policy.prepare(Request(messages=(Message("user", (part,)),), settings=asked.settings), facts)
        seconds = (
            min(
                timeit.repeat(
                    lambda prepared=prepared: validation.check(prepared, facts, "openai"), number=20, repeat=5
                )
            )
            / 20
        )
        assert seconds < 1e-3
