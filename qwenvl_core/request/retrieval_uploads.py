"""Decide which local media of items are uploaded, and replace them with the URLs of their uploads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwenvl_core.catalog.endpoints import STORAGE_REGIONS
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import data_uri, may_exceed_data_uri
from qwenvl_core.media.uploads import IMAGE_LIMIT, VIDEO_LIMIT, Upload, create_upload
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart, VideoPart
from qwenvl_core.types.retrieval import Item, ItemPart


@dataclass(frozen=True, slots=True)
class ItemUploads:
    """The uploads of a request's items.

    Attributes:
        items: The items.
        uploads: The media to upload.
        slots: For each upload, the indices of its item and its part.
    """

    items: tuple[Item, ...]
    uploads: tuple[Upload, ...]
    slots: tuple[tuple[int, int], ...]

    def replace_sources(self, urls: Sequence[str]) -> tuple[Item, ...]:
        """Return the items in which the `urls` of the uploads replace their sources."""
        by_slot = dict(zip(self.slots, urls, strict=True))
        return tuple(
            replace(
                item,
                parts=tuple(
                    part
                    if isinstance(part, TextPart) or (number, index) not in by_slot
                    else replace(part, source=UrlSource(by_slot[number, index]))
                    for index, part in enumerate(item.parts)
                ),
            )
            for number, item in enumerate(self.items)
        )


def plan_uploads(items: tuple[Item, ...], upload: str) -> ItemUploads:
    """Return the uploads that items need. Reads all media that are uploaded, to identify them."""
    found = [
        ((number, index), _create_upload(part))
        for number, item in enumerate(items)
        for index, part in enumerate(item.parts)
        if not isinstance(part, TextPart) and needs_upload(part, upload)
    ]
    return ItemUploads(items, tuple(upload for _, upload in found), tuple(slot for slot, _ in found))


def check_uploads(items: Iterable[Item], upload: str, *, has_storage: bool) -> None:
    """Check that all media that must be uploaded can be.

    Raises:
        QwenVLInputError: `upload` is `"never"`, or there is no temporary storage.
    """
    for item in items:
        for part in item.parts:
            if not needs_upload(part, upload):
                continue
            kind = "video" if isinstance(part, VideoPart) else "image"
            if upload == "never":
                raise QwenVLInputError(
                    f'{item.location}: this local {kind} can only be sent by an upload, and upload="never". Pass a '
                    'public URL, or upload="auto".'
                )
            if not has_storage:
                raise QwenVLInputError(
                    f"{item.location}: this local {kind} can only be sent by an upload, and this server has no "
                    f"temporary storage. Pass a public URL, or use region {' or '.join(STORAGE_REGIONS)}."
                )


def needs_upload(part: ItemPart, upload: str) -> bool:
    """Return whether a medium is sent by an upload: local videos always are, images that are too large to inline."""
    if isinstance(part, TextPart) or isinstance(part.source, UrlSource):
        return False
    return isinstance(part, VideoPart) or upload == "always" or may_exceed_data_uri(part.source)


def _create_upload(part: ImagePart | VideoPart) -> Upload:
    kind: Any = "video" if isinstance(part, VideoPart) else "image"
    source: Any = part.source
    limit = VIDEO_LIMIT if kind == "video" else IMAGE_LIMIT
    return create_upload(data_uri(source, kind, part.location), kind, part.location, limit=limit)
