"""Tokens of images and videos, compared with the vendor's formulas."""

from __future__ import annotations

import ast
import importlib.util
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.models import CATALOGUE, ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.tokens import (
    frame_list_tokens,
    image_max_pixels,
    image_resize,
    image_tokens,
    image_tokens_upper_bound,
    raise_frame_cap,
    smart_resize,
    video_tokens,
    video_tokens_upper_bound,
)

Resize = Callable[[int, int, int, int, int], tuple[int, int]]
SIDES = st.integers(11, 20_000)  # in pixels, within the limits of the service
VIDEO_MODELS = [facts for facts in CATALOGUE if facts.videos]


def resize_by_definition(height: int, width: int, factor: int, low: int, high: int) -> tuple[int, int]:
    """Derive the size again: the nearest multiples; outside the limits, scale by area and round inwards."""
    if max(height, width) > 200 * min(height, width):
        raise ValueError("ratio")
    nearest = [max(factor, round(side / factor) * factor) for side in (height, width)]
    if nearest[0] * nearest[1] > high:
        scale = math.sqrt((height * width) / high)
        nearest = [int(side / scale / factor) * factor for side in (height, width)]
    elif nearest[0] * nearest[1] < low:
        scale = math.sqrt(low / (height * width))
        nearest = [-int(-(side * scale / factor) // 1) * factor for side in (height, width)]
    return nearest[0], nearest[1]


def load_vendor_resize() -> Resize:
    """Load `smart_resize` of qwen-vl-utils without importing the package, which needs torch."""
    spec = importlib.util.find_spec("qwen_vl_utils")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], "vision_process.py").read_text(encoding="utf-8")
    function_names = {"smart_resize", "round_by_factor", "ceil_by_factor", "floor_by_factor"}
    body = [
        node
        for node in ast.parse(source).body
        if (isinstance(node, ast.FunctionDef) and node.name in function_names)
        or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    ]
    header = ast.parse("from __future__ import annotations\nimport math").body
    names: dict[str, Resize] = {}
    exec(compile(ast.Module([*header, *body], []), "qwen_vl_utils", "exec"), names)
    return names["smart_resize"]


@pytest.mark.parametrize("reference", [resize_by_definition, None], ids=["definition", "qwen-vl-utils"])
def test_smart_resize_equals_the_reference_on_random_sizes(reference: Resize | None) -> None:
    expected = reference or load_vendor_resize()
    rng = random.Random(2025)
    for _ in range(100_000):
        factor = rng.choice((28, 32))
        top = rng.choice((40, 400, 4000, 20_000))
        height, width = rng.randint(1, top), rng.randint(1, top)
        low = rng.choice((4, 16, 256)) * factor**2
        high = rng.choice((1280, 2560, 16_384)) * factor**2 + rng.choice((0, rng.randint(0, 5000)))
        if max(height, width) > 200 * min(height, width):
            with pytest.raises(ValueError, match="200"):
                smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
            continue
        found = smart_resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
        assert found == expected(height, width, factor, low, high)


@pytest.mark.parametrize(
    ("height", "width", "factor", "tokens", "expected"),
    [
        # Sizes that runs of the models printed.
        (1532, 1014, 28, 16_384, (1540, 1008)),
        (1920, 1376, 32, 2048, (1696, 1216)),
        (1584, 1224, 32, 2048, (1600, 1216)),
        # A side of less than half a token is one token, not none.
        (13, 1300, 28, 1280, (28, 1288)),
        (15, 640, 32, 2560, (32, 640)),
        # Fewer than four tokens are scaled up.
        (20, 20, 32, 2560, (64, 64)),
        (1, 1, 28, 1280, (56, 56)),
        # Exactly 200 to 1 is allowed.
        (11, 2200, 32, 2560, (32, 2208)),
    ],
)
def test_smart_resize_examples(height: int, width: int, factor: int, tokens: int, expected: tuple[int, int]) -> None:
    limits = {"min_pixels": 4 * factor**2, "max_pixels": tokens * factor**2}
    assert smart_resize(height, width, factor=factor, **limits) == expected


