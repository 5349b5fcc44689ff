"""Images made fit to be sent: which are touched, what becomes of them, and what is told."""

from __future__ import annotations

import asyncio
import base64
import builtins
import io
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.base64_text import compute_base64_length
from qwenvl_core.media.images import encode_jpeg
from qwenvl_core.media.sources import DATA_URI_LIMIT
from qwenvl_core.request import image_fitting, policy, validation
from qwenvl_core.tokens import frame_max_pixels, image_resize, image_tokens
from qwenvl_core.types.media import FileSource, InlineSource, Source, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings
from tests.emulator import Emulator
from tests.support import media_files
from tests.support.pipeline import client, events_of

WHERE = "messages[0].content[1] (image)"
Pillow.init()
OTHERS = [kind for kind in ("GIF", "AVIF") if kind in Pillow.SAVE]  # older versions of Pillow write no AVIF
BUDGET = 2_621_440  # pixels of an image for qwen3-vl-plus


def picture(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB", color: Any = "teal", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.new(mode, size, color).save(buffer, kind, **options)
    return buffer.getvalue()


def fitted(*parts: Part, media_policy: Any = "fit", **settings: Any) -> PreparedRequest:
    given = ModelSettings(media_policy=media_policy, enable_thinking=False, **settings)
    facts = describe(given.model)
    asked = Request(messages=(Message("user", (TextPart("Hi"), *parts)),), settings=given)
    prepared = image_fitting.fit_images(policy.prepare(asked, facts), facts)
    validation.check(prepared, facts, "openai")
    return prepared


def sent(source: Source | bytes, **settings: Any) -> tuple[Pillow.Image | None, str]:
    """The new image, or `None` where the old one is sent; and what is told of it."""
    part = ImagePart(InlineSource(source) if isinstance(source, bytes) else source, location=WHERE)
    prepared = fitted(part, **settings)
    new = prepared.messages[0].parts[1]
    assert isinstance(new, ImagePart)
    told = "; ".join(prepared.adjustments)
    if new.source is part.source:
        return None, told
    assert isinstance(new.source, InlineSource)
    assert isinstance(new.source.data, bytes)
    image = Pillow.open(io.BytesIO(new.source.data))
    assert (image.format, new.source.mime) == ("JPEG", "image/jpeg")
    return image, told


# --- which ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    picture((640, 480)),
    picture((640, 480), "JPEG"),
    picture((640, 480), "BMP"),
    picture((640, 480), "WEBP"),
    picture((640, 480), "TIFF"),
    picture((11, 640)),
    picture((2048, 1280)),  # the budget to the pixel
    media_files.heic(640, 480),
    media_files.heic(3000, 2000),  # more than the model sees, but Pillow does not read it and the service does
    media_files.png(4000, 3000),  # broken: the service says so
])  # fmt: skip
def test_what_needs_nothing_is_left_as_it_is(data: bytes) -> None:
    assert sent(data) == (None, "")


@pytest.mark.parametrize(
    "source", [UrlSource("https://example.com/huge.gif"), UrlSource("oss://a/huge.png"), FileSource(Path("none"))]
)
def test_what_is_elsewhere_is_left_as_it_is(source: Source) -> None:
    assert sent(source) == (None, "")


def test_by_default_nothing_is_touched() -> None:
    assert sent(picture((4000, 3000)), media_policy="error") == (None, "")
    with pytest.raises(QwenVLInputError, match='media_policy="fit"'):
        sent(picture((64, 64), "GIF"), media_policy="error")


@pytest.mark.parametrize("size", [(8000, 6000), (6000, 8000), (2049, 1280), (30_000, 200), (1280, 2049)])
def test_an_image_above_the_budget_gets_the_size_that_the_model_sees(size: tuple[int, int]) -> None:
    image, told = sent(picture(size))
    rows, columns = image_resize(*size, "qwen3-vl-plus")
    assert image is not None
    assert image.size == (columns, rows)
    assert told == f"{WHERE}: scaled from {size[0]}x{size[1]} to {columns}x{rows}, JPEG"
    assert image_tokens(*image.size, "qwen3-vl-plus") == image_tokens(*size, "qwen3-vl-plus")


