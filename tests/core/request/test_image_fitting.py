"""Image fitting: which images are changed, the result, and the adjustments."""

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

LOCATION = "messages[0].content[1] (image)"
Pillow.init()
OTHER_FORMATS = [kind for kind in ("GIF", "AVIF") if kind in Pillow.SAVE]  # older versions of Pillow can't write AVIF
BUDGET = 2_621_440  # pixels per image of qwen3-vl-plus


def create_image(
    size: tuple[int, int], kind: str = "PNG", mode: str = "RGB", color: Any = "teal", **options: Any
) -> bytes:
    buffer = io.BytesIO()
    fast = {"compress_level": 1} if kind == "PNG" else {}
    Pillow.new(mode, size, color).save(buffer, kind, **fast, **options)
    return buffer.getvalue()


def fit_parts(*parts: Part, media_policy: Any = "fit", **settings: Any) -> PreparedRequest:
    """Prepare, fit and validate a request with the parts, as the client does."""
    model_settings = ModelSettings(media_policy=media_policy, enable_thinking=False, **settings)
    facts = describe(model_settings.model)
    request = Request(messages=(Message("user", (TextPart("Hi"), *parts)),), settings=model_settings)
    prepared = image_fitting.fit_images(policy.prepare(request, facts), facts)
    validation.check(prepared, facts, "openai")
    return prepared


def fit_source(source: Source | bytes, **settings: Any) -> tuple[Pillow.Image | None, str]:
    """Return the new image, or `None` where the old one is kept, and the adjustments."""
    part = ImagePart(InlineSource(source) if isinstance(source, bytes) else source, location=LOCATION)
    prepared = fit_parts(part, **settings)
    new = prepared.messages[0].parts[1]
    assert isinstance(new, ImagePart)
    notes = "; ".join(prepared.adjustments)
    if new.source is part.source:
        return None, notes
    assert isinstance(new.source, InlineSource)
    assert isinstance(new.source.data, bytes)
    image = Pillow.open(io.BytesIO(new.source.data))
    assert (image.format, new.source.mime) == ("JPEG", "image/jpeg")
    return image, notes


# --- which images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    create_image((640, 480)),
    create_image((640, 480), "JPEG"),
    create_image((640, 480), "BMP"),
    create_image((640, 480), "WEBP"),
    create_image((640, 480), "TIFF"),
    create_image((11, 640)),
    create_image((2048, 1280)),  # exactly the budget
    media_files.heic(640, 480),
    media_files.heic(3000, 2000),  # above the budget, but Pillow can't read it and the service can
    media_files.png(4000, 3000),  # broken, which the service reports
])  # fmt: skip
def test_image_that_fits_is_unchanged(data: bytes) -> None:
    assert fit_source(data) == (None, "")


