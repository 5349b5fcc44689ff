"""Convert LlamaIndex content blocks to core parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)

from llama_index_qwenvl.video_blocks import pop_frames, read_detail_options
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.media.sources import HINTS, MediaKind, parse_source
from qwenvl_core.tokens import image_max_pixels
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import Source
from qwenvl_core.types.messages import FilePart, FramesPart, ImagePart, Part, TextPart, VideoPart

_FRAME_TOKEN_PIXELS = 32 * 32  # the catalog states the limit of video frames in tokens of this many pixels


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The context of a block that its conversion depends on.

    Attributes:
        location: The position of the block in the conversation.
        facts: Facts of the requested model.
        hints: Hints of the message for all its images and videos.
    """

    location: Location
    facts: ModelFacts
    hints: Mapping[str, Any]


def convert_block(block: Any, context: BlockContext) -> Iterator[Part]:
    """Convert a content block to core parts; a citation block has several.

    Args:
        block: Any block except thinking, tool calls and cache points.
        context: Its location, the model's facts and the message's hints.

    Raises:
        QwenVLInputError: The block is not supported, or not supported in a message of this role.
    """
    for block_class, convert in _CONVERTERS:
        if isinstance(block, block_class):
            return convert(block, context)
    supported = ", ".join(block_class.__name__ for block_class, _ in _CONVERTERS if block_class is not AudioBlock)
    raise context.location.error(
        f"unsupported content block {type(block).__name__} in a {context.location.role} message. "
        f"Supported: {supported}. Send its content as a TextBlock or an ImageBlock."
    )


def _convert_text(block: TextBlock, context: BlockContext) -> Iterator[Part]:
    yield TextPart(block.text)


def _convert_image(block: ImageBlock, context: BlockContext) -> Iterator[Part]:
    location = str(context.location)
    hints = _merge_hints(block, "image", read_detail_options(block.detail, "image", location), context)
    yield ImagePart(_find_source(block, block.image, block.image_mimetype, context), location=location, **hints)


def _convert_video(block: VideoBlock, context: BlockContext) -> Iterator[Part]:
    location = str(context.location)
    options = read_detail_options(block.detail, "video", location)
    frames = pop_frames(options, location)
    hints = _merge_hints(block, "video", options, context)
    if frames is None:
        yield VideoPart(_find_source(block, block.video, block.video_mimetype, context), location=location, **hints)
        return
    can_read_files = _can_read_files(context)
    sources = (
        parse_source(
            frame, location=f"{location}[{index}]", files=can_read_files, is_path_field=isinstance(frame, Path)
        )
        for index, frame in enumerate(frames)
    )
    yield FramesPart(tuple(sources), location=location, **hints)


def _convert_document(block: DocumentBlock, context: BlockContext) -> Iterator[Part]:
    yield FilePart(
        _find_source(block, block.data, block.document_mimetype, context),
        mime=block.document_mimetype,
        location=str(context.location),
        **{**_merge_hints(block, "video", {}, context), **_merge_hints(block, "image", {}, context)},
    )


def _convert_citation(block: CitableBlock | CitationBlock, context: BlockContext) -> Iterator[Part]:
    """Convert the cited blocks, after a line that names their source."""
    yield TextPart(f"{block.title} ({block.source})" if block.source not in ("", block.title) else block.title)
    for nested in block.nested_blocks:
        yield from convert_block(nested, context)


def _reject_audio(block: AudioBlock, context: BlockContext) -> Iterator[Part]:
    raise context.location.error(
        "Qwen-VL does not accept audio. Send a transcript as text, or the video that the audio belongs to."
    )


_CONVERTERS: tuple[tuple[type, Callable[[Any, BlockContext], Iterator[Part]]], ...] = (
    (TextBlock, _convert_text),
    (ImageBlock, _convert_image),
    (VideoBlock, _convert_video),
    (DocumentBlock, _convert_document),
    (CitableBlock, _convert_citation),
    (CitationBlock, _convert_citation),
    (AudioBlock, _reject_audio),
)


def _find_source(block: Any, data: Any, mime: str | None, context: BlockContext) -> Source:
    """Find the source of a block's media; LlamaIndex stores bytes as base64, which is sent unchanged."""
    can_read_files, location = _can_read_files(context), str(context.location)
    if data is not None:
        return parse_source(
            data, location=location, files=can_read_files, base64_text=isinstance(data, bytes), mime=mime
        )
    if block.path is not None:
        return parse_source(block.path, location=location, files=True, is_path_field=True)
    if block.url is not None:
        return parse_source(str(block.url), location=location, files=can_read_files)
    raise context.location.error("the block has no media. Set `url`, `path` or bytes.")


def _can_read_files(context: BlockContext) -> bool:
    """Return whether a string may be a local path: in user messages, not in tool results.

    Raises:
        QwenVLInputError: The message is a system or assistant message, which must not have media.
    """
    role = context.location.role
    if role in ("system", "assistant"):
        raise context.location.error(f"{role} messages take text only; put media into a user message.")
    return role == "user"


def _merge_hints(block: Any, kind: MediaKind, options: Mapping[str, Any], context: BlockContext) -> dict[str, Any]:
    """Merge the vendor's hints for one image or video; those of the block override those of its message."""
    merged = {
        **context.hints,
        **_convert_detail(getattr(block, "detail", None), kind, context),
        **{name: getattr(block, name) for name in HINTS[kind] if getattr(block, name, None) is not None},
        **options,
    }
    return {name: merged.get(name) for name in HINTS[kind]}


def _convert_detail(detail: str | None, kind: MediaKind, context: BlockContext) -> dict[str, Any]:
    """Convert OpenAI's `detail` to pixels: `low` is 512 × 512, `high` is the model's limit."""
    match detail:
        case None | "" | "auto":
            return {}
        case "low":
            return {"max_pixels": 512 * 512}
        case "high" if kind == "image":
            return {"max_pixels": image_max_pixels(context.facts, vl_high_resolution_images=True)}
        case "high":
            return {"max_pixels": context.facts.video_frame_tokens * _FRAME_TOKEN_PIXELS}
    if detail.lstrip().startswith("{"):
        return {}
    raise context.location.error(f"invalid detail: {detail!r}. Use auto, low, high, or a JSON object of hints.")