def test_the_example_of_the_documentation() -> None:
    _, told = sent(picture((8000, 6000)))
    assert told == "messages[0].content[1] (image): scaled from 8000x6000 to 1856x1376, JPEG"


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ({"model": "qwen2.5-vl-72b-instruct"}, 1_003_520),
        ({"model": "qwen-vl-max"}, 1_310_720),
        ({"max_pixels": 4_000_000}, 4_000_000),
        ({"max_pixels": 1_000_000}, BUDGET),
        ({"vl_high_resolution_images": True}, 16_777_216),
        ({"model": "my-own-model"}, 12_845_056),
    ],
)
def test_the_budget_is_that_of_the_model_and_the_request(asked: dict[str, Any], most: int) -> None:
    image, _ = sent(picture((5000, 4000)), **asked)
    assert image is not None
    area = image.width * image.height
    assert 0.9 * most < area <= most
    assert sent(picture((1000, 1000)), **asked)[0] is None


def test_a_parts_own_max_pixels_wins() -> None:
    part = ImagePart(InlineSource(picture((3000, 2000))), max_pixels=6_000_000, location=WHERE)
    assert not fitted(part, max_pixels=100).adjustments
    assert fitted(ImagePart(part.source, location=WHERE), max_pixels=100).adjustments


@pytest.mark.parametrize("size", [(5, 5), (10, 1500), (1, 150), (600, 9), (10, 2000)])
def test_tiny_sides_grow_to_what_the_model_sees(size: tuple[int, int]) -> None:
    image, told = sent(picture(size))
    assert image is not None
    assert min(image.size) >= 32
    assert f"scaled from {size[0]}x{size[1]}" in told


def test_a_ratio_that_nothing_mends_is_an_error() -> None:
    for data in (picture((5, 1500)), picture((11, 2300), "GIF"), picture((20, 9000))):
        with pytest.raises(QwenVLInputError, match="200 times"):
            sent(data)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_become_jpeg(kind: str) -> None:
    image, told = sent(picture((320, 240), kind))
    assert image is not None
    assert image.size == (320, 240)
    assert told == f"{WHERE}: converted from image/{kind.lower()} to JPEG"


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP"])
def test_large_images_of_other_formats_become_jpeg_at_full_size_where_the_model_sees_it(kind: str) -> None:
    image, told = sent(picture((3841, 2160), kind), vl_high_resolution_images=True)
    assert image is not None
    assert image.size == (3841, 2160)
    assert told == f"{WHERE}: converted from {kind} to JPEG"


def test_an_image_that_weighs_too_much_becomes_a_jpeg_that_can_be_sent(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Pillow.frombytes("RGB", (2048, 1280), os.urandom(2048 * 1280 * 3)).save(buffer, "BMP")
    path = tmp_path / "noise.bmp"
    path.write_bytes(buffer.getvalue())
    assert compute_base64_length(path.stat().st_size) > DATA_URI_LIMIT
    image, told = sent(FileSource(path))
    assert image is not None
    assert image.size == (2048, 1280)
    assert told == f"{WHERE}: converted from BMP to JPEG"


def test_the_quality_goes_down_until_the_file_can_be_sent() -> None:
    buffer = io.BytesIO()
    Pillow.frombytes("RGB", (4000, 4000), os.urandom(48_000_000)).save(buffer, "JPEG", quality=95)
    prepared = fitted(ImagePart(InlineSource(buffer.getvalue())), vl_high_resolution_images=True)
    source = prepared.messages[0].parts[1].source  # type: ignore[union-attr]
    assert compute_base64_length(len(source.data)) <= DATA_URI_LIMIT
    assert Pillow.open(io.BytesIO(source.data)).size == (4000, 4000)


def test_the_head_of_a_data_uri_counts_as_well() -> None:
    """At the best quality the base64 text fits alone."""

    class Picture:
        def save(self, file: io.BytesIO, kind: str, quality: int) -> None:
            file.write(bytes(DATA_URI_LIMIT // 4 * 3 if quality == 90 else 1000))

    data = encode_jpeg(Picture())  # type: ignore[arg-type]
    assert len(data) == 1000


# --- what becomes of it -----------------------------------------------------------------------------------------------


def marked(size: tuple[int, int], kind: str, orientation: int) -> bytes:
    """Red at the top left as it is stored, with an EXIF orientation."""
    image = Pillow.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))],
)
def test_the_exif_orientation_is_applied(kind: str, orientation: int, corner: tuple[int, int]) -> None:
    image, told = sent(marked((3000, 1500), kind, orientation))
    assert image is not None
    shown = (1500, 3000) if orientation >= 5 else (3000, 1500)
    assert f"scaled from {shown[0]}x{shown[1]} to" in told
    rows, columns = image_resize(*shown, "qwen3-vl-plus")
    assert image.size == (columns, rows)
    assert image.getexif().get(0x0112, 1) == 1
    red, _, blue = image.getpixel((20 + corner[0] * (columns - 40), 20 + corner[1] * (rows - 40)))  # type: ignore[misc]
    assert red > 200 > 60 > blue


