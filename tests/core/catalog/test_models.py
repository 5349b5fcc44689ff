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
        ("qwen3.7-ultra", "qwen3.7-ultra", "hybrid"),
        ("qwen3.5-9b-instruct", "qwen3.5-9b-instruct", "never"),
        ("qwen3.7-plus-us", "qwen3.7-plus", "hybrid"),
        ("qwen3.7-flash-2026-07-15", "qwen3.7-flash", "hybrid"),
        ("qwen3.7-max", "qwen3.7-max", "hybrid"),
        ("qwen3.7-max-2026-05-20", "qwen3.7-max", "hybrid"),
        ("qwen3.7-max-2026-06-08", "qwen3.7-max", "hybrid"),
        ("qwen3.7-max-2026-05-17", "qwen3.7-max-2026-05-17", "always"),
        ("qwen3.7-max-preview", "qwen3.7-max-preview", "always"),
        ("qwen3.6-max-preview", "qwen3.6-max", "hybrid"),
        ("qwen3.8-max", "qwen3.8-max", "hybrid"),
        ("qwen3.8-max-0902", "qwen3.8-max", "hybrid"),
        ("qwen3.8-max-2026-09-02-us", "qwen3.8-max", "hybrid"),
        ("qwen-max-latest", "qwen3.8-max", "hybrid"),
        ("qwen3.8-flash", "qwen3.8-flash", "hybrid"),
        ("qwen3.8-flash-2026-08-26", "qwen3.8-flash", "hybrid"),
        ("qwen-flash-latest", "qwen3.8-flash", "hybrid"),
        ("Qwen/Qwen3.8-Flash-Next", "qwen3.8-flash-next", "hybrid"),
        ("Qwen/Qwen3.8-27B-FP8", "qwen3.8-27b", "hybrid"),
        ("qwen3.8-2.4t-a95b", "qwen3.8-2.4t-a95b", "hybrid"),
        ("qwen3.5-omni-plus", "qwen3.5-omni-plus", "never"),
        ("qwen3.5-omni-flash-2026-03-15", "qwen3.5-omni-flash", "never"),
        ("qwen3.8-omni-flash", "qwen3.8-omni-flash", "unknown"),
        ("qwen3.5-ocr", "qwen3.5-ocr", "never"),
        ("qwen-vl-ocr-latest", "qwen-vl-ocr", "never"),
        ("gui-plus", "gui-plus", "never"),
        ("gui-plus-2026-02-26", "gui-plus-2026-02-26", "hybrid"),
        # The name of a variant states whether it thinks.
        ("qwen3.8-27b-thinking", "qwen3.8-27b-thinking", "always"),
        ("qwen3.6-27b-instruct-awq", "qwen3.6-27b-instruct", "never"),
        ("qwen3.5-plus-thinking-2027-01-01", "qwen3.5-plus-thinking", "always"),
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
        "qwen3.5-omni-plus-realtime",
        "qwen3.6-omni-plus",
        "qwen3.6-ocr",
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
        ("qwen3.7-flash", 32, 32, 2560),
        ("qwen3.8-max", 32, 32, 2560),
        ("qwen3.8-flash-next", 32, 32, 2560),
        ("qwen3.9-plus", 32, 32, 2560),
        ("qwen-vl-ocr", 32, 32, 8192),
        ("qwen-vl-ocr-latest", 32, 32, 8192),
        ("qwen-vl-ocr-2025-11-20", 32, 32, 8192),
        ("qwen-vl-ocr-2025-08-28", 28, 28, 1280),
        ("qwen-vl-ocr-2024-10-28", 28, 28, 1280),
        ("qwen3.5-ocr", 32, 32, 8192),
        ("gui-plus", 28, 28, 1280),
        ("qwen3.5-omni-plus", 32, 32, 1280),
        ("qwen3.8-omni-flash", 32, 32, 1280),
    ],
)
def test_image_token_factors_and_caps(name: str, factor: int, video_factor: int, default: int) -> None:
    facts = describe(name)
    assert (facts.token_factor, facts.video_factor) == (factor, video_factor)
    assert (facts.default_image_tokens, facts.max_image_tokens) == (default, 16384)


