"""List the models of Qwen3.5 and newer: vision is built in, and thinking is on by default.

The vendor's page of 2025-12-18 does not know them. The text models among them (the `max` sizes before Qwen3.8) are
rows too, so that an image for one of them is refused before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from qwenvl_core.catalog.facts import BATCH, CHAT_API, GB, HOUR, MB, MODELS_DEV, NEWER, ModelFacts
from qwenvl_core.catalog.rows import BATCHES, COUNTS, UNKNOWN, Row, drop_media, think_always, unset

_MILLION = 1_000_000
_AGENTSCOPE = "AgentScope 2.0.11 (Alibaba), model cards"
_DASHSCOPE_API = "Alibaba Cloud Model Studio, DashScope API reference, 2026-09-05"

_QWEN35 = ModelFacts(
    name="",
    thinking="hybrid",
    server_thinking_default=True,
    tools=True,
    json_object=True,
    max_output=65_536,
    token_factor=32,
    video_factor=32,
    default_image_tokens=2560,
    max_frames=8000,  # stated for qwen3.5 and qwen3.8
    video_frame_tokens=640,
    max_video_frame_tokens=2000,
    video_total_tokens=800_000,
    video_max_bytes=2 * GB,
    video_seconds=(2.0, 2 * HOUR),
    data_uri_max_bytes=20 * MB,
    coordinates="relative",  # stated for Qwen3-VL
    source=f"{NEWER}; video pixels: {CHAT_API}; context: {MODELS_DEV}",
    **COUNTS,
)
_BATCHED: dict[str, Any] = {"context_window": _MILLION, **BATCHES}
_QWEN35_PLUS = replace(
    _QWEN35, name="qwen3.5-plus", max_thinking_budget=81_920, source=f"{_QWEN35.source}; {BATCH}", **_BATCHED
)
_QWEN36_PLUS = replace(_QWEN35_PLUS, name="qwen3.6-plus", preserve_thinking=True)
_QWEN36_FLASH = replace(
    _QWEN35_PLUS,
    name="qwen3.6-flash",
    max_thinking_budget=131_072,
    source=f"{_QWEN35_PLUS.source}; thinking budget: {_AGENTSCOPE}",
)
_QWEN36_MAX = replace(
    drop_media(_QWEN35),
    name="qwen3.6-max",
    preserve_thinking=True,
    context_window=262_144,
    max_input=245_800,
    source=f"{_AGENTSCOPE}; {MODELS_DEV}",
)
_QWEN37 = replace(_QWEN35, preserve_thinking=True, json_schema=True)
_QWEN37_PLUS = replace(
    _QWEN37,
    name="qwen3.7-plus",
    max_input=991_808,
    max_input_thinking=983_616,
    max_thinking_budget=262_144,
    source=f"{_QWEN35_PLUS.source}; input while thinking: as qwen3.8",
    **{**_BATCHED, "max_images_url": 2048},
)
_QWEN37_FLASH = replace(
    _QWEN37,
    name="qwen3.7-flash",
    max_output=131_072,
    max_thinking_budget=262_144,
    source=f"{NEWER}; {_AGENTSCOPE}; {BATCH}",
    **_BATCHED,
)
_QWEN37_MAX = replace(
    drop_media(_QWEN37), name="qwen3.7-max", context_window=_MILLION, source=f"{_AGENTSCOPE}; {MODELS_DEV}"
)
_QWEN38 = replace(
    _QWEN37,
    preserve_thinking_default=True,
    reasoning_efforts=("low", "medium", "xhigh"),
    max_output=None,
    max_tokens_thinking=32_768,
    min_temperature_thinking=0.6,
    source=f"{CHAT_API}; {_DASHSCOPE_API}; {NEWER}",
)
QWEN38_MAX = replace(
    _QWEN38,
    name="qwen3.8-max",
    max_input=991_808,
    max_input_thinking=983_616,
    max_output=131_072,
    max_thinking_budget=262_144,
    source=f"{_QWEN38.source}; {_AGENTSCOPE}; {BATCH}",
    **{**_BATCHED, "max_images_url": 2048},
)
"""The flagship of the newest family."""
_QWEN38_FLASH = replace(QWEN38_MAX, name="qwen3.8-flash", max_images_url=256)
_QWEN38_FLASH_NEXT = replace(  # public weights that Model Studio does not offer, so its limits do not apply
    _QWEN38,
    name="qwen3.8-flash-next",
    open_weights=True,
    context_window=262_144,
    max_tokens_thinking=None,
    min_temperature_thinking=None,
    source="Model card of Qwen3.8-Flash-Next",
    **unset("frames_min", "max_frames", "video_max_bytes", "video_seconds", *COUNTS),
)

_OPEN_WINDOW = 262_144
SIZE = r"\d+(?:\.\d+)?[bt](?:-a\d+b)?"
"""Pattern of the size in a name, as in 35b-a3b: models that are named by their size have public weights."""

_OPEN_SIZES: dict[str, tuple[str, ...]] = {
    "qwen3.5": ("397b-a17b", "122b-a10b", "35b-a3b", "27b", "9b", "4b", "2b", "0.8b"),
    "qwen3.6": ("35b-a3b", "27b"),
}

NEWEST_FAMILY = (3, 8)
"""Version of the newest family with rows; names of this or a later version without a row are assumed to be alike."""

ASSUMED = replace(
    QWEN38_MAX,
    name="",
    assumed=True,
    sampled_frames=QWEN38_MAX.max_frames,
    source=f"Assumed from qwen3.8-max: {QWEN38_MAX.source}",
    **unset(
        *("max_input_batch", "context_window", "max_input", "max_input_thinking", "max_output", "max_thinking_budget"),
        *("max_tokens_thinking", "min_temperature_thinking", "frames_min", "max_frames"),
        *("video_max_bytes", "video_seconds", *COUNTS),
    ),
)
"""The row of names of the newest family, or of a later one, that no row names: the flagship's, without limits."""


