"""Build the items of an embedding or a ranking from the caller's values.

A string is text; a `pathlib.Path`, bytes, an open file or a Pillow image is an image, a path also a video; any other
value is a content block of the framework. A list of these is one item, whose parts become one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import parse_source
from qwenvl_core.request.file_parts import resolve_parts
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import LocalFiles
from qwenvl_core.types.messages import FilePart, FramesPart, ImagePart, Message, Part, PdfPart, TextPart, VideoPart
from qwenvl_core.types.retrieval import Item, ItemPart

ConvertBlock = Callable[[Any, Location], Iterable[Part]]
"""Converts a content block of a framework to parts."""


def build_items(
    values: Iterable[Any], name: str, *, convert_block: ConvertBlock, local_files: LocalFiles
) -> list[Item]:
    """Build items from the values of a call.

    Args:
        values: The caller's values.
        name: The name of the argument, for errors.
        convert_block: Converts the framework's content blocks.
        local_files: The object's setting.

    Raises:
        QwenVLInputError: A value is of no supported type, or a file may not be read; the error names its index.
    """
    _require_list(values, name, "items")
    return [
        build_item(value, f"{name}[{index}]", convert_block=convert_block, local_files=local_files)
        for index, value in enumerate(values)
    ]


def build_item(value: Any, location: str, *, convert_block: ConvertBlock, local_files: LocalFiles) -> Item:
    """Build one item; see `build_items`."""
    elements = list(value) if isinstance(value, list | tuple) else [value]
    parts: list[Part] = []
    for index, element in enumerate(elements):
        element_location = f"{location}[{index}]" if isinstance(value, list | tuple) else location
        parts += _convert_element(element, element_location, convert_block)
    resolved = resolve_parts([Message("user", tuple(parts))], local_files)[0].parts
    for part, found in zip(parts, resolved, strict=True):
        if isinstance(part, FilePart) and isinstance(found, TextPart):
            raise QwenVLInputError(f"{location}: this file is text, neither an image nor a video. Pass its text.")
    return Item(tuple(_require_item_part(part, location) for part in resolved), location)


def build_path_item(value: Any, location: str, *, local_files: LocalFiles, is_url_field: bool = False) -> Item:
    """Build the item of an image at a URL or at a path that the caller typed as one.

    Args:
        value: A URL, a path, or an image.
        location: Where the value is in the caller's input, for errors.
        local_files: The object's setting.
        is_url_field: Whether the framework types the value as a URL: a path in it is a string like any other.

    Raises:
        QwenVLInputError: The value is no URL, path or image, or the file may not be read.
    """
    is_path_field = not (is_url_field or isinstance(value, Path))
    source = parse_source(value, location=location, files=True, is_path_field=is_path_field)
    part = resolve_parts([Message("user", (ImagePart(source, location=location),))], local_files)[0].parts[0]
    return Item((_require_item_part(part, location),), location)


def build_path_items(values: Iterable[Any], name: str, *, local_files: LocalFiles) -> list[Item]:
    """Build items from images at URLs or typed paths; see `build_path_item`."""
    _require_list(values, name, "URLs or paths")
    return [build_path_item(value, f"{name}[{index}]", local_files=local_files) for index, value in enumerate(values)]


def build_text_items(texts: Iterable[Any], name: str) -> list[Item]:
    """Build items that are texts.

    Raises:
        QwenVLInputError: A value is not a string.
    """
    _require_list(texts, name, "texts")
    return [build_text_item(text, f"{name}[{index}]") for index, text in enumerate(texts)]


def build_text_item(text: Any, location: str) -> Item:
    """Build the item of one text.

    Raises:
        QwenVLInputError: The value is not a string.
    """
    if not isinstance(text, str):
        raise QwenVLInputError(f"{location}: expected a string, not {type(text).__name__}.")
    return Item((TextPart(text),), location)


def _require_list(values: Any, name: str, content: str) -> None:
    """Check that a value holds several others; a string, a dict or a block of LlamaIndex would give its pieces.

    Raises:
        QwenVLInputError: It does not.
    """
    is_one = isinstance(values, str | bytes | Mapping) or hasattr(type(values), "model_fields")
    if is_one or not isinstance(values, Iterable):
        raise QwenVLInputError(f"{name}: pass a list of {content}, not one {type(values).__name__}.")


def _convert_element(element: Any, location: str, convert_block: ConvertBlock) -> Iterable[Part]:
    if isinstance(element, str):
        return (TextPart(element),)
    is_picture = callable(getattr(element, "save", None)) and hasattr(element, "mode")
    is_file = callable(getattr(element, "read", None))
    if isinstance(element, bytes | bytearray | memoryview) or is_picture or is_file:
        return (ImagePart(parse_source(element, location=location, files=False), location=location),)
    if isinstance(element, Path):
        return (FilePart(parse_source(element, location=location, files=True), location=location),)
    if isinstance(element, list | tuple):
        raise QwenVLInputError(f"{location}: a list within an item; an item is one value or one list of values.")
    return convert_block(element, Location(0, 0, "user", item=location))


def _require_item_part(part: Part, location: str) -> ItemPart:
    if isinstance(part, FramesPart):
        raise QwenVLInputError(f"{location}: a list of frames can't be embedded or ranked. Pass a video file or URL.")
    if isinstance(part, PdfPart):
        raise QwenVLInputError(
            f'{location}: a PDF can\'t be embedded or ranked. Load its pages as pictures with mode="image", and pass '
            "those."
        )
    if not isinstance(part, TextPart | ImagePart | VideoPart):
        raise QwenVLInputError(f"{location}: unsupported item of type {type(part).__name__}.")
    return part
