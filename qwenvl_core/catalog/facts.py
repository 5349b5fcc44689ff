"""Define what a row of the model catalog states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Coordinates", "ModelFacts", "Thinking"]

Thinking = Literal["hybrid", "always", "never", "unknown"]
Coordinates = Literal["relative", "absolute"]

MB = 1024**2
GB = 1024**3
MINUTE = 60.0
HOUR = 3600.0

VISION = "Alibaba Cloud Model Studio, Visual understanding (Qwen-VL), 2025-12-18"
REASONING = "Alibaba Cloud Model Studio, Visual reasoning"
NEWER = "Alibaba Cloud Model Studio, Image and video understanding, 2026"
CHAT_API = "Alibaba Cloud Model Studio, OpenAI compatible chat (API reference), 2026"
BATCH = "Alibaba Cloud Model Studio, OpenAI compatible batch, 2026"
MODELS_DEV = "models.dev, 2026-09"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Capabilities and limits of one model.

    A limit of `None` is stated by no source and is not checked. In a row with `known=False` all capabilities are true,
    so that nothing is refused for a model without data.

    Attributes:
        name: Base name of the row, without date and region.
        known: Whether a row of the catalog matched. If not, only what the caller set is sent.
        assumed: Whether the name belongs to a family that no row names, and the row of the newest family is used.
        thinking: `hybrid` models accept `enable_thinking`; `always` and `never` models reject the parameter.
        server_thinking_default: Whether the service lets the model think when `enable_thinking` is absent.
        stream_only: Whether the service accepts streamed chat requests only; batches are not streamed.
        tools: Whether function calling is supported.
        tool_choices: Choices that are obeyed: `none`, `required`, and `named` for a tool's name (the last two by hybrid
            models while not thinking).
        forced_tools_thinking: Whether these two are also obeyed while the model thinks.
        json_object: Whether the JSON mode of `response_format` is supported (hybrid models: while not thinking).
        json_schema: Whether `response_format` with a JSON schema is supported, under the same condition.
        json_thinking: Whether `response_format` may request JSON also while the model thinks.
        preserve_thinking: Whether the model uses earlier reasoning when `preserve_thinking` is sent.
        preserve_thinking_default: Whether the model uses earlier reasoning when `preserve_thinking` is absent.
        reasoning_efforts: Values of `reasoning_effort` that the model takes; empty where it takes none.
        images: Whether images are accepted. A model without images and videos is a text model: the native API has
            another endpoint for those.
        videos: Whether videos are accepted, as a file or as a list of frames.
        open_weights: Whether the weights are public, so that servers other than the vendor's offer the model.
        context_window: Largest input and output together, in tokens.
        max_input: Largest input in tokens while not thinking.
        max_input_thinking: Largest input in tokens while thinking.
        max_input_batch: Largest input in tokens of a request in Batch Chat and batch files.
        max_output: Largest answer in tokens.
        max_thinking_budget: Largest `thinking_budget` in tokens.
        max_tokens_thinking: Largest `max_tokens` while thinking, where that is less than `max_output`.
        min_temperature_thinking: Lowest temperature while thinking: the service raises lower ones to it.
        token_factor: Side, in pixels, of the square that one image token covers.
        video_factor: The same for video frames.
        min_image_tokens: Smaller images are enlarged to this many tokens.
        default_image_tokens: Cap per image, in tokens, unless `max_pixels` raises it.
        max_image_tokens: Cap per image, in tokens, that `max_pixels` can't raise.
        frames_min: Smallest number of frames of a video.
        max_frames: Largest number of frames of a video that the service accepts as a list.
        sampled_frames: Largest number of frames in the token formula of a video file; `None` for `max_frames`.
        video_frame_tokens: Cap per frame, in squares of 32 x 32 pixels (all models).
        max_video_frame_tokens: Cap per frame, in the same squares, up to which `max_pixels` raises the former; `None`
            where `max_pixels` is not in the formula.
        video_total_tokens: Cap per video, in the same squares; a pair of frames counts once.
        video_max_bytes: Largest video file sent by URL, in bytes.
        video_seconds: Shortest and longest duration of a video file, in seconds.
        data_uri_max_bytes: Longest data URI of an image, all its characters counted; videos have 10 MiB always.
        max_images_url: Largest number of images of a request that are sent by URL.
        max_images_inline: Largest number of images of a request that are sent as data URIs.
        max_videos: Largest number of videos of a request; a list of frames is one.
        batch_chat: Whether Batch Chat (a chat request at the batch host) takes the model.
        batch_files: Whether batch files take the model.
        ocr_tasks: Tasks of `ocr_options`; empty for models that read no such option.
        coordinates: Space of the boxes in answers: `relative` is thousandths of the image, `absolute` is pixels of the
            resized image; `None` if no source states it.
        retired: What to use instead, for the hint of the service's 404; `None` for a model on sale.
        source: The pages that state the row's values.

    Example:
        ```python
        facts = describe("qwen3-vl-plus")
        print(facts.thinking, facts.max_output)  # hybrid 32768
        ```
    """

    name: str
    known: bool = True
    assumed: bool = False
    thinking: Thinking = "never"
    server_thinking_default: bool | None = False
    stream_only: bool = False
    tools: bool = False
    tool_choices: frozenset[str] = frozenset(("none", "required", "named"))
    forced_tools_thinking: bool = False
    json_object: bool = False
    json_schema: bool = False
    json_thinking: bool = False
    preserve_thinking: bool = False
    preserve_thinking_default: bool = False
    reasoning_efforts: tuple[str, ...] = ()
    images: bool = True
    videos: bool = True
    open_weights: bool = False
    context_window: int | None = None
    max_input: int | None = None
    max_input_thinking: int | None = None
    max_input_batch: int | None = None
    max_output: int | None = None
    max_thinking_budget: int | None = None
    max_tokens_thinking: int | None = None
    min_temperature_thinking: float | None = None
    token_factor: int = 28
    video_factor: int = 28
    min_image_tokens: int = 4
    default_image_tokens: int = 1280
    max_image_tokens: int = 16384
    frames_min: int | None = 4
    max_frames: int | None = 80
    sampled_frames: int | None = None
    video_frame_tokens: int = 768
    max_video_frame_tokens: int | None = None
    video_total_tokens: int = 65536
    video_max_bytes: int | None = 150 * MB
    video_seconds: tuple[float, float] | None = (2.0, 40.0)
    data_uri_max_bytes: int = 10 * MB
    max_images_url: int | None = None
    max_images_inline: int | None = None
    max_videos: int | None = None
    batch_chat: bool = False
    batch_files: bool = False
    ocr_tasks: tuple[str, ...] = ()
    coordinates: Coordinates | None = None
    retired: str | None = None
    source: str = VISION

    @property
    def is_text_only(self) -> bool:
        """Whether the model takes neither images nor videos."""
        return not (self.images or self.videos)
