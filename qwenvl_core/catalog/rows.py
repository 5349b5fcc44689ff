"""Define the parts of the model catalog's tables: a row that matches names, and facts that many rows share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from qwenvl_core.catalog.facts import ModelFacts

COUNTS: dict[str, Any] = {"max_images_url": 256, "max_images_inline": 250, "max_videos": 64}
"""Numbers of images and videos per request. Source: "Image and video understanding", 2026."""
BATCH_FILES: dict[str, Any] = {"batch_files": True, "max_input_batch": 256 * 1024}
BATCHES: dict[str, Any] = {**BATCH_FILES, "batch_chat": True}
"""Both forms of batches. Sources: "OpenAI compatible batch" and "OpenAI compatible Batch Chat", 2026-10."""

UNKNOWN = ModelFacts(
    name="",
    known=False,
    thinking="unknown",
    server_thinking_default=None,
    # True, so that no setting of the caller is refused or rewritten.
    tools=True,
    json_object=True,
    json_schema=True,
    preserve_thinking=True,
    batch_chat=True,
    batch_files=True,
    # The larger of the two common values, so that an estimate is rather too high than too low.
    default_image_tokens=2560,
    frames_min=None,
    max_frames=None,
    video_max_bytes=None,
    video_seconds=None,
    source="",
)
"""The row of names without a row."""


class Row(NamedTuple):
    """The facts of names that begin with a prefix and, where `part` is set, have a part of that pattern behind it.

    A prefix ends at a `-`, so dated snapshots and fine-tunes get the row of their base model.
    """

    prefix: str
    facts: ModelFacts
    part: str = ""


def unset(*names: str) -> dict[str, Any]:
    """Return the fields as keywords of `replace` that clear them: no source states these limits."""
    return dict.fromkeys(names)


def drop_videos(facts: ModelFacts) -> ModelFacts:
    """Return the facts of a model that takes images but no videos."""
    limits = unset("frames_min", "max_frames", "video_max_bytes", "video_seconds", "max_videos")
    return replace(facts, videos=False, **limits)


def drop_media(facts: ModelFacts) -> ModelFacts:
    """Return the facts of a model that takes text only."""
    return replace(drop_videos(facts), images=False, coordinates=None, max_images_url=None, max_images_inline=None)


def think_always(facts: ModelFacts) -> ModelFacts:
    """Return the facts of the variant of a hybrid model that always thinks, which has no JSON mode.

    Source: the vendor's page "Structured output" ("supported in non-thinking mode").
    """
    return replace(facts, thinking="always", server_thinking_default=True, json_object=False, json_schema=False)


def think_never(facts: ModelFacts) -> ModelFacts:
    """Return the facts of the variant of a hybrid model that never thinks."""
    return replace(
        facts,
        thinking="never",
        server_thinking_default=False,
        reasoning_efforts=(),
        preserve_thinking_default=False,
        max_input_thinking=None,
        max_tokens_thinking=None,
        max_thinking_budget=None,
    )
