"""Build the model profile: the capabilities that LangChain's agents read."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.language_models.model_profile import ModelProfile

from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.types.settings import ModelSettings


def build_profile(settings: ModelSettings, context_window: int | None = None) -> ModelProfile | None:
    """Build the profile of a model with these settings; return `None` for a model that is not in the catalog.

    Forced tools and JSON output work while a hybrid model thinks, by the default `forced_output`.

    Args:
        settings: The settings of the model.
        context_window: The window that the server reports, in tokens; by default the catalog's.
    """
    facts = describe_at(settings.model, settings.provider)
    if not facts.known:
        return None
    is_thinking = facts.thinking == "always" or (facts.thinking == "hybrid" and settings.has_thinking)
    limit = facts.max_input_thinking if is_thinking else facts.max_input
    profile: dict[str, Any] = {
        "name": facts.name,
        "max_input_tokens": context_window or limit or facts.context_window,
        "max_output_tokens": facts.max_output,
        "text_inputs": True,
        "image_inputs": facts.images,
        "image_url_inputs": facts.images,
        "video_inputs": facts.videos,
        "audio_inputs": False,
        "image_tool_message": facts.tools and facts.images,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
        "reasoning_output": is_thinking,
        "tool_calling": facts.tools,
        "tool_choice": facts.tools and facts.thinking != "always",
        "tool_call_streaming": facts.tools,
        "structured_output": facts.json_schema,
    }
    return cast("ModelProfile", {name: value for name, value in profile.items() if value is not None})
