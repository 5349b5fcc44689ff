"""List the facts of each model that the rules check.

Sources: the vendor's visual reasoning and image understanding pages of 2025 and 2026 (kinds, frames, streaming, counts
of images, data URIs), its API references of 2026 (efforts, limits while thinking), its error code page (limits named in
refusals) and the public models.dev data (output lengths, tools, JSON output).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

_VARIANT = re.compile(r"(-\d{4}(-\d{2}-\d{2})?|-latest)?(-us|-intl)?")
"""Suffix of dated snapshots and regional variants, to which the rules of their base model apply."""


_DATA_URI = 10_485_760
_LARGE_DATA_URI = 2 * _DATA_URI
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max", "none")
_OCR_TASKS = (
    "text_recognition", "advanced_recognition", "key_information_extraction", "table_parsing", "document_parsing",
    "formula_recognition", "multi_lan",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model; lengths are in tokens."""

    name: str
    thinking: Literal["hybrid", "always", "never"]
    thinks_by_default: bool = False
    thinks_without_stream: bool = True
    """Whether thinking calls may be non-streaming (Qwen3-VL: yes by its page; open-source Qwen3: no)."""
    stream_only: bool = False
    vision: bool = True
    tools: bool = True
    json_object: bool = True
    json_schema: bool = False
    max_output: int = 32_768
    max_thinking: int = 81_920
    max_input: int = 260_096
    max_input_thinking: int = 258_048
    max_frames: int | None = 80
    """Maximum number of images in a frame list; the minimum is 4 for every model."""
    efforts: tuple[str, ...] = ()
    """Values of `reasoning_effort`, with their aliases."""
    max_tokens_thinking: int | None = None
    """Maximum of `max_tokens` while thinking, where it differs from the length of the output."""
    max_data_uri: int = _DATA_URI
    """Maximum bytes of an image's data URI."""
    max_images_by_url: int | None = 256
    max_images_inline: int | None = 250
    max_videos: int | None = 64
    videos: bool = True
    ocr_tasks: tuple[str, ...] = ()


def _define_thinking_only(name: str) -> ModelFacts:
    return ModelFacts(
        name,
        "always",
        json_object=False,
        max_input=129_024,
        max_input_thinking=126_976,
        max_frames=_count_open_frames(name),
        max_data_uri=_LARGE_DATA_URI,
    )


def _define_instruct(name: str) -> ModelFacts:
    return ModelFacts(
        name,
        "never",
        max_input=129_024,
        max_frames=_count_open_frames(name),
        max_data_uri=_LARGE_DATA_URI,
    )


def _count_open_frames(name: str) -> int:
    return 2_000 if name.startswith("qwen3-vl-235b-a22b") else 512


def _define_qvq(name: str) -> ModelFacts:
    return ModelFacts(
        name,
        "always",
        stream_only=True,
        tools=False,
        json_object=False,
        max_output=8_192,
        max_frames=512,
        max_input=122_880,
        max_input_thinking=122_880,
    )


def _define_qwen25_vl(name: str, *, json_object: bool) -> ModelFacts:
    """Define a Qwen2.5-VL model; the vendor's page counts qwen-vl-max and qwen-vl-plus among them."""
    return ModelFacts(
        name,
        "never",
        tools=False,
        json_object=json_object,
        max_output=8_192,
        max_frames=512,
        max_input=129_024,
    )


def _define_newer_hybrid(
    name: str,
    *,
    json_schema: bool = False,
    max_thinking: int = 81_920,
    max_output: int = 65_536,
    images: int = 256,
    vision: bool = True,
) -> ModelFacts:
    return ModelFacts(
        name,
        "hybrid",
        thinks_by_default=True,
        vision=vision,
        json_schema=json_schema,
        max_output=max_output,
        max_frames=8_000,
        max_thinking=max_thinking,
        max_input=1_000_000,
        max_input_thinking=1_000_000,
        max_data_uri=_LARGE_DATA_URI,
        max_images_by_url=images,
    )


def _define_qwen38(name: str, *, images: int = 256) -> ModelFacts:
    return replace(
        _define_newer_hybrid(name, json_schema=True, max_thinking=262_144, max_output=131_072, images=images),
        max_input=991_808,
        max_input_thinking=983_616,
        efforts=_EFFORTS,
        max_tokens_thinking=32_768,
    )


