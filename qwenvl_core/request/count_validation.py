"""Validate the numbers of images and videos in a request.

Source: the vendor's page "Image and video understanding", 2026.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.media.uploads import should_upload
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, Media, TextPart
from qwenvl_core.types.request import PreparedRequest

_COUNTED: dict[str, tuple[str, str]] = {
    "max_images_url": ("images by URL", "Send fewer in one request"),
    "max_images_inline": ("images as data URIs (local files and bytes)", "Send fewer in one request, or public URLs"),
    "max_videos": ("videos", "Send fewer in one request"),
}
"""Limits of the number of media in a request: what they count, and the way out."""


def find_violations(prepared: PreparedRequest, facts: ModelFacts) -> Iterator[str]:
    """Yield a sentence for each number of images or videos in a request that is too large."""
    counts = Counter(
        _get_count_limit(part, prepared)
        for message in prepared.messages
        for part in message.parts
        if not isinstance(part, TextPart)
    )
    for name, (kind, alternative) in _COUNTED.items():
        limit = getattr(facts, name)
        if limit is not None and counts[name] > limit:
            yield (
                f"This request has {counts[name]:,} {kind}; {prepared.settings.model} takes at most {limit:,}. "
                f"{alternative}, or drop earlier messages."
            )


def _get_count_limit(part: Media, prepared: PreparedRequest) -> str:
    """Return the name of the limit that counts this part; an image that is uploaded is sent by URL."""
    if not isinstance(part, ImagePart):
        return "max_videos"
    is_sent_by_url = isinstance(part.source, UrlSource) or should_upload(part.source, "image", prepared)
    return "max_images_url" if is_sent_by_url else "max_images_inline"
