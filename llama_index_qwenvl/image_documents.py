"""Convert the `image_documents` of `complete`, in all forms that LlamaIndex accepts or accepted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from llama_index.core.base.llms.types import ImageBlock, VideoBlock
from llama_index.core.schema import ImageDocument, ImageNode, Node, NodeWithScore
from pydantic import BaseModel

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.local_files import authorize
from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.media import FileSource, InlineSource, LocalFiles, UrlSource


def convert_image_documents(documents: Any, local_files: LocalFiles = None) -> list[ImageBlock | VideoBlock]:
    """Convert image documents to content blocks.

    Args:
        documents: `ImageNode`, `ImageDocument`, `Node` with an `image_resource`, `NodeWithScore`, `ImageBlock`,
            URLs, paths, bytes, binary file objects or Pillow images; or one of these; or `None`.
        local_files: Which local files may be read. LlamaIndex checks that a file exists when its block is built, so
            paths are checked before.

    Raises:
        QwenVLInputError: A document has no image, or a local file may not be read; the error names its index.
        ValueError: A file does not exist.
    """
    if documents is None:
        return []
    if _is_single(documents):
        documents = [documents]
    return [
        _convert_document(document, local_files, f"image_documents[{index}]")
        for index, document in enumerate(documents)
    ]


def _is_single(documents: Any) -> bool:
    """Return whether the value is one document; many kinds of document are iterable as well."""
    is_document = isinstance(documents, BaseModel | str | bytes | bytearray | memoryview) or hasattr(documents, "read")
    return is_document or not isinstance(documents, Iterable)


def _convert_document(document: Any, local_files: LocalFiles, location: str) -> ImageBlock | VideoBlock:
    match document:
        case ImageBlock() | VideoBlock():
            return document
        case NodeWithScore():
            return _convert_document(document.node, local_files, location)
        case ImageNode() | ImageDocument():
            path = document.image_path or (None if document.image_url else document.metadata.get("file_path"))
            if path and not document.image:
                path = _authorize_path(path, local_files, location)
            return _build_block(document.image, path, document.image_url, document.image_mimetype, location)
        case Node(image_resource=resource) if resource is not None:
            path = resource.path
            if path and not resource.data:
                path = _authorize_path(path, local_files, location)
            return _build_block(resource.data, path, resource.url, resource.mimetype, location)
    source = parse_source(document, location=location, files=True, is_path_field=True)
    match authorize(source, local_files, location):
        case UrlSource(url):
            return ImageBlock(url=url)
        case FileSource(path):
            return ImageBlock(path=path)
        case InlineSource(bytes() as data):
            return ImageBlock(image=data)
        case _:
            return ImageBlock(url=document)


def _authorize_path(path: Any, local_files: LocalFiles, location: str) -> Path:
    source = FileSource(Path(path), origin="field")
    return cast("FileSource", authorize(source, local_files, location)).path


def _build_block(data: str | bytes | None, path: Any, url: Any, mime: str | None, location: str) -> ImageBlock:
    """Build a block from the fields of a node; LlamaIndex stores bytes as base64."""
    if data:
        return ImageBlock(image=data.encode() if isinstance(data, str) else data, image_mimetype=mime)
    if path:
        return ImageBlock(path=path, image_mimetype=mime)
    if url:
        return ImageBlock(url=str(url), image_mimetype=mime)
    raise QwenVLInputError(f"No image in {location}. Set the node's image, image_path or image_url.")
