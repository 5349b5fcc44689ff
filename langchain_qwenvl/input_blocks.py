"""Content blocks in any of the forms that LangChain's users write, as core parts.

Known are LangChain's v1 and v0 blocks, OpenAI's, Anthropic's and the vendor's own. Nothing is dropped silently: what
can't be said to Qwen-VL raises.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import inspect_image
from qwenvl_core.media.sources import HINTS, parse_source
from qwenvl_core.types.media import Source
from qwenvl_core.types.messages import FramesPart, ImagePart, Part, PdfPart, Role, TextPart, VideoPart

_PDF = "application/pdf"
_VENDOR_KEYS = ("image", "video", "audio", "text")


class Place:
    """Where in the conversation a block stands: for errors, and for what may stand there."""

    def __init__(self, message: int, block: int, role: Role) -> None:
        self.role = role
        self._at = f"messages[{message}].content[{block}]"
        self._kind = "text"

    def of(self, kind: str) -> Place:
        """The same place, now that the block's type is known."""
        self._kind = kind
        return self

    def __str__(self) -> str:
        return f"{self._at} ({self._kind})"

    def error(self, why: str) -> QwenVLInputError:
        """An error that names this place."""
        return QwenVLInputError(f"{self}: {why}")


def convert_block(block: Any, place: Place) -> Part:
    """The part that a block says.

    Raises:
        QwenVLInputError: Qwen-VL takes no such block, or not there; the error names its place and type.
    """
    if isinstance(block, str):
        return TextPart(block)
    if not isinstance(block, Mapping):
        raise place.of(type(block).__name__).error("a content block is a string or a dict.")
    # The vendor's own blocks have no type: they say one thing, under its name.
    kind = block.get("type") or " and ".join([key for key in _VENDOR_KEYS if key in block]) or None
    read = _READERS.get(str(kind))
    if read is None:
        raise place.of(str(kind)).error(f"Qwen-VL takes no such block. Blocks it takes: {', '.join(sorted(_READERS))}.")
    if read is not _text and read is not _plain_text and place.role in ("system", "assistant"):
        raise place.of(str(kind)).error(f"{place.role} messages take text only; put media into a user message.")
    return read(block, place.of(str(kind)))


def _extra(block: Mapping[str, Any], name: str) -> Any:
    """A vendor's hint: beside the block's own keys, in its `extras`, or in a nested `image_url`/`video_url`."""
    for holder in (block, *(block.get(inner) for inner in ("extras", "image_url", "video_url"))):
        if isinstance(holder, Mapping) and holder.get(name) is not None:
            return holder[name]
    return None


def _hints(block: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {"cache": _extra(block, "cache_control") is not None, **{name: _extra(block, name) for name in names}}


def _text(block: Mapping[str, Any], place: Place) -> TextPart:
    text = block.get("text")
    if not isinstance(text, str):
        raise place.error("its text is no string.")
    return TextPart(text, cache=_extra(block, "cache_control") is not None)


def _plain_text(block: Mapping[str, Any], place: Place) -> TextPart:
    if "text" in block:
        return _text(block, place)
    if block.get("source_type") == "text":  # v0 has it in `url`
        return _text({**block, "text": block.get("url")}, place)
    data = block.get("base64", block.get("data"))
    if isinstance(data, str):
        try:
            return TextPart(base64.b64decode(data).decode(), cache=_extra(block, "cache_control") is not None)
        except ValueError as error:
            raise place.error(f"its base64 holds no UTF-8 text: {error}.") from error
    raise place.error("only its text can be sent; read the file and give it as `text` or `base64`.")


def _image(block: Mapping[str, Any], place: Place) -> ImagePart:
    return ImagePart(_source(block, place), location=str(place), **_hints(block, HINTS["image"]))


def _video(block: Mapping[str, Any], place: Place) -> VideoPart | FramesPart:
    frames = block.get("video")
    hints = _hints(block, HINTS["video"])
    if isinstance(frames, (list, tuple)):
        files = place.role == "user"
        sources = tuple(parse_source(frame, location=f"{place}[{at}]", files=files) for at, frame in enumerate(frames))
        return FramesPart(sources, location=str(place), **hints)
    return VideoPart(_source(block, place), location=str(place), **hints)


def _file(block: Mapping[str, Any], place: Place) -> Part:
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":  # Anthropic's document of words
        return _text({**block, "text": source.get("data")}, place)
    mime = str(block.get("mime_type") or "")
    for prefix, read in (("image/", _image), ("video/", _video), ("text/", _plain_text), (_PDF, _pdf)):
        if mime.startswith(prefix):
            return read(block, place)
    if inspect_image(_source(block, place)).mime == _PDF:
        return _pdf(block, place)
    raise place.error(f"Qwen-VL takes no file of type {mime or 'unknown'}; render its pages to images and send those.")


def _pdf(block: Mapping[str, Any], place: Place) -> PdfPart:
    return PdfPart(_source(block, place), location=str(place), **_hints(block, HINTS["image"]))


def _source(block: Mapping[str, Any], place: Place) -> Source:
    """Where a block's medium comes from."""
    files = place.role == "user"
    if block.get("file_id") or block.get("source_type") == "id":
        raise place.error("the service knows no file ids; give a URL, base64 data, bytes or a path.")
    for name in ("image_url", "video_url", "source", "file"):
        nested = block.get(name)
        if isinstance(nested, Mapping):
            return _source(nested, place)
        if nested is not None:
            return parse_source(nested, location=str(place), files=files)
    mime = block.get("mime_type") or block.get("media_type")
    for name in ("base64", "data"):
        if block.get(name) is not None:
            return parse_source(block[name], location=str(place), files=files, base64_text=True, mime=mime)
    for name in ("url", "path", "image", "video", "file_data"):
        if block.get(name) is not None:
            return parse_source(block[name], location=str(place), files=files)
    raise place.error("it holds no medium: give `url`, `base64`, bytes or a path.")


_READERS: dict[str, Callable[[Mapping[str, Any], Place], Part]] = {
    "text": _text,
    "text-plain": _plain_text,
    "image": _image,
    "image_url": _image,
    "video": _video,
    "video_url": _video,
    "file": _file,
    "document": _file,
}
