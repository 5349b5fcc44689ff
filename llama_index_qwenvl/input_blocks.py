"""LlamaIndex content blocks as core parts."""

from __future__ import annotations

import mimetypes
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

from llama_index_qwenvl.video_blocks import frames_in, options_in
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image, read_bytes
from qwenvl_core.media.sources import HINTS, MediaKind, parse_source
from qwenvl_core.tokens import image_max_pixels
from qwenvl_core.types.media import FileSource, InlineSource, Source
from qwenvl_core.types.messages import FramesPart, ImagePart, Part, PdfPart, Role, TextPart, VideoPart

_PDF = "application/pdf"
_FRAME_SQUARE = 32 * 32  # pixels: the unit of the catalogue's limit for video frames


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stands: for errors, and for what may stand there.

    Attributes:
        name: Its index and type, as an error says them.
        role: Who says it.
        facts: Of the model that is asked.
        hints: What the message says of all its images and videos.
    """

    name: str
    role: Role
    facts: ModelFacts
    hints: Mapping[str, Any]

    def error(self, why: str) -> QwenVLInputError:
        """An error that names this place."""
        return QwenVLInputError(f"{self.name}: {why}")


def convert_blocks(block: Any, place: Place) -> Iterator[Part]:
    """The parts that a block stands for.

    Args:
        block: Any block but one of thinking, of a tool call or of a cache point.
        place: Where it stands.

    Raises:
        QwenVLInputError: A block that Qwen-VL can't take, or not here.
    """
    for kind, read in _READERS:
        if isinstance(block, kind):
            return read(block, place)
    raise place.error(f"a {place.role} message to Qwen-VL can't hold a {type(block).__name__}.")


def _text(block: TextBlock, place: Place) -> Iterator[Part]:
    yield TextPart(block.text)


def _image(block: ImageBlock, place: Place) -> Iterator[Part]:
    hints = _hints(block, "image", options_in(block.detail, "image", place.name), place)
    yield ImagePart(_source(block, block.image, block.image_mimetype, place), location=place.name, **hints)


def _video(block: VideoBlock, place: Place) -> Iterator[Part]:
    options = options_in(block.detail, "video", place.name)
    frames = frames_in(options, place.name)
    hints = _hints(block, "video", options, place)
    if frames is None:
        yield VideoPart(_source(block, block.video, block.video_mimetype, place), location=place.name, **hints)
        return
    files = _may_name_files(place)
    sources = (parse_source(frame, location=f"{place.name}[{at}]", files=files) for at, frame in enumerate(frames))
    yield FramesPart(tuple(sources), location=place.name, **hints)


def _document(block: DocumentBlock, place: Place) -> Iterator[Part]:
    mime = block.document_mimetype or mimetypes.guess_type(str(block.path or block.url or ""))[0] or "unknown"
    match mime.partition("/")[0]:
        case "text":
            yield TextPart(_text_in(block, place))
        case "image":
            yield ImagePart(
                _source(block, block.data, mime, place), location=place.name, **_hints(block, "image", {}, place)
            )
        case "video":
            yield VideoPart(
                _source(block, block.data, mime, place), location=place.name, **_hints(block, "video", {}, place)
            )
        case _:
            source = _source(block, block.data, mime, place)
            if _PDF not in (mime, inspect_image(source).mime):
                raise place.error(
                    f"Qwen-VL takes no document of type {mime}; make images of it, and send those as ImageBlocks."
                )
            yield PdfPart(source, location=place.name, **_hints(block, "image", {}, place))


def _text_in(block: DocumentBlock, place: Place) -> str:
    """The words of a text document that is at hand."""
    user = place.role == "user"
    given: Any = block.data
    if given is None:
        given = Path(block.path) if block.path and user else str(block.url) if block.url else None
    encoded = isinstance(given, bytes)  # LlamaIndex keeps bytes as base64
    source = None if given is None else parse_source(given, location=place.name, files=user, base64_text=encoded)
    if not isinstance(source, FileSource | InlineSource):
        raise place.error("only its text can be sent; read the file and give it as a TextBlock.")
    try:
        return read_bytes(source).decode()
    except (OSError, ValueError) as error:
        raise place.error(f"it holds no UTF-8 text: {error}.") from error


def _quoted(block: CitableBlock | CitationBlock, place: Place) -> Iterator[Part]:
    """What is quoted, under a line that says from where."""
    yield TextPart(f"{block.title} ({block.source})" if block.source not in ("", block.title) else block.title)
    for nested in block.nested_blocks:
        yield from convert_blocks(nested, place)


def _audio(block: AudioBlock, place: Place) -> Iterator[Part]:
    raise place.error("Qwen-VL takes no audio; send a transcript as text, or the video that it belongs to.")


_READERS: tuple[tuple[type, Callable[[Any, Place], Iterator[Part]]], ...] = (
    (TextBlock, _text),
    (ImageBlock, _image),
    (VideoBlock, _video),
    (DocumentBlock, _document),
    (CitableBlock, _quoted),
    (CitationBlock, _quoted),
    (AudioBlock, _audio),
)


def _source(block: Any, data: Any, mime: str | None, place: Place) -> Source:
    """Where a block's medium comes from. LlamaIndex keeps bytes as base64, which goes on as it is."""
    files = _may_name_files(place)
    if data is not None:
        return parse_source(data, location=place.name, files=files, base64_text=isinstance(data, bytes), mime=mime)
    if block.path is not None:
        return parse_source(block.path, location=place.name, files=files)
    if block.url is not None:
        return parse_source(str(block.url), location=place.name, files=files)
    raise place.error("it holds no medium: give `url`, `path` or bytes.")


def _may_name_files(place: Place) -> bool:
    """Whether text may name a file here: in the user's own media, not in what a tool says."""
    if place.role in ("system", "assistant"):
        raise place.error(f"{place.role} messages take text only; put media into a user message.")
    return place.role == "user"


def _hints(block: Any, kind: MediaKind, options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The vendor's hints: the block's own win over those of its message."""
    said = {
        **place.hints,
        **_of_detail(getattr(block, "detail", None), kind, place),
        **{name: getattr(block, name) for name in HINTS[kind] if getattr(block, name, None) is not None},
        **options,
    }
    return {name: said.get(name) for name in HINTS[kind]}


def _of_detail(detail: str | None, kind: MediaKind, place: Place) -> dict[str, Any]:
    """What OpenAI's words for detail are in pixels: `low` is a 512 × 512 look, `high` the model's limit."""
    match detail:
        case None | "" | "auto":
            return {}
        case "low":
            return {"max_pixels": 512 * 512}
        case "high" if kind == "image":
            return {"max_pixels": image_max_pixels(place.facts, vl_high_resolution_images=True)}
        case "high":
            return {"max_pixels": place.facts.video_frame_tokens * _FRAME_SQUARE}
    if detail.lstrip().startswith("{"):
        return {}
    raise place.error(f"detail={detail!r} is none of auto, low, high, or a JSON object of hints.")
