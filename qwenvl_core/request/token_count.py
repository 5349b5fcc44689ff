"""Count the input tokens of a conversation offline, before it is sent.

Which counts are exact:

- Images and videos follow the vendor's formulas (`tokens`), at the sizes in their headers. Media behind a URL are never
  fetched: they count as the maximum that they can have.
- Text is exact for models up to Qwen3-VL where the vendor's SDK is installed (extra `dashscope`), which ships their
  vocabulary; see `text_tokenizer`. For newer models, and without the SDK, it is estimated.
- What the chat template adds around messages, tools and calls is estimated.

The estimate of text follows the models' tokenizer: each digit is a token, a common word is one token, and so is a run
of punctuation, of spaces, or the end of a line. By the vendor's page "Billing of Qwen" a token is 1.5 to 1.8 Chinese
characters, or an English word or root; 1.5 is used, since too high an estimate does less harm. Compared with the
vocabulary in the vendor's SDK, the estimate is within 10 % for pages of English, Chinese, code and JSON; for short
texts and other languages the error may be a third.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import get_provider
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, inspect_video
from qwenvl_core.request import video_fitting
from qwenvl_core.request.file_parts import resolve_parts
from qwenvl_core.request.image_fitting import get_scaled_size
from qwenvl_core.request.pdf_attachments import has_pages, measure_pages
from qwenvl_core.request.provider_policy import convert_frames
from qwenvl_core.request.text_tokenizer import find_tokenizer
from qwenvl_core.request.thinking import should_send_reasoning
from qwenvl_core.tokens import (
    frame_list_tokens,
    image_tokens,
    image_tokens_upper_bound,
    raise_frame_cap,
    video_tokens,
    video_tokens_upper_bound,
)
from qwenvl_core.types.media import LocalFiles
from qwenvl_core.types.messages import FramesPart, ImagePart, Media, Message, Part, TextPart, VideoPart
from qwenvl_core.types.settings import ModelSettings

__all__ = ["count_text_tokens", "count_tokens", "find_media_tokens"]

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SYLLABLES = "\u3040-\u30ff\uac00-\ud7af"  # kana and Hangul


class _RunCost(NamedTuple):
    """The tokens of one kind of run of characters: per run, and per character in it."""

    run: re.Pattern[str]
    tokens: float
    tokens_per_character: float


_RUN_COSTS = (
    _RunCost(re.compile("[A-Za-z]+"), 1, 0),
    _RunCost(re.compile("[A-Za-z]{7,}"), -1, 1 / 6),  # longer words: one for every 6 letters instead
    _RunCost(re.compile("[0-9]+"), 0, 1),
    _RunCost(re.compile(" (?=[0-9])"), 1, 0),
    _RunCost(re.compile(f"[{_HAN}]+"), 0, 1 / 1.5),
    _RunCost(re.compile(f"[{_SYLLABLES}]+"), 0, 0.7),
    _RunCost(re.compile(rf"[^\W\d_A-Za-z{_HAN}{_SYLLABLES}]+"), 0, 0.4),  # other alphabets
    _RunCost(re.compile(r"[!-/:-@[-`{-~]+"), 0.6, 0.2),  # ASCII punctuation
    _RunCost(re.compile(r"[^\w\s\x00-\x7f]+"), 0, 1),  # other punctuation, symbols, emoji
    _RunCost(re.compile(r"(?<!\s)\s*\n"), 0.7, 0),  # the look-behind makes long runs of spaces linear
    _RunCost(re.compile(r"[ \t]{2,}"), 0.8, 0),
)

# Tokens that the models' chat template adds. The opening of the reply is left out, so that the count of a conversation
# is the sum over its messages, as code that trims conversations expects.
_MESSAGE_TOKENS = 5  # <|im_start|>, the role, the ends of two lines, <|im_end|>
_TOOLS_TOKENS = 120  # the instructions for calling tools around the list of tools
_CALL_TOKENS = 8  # around a call, and around a result
_DEFAULT_FPS = 2.0  # frames per second that the service samples by default


def count_text_tokens(text: str, model: str | ModelFacts | None = None) -> int:
    """Count the tokens of a text; 0 for an empty one.

    Args:
        text: The text.
        model: The model. The count is exact if it is known up to Qwen3-VL and the vendor's SDK is installed; in all
            other cases, and without a model, it is an estimate.
    """
    facts = describe(model) if isinstance(model, str) else model
    encode = None if facts is None else find_tokenizer(facts)
    return _estimate_text_tokens(text) if encode is None else len(encode(text))


def _estimate_text_tokens(text: str) -> int:
    total = 0.0
    for cost in _RUN_COSTS:
        runs = cost.run.findall(text)
        total += len(runs) * cost.tokens
        if cost.tokens_per_character:
            total += sum(map(len, runs)) * cost.tokens_per_character
    return max(math.ceil(total), 1) if text else 0


def count_tokens(
    messages: Iterable[Message],
    settings: ModelSettings,
    *,
    local_files: LocalFiles = None,
    has_storage: bool = False,
) -> int:
    """Count the input tokens of a conversation; the module's docstring says which counts are exact.

    Args:
        messages: The conversation; the headers of local media in it are read, nothing is fetched.
        settings: The model, its tools, and the defaults for images and videos.
        local_files: Which local files may be read.
        has_storage: Whether large media can be uploaded, which decides whether a video is sent as frames.

    Raises:
        QwenVLInputError: There is a video, and the model does not accept videos; or a local file may not be read.
    """
    facts = describe_at(settings.model, settings.provider)
    context = video_fitting.FittingContext(settings, facts, has_storage)
    total = sum(_count_message(message, context) for message in resolve_parts(messages, local_files))
    if settings.tools:
        total += _TOOLS_TOKENS + sum(count_text_tokens(_encode_tool(tool), facts) for tool in settings.tools)
    return total


def _count_message(message: Message, context: video_fitting.FittingContext) -> int:
    settings, facts = context.settings, context.facts
    total = _MESSAGE_TOKENS + sum(_count_part(part, context) for part in message.parts)
    for call in message.tool_calls:
        total += _CALL_TOKENS + count_text_tokens(call.name, facts) + count_text_tokens(call.arguments, facts)
    if message.role == "tool":
        total += _CALL_TOKENS
    if facts.preserve_thinking and should_send_reasoning(settings, facts):
        total += count_text_tokens(message.reasoning, facts)
    return total


def _encode_tool(tool: object) -> str:
    return json.dumps(tool, ensure_ascii=False, default=str)


def _count_part(part: Part, context: video_fitting.FittingContext) -> int:
    settings, facts = context.settings, context.facts
    match part:
        case TextPart(text):
            return count_text_tokens(text, facts)
        case ImagePart() if has_pages(part):
            return _count_pages(part, settings, facts)
        case ImagePart():
            return _count_image(part, settings, facts)
        case VideoPart():
            fitted = _count_fitted_video(part, context)
            return _count_video(part, settings, facts) if fitted is None else fitted
        case FramesPart():
            return _count_frames(part, settings, facts)


def _count_pages(pdf: ImagePart, settings: ModelSettings, facts: ModelFacts) -> int:
    max_pixels = settings.for_part(pdf).max_pixels
    is_high = bool(settings.vl_high_resolution_images)
    try:
        sizes = measure_pages(pdf, settings)
    except QwenVLInputError:
        return image_tokens_upper_bound(facts, max_pixels=max_pixels, vl_high_resolution_images=is_high)  # as below
    return sum(
        image_tokens(width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=is_high)
        for width, height in sizes
    )


def find_media_tokens(part: Media, settings: ModelSettings, facts: ModelFacts) -> int | None:
    """Count the tokens of a medium by the vendor's formulas; `None` if its size is not known.

    Args:
        part: An image, a video or frames, as they are sent.
        settings: The defaults for images and videos.
        facts: The model.
    """
    match part:
        case ImagePart():
            return _find_image_tokens(part, settings, facts)
        case VideoPart():
            return _find_video_tokens(part, settings, facts)
        case FramesPart():
            return _find_frame_tokens(part, settings, facts)


def _count_image(image: ImagePart, settings: ModelSettings, facts: ModelFacts) -> int:
    found = _find_image_tokens(image, settings, facts)
    if found is not None:
        return found
    is_high = bool(settings.vl_high_resolution_images)
    max_pixels = settings.for_part(image).max_pixels
    return image_tokens_upper_bound(facts, max_pixels=max_pixels, vl_high_resolution_images=is_high)


def _find_image_tokens(image: ImagePart, settings: ModelSettings, facts: ModelFacts) -> int | None:
    max_pixels = settings.for_part(image).max_pixels
    is_high = bool(settings.vl_high_resolution_images)
    info = inspect_image(image.source)
    if info.width and info.height:
        try:
            width, height = get_scaled_size(info.width, info.height, image, settings)
            return image_tokens(width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=is_high)
        except QwenVLInputError:
            pass  # it can't be sent, which validation reports
    return None


def _count_video(video: VideoPart, settings: ModelSettings, facts: ModelFacts) -> int:
    found = _find_video_tokens(video, settings, facts)
    if found is not None:
        return found
    return video_tokens_upper_bound(raise_frame_cap(facts, settings.for_part(video).max_pixels))


def _find_video_tokens(video: VideoPart, settings: ModelSettings, facts: ModelFacts) -> int | None:
    fps = settings.for_part(video).fps
    facts = raise_frame_cap(facts, settings.for_part(video).max_pixels)
    info = inspect_video(video.source)
    if info.width and info.height and info.frames and info.fps:
        try:
            return video_tokens(info.width, info.height, info.frames, info.fps, facts, fps=fps or _DEFAULT_FPS)
        except QwenVLInputError:
            pass  # as above
    return None


def _count_fitted_video(video: VideoPart, context: video_fitting.FittingContext) -> int | None:
    """Count the frames that `media_policy="fit"` makes of a video; `None` if it is sent as it is."""
    if not video_fitting.find_reason(video, context):
        return None
    try:
        plan = video_fitting.plan_video(video, context)
    except QwenVLInputError:
        return None  # it can't be sent, which fitting reports
    if context.provider.frames == "images":
        return plan.count * image_tokens(*plan.size, context.facts)
    facts = raise_frame_cap(context.facts, context.settings.for_part(video).max_pixels)
    return frame_list_tokens(*plan.size, plan.count, facts)


def _count_frames(frames: FramesPart, settings: ModelSettings, facts: ModelFacts) -> int:
    """Count the frames of a video, which share a size, by the first frame of known size."""
    if get_provider(settings.provider).frames == "images":
        return sum(_count_image(image, settings, facts) for image in convert_frames(frames))
    found = _find_frame_tokens(frames, settings, facts)
    if found is not None:
        return found
    facts = raise_frame_cap(facts, settings.for_part(frames).max_pixels)
    return video_tokens_upper_bound(facts, n_frames=max(len(frames.sources), 1))


def _find_frame_tokens(frames: FramesPart, settings: ModelSettings, facts: ModelFacts) -> int | None:
    facts = raise_frame_cap(facts, settings.for_part(frames).max_pixels)
    infos = map(inspect_image, frames.sources)
    info = next((info for info in infos if info.width), None)
    if info is not None and info.width and info.height:
        try:
            return frame_list_tokens(info.width, info.height, max(len(frames.sources), 1), facts)
        except QwenVLInputError:
            pass  # as above
    return None
