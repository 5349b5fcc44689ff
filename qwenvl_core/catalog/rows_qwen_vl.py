"""List the vision models before Qwen3.5, the OCR models, GUI-Plus and the omni models.

Where the vendor's pages disagree on these models, token formulas are those of "Visual understanding (Qwen-VL)" of
2025-12-18 (`sampled_frames`, `video_frame_tokens`, `video_total_tokens`), and a limit that refuses something is the
larger one, so that an old page refuses nothing that the service accepts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qwenvl_core.catalog.facts import (
    BATCH,
    CHAT_API,
    GB,
    HOUR,
    MB,
    MINUTE,
    MODELS_DEV,
    NEWER,
    REASONING,
    VISION,
    ModelFacts,
)
from qwenvl_core.catalog.rows import BATCH_FILES, BATCHES, COUNTS, UNKNOWN, Row, drop_videos, think_always

# --- Qwen3-VL: 32 x 32 pixels a token, relative coordinates. The page of 2025 counts the open-source sizes among "other
# --- models" for lists of frames (80), the page of 2026 allows them 512 and the largest size 2,000.
_QWEN3_VL = ModelFacts(
    name="qwen3-vl",
    token_factor=32,
    video_factor=32,
    default_image_tokens=2560,
    max_frames=512,
    sampled_frames=80,
    video_max_bytes=2 * GB,
    video_seconds=(2.0, 20 * MINUTE),
    data_uri_max_bytes=20 * MB,
    coordinates="relative",
    tools=True,
    **COUNTS,
)
_QWEN3_VL_FLASH = replace(
    _QWEN3_VL,
    name="qwen3-vl-flash",
    thinking="hybrid",
    json_object=True,  # while not thinking; the vendor does not list Qwen3-VL for JSON schemas
    context_window=262_144,
    max_input=260_096,
    max_input_thinking=258_048,
    max_output=32_768,
    max_thinking_budget=81_920,
    max_frames=2000,
    sampled_frames=512,
    video_seconds=(2.0, HOUR),
    source=f"{VISION}; {REASONING}; frames and duration: {NEWER}; {BATCH}; context: {MODELS_DEV}",
    **BATCH_FILES,
)
_QWEN3_VL_PLUS = replace(
    _QWEN3_VL_FLASH,
    name="qwen3-vl-plus",
    sampled_frames=2000,
    video_frame_tokens=640,
    video_total_tokens=131_072,
    batch_chat=True,
)
_QWEN3_VL_INSTRUCT = replace(
    _QWEN3_VL,
    name="",  # filled in on a match, with the size
    open_weights=True,
    json_object=True,
    context_window=131_072,
    max_output=32_768,
    source=f"{VISION}; frames: {NEWER}; context: {MODELS_DEV}",
)
_QWEN3_VL_THINKING = replace(
    think_always(_QWEN3_VL_INSTRUCT), source=f"{VISION}; {REASONING}; frames: {NEWER}; context: {MODELS_DEV}"
)
_LARGEST: dict[str, Any] = {"max_frames": 2000, "video_seconds": (2.0, HOUR)}
_UNKNOWN_QWEN3_VL = replace(
    UNKNOWN,
    open_weights=True,
    token_factor=32,
    video_factor=32,
    data_uri_max_bytes=20 * MB,
    coordinates="relative",
    source=VISION,
)

# --- Qwen2.5-VL: 512 frames. The page counts qwen-vl-max, qwen-vl-plus and QVQ among it.
_QWEN25_VL = ModelFacts(
    name="",
    context_window=131_072,
    max_output=8_192,
    max_frames=512,
    video_max_bytes=GB,
    video_seconds=(2.0, 10 * MINUTE),
    coordinates="absolute",
    source=f"{VISION}; context: {MODELS_DEV}",
    **COUNTS,
)
_QVQ = replace(
    _QWEN25_VL,
    name="",
    thinking="always",
    server_thinking_default=True,
    stream_only=True,
    coordinates=None,  # no source states it
    source=f"{VISION}; {REASONING}; context: {MODELS_DEV}",
)
_QWEN_VL_PLUS_OLD = replace(_QWEN25_VL, name="qwen-vl-plus", coordinates=None)
_QWEN_VL_PLUS_0710 = replace(_QWEN_VL_PLUS_OLD, video_factor=32)  # named in the video sample only
_QWEN_VL_PLUS_0815 = replace(_QWEN_VL_PLUS_OLD, token_factor=32, video_factor=32)
_QWEN_VL_PLUS = replace(_QWEN_VL_PLUS_0815, json_object=True)  # of the stable and latest versions, not of the snapshots
_QWEN_VL_MAX_OLD = replace(
    _QWEN_VL_PLUS_OLD,
    name="qwen-vl-max",
    retired="Alibaba has retired qwen-vl-max. Use qwen3-vl-plus, or a newer model such as qwen3.8-flash.",
    source=f"{VISION}; context: {MODELS_DEV}; retired: source of the DashScope SDK 2.0.2",
)
_QWEN_VL_MAX_0408 = replace(_QWEN_VL_MAX_OLD, video_max_bytes=2 * GB, video_seconds=(2.0, 20 * MINUTE))
_QWEN_VL_MAX_0813 = replace(_QWEN_VL_MAX_0408, token_factor=32, video_factor=32)
_QWEN_VL_MAX = replace(_QWEN_VL_MAX_0813, json_object=True)
_OTHER = ModelFacts(name="", **COUNTS)  # Qwen2-VL and the first qwen-vl snapshots: the page's "other models"

# --- OCR. Snapshots up to 2025-08-28 have 28 x 28 pixels a token.
_OCR_PAGE = "Alibaba Cloud Model Studio, Text extraction (Qwen-OCR), 2026"
_QWEN_VL_OCR_OLD = drop_videos(
    ModelFacts(
        name="qwen-vl-ocr",
        context_window=34_096,
        max_output=4_096,
        ocr_tasks=(
            *("text_recognition", "advanced_recognition", "key_information_extraction", "table_parsing"),
            *("document_parsing", "formula_recognition", "multi_lan"),
        ),
        source=f"{_OCR_PAGE}; context: {MODELS_DEV}",
    )
)
_QWEN_VL_OCR_1120 = replace(
    _QWEN_VL_OCR_OLD,
    token_factor=32,
    video_factor=32,
    min_image_tokens=3,
    default_image_tokens=8192,
    context_window=38_192,
    max_input=30_000,
    max_output=8_192,
)
_QWEN_VL_OCR = replace(_QWEN_VL_OCR_1120, source=f"{_QWEN_VL_OCR_1120.source}; {BATCH}", **BATCH_FILES)
_QWEN35_OCR = replace(
    _QWEN_VL_OCR_1120, name="qwen3.5-ocr", context_window=None, max_input=None, max_output=32_768, source=_OCR_PAGE
)

# --- GUI-Plus writes tool calls as text, by a system prompt; points are on a screen of 1000 x 1000.
_GUI_PLUS = drop_videos(
    ModelFacts(
        name="gui-plus",
        coordinates="relative",
        source="Alibaba Cloud Model Studio, GUI-Plus (API reference), 2026",
    )
)
_GUI_PLUS_0226 = replace(_GUI_PLUS, name="gui-plus-2026-02-26", thinking="hybrid", server_thinking_default=None)

# --- Omni models, as models that read images and videos and write text. Limits of media are not stated.
_QWEN35_OMNI = ModelFacts(
    name="qwen3.5-omni-flash",
    stream_only=True,
    tools=True,
    context_window=262_144,
    max_output=65_536,
    token_factor=32,
    video_factor=32,
    min_image_tokens=24,
    frames_min=None,
    max_frames=None,
    video_total_tokens=180_224,
    video_max_bytes=None,
    video_seconds=None,
    data_uri_max_bytes=20 * MB,
    source=f"{CHAT_API}; Alibaba Cloud Model Studio, Qwen-Omni, 2026; output: litellm 1.110",
)
_QWEN35_OMNI_PLUS = replace(_QWEN35_OMNI, name="qwen3.5-omni-plus", source=f"{_QWEN35_OMNI.source}; {BATCH}", **BATCHES)
_QWEN38_OMNI = replace(
    _QWEN35_OMNI,
    name="qwen3.8-omni-flash",
    thinking="unknown",  # no source states it, nor the context
    server_thinking_default=None,
    context_window=None,
    max_output=None,
    source=CHAT_API,
)

EXACT: dict[str, ModelFacts] = {
    "qwen-vl-max": _QWEN_VL_MAX,
    "qwen-vl-max-latest": _QWEN_VL_MAX,
    "qwen-vl-max-2025-08-13": _QWEN_VL_MAX_0813,
    "qwen-vl-max-0813": _QWEN_VL_MAX_0813,
    "qwen-vl-max-2025-04-08": _QWEN_VL_MAX_0408,
    "qwen-vl-max-0408": _QWEN_VL_MAX_0408,
    "qwen-vl-plus": _QWEN_VL_PLUS,
    "qwen-vl-plus-latest": _QWEN_VL_PLUS,
    "qwen-vl-plus-2025-08-15": _QWEN_VL_PLUS_0815,
    "qwen-vl-plus-0815": _QWEN_VL_PLUS_0815,
    "qwen-vl-plus-2025-07-10": _QWEN_VL_PLUS_0710,
    "qwen-vl-plus-0710": _QWEN_VL_PLUS_0710,
    "qwen-vl-ocr": _QWEN_VL_OCR,
    "qwen-vl-ocr-latest": _QWEN_VL_OCR,
    "qwen-vl-ocr-2025-11-20": _QWEN_VL_OCR_1120,
    "qwen-vl-ocr-1120": _QWEN_VL_OCR_1120,
}
"""Facts by names that match as a whole."""

ROWS: tuple[Row, ...] = (
    Row("qwen3-vl-plus", _QWEN3_VL_PLUS),
    Row("qwen3-vl-flash", _QWEN3_VL_FLASH),
    Row("qwen3-vl-235b-a22b", replace(_QWEN3_VL_THINKING, **_LARGEST), "thinking"),
    Row("qwen3-vl-235b-a22b", replace(_QWEN3_VL_INSTRUCT, **_LARGEST), "instruct"),
    Row("qwen3-vl", _QWEN3_VL_THINKING, "thinking"),
    Row("qwen3-vl", _QWEN3_VL_INSTRUCT, "instruct"),
    Row("qwen3-vl", _UNKNOWN_QWEN3_VL),
    Row("qvq-max", replace(_QVQ, name="qvq-max")),
    Row("qvq-plus", replace(_QVQ, name="qvq-plus")),
    Row("qvq", replace(_QVQ, open_weights=True)),
    Row("qwen-vl-ocr", _QWEN_VL_OCR_OLD),
    Row("qwen-vl-max", _QWEN_VL_MAX_OLD),
    Row("qwen-vl-plus", _QWEN_VL_PLUS_OLD),
    Row("qwen-vl", _OTHER),
    Row("qwen2.5-vl", replace(_QWEN25_VL, open_weights=True), "instruct"),
    Row("qwen2.5-vl", replace(_QWEN25_VL, open_weights=True)),
    Row("qwen2-vl", replace(_OTHER, open_weights=True), "instruct"),
    Row("qwen2-vl", replace(_OTHER, open_weights=True)),
    Row("qwen3.5-ocr", _QWEN35_OCR),
    Row("qwen3.5-omni-plus", _QWEN35_OMNI_PLUS),
    Row("qwen3.5-omni-flash", _QWEN35_OMNI),
    Row("qwen3.8-omni-flash", _QWEN38_OMNI),
    Row("gui-plus-2026-02-26", _GUI_PLUS_0226),
    Row("gui-plus", _GUI_PLUS),
)
"""Facts by prefixes of names; the first row that matches is used."""