@pytest.mark.parametrize(
    ("width", "height", "model", "expected"),
    [
        (1024, 768, "qwen3-vl-plus", 770),
        (1024, 768, "Qwen/Qwen3-VL-8B-Instruct", 770),
        (1024, 768, "qwen2.5-vl-7b-instruct", 1001),
        (4000, 3000, "qwen3-vl-plus", 2496),
        (4000, 3000, "qwen3-vl-flash-2025-10-15", 2496),
        (4000, 3000, "qwen3.5-plus", 2496),
        (4000, 3000, "qwen-vl-max", 1232),
        (4000, 3000, "qwen-vl-plus-0815", 1232),
        (4000, 3000, "qwen-vl-max-2025-04-08", 1232),
        (4000, 3000, "qvq-max", 1232),
        (11, 11, "qwen3-vl-plus", 6),
        # A4 at 144 dpi.
        (1190, 1684, "qwen3-vl-plus", 1963),
        (4000, 3000, "qwen3.8-max", 2496),
        (4000, 3000, "qwen3.9-plus", 2496),
        (4000, 3000, "qwen-vl-ocr", 8114),
        (4000, 3000, "qwen-vl-ocr-2025-08-28", 1232),
        (4000, 3000, "qwen3.5-ocr", 8114),
        (4000, 3000, "gui-plus", 1232),
        (4000, 3000, "qwen3.5-omni-plus", 1232),
        # The smallest images of the models that have other bounds than 4 tokens.
        (100, 30, "qwen3.5-ocr", 5),
        (100, 30, "qwen3.8-max", 10),
        (100, 100, "qwen3.5-omni-flash", 27),
    ],
)
def test_image_tokens_examples(width: int, height: int, model: str, expected: int) -> None:
    assert image_tokens(width, height, model) == expected
    assert image_tokens(width, height, describe(model)) == expected


@pytest.mark.parametrize("facts", CATALOGUE, ids=lambda facts: facts.name)
def test_max_pixels_raises_the_cap_and_never_lowers_it(facts: ModelFacts) -> None:
    square = facts.token_factor**2
    default = image_tokens(8000, 6000, facts)
    assert image_tokens(8000, 6000, facts, max_pixels=100) == default
    assert image_tokens(8000, 6000, facts, max_pixels=facts.default_image_tokens * square) == default
    raised = image_tokens(8000, 6000, facts, max_pixels=12_288 * square)
    assert default < raised <= 12_288 + 2
    maximum = image_tokens(8000, 6000, facts, max_pixels=10**9)
    assert raised < maximum <= 16_384 + 2
    assert image_max_pixels(facts, max_pixels=10**9) == 16_384 * square


@pytest.mark.parametrize(
    ("model", "default", "maximum"),
    [
        ("qwen3-vl-plus", 2_621_440, 16_777_216),
        ("qwen-vl-plus", 1_310_720, 16_777_216),
        ("qvq-max", 1_003_520, 12_845_056),
        ("qwen2.5-vl-72b-instruct", 1_003_520, 12_845_056),
        ("qwen3.8-max", 2_621_440, 16_777_216),
        ("qwen3.9-plus", 2_621_440, 16_777_216),
        ("qwen3.5-ocr", 8_388_608, 16_777_216),
        ("qwen-vl-ocr", 8_388_608, 16_777_216),
        ("qwen3.5-omni-plus", 1_310_720, 16_777_216),
        ("gui-plus", 1_003_520, 12_845_056),
    ],
)
def test_image_max_pixels_equals_the_vendor_table(model: str, default: int, maximum: int) -> None:
    assert image_max_pixels(model) == default
    assert image_max_pixels(model, max_pixels=default + 5) == default + 5
    assert image_max_pixels(model, vl_high_resolution_images=True) == maximum


def test_high_resolution_ignores_max_pixels() -> None:
    for max_pixels in (None, 100, 10**9):
        tokens = image_tokens(4000, 3000, "qwen3-vl-plus", max_pixels=max_pixels, vl_high_resolution_images=True)
        assert tokens == 11_752
    assert image_tokens(200, 100, "qwen3-vl-plus", vl_high_resolution_images=True) == 6 * 3 + 2


def test_image_resize_is_idempotent() -> None:
    for facts in CATALOGUE:
        height, width = image_resize(4961, 7016, facts)
        assert image_resize(width, height, facts) == (height, width)


