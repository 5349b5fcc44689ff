"""What a conversation costs in tokens, before it is sent: an estimate, offline.

Images and videos are counted by the vendor's formulas (`tokens`), at the sizes in their headers. What is behind a URL
is never fetched: it counts as the most that it can be. Text is estimated, since the exact vocabulary is a download.

The estimate of text follows how the models' tokenizer works: digits stand alone, a common word is one token, and so is
a run of punctuation, of spaces, or a line's end. The vendor says that a token is 1.5 to 1.8 Chinese characters, or an
English word or root ("Billing of Qwen"); 1.5 is taken, since too high an estimate does less harm. Against the
vocabulary in the vendor's SDK it is within 10 % for pages of English, Chinese, code and JSON; short texts and other
languages may be off by a third.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from qwenvl_core.catalog.models import ModelFacts, describe
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, inspect_video
from qwenvl_core.request.pdf_attachments import page_sizes
from qwenvl_core.tokens import (
    frame_list_tokens,
    image_tokens,
    image_tokens_upper_bound,
    video_tokens,
    video_tokens_upper_bound,
)
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, PdfPart, TextPart, VideoPart
from qwenvl_core.types.settings import ModelSettings

__all__ = ["count_tokens", "text_tokens"]

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SYLLABLES = "\u3040-\u30ff\uac00-\ud7af"  # kana and Hangul


class _Row(NamedTuple):
    """What one kind of run of characters costs: so much for the run, so much for each of its characters."""

    run: re.Pattern[str]
    tokens: float
    tokens_per_character: float


_ROWS = (
    _Row(re.compile("[A-Za-z]+"), 1, 0),
    _Row(re.compile("[A-Za-z]{7,}"), -1, 1 / 6),  # longer words: one for each 6 letters instead
    _Row(re.compile("[0-9]+"), 0, 1),
    _Row(re.compile(" (?=[0-9])"), 1, 0),
    _Row(re.compile(f"[{_HAN}]+"), 0, 1 / 1.5),
    _Row(re.compile(f"[{_SYLLABLES}]+"), 0, 0.7),
    _Row(re.compile(rf"[^\W\d_A-Za-z{_HAN}{_SYLLABLES}]+"), 0, 0.4),  # other alphabets
    _Row(re.compile(r"[!-/:-@[-`{-~]+"), 0.6, 0.2),  # ASCII punctuation
    _Row(re.compile(r"[^\w\s\x00-\x7f]+"), 0, 1),  # other punctuation, symbols, emoji
    _Row(re.compile(r"(?<!\s)\s*\n"), 0.7, 0),  # looks back, so that a long run of spaces is walked once
    _Row(re.compile(r"[ \t]{2,}"), 0.8, 0),
)

# What the models' chat template puts around what is said. The opening of the answer is left out, so that a conversation
# costs the sum of its messages, as those who trim it expect.
_OF_MESSAGE = 5  # <|im_start|>, the role, the ends of two lines, <|im_end|>
_OF_TOOLS = 120  # how to call a tool, around the list of tools
_OF_CALL = 8  # around a call, and around a result
_DEFAULT_FPS = 2.0  # frames a second that the service samples when it is not told


def text_tokens(text: str) -> int:
    """About how many tokens a text is; 0 for none."""
    runs = ((row, row.run.findall(text)) for row in _ROWS)
    total = sum(
        len(found) * row.tokens + (row.tokens_per_character and sum(map(len, found)) * row.tokens_per_character)
        for row, found in runs
    )
    return max(math.ceil(total), 1) if text else 0


def count_tokens(messages: Iterable[Message], settings: ModelSettings) -> int:
    """About how many input tokens a conversation is.

    Args:
        messages: The conversation; local media in it are looked at, nothing is fetched.
        settings: The model, its tools, and what holds for every image and video.

    Raises:
        QwenVLInputError: There is a video, and the model takes none.
    """
    facts = describe(settings.model)
    told = sum(_of_message(message, settings, facts) for message in messages)
    tools = _OF_TOOLS + sum(text_tokens(_json(tool)) for tool in settings.tools) if settings.tools else 0
    return told + tools


def _of_message(message: Message, settings: ModelSettings, facts: ModelFacts) -> int:
    total = _OF_MESSAGE + sum(_of_part(part, settings, facts) for part in message.parts)
    for call in message.tool_calls:
        total += _OF_CALL + text_tokens(call.name) + text_tokens(call.arguments)
    if message.role == "tool":
        total += _OF_CALL
    if settings.preserve_thinking and facts.preserve_thinking:  # else it is not sent back
        total += text_tokens(message.reasoning)
    return total


def _json(tool: object) -> str:
    return json.dumps(tool, ensure_ascii=False, default=str)


def _of_part(part: Part, settings: ModelSettings, facts: ModelFacts) -> int:
    match part:
        case TextPart(text):
            return text_tokens(text)
        case PdfPart():
            return _of_pdf(part, settings, facts)
        case ImagePart():
            return _of_image(part, settings, facts)
        case VideoPart():
            return _of_video(part, settings, facts)
        case FramesPart():
            return _of_frames(part, facts)


def _of_pdf(pdf: PdfPart, settings: ModelSettings, facts: ModelFacts) -> int:
    max_pixels = settings.for_part(pdf).max_pixels
    high = bool(settings.vl_high_resolution_images)
    try:
        sizes = page_sizes(pdf, settings)
    except QwenVLInputError:
        return image_tokens_upper_bound(facts, max_pixels=max_pixels, vl_high_resolution_images=high)  # as below
    return sum(
        image_tokens(width, height, facts, max_pixels=max_pixels, vl_high_resolution_images=high)
        for width, height in sizes
    )


def _of_image(image: ImagePart, settings: ModelSettings, facts: ModelFacts) -> int:
    max_pixels = settings.for_part(image).max_pixels
    high = bool(settings.vl_high_resolution_images)
    seen = inspect_image(image.source)
    if seen.width and seen.height:
        try:
            return image_tokens(seen.width, seen.height, facts, max_pixels=max_pixels, vl_high_resolution_images=high)
        except QwenVLInputError:
            pass  # it can't be sent; to say so is not for an estimate
    return image_tokens_upper_bound(facts, max_pixels=max_pixels, vl_high_resolution_images=high)


def _of_video(video: VideoPart, settings: ModelSettings, facts: ModelFacts) -> int:
    fps = settings.for_part(video).fps
    seen = inspect_video(video.source)
    if seen.width and seen.height and seen.frames and seen.fps:
        try:
            return video_tokens(seen.width, seen.height, seen.frames, seen.fps, facts, fps=fps or _DEFAULT_FPS)
        except QwenVLInputError:
            pass  # as above
    return video_tokens_upper_bound(facts)


def _of_frames(frames: FramesPart, facts: ModelFacts) -> int:
    """Frames of one video share a size: that of the first whose size is known."""
    count = max(len(frames.sources), 1)
    seen = next((seen for source in frames.sources if (seen := inspect_image(source)).width), None)
    if seen is not None and seen.width and seen.height:
        try:
            return frame_list_tokens(seen.width, seen.height, count, facts)
        except QwenVLInputError:
            pass  # as above
    return video_tokens_upper_bound(facts, n_frames=count)
