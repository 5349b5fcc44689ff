"""Define the settings of a request and merge those of a model object with those of a call."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.keyword_hints import describe_unknown_keyword

if TYPE_CHECKING:
    from qwenvl_core.types.messages import Media


THINKING_OFF = "none"
"""The `reasoning_effort` that switches thinking off, for every model that can."""


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice that forces one tool by its name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool

ForcedOutput = Literal["think_first", "no_thinking", "ask"]
"""What a forced tool or JSON output does to a model that thinks; see `ModelSettings.forced_output`."""


ServiceTier = Literal["batch"]
"""Where a request is answered if not at once: Batch Chat. Source: the vendor's page "Batch Chat"."""


class MediaSettings(NamedTuple):
    """The effective settings of one image or video.

    Attributes:
        min_pixels: Smallest area after the server's resize, in pixels; per frame of a video.
        max_pixels: Largest area after the server's resize, in pixels; per frame of a video.
        fps: Frames sampled per second of a video; `None` for images.
        enable_rotate: Whether an OCR model turns an image upright before it reads it; `None` for videos.
    """

    min_pixels: int | None
    max_pixels: int | None
    fps: float | None
    enable_rotate: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The settings of a request; a value of `None` is never sent, a value of 0 is.

    Attributes:
        model: The model's name.
        enable_thinking: Whether a hybrid model thinks before it answers.
        thinking_source: Where `enable_thinking` was set: `default` (nowhere), the model object, or the call.
        thinking_budget: Largest number of thinking tokens.
        reasoning_effort: How much a model thinks, for models with `ModelFacts.reasoning_efforts`: one of these, or an
            alias; `"none"` switches thinking off. The call or the model object has either this or `thinking_budget`.
        preserve_thinking: Whether earlier reasoning is sent back; models with `ModelFacts.preserve_thinking` use it.
            `None` sends it to the models that expect it (`ModelFacts.preserve_thinking_default`).
        fold_system_prompt: Whether system messages are moved into the first user message.
        forced_output: How a forced tool or JSON is requested from a model that thinks, which the service refuses to
            force. `think_first` asks for it, and sends a second request without thinking that forces it if the reply
            does not contain it; `no_thinking` turns thinking off; `ask` asks for it, and raises if it is not there.
        output_retries: How often a reply that holds nothing usable is requested again.
        vl_high_resolution_images: Whether images may have up to 16,384 tokens; `max_pixels` is ignored then.
        min_pixels: Default of every image and video, in pixels.
        max_pixels: Default of every image and video, in pixels.
        fps: Default of every video, in frames per second.
        media_policy: How local media are treated that the service would reject or scale down: `check` raises for the
            former and sends the latter unchanged, `fit` converts and scales images, and sends the frames of videos.
        upload: Which local media go to the vendor's temporary storage: `auto` those that do not fit inline, `always`
            all, `never` none.
        ocr_options: Task of an OCR model: `task`, `task_config`, and `enable_rotate`, the default of every image.
        extra_body: Fields that are merged into the body last and override all others.
        service_tier: `batch` sends the request to Batch Chat, at half the price. The setting is not sent.
        timeout: Seconds of this call, in place of the model's `timeout`.
        stream_chunk_timeout: Seconds between two chunks of this call, in place of the model's `stream_chunk_timeout`.
        extra_headers: HTTP headers of this call; they override all others.
        extra_query: Query parameters of this call's URL.
        provider: Name of the row of the server that answers, in whose dialect the request is written.
        implied: Names of settings that a framework added; the caller did not set them.

    The other attributes have the vendor's names and meanings. Sources: the vendor's pages "Qwen API reference",
    "Visual understanding (Qwen-VL)" and "Visual reasoning".
    """

    model: str = "qwen3-vl-plus"
    enable_thinking: bool = True
    thinking_source: Literal["default", "model", "call"] = "default"
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    preserve_thinking: bool | None = None
    fold_system_prompt: bool = False
    forced_output: ForcedOutput = "think_first"
    output_retries: int = 1
    vl_high_resolution_images: bool | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    fps: float | None = None
    media_policy: Literal["check", "fit"] = "check"
    upload: Literal["auto", "always", "never"] = "auto"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
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
    ocr_options: Mapping[str, Any] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    service_tier: ServiceTier | None = None
    timeout: float | None = None
    stream_chunk_timeout: float | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_query: Mapping[str, Any] = field(default_factory=dict)
    provider: str = "model-studio"
    implied: frozenset[str] = frozenset()

    @property
    def has_thinking(self) -> bool:
        """Whether these settings let a hybrid model think."""
        return self.enable_thinking and self.reasoning_effort != THINKING_OFF

    @property
    def has_effort(self) -> bool:
        """Whether these settings state how much the model thinks, as an effort."""
        return self.reasoning_effort not in (None, THINKING_OFF)

    def for_part(self, part: Media) -> MediaSettings:
        """Return the effective settings of one image or video: the part's own values, else these defaults."""
        own_fps = getattr(part, "fps", None)
        own_rotate = getattr(part, "enable_rotate", None)
        is_image = hasattr(part, "enable_rotate")
        return MediaSettings(
            self.min_pixels if part.min_pixels is None else part.min_pixels,
            self.max_pixels if part.max_pixels is None else part.max_pixels,
            own_fps if own_fps is not None or not hasattr(part, "fps") else self.fps,
            (self.ocr_options or {}).get("enable_rotate") if is_image and own_rotate is None else own_rotate,
        )