def _define_ocr(name: str, *, max_output: int) -> ModelFacts:
    return ModelFacts(
        name,
        "never",
        tools=False,
        json_object=False,
        max_output=max_output,
        max_input=30_000,
        videos=False,
        ocr_tasks=_OCR_TASKS,
        max_images_by_url=None,
        max_images_inline=None,
    )


def _define_omni(name: str) -> ModelFacts:
    return ModelFacts(
        name,
        "never",
        stream_only=True,
        json_object=False,
        max_output=65_536,
        max_input=262_144,
        max_frames=None,
        max_data_uri=_LARGE_DATA_URI,
        max_images_by_url=None,
        max_images_inline=None,
        max_videos=None,
    )


_SIZES = ("235b-a22b", "32b", "30b-a3b", "8b")

MODELS: tuple[ModelFacts, ...] = (
    ModelFacts("qwen3-vl-plus", "hybrid", max_frames=2_000, max_data_uri=_LARGE_DATA_URI),
    ModelFacts("qwen3-vl-flash", "hybrid", max_frames=2_000, max_data_uri=_LARGE_DATA_URI),
    *(_define_thinking_only(f"qwen3-vl-{size}-thinking") for size in _SIZES),
    *(_define_instruct(f"qwen3-vl-{size}-instruct") for size in _SIZES),
    _define_qvq("qvq-max"),
    _define_qvq("qvq-plus"),
    _define_qwen25_vl("qwen-vl-max", json_object=True),
    _define_qwen25_vl("qwen-vl-plus", json_object=True),
    *(_define_qwen25_vl(f"qwen2.5-vl-{size}b-instruct", json_object=False) for size in (72, 32, 7, 3)),
    _define_ocr("qwen-vl-ocr", max_output=8_192),
    _define_ocr("qwen3.5-ocr", max_output=32_768),
    ModelFacts("gui-plus", "never", tools=False, json_object=False, videos=False),
    ModelFacts("gui-plus-2026-02-26", "hybrid", tools=False, json_object=False, videos=False),
    _define_omni("qwen3.5-omni-plus"),
    _define_omni("qwen3.5-omni-flash"),
    *(
        _define_newer_hybrid(f"qwen3.5-{size}")
        for size in ("plus", "flash", "397b-a17b", "122b-a10b", "35b-a3b", "27b", "9b")
    ),
    *(_define_newer_hybrid(f"qwen3.6-{size}") for size in ("plus", "35b-a3b", "27b")),
    _define_newer_hybrid("qwen3.6-flash", max_thinking=131_072),
    _define_newer_hybrid("qwen3.7-plus", json_schema=True, max_thinking=262_144, images=2048),
    _define_newer_hybrid("qwen3.7-flash", json_schema=True, max_thinking=262_144, max_output=131_072),
    _define_qwen38("qwen3.8-max", images=2048),
    _define_qwen38("qwen3.8-flash"),
    _define_qwen38("qwen3.8-27b"),
    _define_qwen38("qwen3.8-2.4t-a95b"),
    # Text models: the native API has an endpoint of their own.
    _define_newer_hybrid("qwen3.6-max", vision=False),
    _define_newer_hybrid("qwen3.6-max-preview", vision=False),
    _define_newer_hybrid("qwen3.7-max", json_schema=True, vision=False),
    *(
        ModelFacts(f"qwen3.7-max-{snapshot}", "always", vision=False, json_object=False, max_output=65_536)
        for snapshot in ("preview", "2026-05-17")
    ),
    ModelFacts("qwen-plus", "hybrid", vision=False, json_schema=True),
    ModelFacts("qwen3-max", "hybrid", vision=False, json_schema=True),
    ModelFacts("qwen3-32b", "hybrid", thinks_by_default=True, thinks_without_stream=False, vision=False),
)

_BY_NAME = {facts.name: facts for facts in MODELS}


def find_model(name: str) -> ModelFacts | None:
    """Return the facts of a model or of its base model; names are case-sensitive, as in the service."""
    exact = _BY_NAME.get(name)
    if exact:
        return exact
    bases = (facts for facts in MODELS if name.startswith(facts.name))
    return next((facts for facts in bases if _VARIANT.fullmatch(name[len(facts.name) :])), None)
