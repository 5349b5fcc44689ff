"""Match model names to rows, and check the capabilities and limits of the rows."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.models import CATALOGUE, describe

GB = 1024**3
MB = 1024**2


@pytest.mark.parametrize(
    ("name", "base", "thinking"),
    [
        ("qwen3-vl-plus", "qwen3-vl-plus", "hybrid"),
        ("qwen3-vl-plus-2025-09-23", "qwen3-vl-plus", "hybrid"),
        ("qwen3-vl-plus-2025-12-19", "qwen3-vl-plus", "hybrid"),
        ("qwen3-vl-plus-custom-finetune", "qwen3-vl-plus", "hybrid"),
        ("qwen3-vl-flash-us", "qwen3-vl-flash", "hybrid"),
        ("qwen3-vl-flash-2025-10-15-us", "qwen3-vl-flash", "hybrid"),
        ("qwen3-vl-235b-a22b-thinking", "qwen3-vl-235b-a22b-thinking", "always"),
        ("Qwen/Qwen3-VL-8B-Thinking", "qwen3-vl-8b-thinking", "always"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct-FP8", "qwen3-vl-30b-a3b-instruct", "never"),
        ("qvq-max", "qvq-max", "always"),
        ("qvq-plus-2025-05-15", "qvq-plus", "always"),
        ("Qwen/QVQ-72B-Preview", "qvq-72b-preview", "always"),
        ("qwen-vl-max-2025-01-25", "qwen-vl-max", "never"),
        ("qwen-vl-plus-latest", "qwen-vl-plus", "never"),
        ("qwen2.5-vl-72b-instruct", "qwen2.5-vl-72b-instruct", "never"),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "qwen2.5-vl-7b-instruct", "never"),
        ("qwen-vl-ocr-2025-11-20", "qwen-vl-ocr", "never"),
        ("qwen3.5-plus-2026-02-15", "qwen3.5-plus", "hybrid"),
        ("Qwen/Qwen3.5-35B-A3B", "qwen3.5-35b-a3b", "hybrid"),
        ("qwen3.6-flash-2026-04-16", "qwen3.6-flash", "hybrid"),
        ("qwen3.7-plus-2026-05-26", "qwen3.7-plus", "hybrid"),
        # Members without a row of their own get the row of the family.
        ("qwen3.6-72b", "qwen3.6-72b", "hybrid"),
        ("qwen3.7-max-2026-06-08", "qwen3.7-max-2026-06-08", "hybrid"),
        ("qwen3.5-9b-instruct", "qwen3.5-9b-instruct", "never"),
    ],
)
def test_name_matches_its_row(name: str, base: str, thinking: str) -> None:
    facts = describe(name)
    assert (facts.name, facts.thinking, facts.known) == (base, thinking, True)
    assert describe(f"  {name.upper()} ") == facts
    assert describe(f"some-org/{name}") == facts


@pytest.mark.parametrize(
    "name",
    [
        "qwen3-max",
        "qwen-plus",
        "qwen3-vl-plusplus",
        "qwen3.5-omni-plus",
        "qwen3-vl-embedding-8b",
        "gpt-4o",
        "",
    ],
)
def test_unknown_name_has_no_limits(name: str) -> None:
    facts = describe(name)
    assert not facts.known
    assert facts.thinking == "unknown"
    assert facts.server_thinking_default is None
    assert facts.context_window is None
    assert facts.max_frames is None
    assert facts.video_max_bytes is None
    # All capabilities are true, so that nothing is refused.
    assert facts.images
    assert facts.videos
    assert facts.tools
    assert facts.json_object
    assert facts.json_schema
    assert facts.preserve_thinking


@given(st.text())
def test_any_string_is_described(name: str) -> None:
    assert isinstance(describe(name).name, str)


@pytest.mark.parametrize(
    ("name", "factor", "video_factor", "default"),
    [
        ("qwen3-vl-plus", 32, 32, 2560),
        ("qwen3-vl-flash", 32, 32, 2560),
        ("qwen3-vl-8b-thinking", 32, 32, 2560),
        ("qwen3-vl-8b-instruct", 32, 32, 2560),
        ("qwen3.5-plus", 32, 32, 2560),
        ("qwen3.6-27b", 32, 32, 2560),
        ("qwen3.7-plus", 32, 32, 2560),
        ("qwen-vl-max", 32, 32, 1280),
        ("qwen-vl-max-latest", 32, 32, 1280),
        ("qwen-vl-max-2025-08-13", 32, 32, 1280),
        ("qwen-vl-max-0813", 32, 32, 1280),
        ("qwen-vl-max-2025-04-08", 28, 28, 1280),
        ("qwen-vl-plus", 32, 32, 1280),
        ("qwen-vl-plus-latest", 32, 32, 1280),
        ("qwen-vl-plus-2025-08-15", 32, 32, 1280),
        ("qwen-vl-plus-2025-07-10", 28, 32, 1280),
        ("qwen-vl-plus-2025-05-07", 28, 28, 1280),
        ("qvq-max", 28, 28, 1280),
        ("qwen2.5-vl-7b-instruct", 28, 28, 1280),
    ],
)
def test_image_token_factors_and_caps(name: str, factor: int, video_factor: int, default: int) -> None:
    facts = describe(name)
    assert (facts.token_factor, facts.video_factor) == (factor, video_factor)
    assert (facts.default_image_tokens, facts.max_image_tokens) == (default, 16384)


@pytest.mark.parametrize(
    ("name", "frames", "frame_tokens", "total_tokens", "size", "seconds"),
    [
        ("qwen3-vl-plus", 2000, 640, 131072, 2 * GB, 3600),
        ("qwen3-vl-plus-2025-09-23", 2000, 640, 131072, 2 * GB, 3600),
        ("qwen3-vl-flash", 512, 768, 65536, 2 * GB, 1200),
        ("qwen3-vl-32b-thinking", 80, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max", 512, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max-2025-04-08", 512, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max-2025-04-02", 512, 768, 65536, GB, 600),
        ("qwen-vl-plus", 512, 768, 65536, GB, 600),
        ("qvq-max", 512, 768, 65536, GB, 600),
        ("qwen2.5-vl-72b-instruct", 512, 768, 65536, GB, 600),
        ("qwen2-vl-7b-instruct", 80, 768, 65536, 150 * MB, 40),
        ("qwen3.5-plus", 8000, 768, 65536, 2 * GB, 7200),
    ],
)
def test_video_limits(name: str, frames: int, frame_tokens: int, total_tokens: int, size: int, seconds: float) -> None:
    facts = describe(name)
    assert (facts.frames_min, facts.max_frames) == (4, frames)
    assert (facts.video_frame_tokens, facts.video_total_tokens) == (frame_tokens, total_tokens)
    assert facts.video_max_bytes == size
    assert facts.video_seconds == (2.0, seconds)


@pytest.mark.parametrize(
    ("name", "context", "max_input", "thinking_input", "output", "budget"),
    [
        ("qwen3-vl-plus", 262_144, 260_096, 258_048, 32_768, 81_920),
        ("qwen3-vl-flash-2026-01-22", 262_144, 260_096, 258_048, 32_768, 81_920),
        ("qwen3-vl-8b-thinking", 131_072, None, None, 32_768, None),
        ("qvq-max", 131_072, None, None, 8_192, None),
        ("qwen-vl-max", 131_072, None, None, 8_192, None),
        ("qwen-vl-ocr", 34_096, None, None, 4_096, None),
        ("qwen3.5-flash", 1_000_000, None, None, 65_536, None),
        ("qwen3.6-27b", 262_144, None, None, 65_536, None),
        ("qwen3.7-plus", 1_000_000, None, None, 65_536, None),
    ],
)
def test_context_and_output_limits(
    name: str,
    context: int,
    max_input: int | None,
    thinking_input: int | None,
    output: int,
    budget: int | None,
) -> None:
    facts = describe(name)
    assert (facts.context_window, facts.max_output) == (context, output)
    assert (facts.max_input, facts.max_input_thinking) == (max_input, thinking_input)
    assert facts.max_thinking_budget == budget


def test_json_mode_per_model() -> None:
    assert describe("qwen-vl-max").json_object
    assert describe("qwen-vl-plus-latest").json_object
    assert not describe("qwen-vl-max-2025-08-13").json_object
    assert describe("qwen3-vl-plus").json_object
    assert describe("qwen3-vl-8b-instruct").json_object
    assert not describe("qwen3-vl-8b-thinking").json_object
    assert not describe("qwen2.5-vl-7b-instruct").json_object
    assert not describe("qwen3-vl-plus").json_schema
    assert not describe("qwen3.6-plus").json_schema
    assert describe("qwen3.7-plus").json_schema


def test_capabilities_per_model() -> None:
    assert describe("qvq-max").stream_only
    assert not describe("qwen3-vl-8b-thinking").stream_only
    assert describe("qwen3-vl-plus").tools
    assert not describe("qvq-max").tools
    assert not describe("qwen-vl-max").tools
    assert describe("qwen3-vl-plus").server_thinking_default is False
    assert describe("qwen3.5-plus").server_thinking_default is True
    assert not describe("qwen-vl-ocr").videos
    assert describe("qwen3.6-plus").preserve_thinking
    assert describe("qwen3.6-max-preview").preserve_thinking
    assert not describe("qwen3-vl-plus").preserve_thinking


def test_coordinate_space_per_model() -> None:
    assert describe("qwen2.5-vl-7b-instruct").coordinates == "absolute"
    for name in ("qwen3-vl-plus", "qwen3-vl-8b-instruct", "qwen3.5-plus", "qwen3.7-plus"):
        assert describe(name).coordinates == "relative"
    for name in ("qwen-vl-max", "qwen-vl-plus", "qvq-max", "qwen-vl-ocr", "gpt-4o"):
        assert describe(name).coordinates is None


def test_every_row_has_source_and_is_frozen() -> None:
    assert len(CATALOGUE) >= 20
    for facts in CATALOGUE:
        assert not facts.known or facts.source
        with pytest.raises(dataclasses.FrozenInstanceError):
            facts.name = "other"  # type: ignore[misc]


def test_row_name_matches_its_row() -> None:
    for facts in CATALOGUE:
        assert describe(facts.name).name == facts.name
