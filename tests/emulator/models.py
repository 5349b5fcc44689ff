"""List the facts of each model that the rules check.

Sources: the vendor's visual reasoning and image understanding pages (kinds, frames, streaming), its error code
page (limits named in refusals) and the public models.dev data (output lengths, tools, JSON output).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_VARIANT = re.compile(r"(-\d{4}(-\d{2}-\d{2})?|-latest)?(-us|-intl)?")
"""Suffix of dated snapshots and regional variants, to which the rules of their base model apply."""


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
    max_frames: int = 80
    """Maximum number of images in a frame list; the minimum is 4 for every model."""


def _define_thinking_only(name: str) -> ModelFacts:
    return ModelFacts(name, "always", json_object=False, max_input=129_024, max_input_thinking=126_976)


def _define_instruct(name: str) -> ModelFacts:
    return ModelFacts(name, "never", max_input=129_024)


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


def _define_newer_hybrid(name: str, *, json_schema: bool = False, max_thinking: int = 81_920) -> ModelFacts:
    return ModelFacts(
        name,
        "hybrid",
        thinks_by_default=True,
        json_schema=json_schema,
        max_output=65_536,
        max_frames=8_000,
        max_thinking=max_thinking,
        max_input=1_000_000,
        max_input_thinking=1_000_000,
    )


_SIZES = ("235b-a22b", "32b", "30b-a3b", "8b")

MODELS: tuple[ModelFacts, ...] = (
    ModelFacts("qwen3-vl-plus", "hybrid", max_frames=2_000),
    ModelFacts("qwen3-vl-flash", "hybrid", max_frames=512),
    *(_define_thinking_only(f"qwen3-vl-{size}-thinking") for size in _SIZES),
    *(_define_instruct(f"qwen3-vl-{size}-instruct") for size in _SIZES),
    _define_qvq("qvq-max"),
    _define_qvq("qvq-plus"),
    _define_qwen25_vl("qwen-vl-max", json_object=True),
    _define_qwen25_vl("qwen-vl-plus", json_object=True),
    *(_define_qwen25_vl(f"qwen2.5-vl-{size}b-instruct", json_object=False) for size in (72, 32, 7, 3)),
    ModelFacts("qwen-vl-ocr", "never", tools=False, json_object=False, max_output=4_096, max_input=30_000),
    *(
        _define_newer_hybrid(f"qwen3.5-{size}")
        for size in ("plus", "flash", "397b-a17b", "122b-a10b", "35b-a3b", "27b")
    ),
    *(_define_newer_hybrid(f"qwen3.6-{size}") for size in ("plus", "flash", "35b-a3b", "27b")),
    _define_newer_hybrid("qwen3.7-plus", json_schema=True, max_thinking=262_144),
    # Text models: the compatible API serves them, the native multimodal endpoint refuses them.
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