CALL_SETTINGS = frozenset(item.name for item in fields(ModelSettings)) - {"thinking_source", "provider", "implied"}
"""The settings that a call may pass as keywords."""

TRANSPORT_SETTINGS = frozenset({"timeout", "stream_chunk_timeout", "extra_headers", "extra_query"})
"""The settings of a call that shape the HTTP request, not its body; the model object has its own for all calls."""

RENAMED_SETTINGS = {"forced_tool_choice": "forced_output"}
"""Former names of settings, and their names now."""

_VALUE_TYPES: dict[str, tuple[type, str]] = {
    "model": (str, "the name of a model"),
    "reasoning_effort": (str, f'a string such as "low", or {THINKING_OFF!r} for no thinking'),
    "response_format": (Mapping, 'a dict such as {"type": "json_object"}'),
    "ocr_options": (Mapping, 'a dict such as {"task": "advanced_recognition"}'),
    "extra_body": (Mapping, "a dict"),
    "extra_headers": (Mapping, "a dict of names and values"),
    "extra_query": (Mapping, "a dict of names and values"),
    **dict.fromkeys(
        ("enable_thinking", "preserve_thinking", "fold_system_prompt", "vl_high_resolution_images", "logprobs",
         "parallel_tool_calls"),
        (bool, "True or False"),
    ),
}  # fmt: skip
"""Type and description of the settings that the service would reject or misread with a value of another type.

Ranges of numbers are checked in `request.validation`.
"""


def resolve_settings(defaults: Mapping[str, Any], explicit: Set[str], overrides: Mapping[str, Any]) -> ModelSettings:
    """Merge the settings of the model object with those of one call.

    Args:
        defaults: The values of the model object's fields; names that are not settings are ignored.
        explicit: The fields that the caller set, as opposed to those left at their defaults.
        overrides: The keywords of this call. They take precedence, also over those in `find_replaced`; `None` keeps
            the value of the model object.

    Raises:
        QwenVLInputError: A keyword is unknown or belongs to the model object, or a value has the wrong type.
    """
    overrides = {name: value for name, value in overrides.items() if value is not None}
    replaced = find_replaced(defaults, overrides)
    for name in overrides.keys() - CALL_SETTINGS:
        if name in defaults:
            raise QwenVLInputError(
                f"{name}= belongs to the model, not to a call. Set it on the model or on a copy of it."
            )
        check_renamed(name)
        raise QwenVLInputError(describe_unknown_keyword(name, CALL_SETTINGS))
    values = {
        name: value
        for name, value in defaults.items()
        if name in CALL_SETTINGS - TRANSPORT_SETTINGS - replaced and value is not None
    } | overrides
    for name in ("timeout", "stream_chunk_timeout"):
        _check_timeout(name, values.get(name))
    _check_service_tier(values.get("service_tier"))
    for name, (value_type, description) in _VALUE_TYPES.items():
        value = values.get(name)
        if value is not None and (value == "" or not isinstance(value, value_type)):
            raise QwenVLInputError(f"{name}={value!r} is invalid. Pass {description}.")
    source = "call" if "enable_thinking" in overrides else "model" if "enable_thinking" in explicit else "default"
    stop = _parse_stop(values.pop("stop", None))
    tools = tuple(values.pop("tools", ()))
    return ModelSettings(
        **{
            **values,
            "thinking_source": source,
            "stop": stop or None,
            "tools": tools,
            "tool_choice": parse_tool_choice(values.get("tool_choice"), tools),
            "ocr_options": dict(values.get("ocr_options") or {}) or None,  # `{}` in a call means no task
            "extra_body": {**(defaults.get("extra_body") or {}), **overrides.get("extra_body", {})},
        }
    )