def _list_family(family: str, facts: ModelFacts, *rows: ModelFacts) -> Iterator[Row]:
    """Yield the named rows of a family, then the rows of its other members."""
    for row in rows:
        yield Row(row.name, row)
    for size in _OPEN_SIZES.get(family, ()):
        name = f"{family}-{size}"
        yield Row(name, replace(facts, name=name, open_weights=True, context_window=_OPEN_WINDOW))
    for part in ("omni", "ocr"):  # models of other abilities that share the version number
        yield Row(family, UNKNOWN, part)
    yield Row(family, replace(facts, open_weights=True, context_window=_OPEN_WINDOW), SIZE)
    yield Row(family, facts)


EXACT: dict[str, ModelFacts] = {
    # Aliases of the current models.
    "qwen-max-latest": QWEN38_MAX,
    "qwen-flash-latest": _QWEN38_FLASH,
}
"""Facts by names that match as a whole. Source: litellm 1.110."""

ROWS: tuple[Row, ...] = (
    *_list_family(
        "qwen3.5",
        _QWEN35,
        _QWEN35_PLUS,
        replace(_QWEN35_PLUS, name="qwen3.5-flash"),
    ),
    *_list_family("qwen3.6", _QWEN35, _QWEN36_PLUS, _QWEN36_FLASH, _QWEN36_MAX),
    *_list_family(
        "qwen3.7",
        _QWEN37,
        _QWEN37_PLUS,
        _QWEN37_FLASH,
        # The first snapshots only think.
        replace(think_always(_QWEN37_MAX), name="qwen3.7-max-preview"),
        replace(think_always(_QWEN37_MAX), name="qwen3.7-max-2026-05-17"),
        _QWEN37_MAX,
    ),
    Row("qwen3.8-max", QWEN38_MAX),
    Row("qwen3.8-flash-next", _QWEN38_FLASH_NEXT),
    Row("qwen3.8-flash", _QWEN38_FLASH),
    Row("qwen3.8-27b", replace(_QWEN38, name="qwen3.8-27b", open_weights=True, context_window=_OPEN_WINDOW)),
    # The API reference lists its image pixels, a tag of its model card says "text": images are not refused.
    Row("qwen3.8-2.4t-a95b", replace(_QWEN38, name="qwen3.8-2.4t-a95b", open_weights=True)),
)
"""Facts by prefixes of names; the first row that matches is used."""
