"""The keywords that shape a request: one list of them, for both adapters and for every call."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qwenvl_core.errors import QwenVLInputError

if TYPE_CHECKING:
    from qwenvl_core.types.messages import Media


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice that forces one tool by its name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


class MediaSettings(NamedTuple):
    """What holds for one image or video.

    Attributes:
        min_pixels: Least area after the server's resize, in pixels; per frame of a video.
        max_pixels: Largest area, likewise.
        fps: Frames that are taken per second of a video; `None` for images.
    """

    min_pixels: int | None
    max_pixels: int | None
    fps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What shapes a request beside its messages; `None` is never sent, and 0 is a value.

    Attributes:
        model: The model's name.
        enable_thinking: Whether a hybrid model thinks before it answers.
        thinking_source: Whose word `enable_thinking` is: nobody's, the model object's, or this call's.
        thinking_budget: Longest thinking, in tokens.
        preserve_thinking: Send earlier reasoning back; the models of `ModelFacts.preserve_thinking` use it.
        fold_system_prompt: Move system messages into the first user message.
        forced_tool_choice: What a forced tool does to a thinking hybrid model: it stops the thinking of that
            request, or becomes `auto`.
        vl_high_resolution_images: Up to 16,384 tokens an image; `max_pixels` is ignored then.
        min_pixels: Default for every image and video, in pixels.
        max_pixels: Likewise.
        fps: Default for every video, in frames per second.
        media_policy: What happens to a local image that the service would refuse or shrink: `error` sends the latter
            as it is and raises for the former, `fit` converts and scales both.
        extra_body: Merged into the body last, over everything else.

    The others are the vendor's, under the vendor's names. Sources: the pages "Qwen API reference", "Visual
    understanding (Qwen-VL)" and "Visual reasoning".
    """

    model: str = "qwen3-vl-plus"
    enable_thinking: bool = True
    thinking_source: Literal["default", "model", "call"] = "default"
    thinking_budget: int | None = None
    preserve_thinking: bool = False
    fold_system_prompt: bool = False
    forced_tool_choice: Literal["no_thinking", "auto"] = "no_thinking"
    vl_high_resolution_images: bool | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    fps: float | None = None
    media_policy: Literal["error", "fit"] = "error"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: Mapping[str, Any] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def for_part(self, part: Media) -> MediaSettings:
        """Return the settings of one image or video: the part's own values, else these defaults."""
        own_fps = getattr(part, "fps", None)
        return MediaSettings(
            self.min_pixels if part.min_pixels is None else part.min_pixels,
            self.max_pixels if part.max_pixels is None else part.max_pixels,
            own_fps if own_fps is not None or not hasattr(part, "fps") else self.fps,
        )


CALL_SETTINGS = frozenset(item.name for item in fields(ModelSettings)) - {"thinking_source"}
"""The keywords a call may give."""


_KINDS: dict[str, tuple[type, str]] = {
    "model": (str, "a model's name"),
    "response_format": (Mapping, 'a dict such as {"type": "json_object"}'),
    "extra_body": (Mapping, "a dict"),
    **dict.fromkeys(
        ("enable_thinking", "preserve_thinking", "fold_system_prompt", "vl_high_resolution_images", "logprobs",
         "parallel_tool_calls"),
        (bool, "True or False"),
    ),
}  # fmt: skip
"""What a value must be where the service would refuse another, or take it for something else. Numbers: see `checks`."""


def resolve_settings(defaults: Mapping[str, Any], explicit: Set[str], overrides: Mapping[str, Any]) -> ModelSettings:
    """Merge the settings of the model object with those of one call.

    Args:
        defaults: The values of the model object's fields; names that are not settings are ignored.
        explicit: The fields that the caller set, as opposed to those left at their defaults.
        overrides: The keywords of this call. They win, except `None`, which keeps the model's value.

    Raises:
        QwenVLInputError: A keyword is unknown or belongs to the model object, or a value has the wrong type.
    """
    overrides = {name: value for name, value in overrides.items() if value is not None}
    for name in overrides.keys() - CALL_SETTINGS:
        if name in defaults:
            raise QwenVLInputError(f"{name}= belongs to the model, not to one call: set it on the model, or on a copy.")
        from difflib import get_close_matches  # here: a slip is rare

        near = get_close_matches(name, CALL_SETTINGS, n=1)
        raise QwenVLInputError(
            f"Unknown keyword {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
            + " What the service takes beyond the known keywords goes into extra_body={...}."
        )  # fmt: skip
    values = {
        name: value for name, value in defaults.items() if name in CALL_SETTINGS and value is not None
    } | overrides
    for name, (kind, said) in _KINDS.items():
        value = values.get(name)
        if value is not None and (value == "" or not isinstance(value, kind)):
            raise QwenVLInputError(f"{name}={value!r}: this is {said}.")
    source = "call" if "enable_thinking" in overrides else "model" if "enable_thinking" in explicit else "default"
    stop = _stop(values.pop("stop", None))
    tools = tuple(values.pop("tools", ()))
    return ModelSettings(
        **{
            **values,
            "thinking_source": source,
            "stop": stop or None,
            "tools": tools,
            "tool_choice": tool_choice(values.get("tool_choice"), tools),
            "extra_body": {**(defaults.get("extra_body") or {}), **overrides.get("extra_body", {})},
        }
    )


def _stop(said: Any) -> tuple[str, ...]:
    words = (said,) if isinstance(said, str) else said or ()
    if not isinstance(words, (list, tuple, Set)) or not all(isinstance(word, str) for word in words):
        raise QwenVLInputError(f"stop={said!r}: this is a string or a list of strings.")
    return tuple(words)


def tool_choice(said: Any, tools: tuple[Mapping[str, Any], ...]) -> ToolChoice | None:
    """A tool choice in any of the forms that frameworks use.

    Args:
        said: `None`, a bool, `"auto"`, `"none"`, `"any"`, `"required"`, a tool's name, or a dict that names one.
        tools: The tools on offer.

    Raises:
        QwenVLInputError: Nothing that names a choice, or a tool that is not on offer.
    """
    if isinstance(said, Mapping):
        function = said.get("function")
        said = function.get("name") if isinstance(function, Mapping) else said.get("name", said.get("type"))
        said = said or ""  # names nothing
    match said:
        case None | False:  # LangChain's integrations take `False` for no word about it
            return None
        case NamedTool():
            return said
        case True | "any" | "required":
            return "required"
        case "none":
            return "none"
        case "auto":
            return "auto"
    names = [tool.get("function", {}).get("name") for tool in tools]
    if said not in names:
        raise QwenVLInputError(f"tool_choice {said!r} is none of auto, none, required, or the tools {names}.")
    return NamedTool(said)
