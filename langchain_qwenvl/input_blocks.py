"""Convert LangChain content blocks to core parts.

LangChain's v1 and v0 blocks are accepted, and those of OpenAI, Anthropic and the vendor. Nothing is dropped silently: a
block that cannot be sent raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from qwenvl_core.media.sources import HINTS, parse_source
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import Source
from qwenvl_core.types.messages import FilePart, FramesPart, ImagePart, Part, TextPart, VideoPart

_AUDIO_WAY_OUT = "Qwen-VL does not hear: send a transcript as text, or the video that the audio belongs to."
_WAYS_OUT = {"audio": _AUDIO_WAY_OUT, "input_audio": _AUDIO_WAY_OUT}
"""What to do instead of sending an unsupported block, by its type."""
_VENDOR_KEYS = ("image", "video", "audio", "document", "text")


def convert_block(block: Any, location: Location) -> Part:
    """Convert a content block.

    Args:
        block: A string, or a dict in any of the accepted forms.
        location: Where the block is; media are accepted in user and tool messages only.

    Raises:
        QwenVLInputError: The block is not supported, or not supported in a message of this role; the error names its
            location and type.
    """
    if isinstance(block, str):
        return TextPart(block)
    if not isinstance(block, Mapping):
        location = location.with_type(type(block).__name__)
        raise location.error("unsupported content block. Pass a string or a dict.")
    # The vendor's blocks and those of Bedrock's Converse API have no `type`: their only key is the type.
    block_type = str(block.get("type") or " and ".join([key for key in _VENDOR_KEYS if key in block]) or None)
    location = location.with_type(block_type)
    convert = _CONVERTERS.get(block_type)
    if convert is None:
        supported = ", ".join(sorted(_CONVERTERS))
        way_out = _WAYS_OUT.get(block_type, "Send its content as text, or as images.")
        raise location.error(f"unsupported content block type {block_type!r}. Supported: {supported}. {way_out}")
    if convert is not _convert_text and convert is not _convert_plain_text and location.role in ("system", "assistant"):
        raise location.error(
            f"unsupported content block type {block_type!r} in {location.role} messages. Supported: text. "
            "Put media into a user message."
        )
    return convert(block, location)


def _read_option(block: Mapping[str, Any], name: str) -> Any:
    """Read a vendor option from the block itself, its `extras`, or a nested `image_url`/`video_url`."""
    for mapping in (block, *(block.get(key) for key in ("extras", "image_url", "video_url"))):
        if isinstance(mapping, Mapping) and mapping.get(name) is not None:
            return mapping[name]
    return None


def _read_options(block: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {"cache": _has_cache_marker(block), **{name: _read_option(block, name) for name in names}}


def _has_cache_marker(block: Mapping[str, Any]) -> bool:
    return _read_option(block, "cache_control") is not None


def _convert_text(block: Mapping[str, Any], location: Location) -> TextPart:
    text = block.get("text")
    if not isinstance(text, str):
        raise location.error(f"`text` must be a string, not {type(text).__name__}.")
    return TextPart(text, cache=_has_cache_marker(block))


def _convert_plain_text(block: Mapping[str, Any], location: Location) -> Part:
    if "text" in block:
        return _convert_text(block, location)
    if block.get("source_type") == "text":  # v0 blocks have the text in `url`
        return _convert_text({**block, "text": block.get("url")}, location)
    return replace(_convert_any_file(block, location), mime=_read_mime(block) or "text/plain")


def _convert_image(block: Mapping[str, Any], location: Location) -> ImagePart:
    return ImagePart(_find_source(block, location), location=str(location), **_read_options(block, HINTS["image"]))


def _convert_video(block: Mapping[str, Any], location: Location) -> VideoPart | FramesPart:
    frames = block.get("video")
    options = _read_options(block, HINTS["video"])
    if isinstance(frames, (list, tuple)):
        can_read_files = location.role == "user"
        sources = tuple(
            parse_source(frame, location=f"{location}[{index}]", files=can_read_files)
            for index, frame in enumerate(frames)
        )
        return FramesPart(sources, location=str(location), **options)
    return VideoPart(_find_source(block, location), location=str(location), **options)


def _convert_file(block: Mapping[str, Any], location: Location) -> Part:
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":  # Anthropic's text document
        return _convert_text({**block, "text": source.get("data")}, location)
    if (_read_mime(block) or "").startswith("text/"):
        return _convert_plain_text(block, location)
    return _convert_any_file(block, location)


def _convert_any_file(block: Mapping[str, Any], location: Location) -> FilePart:
    """Convert a file, whose kind `qwenvl_core.request.file_parts` finds out."""
    options = _read_options(block, (*HINTS["image"], "fps", "total_pixels"))
    return FilePart(
        _find_source(block, location),
        mime=_read_mime(block),
        name=_read_string(block, _NAME_KEYS),
        location=str(location),
        **options,
    )


def _read_mime(block: Mapping[str, Any]) -> str | None:
    return _read_string(block, _MIME_KEYS)


def _read_string(block: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """Read the first string under any of the keys, in the block itself or in a nested object of the file."""
    nested = (block.get(key) for key in (*_NESTED_KEYS, "extras", "metadata"))
    for mapping in (block, *nested):
        if isinstance(mapping, Mapping):
            for key in keys:
                if isinstance(mapping.get(key), str):
                    return str(mapping[key])
    return None


def _find_source(block: Mapping[str, Any], location: Location) -> Source:
    """Find the image, video or file of a block: a URL, bytes, base64 data or a path, possibly nested.

    Strings may be local paths in user messages only, since tools and models must not choose which files are read.
    """
    can_read_files = location.role == "user"
    if any(block.get(key) for key in _FILE_ID_KEYS) or block.get("source_type") == "id":
        raise location.error("file ids are not supported. Pass a URL, base64 data, bytes or a path.")
    bedrock = (block[name] for name in _BEDROCK_KEYS if isinstance(block.get(name), Mapping))
    nested = next((value for value in (*map(block.get, _NESTED_KEYS), *bedrock) if value is not None), None)
    if isinstance(nested, Mapping):
        return _find_source(nested, location)
    if nested is not None:
        return parse_source(nested, location=str(location), files=can_read_files)
    is_base64 = block.get("type") in ("data", "base64")  # `value` of AG-UI's sources
    for name in (*_BASE64_KEYS, *(["value"] if is_base64 else [])):
        if block.get(name) is not None:
            mime = _read_mime(block)
            return parse_source(block[name], location=str(location), files=can_read_files, base64_text=True, mime=mime)
    for name in _URL_KEYS:
        if block.get(name) is not None:
            return parse_source(block[name], location=str(location), files=can_read_files)
    raise location.error("the block has no image, video or file. Pass `url`, `base64`, bytes or a path.")


_MIME_KEYS = ("mime_type", "media_type", "mimeType", "mediaType")
_NAME_KEYS = ("filename", "file_name", "fileName", "name")
_FILE_ID_KEYS = ("file_id", "fileId")
_NESTED_KEYS = ("image_url", "video_url", "source", "file", "inline_data", "inlineData", "file_data", "fileData")
_BEDROCK_KEYS = ("image", "video", "document")
"""Keys of an object of Bedrock's Converse API: `{"format": "png", "source": {"bytes": …}}`."""
_BASE64_KEYS = ("base64", "data")
_URL_KEYS = ("url", "path", "image", "video", "bytes", "file_uri", "fileUri", "value")

_CONVERTERS: dict[str, Callable[[Mapping[str, Any], Location], Part]] = {
    "text": _convert_text,
    "text-plain": _convert_plain_text,
    "image": _convert_image,
    "image_url": _convert_image,
    "video": _convert_video,
    "video_url": _convert_video,
    "file": _convert_file,
    "document": _convert_file,
    "media": _convert_file,  # Gemini
    "binary": _convert_file,  # AG-UI
}
