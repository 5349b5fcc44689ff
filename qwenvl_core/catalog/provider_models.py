"""Describe a model as one provider serves it.

What belongs to the weights is the same everywhere; the limits of Model Studio are Model Studio's, and each server has
JSON modes, image sizes and switches of its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any

from qwenvl_core.catalog.facts import ModelFacts
from qwenvl_core.catalog.models import describe
from qwenvl_core.catalog.names import canonicalize, is_service_name
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.catalog.rows import unset

UNLIMITED = sys.maxsize
"""A length of data URIs that no medium reaches: other servers state no limit."""

SERVICE_LIMITS = (
    *("max_output", "max_thinking_budget", "max_tokens_thinking", "min_temperature_thinking"),
    *("frames_min", "max_frames", "video_seconds", "max_images_url", "max_images_inline", "max_videos"),
)
"""Limits of the service; those of the model's weights hold on every server."""

_ALIASES = {("ollama", "qwen3-vl"): "qwen3-vl-thinking"}
"""Names that mean other weights at one provider. Source: Ollama's library, where `qwen3-vl` is the thinking weights."""
_VARIANTS = frozenset(("instruct", "thinking"))

_SMALLEST_IMAGE = {32: 64, 28: 4}
"""Fewest tokens of an image by the side of a token's square. Source: `preprocessor_config.json` of the weights."""


@lru_cache(maxsize=512)
def describe_at(name: str, provider_name: str) -> ModelFacts:
    """Return the facts of a model at a provider.

    Args:
        name: The model's name in any spelling.
        provider_name: Name of the provider that serves it.

    Returns:
        The catalog's row at Model Studio, where names that the service does not have carry no limits of it; elsewhere
        the row without the service's limits, and with the abilities of the provider.
    """
    provider = get_provider(provider_name)
    if provider.is_model_studio:
        facts = describe(name)
        return facts if is_service_name(name) else replace(facts, **unset(*SERVICE_LIMITS))
    facts = describe(_resolve_alias(name, provider))
    return replace(facts, **_get_abilities(facts, provider), **unset(*SERVICE_LIMITS))


def _resolve_alias(name: str, provider: Provider) -> str:
    key = canonicalize(name)
    for (owner, prefix), weights in _ALIASES.items():
        is_bare = key == prefix or (key.startswith(f"{prefix}-") and _VARIANTS.isdisjoint(key.split("-")))
        if owner == provider.name and is_bare:
            return weights
    return name


def _get_abilities(facts: ModelFacts, provider: Provider) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "json_object": "json_object" in provider.response_formats,
        "json_schema": "json_schema" in provider.response_formats,
        "json_thinking": provider.forces_json_while_thinking,
        "tool_choices": provider.tool_choices,
        "forced_tools_thinking": provider.forces_tools_while_thinking,
        "stream_only": False,
        "tools": True,  # what Model Studio refuses, other servers may parse
        "retired": None,
        "data_uri_max_bytes": UNLIMITED,
        "min_image_tokens": _SMALLEST_IMAGE[facts.token_factor],
        "default_image_tokens": facts.max_image_tokens,
    }
    if provider.image_token_bounds is not None:
        smallest, largest = provider.image_token_bounds
        changes |= {"min_image_tokens": smallest, "default_image_tokens": largest, "max_image_tokens": largest}
    if facts.thinking == "always" and provider.can_stop_always_thinking:
        changes["thinking"] = "hybrid"
    return changes