@pytest.mark.parametrize(
    "source", [UrlSource("https://example.com/huge.gif"), UrlSource("oss://a/huge.png"), FileSource(Path("none"))]
)
def test_remote_or_missing_image_is_unchanged(source: Source) -> None:
    assert fit_source(source) == (None, "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_image_with_oblong_pixels_gets_square_ones(kind: str) -> None:
    data = create_image((1728, 1078), kind, dpi=(204, 98))
    image, notes = fit_source(data)
    assert image is not None
    assert abs(image.width / image.height - 1728 / (1078 * 204 / 98)) < 0.02
    assert notes.endswith(", with square pixels")
    assert fit_source(create_image((1728, 1078), kind, dpi=(204, 204)))[0] is None
    assert fit_source(data, media_policy="check") == (None, "")


def test_default_media_policy_changes_no_image() -> None:
    assert fit_source(create_image((4000, 3000)), media_policy="check") == (None, "")
    with pytest.raises(QwenVLInputError, match='media_policy="fit"'):
        fit_source(create_image((64, 64), "GIF"), media_policy="check")


@pytest.mark.parametrize("size", [(8000, 6000), (6000, 8000), (2049, 1280), (30_000, 200), (1280, 2049)])
def test_image_above_the_budget_is_scaled_to_the_size_for_the_model(size: tuple[int, int]) -> None:
    image, notes = fit_source(create_image(size))
    rows, columns = image_resize(*size, "qwen3-vl-plus")
    assert image is not None
    assert image.size == (columns, rows)
    assert notes == f"{LOCATION}: scaled from {size[0]}x{size[1]} to {columns}x{rows}, JPEG"
    assert image_tokens(*image.size, "qwen3-vl-plus") == image_tokens(*size, "qwen3-vl-plus")


def test_adjustment_equals_the_example_in_the_documentation() -> None:
    _, notes = fit_source(create_image((8000, 6000)))
    assert notes == "messages[0].content[1] (image): scaled from 8000x6000 to 1856x1376, JPEG"


@pytest.mark.parametrize(
    ("settings", "max_pixels"),
    [
        ({"model": "qwen2.5-vl-72b-instruct"}, 1_003_520),
        ({"model": "qwen-vl-max"}, 1_310_720),
        ({"max_pixels": 4_000_000}, 4_000_000),
        ({"max_pixels": 1_000_000}, BUDGET),
        ({"vl_high_resolution_images": True}, 16_777_216),
        ({"model": "my-own-model"}, 12_845_056),
    ],
)
def test_budget_depends_on_model_and_settings(settings: dict[str, Any], max_pixels: int) -> None:
    image, _ = fit_source(create_image((5000, 4000)), **settings)
    assert image is not None
    area = image.width * image.height
    assert 0.9 * max_pixels < area <= max_pixels
    assert fit_source(create_image((1000, 1000)), **settings)[0] is None


def test_max_pixels_of_a_part_overrides_the_settings() -> None:
    part = ImagePart(InlineSource(create_image((3000, 2000))), max_pixels=6_000_000, location=LOCATION)
    assert not fit_parts(part, max_pixels=100).adjustments
    assert fit_parts(ImagePart(part.source, location=LOCATION), max_pixels=100).adjustments


@pytest.mark.parametrize("size", [(5, 5), (10, 1500), (1, 150), (600, 9), (10, 2000)])
def test_image_with_tiny_sides_is_enlarged(size: tuple[int, int]) -> None:
    image, notes = fit_source(create_image(size))
    assert image is not None
    assert min(image.size) >= 32
    assert f"scaled from {size[0]}x{size[1]}" in notes


def test_image_above_the_max_ratio_raises_input_error() -> None:
    for data in (create_image((5, 1500)), create_image((11, 2300), "GIF"), create_image((20, 9000))):
        with pytest.raises(QwenVLInputError, match="200 times"):
            fit_source(data)


@pytest.mark.parametrize("kind", OTHER_FORMATS)
def test_unsupported_format_is_converted_to_jpeg(kind: str) -> None:
    image, notes = fit_source(create_image((320, 240), kind))
    assert image is not None
    assert image.size == (320, 240)
    assert notes == f"{LOCATION}: converted from image/{kind.lower()} to JPEG"


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP"])
def test_large_image_of_other_format_is_converted_at_full_size_within_the_budget(kind: str) -> None:
    image, notes = fit_source(create_image((3841, 2160), kind), vl_high_resolution_images=True)
    assert image is not None
    assert image.size == (3841, 2160)
    assert notes == f"{LOCATION}: converted from {kind} to JPEG"


def test_image_with_too_many_bytes_becomes_a_jpeg_within_the_limit(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Pillow.frombytes("RGB", (2048, 1280), os.urandom(2048 * 1280 * 3)).save(buffer, "BMP")
    path = tmp_path / "noise.bmp"
    path.write_bytes(buffer.getvalue())
    assert compute_base64_length(path.stat().st_size) > DATA_URI_LIMIT
    image, notes = fit_source(FileSource(path), model="qwen-vl-max", vl_high_resolution_images=True)
    assert image is not None
    assert image.size == (2048, 1280)
    assert notes == f"{LOCATION}: converted from BMP to JPEG"
    assert fit_source(FileSource(path), model="qwen3.8-max") == (None, "")  # its data URIs may have twice the length


def test_jpeg_quality_is_lowered_until_the_file_fits() -> None:
    buffer = io.BytesIO()
    Pillow.frombytes("RGB", (4000, 4000), os.urandom(48_000_000)).save(buffer, "JPEG", quality=95)
    image = ImagePart(InlineSource(buffer.getvalue()))
    prepared = fit_parts(image, model="qwen-vl-max", vl_high_resolution_images=True)
    part = prepared.messages[0].parts[1]
    assert isinstance(part, ImagePart)
    source = part.source
    assert isinstance(source, InlineSource)
    assert isinstance(source.data, bytes)
    assert compute_base64_length(len(source.data)) <= DATA_URI_LIMIT
    assert Pillow.open(io.BytesIO(source.data)).size == (4000, 4000)


def test_encode_jpeg_counts_the_head_of_the_data_uri() -> None:
    """At the best quality only the base64 text without its head would fit."""

    class FakeImage:
        def save(self, file: io.BytesIO, kind: str, quality: int) -> None:
            file.write(bytes(DATA_URI_LIMIT // 4 * 3 if quality == 90 else 1000))

    data = encode_jpeg(FakeImage())  # type: ignore[arg-type]
    assert len(data) == 1000


# --- results ----------------------------------------------------------------------------------------------------------


def create_oriented_image(size: tuple[int, int], kind: str, orientation: int) -> bytes:
    """Create an image with a red top left quarter, as stored, and an EXIF orientation."""
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
def test_exif_orientation_is_applied(kind: str, orientation: int, corner: tuple[int, int]) -> None:
    image, notes = fit_source(create_oriented_image((3000, 1500), kind, orientation))
    assert image is not None
    oriented = (1500, 3000) if orientation >= 5 else (3000, 1500)
    assert f"scaled from {oriented[0]}x{oriented[1]} to" in notes
    rows, columns = image_resize(*oriented, "qwen3-vl-plus")
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
def test_transparent_pixels_become_white(mode: str, color: Any, kind: str) -> None:
    image, _ = fit_source(create_image((2600, 2000), kind, mode, color))
    assert image is not None
    assert image.convert("L").getextrema()[0] >= 250  # type: ignore[operator]  # one band


def test_transparent_palette_colors_become_white() -> None:
    flat = Pillow.new("P", (2600, 2000), 3)
    flat.putpalette([0, 0, 0] * 256)
    buffer = io.BytesIO()
    flat.save(buffer, "PNG", transparency=3)
    image, _ = fit_source(buffer.getvalue())
    assert image is not None
    assert image.convert("L").getextrema()[0] >= 250  # type: ignore[operator]  # one band


def test_sixteen_bit_values_are_scaled_not_clipped() -> None:
    for value, expected in ((65_535, 255), (32_768, 128), (6_000, 23)):
        image, _ = fit_source(create_image((2600, 2000), "PNG", "I;16", value))
        assert image is not None
        assert abs(image.convert("L").getpixel((100, 100)) - expected) <= 2  # type: ignore[operator]


@pytest.mark.parametrize("highest", [(281, 4095), (341, 4095), (281, 65_535), (None, None)])
def test_12_bit_scan_is_brightened_if_its_header_states_it(highest: tuple[int | None, int | None]) -> None:
    tag, value = highest
    image, notes = fit_source(create_image((640, 480), "TIFF", "I;16", 4095, tiffinfo={tag: value} if tag else {}))
    if value != 4095:
        assert (image, notes) == (None, "")
        return
    assert image is not None
    assert image.convert("L").getextrema() == (255, 255)
    assert notes.endswith("converted from TIFF to JPEG")


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "RGB"])
def test_image_of_any_mode_becomes_grey_or_rgb(mode: str) -> None:
    image, _ = fit_source(create_image((2600, 2000), "TIFF", mode, 0))
    assert image is not None
    assert image.mode in ("L", "RGB")


def test_animated_image_is_reduced_to_its_first_frame_with_a_note() -> None:
    buffer = io.BytesIO()
    frames = [Pillow.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    image, notes = fit_source(buffer.getvalue())
    assert image is not None
    assert notes == f"{LOCATION}: converted from image/gif to JPEG, its first frame only"
    assert image.convert("RGB").getpixel((5, 5))[0] > 200  # type: ignore[index]


def test_image_of_any_source_type_is_fitted(tmp_path: Path) -> None:
    data = create_image((3000, 2000), "JPEG")
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
        image, notes = fit_source(source)
        assert image is not None
        assert "scaled from 3000x2000" in notes
    assert path.read_bytes() == data


# --- frames -----------------------------------------------------------------------------------------------------------


def test_frames_above_the_budget_are_scaled_to_the_size_for_the_model() -> None:
    large, small = InlineSource(create_image((1920, 1080))), InlineSource(create_image((320, 180)))
    part = FramesPart(
        (small, large, UrlSource("https://example.com/a.jpg"), large), location="messages[0].content[1] (video)"
    )
    prepared = fit_parts(part)
    new = prepared.messages[0].parts[1]
    assert isinstance(new, FramesPart)
    assert new.sources[0] is small
    assert new.sources[2] == part.sources[2]
    scaled = new.sources[1]
    assert isinstance(scaled, InlineSource)
    assert isinstance(scaled.data, bytes)
    size = Pillow.open(io.BytesIO(scaled.data)).size
    assert 0.9 * frame_max_pixels(4, "qwen3-vl-plus") < size[0] * size[1] <= frame_max_pixels(4, "qwen3-vl-plus")
    assert prepared.adjustments == (
        f"messages[0].content[1] (video): 2 of 4 frames; frame 1: scaled from 1920x1080 to {size[0]}x{size[1]}, JPEG",
    )
    assert not fit_parts(FramesPart((small,) * 4)).adjustments
    assert not fit_parts(part, max_pixels=1920 * 1080).adjustments


def test_frames_for_a_model_without_videos_raise_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        fit_parts(FramesPart((InlineSource(create_image((1920, 1080))),) * 4), model="qwen-vl-ocr")


# --- errors -----------------------------------------------------------------------------------------------------------


def test_missing_pillow_raises_input_error_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original_import = builtins.__import__

    def import_without_pillow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "PIL" or name.startswith("PIL."):
            raise ImportError(name)
        return original_import(name, *args, **kwargs)

    large, small = media_files.png(4000, 3000), media_files.png(400, 300)
    monkeypatch.setattr(builtins, "__import__", import_without_pillow)
    with pytest.raises(QwenVLInputError, match=r"qwenvl-adapters\[documents\]") as caught:
        fit_source(large)
    assert str(caught.value).startswith(f"{LOCATION}: ")
    assert fit_source(small) == (None, "")


@pytest.mark.parametrize(
    "data", [media_files.gif(64, 64), media_files.avif(64, 64), media_files.bmp(4000, 3000), media_files.png(9, 9)]
)
def test_rejected_image_that_pillow_cannot_read_raises_input_error(data: bytes) -> None:
    with pytest.raises(QwenVLInputError, match="nor converted") as caught:
        fit_source(data)
    assert str(caught.value).startswith(f"{LOCATION}: ")
    assert caught.value.__cause__ is not None


VALID_IMAGES = [create_image((40, 30), kind) for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF", *OTHER_FORMATS)]


@settings(deadline=None)
@given(st.data())
def test_broken_image_raises_only_input_error(data: st.DataObject) -> None:
    broken = bytearray(data.draw(st.sampled_from(VALID_IMAGES)))
    for index in data.draw(st.lists(st.integers(0, min(len(broken), 200) - 1), max_size=6)):
        broken[index] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(0, len(broken))) :]
    with suppress(QwenVLInputError):
        fit_parts(ImagePart(InlineSource(bytes(broken))), FramesPart((InlineSource(bytes(broken)),) * 4))


# --- through the client -----------------------------------------------------------------------------------------------


def test_adjustments_are_reported_with_the_reply(emulator: Emulator) -> None:
    part = ImagePart(InlineSource(create_image((3000, 2000))), location=LOCATION)
    for call_mode in ("sync", "async"):
        request = Request(messages=(Message("user", (part,)),), settings=ModelSettings(media_policy="fit"))
        events = events_of(client(emulator.compat_url), request, call_mode)
        assert events[-1].adjustments == (f"{LOCATION}: scaled from 3000x2000 to 1952x1312, JPEG",)  # type: ignore[union-attr]
    url = emulator.requests[0].json["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    assert "media_policy" not in emulator.requests[0].json


def test_async_request_scales_images_off_the_event_loop(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    original = image_fitting.fit_images

    def record_thread(*args: Any) -> PreparedRequest:
        threads.append(threading.get_ident())
        return original(*args)

    monkeypatch.setattr(image_fitting, "fit_images", record_thread)

    async def stream(media_policy: Any) -> None:
        settings = ModelSettings(media_policy=media_policy)
        async_client = client(emulator.compat_url)
        request = Request(messages=(Message("user", (TextPart("Hi"),)),), settings=settings)
        assert [event async for event in async_client.astream(request)]
        await async_client.aclose()

    asyncio.run(stream("fit"))
    asyncio.run(stream("check"))
    assert threads[0] != threading.get_ident() == threads[1]