@pytest.mark.parametrize(
    ("mode", "color", "kind"),
    [
        ("RGBA", (0, 0, 0, 0), "PNG"),
        ("LA", (0, 0), "PNG"),
        ("RGBA", (255, 0, 0, 0), "WEBP"),
        ("RGBA", (0, 0, 0, 0), "TIFF"),
    ],
)
def test_transparency_is_white(mode: str, color: Any, kind: str) -> None:
    image, _ = sent(picture((2600, 2000), kind, mode, color))
    assert image is not None
    assert min(image.convert("L").getextrema()) >= 250  # type: ignore[type-var]


def test_transparent_colors_of_a_palette_are_white() -> None:
    flat = Pillow.new("P", (2600, 2000), 3)
    flat.putpalette([0, 0, 0] * 256)
    buffer = io.BytesIO()
    flat.save(buffer, "PNG", transparency=3)
    image, _ = sent(buffer.getvalue())
    assert image is not None
    assert min(image.convert("L").getextrema()) >= 250  # type: ignore[type-var]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    for value, expected in ((65_535, 255), (32_768, 128), (6_000, 23)):
        image, _ = sent(picture((2600, 2000), "PNG", "I;16", value))
        assert image is not None
        assert abs(image.convert("L").getpixel((100, 100)) - expected) <= 2  # type: ignore[operator]


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "RGB"])
def test_every_mode_can_be_sent(mode: str) -> None:
    image, _ = sent(picture((2600, 2000), "TIFF", mode, 0))
    assert image is not None
    assert image.mode in ("L", "RGB")