def check_renamed(name: str) -> None:
    """Raise if `name` is the former name of a setting.

    Raises:
        QwenVLInputError: The setting has another name now.
    """
    if name in RENAMED_SETTINGS:
        raise QwenVLInputError(
            f"Unknown keyword {name!r}: it is {RENAMED_SETTINGS[name]!r} now. Pass {RENAMED_SETTINGS[name]}= "
            '"think_first", "no_thinking" or "ask".'
        )


def find_replaced(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> frozenset[str]:
    """Return the settings of a model object that a call replaces without naming them.

    `thinking_budget` and `reasoning_effort` both say how much the model thinks, and the service rejects them together,
    so either of a call replaces the other of the model object. A call that switches thinking off replaces the effort as
    well, and one that switches it on replaces the effort `"none"`.

    Args:
        defaults: The values of the model object's fields.
        overrides: The keywords of the call; those with the value `None` are not set.
    """
    effort, budget, enabled = (
        overrides.get(name) for name in ("reasoning_effort", "thinking_budget", "enable_thinking")
    )
    replaced = set()
    if effort is not None and budget is None:
        replaced.add("thinking_budget")
    if effort is None and (
        budget is not None or enabled is False or (enabled is True and defaults.get("reasoning_effort") == THINKING_OFF)
    ):
        replaced.add("reasoning_effort")
    return frozenset(replaced)


def _check_timeout(name: str, timeout: Any) -> None:
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout > 0):
        raise QwenVLInputError(f"{name}={timeout!r} is invalid. Pass a number of seconds above 0.")


def _check_service_tier(tier: Any) -> None:
    if tier is not None and tier != "batch":
        raise QwenVLInputError(f'service_tier={tier!r} is invalid. Pass "batch", or leave it out.')


def _parse_stop(value: Any) -> tuple[str, ...]:
    sequences = (value,) if isinstance(value, str) else value or ()
    if not isinstance(sequences, (list, tuple, Set)) or not all(isinstance(item, str) for item in sequences):
        raise QwenVLInputError(f"stop={value!r} is invalid. Pass a string or a list of strings.")
    return tuple(sequences)


def parse_tool_choice(value: Any, tools: tuple[Mapping[str, Any], ...]) -> ToolChoice | None:
    """Parse a tool choice in any of the forms that frameworks use.

    Args:
        value: `None`, a bool, `"auto"`, `"none"`, `"any"`, `"required"`, a tool's name, or a dict that names a tool.
        tools: The tools of the request.

    Returns:
        The choice; `None` if `value` is `None` or `False`.

    Raises:
        QwenVLInputError: The value is not a tool choice or names a tool that is not among `tools`.
    """
    if isinstance(value, Mapping):
        function = value.get("function")
        value = function.get("name") if isinstance(function, Mapping) else value.get("name", value.get("type"))
        value = value or ""  # a dict without a name is an error, unlike `None`
    match value:
        case None | False:  # LangChain's integrations treat `False` as no choice
            return None
        case NamedTool():
            return value
        case True | "any" | "required":
            return "required"
        case "none":
            return "none"
        case "auto":
            return "auto"
    names = [tool.get("function", {}).get("name") for tool in tools]
    if value not in names:
        raise QwenVLInputError(f"Unknown tool_choice: {value!r}. Use auto, none, required or one of the tools {names}.")
    return NamedTool(value)