@pytest.mark.parametrize(
    ("name", "frames", "sampled", "frame_tokens", "total_tokens", "size", "seconds"),
    [
        ("qwen3-vl-plus", 2000, 2000, 640, 131072, 2 * GB, 3600),
        ("qwen3-vl-plus-2025-09-23", 2000, 2000, 640, 131072, 2 * GB, 3600),
        ("qwen3-vl-flash", 2000, 512, 768, 65536, 2 * GB, 3600),
        ("qwen3-vl-235b-a22b-thinking", 2000, 80, 768, 65536, 2 * GB, 3600),
        ("qwen3-vl-235b-a22b-instruct", 2000, 80, 768, 65536, 2 * GB, 3600),
        ("qwen3-vl-32b-thinking", 512, 80, 768, 65536, 2 * GB, 1200),
        ("qwen3-vl-8b-instruct", 512, 80, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max", 512, None, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max-2025-04-08", 512, None, 768, 65536, 2 * GB, 1200),
        ("qwen-vl-max-2025-04-02", 512, None, 768, 65536, GB, 600),
        ("qwen-vl-plus", 512, None, 768, 65536, GB, 600),
        ("qvq-max", 512, None, 768, 65536, GB, 600),
        ("qwen2.5-vl-72b-instruct", 512, None, 768, 65536, GB, 600),
        ("qwen2-vl-7b-instruct", 80, None, 768, 65536, 150 * MB, 40),
        ("qwen3.5-plus", 8000, None, 640, 800_000, 2 * GB, 7200),
        ("qwen3.6-27b", 8000, None, 640, 800_000, 2 * GB, 7200),
        ("qwen3.7-flash", 8000, None, 640, 800_000, 2 * GB, 7200),
        ("qwen3.8-max", 8000, None, 640, 800_000, 2 * GB, 7200),
        ("qwen3.8-27b", 8000, None, 640, 800_000, 2 * GB, 7200),
    ],
)
def test_video_limits(
    name: str, frames: int, sampled: int | None, frame_tokens: int, total_tokens: int, size: int, seconds: float
) -> None:
    facts = describe(name)
    assert (facts.frames_min, facts.max_frames, facts.sampled_frames) == (4, frames, sampled)
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
        ("qwen-vl-ocr", 38_192, 30_000, None, 8_192, None),
        ("qwen-vl-ocr-2025-08-28", 34_096, None, None, 4_096, None),
        ("qwen3.5-ocr", None, None, None, 32_768, None),
        ("qwen3.5-plus", 1_000_000, None, None, 65_536, 81_920),
        ("qwen3.5-flash", 1_000_000, None, None, 65_536, 81_920),
        ("qwen3.5-9b", 262_144, None, None, 65_536, None),
        ("qwen3.6-plus", 1_000_000, None, None, 65_536, 81_920),
        ("qwen3.6-flash", 1_000_000, None, None, 65_536, 131_072),
        ("qwen3.6-27b", 262_144, None, None, 65_536, None),
        ("qwen3.6-max", 262_144, 245_800, None, 65_536, None),
        ("qwen3.7-plus", 1_000_000, 991_808, 983_616, 65_536, 262_144),
        ("qwen3.7-flash", 1_000_000, None, None, 131_072, 262_144),
        ("qwen3.7-max", 1_000_000, None, None, 65_536, None),
        ("qwen3.8-max", 1_000_000, 991_808, 983_616, 131_072, 262_144),
        ("qwen3.8-max-0902", 1_000_000, 991_808, 983_616, 131_072, 262_144),
        ("qwen3.8-flash", 1_000_000, 991_808, 983_616, 131_072, 262_144),
        ("qwen3.8-27b", 262_144, None, None, None, None),
        ("qwen3.8-2.4t-a95b", None, None, None, None, None),
        ("qwen3.8-flash-next", 262_144, None, None, None, None),
        ("qwen3.5-omni-flash", 262_144, None, None, 65_536, None),
    ],
)
def test_context_and_output_limits(
    name: str,
    context: int | None,
    max_input: int | None,
    thinking_input: int | None,
    output: int | None,
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
    for name in ("qwen3.8-max", "qwen3.8-flash", "qwen3.8-27b", "qwen3.9-plus"):
        assert describe(name).json_object
        assert describe(name).json_schema
    assert not describe("qwen3.7-max-preview").json_schema
    assert not describe("qwen3.5-ocr").json_object


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


@pytest.mark.parametrize(
    ("name", "images", "videos"),
    [
        ("qwen3.8-max", True, True),
        ("qwen3.8-2.4t-a95b", True, True),
        ("qwen3.7-flash", True, True),
        ("qwen3.7-max", False, False),
        ("qwen3.7-max-preview", False, False),
        ("qwen3.7-max-2026-05-17", False, False),
        ("qwen3.6-max-preview", False, False),
        ("qwen3.5-ocr", True, False),
        ("gui-plus-2026-02-26", True, False),
        ("qwen3.5-omni-plus", True, True),
        ("qwen4-max", True, True),
        ("my-own-model", True, True),
    ],
)
def test_media_per_model(name: str, images: bool, videos: bool) -> None:
    facts = describe(name)
    assert (facts.images, facts.videos) == (images, videos)
    assert facts.is_text_only is not (images or videos)
    if not videos:
        assert (facts.max_frames, facts.video_seconds, facts.video_max_bytes, facts.max_videos) == (None,) * 4


EFFORTS = ("low", "medium", "xhigh")


@pytest.mark.parametrize(
    ("name", "efforts", "preserves", "by_default", "max_tokens"),
    [
        ("qwen3.8-max", EFFORTS, True, True, 32_768),
        ("qwen3.8-max-0902", EFFORTS, True, True, 32_768),
        ("qwen3.8-flash", EFFORTS, True, True, 32_768),
        ("qwen3.8-27b", EFFORTS, True, True, 32_768),
        ("qwen3.8-2.4t-a95b", EFFORTS, True, True, 32_768),
        ("qwen3.8-flash-next", EFFORTS, True, True, None),
        ("qwen3.9-plus", EFFORTS, True, True, None),
        ("qwen3.8-27b-instruct", (), True, False, None),
        ("qwen3.7-plus", (), True, False, None),
        ("qwen3.6-plus", (), True, False, None),
        ("qwen3.5-plus", (), False, False, None),
        ("qwen3-vl-plus", (), False, False, None),
        ("my-own-model", (), True, False, None),
    ],
)
def test_effort_and_earlier_reasoning_per_model(
    name: str, efforts: tuple[str, ...], preserves: bool, by_default: bool, max_tokens: int | None
) -> None:
    facts = describe(name)
    assert facts.reasoning_efforts == efforts
    assert (facts.preserve_thinking, facts.preserve_thinking_default) == (preserves, by_default)
    assert facts.max_tokens_thinking == max_tokens


@pytest.mark.parametrize(
    ("name", "data_uri", "by_url", "inline", "videos"),
    [
        ("qwen3.8-max", 20, 2048, 250, 64),
        ("qwen3.8-flash", 20, 256, 250, 64),
        ("qwen3.7-plus", 20, 2048, 250, 64),
        ("qwen3.7-flash", 20, 256, 250, 64),
        ("qwen3.5-27b", 20, 256, 250, 64),
        ("qwen3-vl-plus", 20, 256, 250, 64),
        ("qwen3-vl-8b-instruct", 20, 256, 250, 64),
        ("qwen-vl-max", 10, 256, 250, 64),
        ("qwen2.5-vl-7b-instruct", 10, 256, 250, 64),
        ("qvq-max", 10, 256, 250, 64),
        ("qwen3.8-flash-next", 20, None, None, None),
        ("qwen3.9-plus", 20, None, None, None),
        ("qwen3-vl-8b", 20, None, None, None),
        ("qwen-vl-ocr", 10, None, None, None),
        ("qwen3.5-ocr", 10, None, None, None),
        ("gui-plus", 10, None, None, None),
        ("my-own-model", 10, None, None, None),
    ],
)
def test_request_limits_per_model(
    name: str, data_uri: int, by_url: int | None, inline: int | None, videos: int | None
) -> None:
    facts = describe(name)
    assert facts.data_uri_max_bytes == data_uri * MB
    assert (facts.max_images_url, facts.max_images_inline, facts.max_videos) == (by_url, inline, videos)


@pytest.mark.parametrize(
    ("name", "chat", "files"),
    [
        *((f"qwen{version}-{size}", True, True) for version in ("3.5", "3.6", "3.7") for size in ("plus", "flash")),
        ("qwen3.8-max", True, True),
        ("qwen3.8-flash", True, True),
        ("qwen3-vl-plus", True, True),
        ("qwen3.5-omni-plus", True, True),
        ("qwen3-vl-flash", False, True),
        ("qwen-vl-ocr", False, True),
        ("qwen-vl-ocr-latest", False, True),
        ("qwen-vl-ocr-2025-11-20", False, False),
        ("qwen3.5-omni-flash", False, False),
        ("qwen3.8-27b", False, False),
        ("qwen3.7-max", False, False),
        ("qvq-max", False, False),
        ("qwen-vl-max", False, False),
    ],
)
def test_batch_per_model(name: str, chat: bool, files: bool) -> None:
    facts = describe(name)
    assert (facts.batch_chat, facts.batch_files) == (chat, files)
    assert facts.max_input_batch == (262_144 if files else None)


def test_ocr_tasks_per_model() -> None:
    for name in ("qwen-vl-ocr", "qwen-vl-ocr-2025-08-28", "qwen3.5-ocr"):
        assert len(set(describe(name).ocr_tasks)) == 7
        assert "advanced_recognition" in describe(name).ocr_tasks
    for name in ("qwen3.8-max", "qwen3-vl-plus", "my-own-model"):
        assert describe(name).ocr_tasks == ()


@pytest.mark.parametrize(
    ("name", "is_open"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("Qwen/QVQ-72B-Preview", True),
        ("Qwen/Qwen3.5-9B", True),
        ("qwen3.6-72b", True),
        ("qwen3.8-27b", True),
        ("qwen3.8-2.4t-a95b", True),
        ("Qwen/Qwen3.8-Flash-Next", True),
        ("qwen4-27b", True),
        ("qwen4-flash", False),
        ("qwen3.8-flash", False),
        ("qwen3-vl-plus", False),
        ("qvq-max", False),
        ("my-own-model", False),
    ],
)
def test_open_weights_per_model(name: str, is_open: bool) -> None:
    assert describe(name).open_weights is is_open


def test_retired_model_names_a_successor() -> None:
    for name in ("qwen-vl-max", "qwen-vl-max-latest", "qwen-vl-max-us", "qwen-vl-max-2025-08-13"):
        assert "qwen3-vl-plus" in (describe(name).retired or "")
    assert [facts.name for facts in CATALOGUE if facts.retired and facts.name != "qwen-vl-max"] == []


NEWER = ["qwen3.9-plus", "qwen4-vl-plus", "qwen3.10-flash", "qwen5", "qwen3.8-turbo", "Qwen/Qwen4-VL-72B", "qwen10-max"]


@pytest.mark.parametrize("name", NEWER)
def test_newer_name_takes_the_newest_row_without_limits(name: str) -> None:
    facts, flagship = describe(name), describe("qwen3.8-max")
    assert (facts.known, facts.assumed) == (True, True)
    for field in (
        *("thinking", "server_thinking_default", "reasoning_efforts", "preserve_thinking", "preserve_thinking_default"),
        *("tools", "json_object", "json_schema", "token_factor", "default_image_tokens", "video_total_tokens"),
    ):
        assert getattr(facts, field) == getattr(flagship, field), field
    for field in (
        *("context_window", "max_input", "max_input_thinking", "max_output", "max_thinking_budget", "max_input_batch"),
        *("max_tokens_thinking", "frames_min", "max_frames", "video_max_bytes", "video_seconds"),
        *("max_images_url", "max_images_inline", "max_videos"),
    ):
        assert getattr(facts, field) is None, field
    assert facts.source.startswith("Assumed from qwen3.8-max")


@pytest.mark.parametrize("name", ["qwen3.9-thinking", "qwen4-vl-235b-a22b-thinking", "qwen3.9-plus-thinking-2027"])
def test_newer_name_in_thinking_always_thinks(name: str) -> None:
    facts = describe(name)
    assert (facts.assumed, facts.thinking, facts.server_thinking_default) == (True, "always", True)
    assert not facts.json_object


@pytest.mark.parametrize("name", ["qwen3.9-instruct", "qwen4-vl-8b-instruct", "Qwen/Qwen4-VL-8B-Instruct-FP8"])
def test_newer_name_in_instruct_never_thinks(name: str) -> None:
    facts = describe(name)
    assert (facts.assumed, facts.thinking, facts.server_thinking_default) == (True, "never", False)
    assert facts.reasoning_efforts == ()
    assert facts.json_object


SIBLINGS = [
    *("coder", "coder-plus", "tts-flash", "asr-flash-filetrans", "text-embedding", "vl-embedding", "embedding-8b"),
    *("rerank", "vl-reranker-2b", "text-rerank", "image", "image-edit-plus", "mt-plus", "math-72b", "audio-turbo"),
    *("realtime", "omni-plus-realtime", "omni-flash", "ocr", "livetranslate-flash", "deep-research", "asr-realtime"),
    *("plus-character", "tts-vc", "forcedaligner", "guard-8b", "s2s", "translate", "doc-turbo"),
]


@pytest.mark.parametrize("family", ["qwen3.8", "qwen3.9", "qwen4", "qwen3.5"])
@pytest.mark.parametrize("sibling", SIBLINGS)
def test_sibling_of_another_kind_stays_unknown(family: str, sibling: str) -> None:
    facts = describe(f"{family}-{sibling}")
    if f"{family}-{sibling}" in ("qwen3.5-omni-flash", "qwen3.5-ocr", "qwen3.8-omni-flash"):
        assert facts.known  # these have rows
        return
    assert (facts.known, facts.assumed, facts.thinking) == (False, False, "unknown")


@pytest.mark.parametrize(
    "name",
    [
        *("qwen3-max", "qwen3-8b", "qwen3-32b-instruct", "qwen2.5-72b-instruct", "qwen-1.8b-chat", "qwen3.4-plus"),
        *("qwen3.9plus", "qwen3.8b", "xqwen3.9-plus", "qwen3-next-80b-a3b-thinking", "qwen20250101", "qwen-4o"),
    ],
)
def test_older_or_other_name_is_not_assumed(name: str) -> None:
    assert not describe(name).known


def test_coordinate_space_per_model() -> None:
    assert describe("qwen2.5-vl-7b-instruct").coordinates == "absolute"
    for name in ("qwen3-vl-plus", "qwen3-vl-8b-instruct", "qwen3.5-plus", "qwen3.7-plus", "qwen3.8-max", "gui-plus"):
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
