"""Define a request before and after policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from qwenvl_core.types.media import LocalFiles
from qwenvl_core.types.messages import Message
from qwenvl_core.types.settings import ModelSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A conversation and its settings.

    Attributes:
        messages: The conversation.
        settings: The settings.
        stream: Whether the caller requests a stream; policy may stream on the wire even if not.
        local_files: Which local files may be read: the model's setting.
        adjustments: Changes before policy, one sentence each: what the conversion of the messages altered.
    """

    messages: tuple[Message, ...]
    settings: ModelSettings
    stream: bool = False
    local_files: LocalFiles = None
    adjustments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a reply must contain.

    Attributes:
        kind: A whole `call` of an offered tool, or `json`: an object, or a call where tools are offered.
        tool: Name of the tool that must be called; `None` for any tool that is offered.
        types: The accepted types of the JSON value: `dict`, `list`.
        required: Keys that a JSON object must have, from the top level of its schema.
        description: Where the demand comes from, and why it could not be forced, for errors.
        is_checked: Whether a reply without it is an error. If not, only the words around the JSON are taken off.
        is_repeated: Whether a reply without it is followed by another request, since this one only asks for it.
    """

    kind: Literal["call", "json"]
    tool: str | None = None
    types: tuple[type, ...] = (dict,)
    required: tuple[str, ...] = ()
    description: str = ""
    is_checked: bool = True
    is_repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """A request as it goes on the wire.

    Attributes:
        messages: The conversation, changed where the service requires it.
        settings: The settings, changed where the service requires it.
        enable_thinking: The value to send; `None` omits the parameter.
        stream: Whether the reply is streamed on the wire, whatever the caller requested.
        adjustments: The changes, one sentence each.
        demand: What the reply must contain; `None` for any answer.
        forced: The same request as it forces the demand, without thinking, if this one thinks and only asks for it.
        attempt: How many requests of the same call preceded this one because their replies were unusable.
        is_streamed_to_caller: Whether the caller receives the reply in pieces, so that it can't be replaced.
        data_uri_max_bytes: The longest data URI of an image that the model takes, all its characters counted.
        video_max_bytes: The largest video file that the model takes by URL; `None` if no source states it.
        has_storage: Whether the server has the vendor's temporary storage, for local media that are not sent inline.
        is_text_only: Whether the model takes neither images nor videos; the native API has an endpoint for those.
    """

    messages: tuple[Message, ...]
    settings: ModelSettings
    enable_thinking: bool | None
    stream: bool
    adjustments: tuple[str, ...] = ()
    demand: Demand | None = None
    forced: PreparedRequest | None = None
    attempt: int = 0
    is_streamed_to_caller: bool = False
    data_uri_max_bytes: int = 10 * 1024 * 1024
    video_max_bytes: int | None = None
    has_storage: bool = False
    is_text_only: bool = False

    def adjust(self, note: str, /, **changes: Any) -> Self:
        """Replace fields, and add a note about it to the adjustments."""
        return replace(self, adjustments=(*self.adjustments, note), **changes)