def test_of_a_moving_picture_the_first_is_taken_and_it_is_told() -> None:
    buffer = io.BytesIO()
    frames = [Pillow.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    image, told = sent(buffer.getvalue())
    assert image is not None
    assert told == f"{WHERE}: converted from image/gif to JPEG, its first frame only"
    assert image.convert("RGB").getpixel((5, 5))[0] > 200  # type: ignore[index]


def test_every_way_to_give_an_image(tmp_path: Path) -> None:
    data = picture((3000, 2000), "JPEG")
    text = base64.b64encode(data).decode()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for source in (
        InlineSource(data),
        InlineSource(text, base64_from=0),
        InlineSource(f"data:image/jpeg;base64,{text}", base64_from=23),
        InlineSource(base64.encodebytes(data).decode(), base64_from=0),
        InlineSource(base64.urlsafe_b64encode(data).rstrip(b"="), base64_from=0),
        FileSource(path),
    ):
        image, told = sent(source)
        assert image is not None
        assert "scaled from 3000x2000" in told
    assert path.read_bytes() == data


# --- frames -----------------------------------------------------------------------------------------------------------


def test_frames_get_the_size_that_the_model_sees_of_a_frame() -> None:
    large, small = InlineSource(picture((1920, 1080))), InlineSource(picture((320, 180)))
    part = FramesPart(
        (small, large, UrlSource("https://example.com/a.jpg"), large), location="messages[0].content[1] (video)"
    )
    prepared = fitted(part)
    new = prepared.messages[0].parts[1]
    assert isinstance(new, FramesPart)
    assert new.sources[0] is small
    assert new.sources[2] == part.sources[2]
    size = Pillow.open(io.BytesIO(new.sources[1].data)).size  # type: ignore[union-attr, arg-type]
    assert 0.9 * frame_max_pixels(4, "qwen3-vl-plus") < size[0] * size[1] <= frame_max_pixels(4, "qwen3-vl-plus")
    assert prepared.adjustments == (
        f"messages[0].content[1] (video): 2 of 4 frames; frame 1: scaled from 1920x1080 to {size[0]}x{size[1]}, JPEG",
    )
    assert not fitted(FramesPart((small,) * 4)).adjustments
    assert not fitted(part, max_pixels=1920 * 1080).adjustments


def test_frames_for_a_model_without_videos_are_an_error_as_ever() -> None:
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        fitted(FramesPart((InlineSource(picture((1920, 1080))),) * 4), model="qwen-vl-ocr")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "PIL" or name.startswith("PIL."):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    large, small = media_files.png(4000, 3000), media_files.png(400, 300)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(QwenVLInputError, match=r"qwenvl-adapters\[documents\]") as caught:
        sent(large)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert sent(small) == (None, "")


@pytest.mark.parametrize(
    "data", [media_files.gif(64, 64), media_files.avif(64, 64), media_files.bmp(4000, 3000), media_files.png(9, 9)]
)
def test_what_pillow_can_not_read_is_named(data: bytes) -> None:
    with pytest.raises(QwenVLInputError, match="nor converted") as caught:
        sent(data)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert caught.value.__cause__ is not None


WHOLE = [picture((40, 30), kind) for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF", *OTHERS)]


@settings(deadline=None)
@given(st.data())
def test_broken_images_raise_nothing_but_our_error(data: st.DataObject) -> None:
    broken = bytearray(data.draw(st.sampled_from(WHOLE)))
    for at in data.draw(st.lists(st.integers(0, min(len(broken), 200) - 1), max_size=6)):
        broken[at] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(0, len(broken))) :]
    with suppress(QwenVLInputError):
        fitted(ImagePart(InlineSource(bytes(broken))), FramesPart((InlineSource(bytes(broken)),) * 4))


# --- over the client --------------------------------------------------------------------------------------------------


def test_what_was_done_is_told_with_the_reply(emulator: Emulator) -> None:
    part = ImagePart(InlineSource(picture((3000, 2000))), location=WHERE)
    for call_mode in ("sync", "async"):
        asked = Request(messages=(Message("user", (part,)),), settings=ModelSettings(media_policy="fit"))
        events = events_of(client(emulator.compat_url), asked, call_mode)
        assert events[-1].adjustments == (f"{WHERE}: scaled from 3000x2000 to 1952x1312, JPEG",)  # type: ignore[union-attr]
    url = emulator.requests[0].json["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    assert "media_policy" not in emulator.requests[0].json


def test_in_async_images_are_scaled_off_the_event_loop(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    real = image_fitting.fit_images

    def noted(*told: Any) -> PreparedRequest:
        threads.append(threading.get_ident())
        return real(*told)

    monkeypatch.setattr(image_fitting, "fit_images", noted)

    async def ask(policy: Any) -> None:
        asking = client(emulator.compat_url)
        asked = Request(messages=(Message("user", (TextPart("Hi"),)),), settings=ModelSettings(media_policy=policy))
        assert [event async for event in asking.astream(asked)]
        await asking.aclose()

    asyncio.run(ask("fit"))
    asyncio.run(ask("error"))
    assert threads[0] != threading.get_ident() == threads[1]
