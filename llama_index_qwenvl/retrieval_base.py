"""Share what embeddings and rerankers have in common: content blocks, pictures of nodes, the rate limiter."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

from llama_index.core.schema import BaseNode, ImageNode, MetadataMode, Node

from llama_index_qwenvl.input_blocks import BlockContext, convert_block
from qwenvl_core.catalog.models import describe
from qwenvl_core.request import retrieval_items
from qwenvl_core.types.location import Location
from qwenvl_core.types.media import LocalFiles
from qwenvl_core.types.messages import Part
from qwenvl_core.types.retrieval import Item


def convert_item_block(block: Any, location: Location) -> Iterable[Part]:
    """Convert a content block that is an item.

    Raises:
        QwenVLInputError: The block is not supported.
    """
    return convert_block(block, BlockContext(location.with_type(type(block).__name__), describe(""), {}))


def build_node_item(node: BaseNode, location: str, *, image_key: str, local_files: LocalFiles) -> Item:
    """Build the item of a node: its picture, if it has one, else its text.

    Raises:
        QwenVLInputError: The picture can't be read, or the node has neither a picture nor text.
    """
    picture = _find_picture(node, image_key)
    if picture is not None:
        return retrieval_items.build_path_item(
            picture.value, location, local_files=local_files, is_url_field=picture.is_url
        )
    return retrieval_items.build_text_item(node.get_content(metadata_mode=MetadataMode.EMBED), location)


def has_picture(node: BaseNode, image_key: str) -> bool:
    """Return whether a node has a picture."""
    return _find_picture(node, image_key) is not None


class _Picture(NamedTuple):
    """The picture of a node.

    Attributes:
        value: A path, a URL or bytes.
        is_url: Whether it is from a field for URLs, which may hold what a website or a client wrote.
    """

    value: Any
    is_url: bool = False


def _find_picture(node: BaseNode, image_key: str) -> _Picture | None:
    """Return the picture of a node; `None` if it has none."""
    path: Any = None
    url: Any = None
    data: Any = None
    if isinstance(node, ImageNode):
        path, url, data = node.image_path, node.image_url, node.image
    elif isinstance(node, Node) and node.image_resource is not None:  # also an `ImageDocument`
        resource = node.image_resource  # its data is validated and encoded by LlamaIndex
        path, url, data = resource.path, resource.url, resource.data
    if path:
        return _Picture(str(path))
    if url:
        return _Picture(str(url), is_url=True)
    if data:
        return _Picture(base64.b64decode(data))
    return _Picture(node.metadata[image_key]) if node.metadata.get(image_key) else None


class Limiter:
    """A rate limiter of LlamaIndex that may be missing, with one call before each request."""

    def __init__(self, limiter: Any) -> None:
        self._limiter = limiter

    def acquire(self) -> None:
        """Wait until a request may be sent."""
        if self._limiter is not None:
            self._limiter.acquire()

    async def aacquire(self) -> None:
        """Wait asynchronously until a request may be sent."""
        if self._limiter is not None:
            await self._limiter.async_acquire()
