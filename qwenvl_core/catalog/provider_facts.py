"""Define what a row of the provider catalog states: the dialect of one server or host of models.

Rows use the words of this package; `wire.dialects` spells them in JSON. What no source states is left out of a row, and
what a row does not list is never sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Provider"]

ThinkingSwitch = Literal["parameter", "template", "effort", "reasoning"]
"""How thinking is switched: a parameter, a variable of the chat template, an effort of "none", or an object."""
BudgetForm = Literal["budget", "token_budget", "budget_tokens", "reasoning", "thinking"]
"""How a budget of thinking tokens is sent: under one of three names, or in the object `reasoning` or `thinking`."""
Continuation = Literal["partial", "final_message", "final_prompt", "always"]
"""How a partial message is continued: by a mark on it, one parameter of the request, two of them (the second leaves out
the beginning of another reply), or whenever it is the last message."""
Frames = Literal["list", "jpeg_sequence", "images"]
"""How a list of frames is sent: as the vendor's list, in one data URI, or as images."""
OptionPlace = Literal["beside", "inside"]
"""Where options of a part are: beside its content, as at Model Studio, or in the object that holds its URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The dialect of one provider.

    Attributes:
        name: Name of the provider, as `provider=` takes it.
        source: Where the row's values are stated.
        hosts: Suffixes of the hosts that belong to this provider alone.
        local_port: The port that this server alone uses by default on the local machine.
        address: The usual base URL.
        key_variable: The environment variable with its key; `None` for servers that need none.
        parameters: Settings that it takes; under their own names, unless `renamed` has another one.
        renamed: Pairs of a setting and the parameter that it is sent as.
        thinking_on: How thinking is demanded; `None` where nothing is sent for it.
        thinking_off: How thinking is switched off.
        can_stop_always_thinking: Whether it can switch off the thinking of models that otherwise always think.
        budget: How a thinking budget is sent; `None` where there is none.
        budget_range: Smallest and largest budget, in tokens.
        effort: How a `reasoning_effort` is sent; `None` where no effort is.
        reasoning_request: The parameter that makes it return reasoning apart from the text.
        history: The field in which reasoning of earlier messages goes back: `content` is that of Model Studio, `plain`
            that of vLLM; `None` where none goes back.
        preserve_thinking: Whether `preserve_thinking` is a parameter, or a variable of the template.
        continuation: How a partial assistant message is continued; `None` where it is not.
        repeats_prefix: Whether a whole reply to a partial message repeats that message.
        tool_choices: Choices besides "auto" that it obeys: `none`, `required`, and `named` for a tool's name.
        forces_tools_while_thinking: Whether a forced tool is obeyed while the model thinks.
        response_formats: Types of `response_format` that it obeys.
        forces_json_while_thinking: Whether these are obeyed while the model thinks.
        needs_json_word: Whether a prompt that requests JSON by `response_format` must have the word "json" in it.
        image_options: Options of an image that have an effect.
        video_options: Options of a video that have an effect.
        option_place: Where these options are.
        sample_rate: The name of `fps` among them, where it has another one.
        frames: How a list of frames is sent.
        videos: Whether it takes video files.
        remote_media: Whether it fetches media from URLs.
        image_formats: MIME types of the images that it reads; empty where that is not stated.
        tool_media: Whether a tool message may hold images.
        joins_system: Whether there may be one system message only, at the beginning.
        stream_usage: Whether the usage of a stream must be requested.
        cache_markers: Whether it takes the vendor's cache markers.
        image_token_bounds: Fewest and most tokens of an image, where they differ from those of the model's weights.
        start_command: Command that starts the server with Qwen3-VL, with thinking and tools parsed.
    """

    name: str
    source: str
    hosts: tuple[str, ...] = ()
    local_port: int | None = None
    address: str = ""
    key_variable: str | None = None
    parameters: frozenset[str] = frozenset()
    renamed: tuple[tuple[str, str], ...] = ()
    thinking_on: ThinkingSwitch | None = None
    thinking_off: ThinkingSwitch | None = None
    can_stop_always_thinking: bool = False
    budget: BudgetForm | None = None
    budget_range: tuple[int, int | None] = (1, None)
    effort: Literal["parameter", "reasoning"] | None = None
    reasoning_request: Literal["reasoning_format", "separate_reasoning"] | None = None
    history: Literal["content", "plain"] | None = None
    preserve_thinking: Literal["parameter", "template"] | None = None
    continuation: Continuation | None = None
    repeats_prefix: bool = False
    tool_choices: frozenset[str] = frozenset()
    forces_tools_while_thinking: bool = False
    response_formats: frozenset[str] = frozenset()
    forces_json_while_thinking: bool = False
    needs_json_word: bool = True
    image_options: frozenset[str] = frozenset()
    video_options: frozenset[str] = frozenset()
    option_place: OptionPlace = "beside"
    sample_rate: str = "fps"
    frames: Frames = "images"
    videos: bool = False
    remote_media: bool = True
    image_formats: tuple[str, ...] = ()
    tool_media: bool = False
    joins_system: bool = False
    stream_usage: bool = True
    cache_markers: bool = False
    image_token_bounds: tuple[int, int] | None = None
    start_command: str = ""

    @property
    def is_model_studio(self) -> bool:
        """Whether this is the vendor's own service, with its limits and its uploads."""
        return self.name == "model-studio"

    def get_parameter(self, setting: str) -> str | None:
        """Return the name under which a setting is sent, `None` where it is not sent."""
        return dict(self.renamed).get(setting, setting if setting in self.parameters else None)
