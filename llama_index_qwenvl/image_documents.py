"""The images of `complete(..., image_documents=[...])`, in all the forms that LlamaIndex has had for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llama_index.core.base.llms.types import ImageBlock, VideoBlock
from llama_index.core.schema import ImageDocument, ImageNode, Node, NodeWithScore
from pydantic import BaseModel

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource


def convert_image_documents(documents: Any) -> list[ImageBlock | VideoBlock]:
    """The blocks that image documents stand for.

    Args:
        documents: `ImageNode`, `ImageDocument`, `Node` with an `image_resource`, `NodeWithScore`, `ImageBlock`,
            URLs, paths, bytes, binary file objects or Pillow images; one of these by itself; `None` for none.

    Raises:
        QwenVLInputError: One holds no image; the error names its index and type.
        ValueError: A path leads to no file.
    """
    if documents is None:
        return []
    if _is_one(documents):
        documents = [documents]
    return [_block(document, f"image_documents[{at}]") for at, document in enumerate(documents)]


def _is_one(documents: Any) -> bool:
    """Whether it is a document, and no collection of them; many kinds of document can be iterated over, too."""
    one = isinstance(documents, BaseModel | str | bytes | bytearray | memoryview) or hasattr(documents, "read")
    return one or not isinstance(documents, Iterable)


def _block(document: Any, location: str) -> ImageBlock | VideoBlock:
    match document:
        case ImageBlock() | VideoBlock():
            return document
        case NodeWithScore():
            return _block(document.node, location)
        case ImageNode() | ImageDocument():
            path = document.image_path or (None if document.image_url else document.metadata.get("file_path"))
            return _of_fields(document.image, path, document.image_url, document.image_mimetype, location)
        case Node(image_resource=resource) if resource is not None:
            return _of_fields(resource.data, resource.path, resource.url, resource.mimetype, location)
    match parse_source(document, location=location, files=True):
        case UrlSource(url):
            return ImageBlock(url=url)
        case FileSource(path):
            return ImageBlock(path=path)
        case InlineSource(bytes() as data):
            return ImageBlock(image=data)
        case _:
            return ImageBlock(url=document)


def _of_fields(data: str | bytes | None, path: Any, url: Any, mime: str | None, location: str) -> ImageBlock:
    """A block from a node's fields; the bytes are base64, as LlamaIndex keeps them."""
    if data:
        return ImageBlock(image=data.encode() if isinstance(data, str) else data, image_mimetype=mime)
    if path:
        return ImageBlock(path=path, image_mimetype=mime)
    if url:
        return ImageBlock(url=str(url), image_mimetype=mime)
    raise QwenVLInputError(f"{location}: this node holds no image.")