@given(SIDES, SIDES, st.sampled_from(CATALOGUE), st.none() | st.integers(1, 10**8), st.booleans())
def test_image_tokens_never_exceeds_the_upper_bound(
    width: int, height: int, facts: ModelFacts, max_pixels: int | None, high: bool
) -> None:
    bound = image_tokens_upper_bound(facts, max_pixels=max_pixels, vl_high_resolution_images=high)
    assert bound <= 16_384 + 2
    try:
        tokens = image_tokens(width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=high)
    except QwenVLInputError:
        assert max(width, height) > 200 * min(width, height)
    else:
        assert facts.min_image_tokens + 2 <= tokens <= bound


@pytest.mark.parametrize(
    ("model", "width", "height", "n_frames", "video_fps", "fps", "expected"),
    [
        ("qwen3-vl-plus", 1280, 720, 300, 30, 2.0, 5_942),
        ("qwen3-vl-plus", 1280, 720, 108_000, 30, 2.0, 120_002),
        ("qwen3-vl-plus", 1280, 720, 150, 30, 1.0, 1_784),  # five frames: an odd number stays odd
        ("qwen3-vl-plus", 1920, 1080, 77, 24, 2.0, 1_784),  # the last fifth of a second yields no frame
        ("qwen3-vl-plus", 16, 16, 60, 30, 2.0, 10),
        ("qwen3-vl-plus", 3840, 2160, 108, 24, 3.3, 4_160),
        ("qwen3-vl-flash", 1920, 1080, 9_000, 25, 2.0, 64_514),
        ("qwen3-vl-flash", 1920, 1080, 3_000, 29.97, 1.0, 36_002),
        ("qwen-vl-max", 640, 360, 2_400, 24, 2.0, 22_002),
        ("qwen-vl-plus-2025-07-10", 640, 360, 240, 24, 0.5, 662),
        ("qwen2.5-vl-72b-instruct", 1280, 720, 750, 25, 2.0, 28_982),
        ("qvq-max", 320, 240, 100, 10, 2.0, 992),
        ("qwen3-vl-8b-instruct", 1280, 720, 6_000, 30, 2.0, 28_802),
        ("qwen3-vl-235b-a22b-thinking", 1280, 720, 6_000, 30, 2.0, 28_802),
    ],
)
def test_video_tokens_equals_the_vendor_sample(
    model: str, width: int, height: int, n_frames: int, video_fps: float, fps: float, expected: int
) -> None:
    """The expected values come from the vendor's sample, with its constants for each model."""
    assert video_tokens(width, height, n_frames, video_fps, model, fps=fps) == expected


def test_video_tokens_samples_two_frames_per_second_by_default() -> None:
    default = video_tokens(1280, 720, 900, 30, "qwen3-vl-plus")
    assert default == video_tokens(1280, 720, 900, 30, "qwen3-vl-plus", fps=2.0)
    assert default > video_tokens(1280, 720, 900, 30, "qwen3-vl-plus", fps=1.0)


@pytest.mark.parametrize("model", ["qwen3.5-plus", "qwen3.6-27b", "qwen3.7-flash", "qwen3.8-max", "qwen3.9-plus"])
def test_video_tokens_of_newer_models_share_800_000_tokens(model: str) -> None:
    # 640 squares a frame: 1056 x 608 pixels of 16:9.
    assert video_tokens(1920, 1080, 300, 30, model) == 10 * 33 * 18 + 2
    # Two hours: 8,000 frames in 4,000 pairs of 200 squares.
    assert video_tokens(1920, 1080, 7200 * 30, 30, model) == 4000 * 18 * 10 + 2
    assert video_tokens_upper_bound(model) >= 4000 * 18 * 10 + 2


def test_raise_frame_cap_raises_the_frames_of_newer_models_up_to_their_maximum() -> None:
    facts = describe("qwen3.8-max")
    counts = [
        frame_list_tokens(3840, 2160, 10, raise_frame_cap(facts, max_pixels))
        for max_pixels in (None, 1000, 1_000_000, 2_048_000, 10**8)
    ]
    default, lower, raised, maximum, beyond = counts
    assert default == lower < raised < maximum == beyond <= 5 * 2000 + 2
    assert maximum <= video_tokens_upper_bound(raise_frame_cap(facts, 10**8), n_frames=10)
    with pytest.raises(QwenVLInputError, match="max_pixels=-1"):
        raise_frame_cap(facts, -1)


@pytest.mark.parametrize("model", ["qwen3-vl-plus", "qwen-vl-max", "my-own-model"])
def test_raise_frame_cap_leaves_other_formulas_unchanged(model: str) -> None:
    assert raise_frame_cap(describe(model), 10**8) == describe(model)


def test_frame_list_tokens_does_not_sample() -> None:
    assert frame_list_tokens(1280, 720, 20, "qwen3-vl-plus") == 10 * 594 + 2
    assert frame_list_tokens(1280, 720, 19, "qwen3-vl-plus") == 10 * 594 + 2
    assert frame_list_tokens(1280, 720, 18, "qwen3-vl-plus") == 9 * 594 + 2


@given(
    SIDES,
    SIDES,
    st.integers(4, 400_000),
    st.floats(0.1, 240),
    st.floats(0.1, 10),
    st.sampled_from(VIDEO_MODELS),
)
def test_video_tokens_never_exceeds_the_upper_bound(
    width: int, height: int, n_frames: int, video_fps: float, fps: float, facts: ModelFacts
) -> None:
    try:
        tokens = video_tokens(width, height, n_frames, video_fps, facts, fps=fps)
    except QwenVLInputError:
        assert max(width, height) > 200 * min(width, height) or n_frames / video_fps < 4
    else:
        assert 2 <= tokens <= video_tokens_upper_bound(facts)


@given(SIDES, SIDES, st.integers(1, 8000), st.sampled_from(VIDEO_MODELS))
def test_frame_list_tokens_never_exceeds_the_upper_bound(
    width: int, height: int, n_frames: int, facts: ModelFacts
) -> None:
    if max(width, height) <= 200 * min(width, height):
        bound = video_tokens_upper_bound(facts, n_frames=n_frames)
        assert frame_list_tokens(width, height, n_frames, facts) <= bound


def test_unknown_model_is_estimated_on_the_high_side() -> None:
    tokens = image_tokens(4000, 3000, "some-finetune")
    assert tokens >= max(image_tokens(4000, 3000, name) for name in ("qwen3-vl-plus", "qvq-max"))
    assert video_tokens(1280, 720, 300, 30, "some-finetune") > 0


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, None, "12", 10**400])
@pytest.mark.parametrize("name", ["width", "height"])
def test_invalid_size_raises_input_error(name: str, bad: object) -> None:
    size: dict[str, object] = {"width": 640, "height": 480, name: bad}
    with pytest.raises(QwenVLInputError, match=f"{name}={bad!r}"):
        image_tokens(model="qwen3-vl-plus", **size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=name):
        video_tokens(n_frames=100, video_fps=25, model="qwen3-vl-plus", **size)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [0, -2, math.nan, math.inf])
def test_invalid_rate_or_limit_raises_input_error(bad: float) -> None:
    with pytest.raises(QwenVLInputError, match="max_pixels"):
        image_tokens(640, 480, "qwen3-vl-plus", max_pixels=bad)
    with pytest.raises(QwenVLInputError, match="video_fps"):
        video_tokens(640, 480, 100, bad, "qwen3-vl-plus")
    with pytest.raises(QwenVLInputError, match="n_frames"):
        video_tokens(640, 480, bad, 25, "qwen3-vl-plus")  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match="n_frames"):
        video_tokens_upper_bound("qwen3-vl-plus", n_frames=bad)  # type: ignore[arg-type]
    with pytest.raises(QwenVLInputError, match=r"\bfps="):
        video_tokens(640, 480, 100, 25, "qwen3-vl-plus", fps=bad)
    with pytest.raises(QwenVLInputError, match="min_pixels"):
        smart_resize(10, 10, factor=32, min_pixels=bad, max_pixels=100)


def test_impossible_request_raises_input_error() -> None:
    with pytest.raises(QwenVLInputError, match="less than min_pixels=200"):
        smart_resize(10, 10, factor=32, min_pixels=200, max_pixels=100)
    with pytest.raises(QwenVLInputError, match="at most 200 times"):
        image_tokens(2001, 10, "qwen3-vl-plus")
    with pytest.raises(QwenVLInputError, match="too short"):
        video_tokens(640, 480, 10, 25, "qwen3-vl-plus")
    with pytest.raises(QwenVLInputError, match="takes no videos"):
        video_tokens(640, 480, 100, 25, "qwen-vl-ocr")


def test_image_tokens_takes_microseconds() -> None:
    start = time.process_time()
    for width in range(500, 5500):
        image_tokens(width, 1000, "qwen3-vl-plus")
    assert time.process_time() - start < 0.5  # about 2 µs each
