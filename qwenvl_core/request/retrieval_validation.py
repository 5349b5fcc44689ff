"""Validate what is to be embedded or ranked before anything is sent or uploaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qwenvl_core.catalog.endpoints import find_region
from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts, RerankFacts
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import MediaKind, data_uri
from qwenvl_core.media.uploads import compute_size
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import ImagePart, TextPart, VideoPart
from qwenvl_core.types.retrieval import EmbeddingSettings, Item, ItemPart, RerankSettings

Facts = EmbeddingFacts | RerankFacts


def check_embedding(items: Sequence[Item], settings: EmbeddingSettings, facts: EmbeddingFacts) -> None:
    """Check all items and settings of a call for vectors.

    Raises:
        QwenVLInputError: The model does not take an item or a setting; the message names the item's index, the limit
            and what to do.
    """
    _check_dimensions(settings.dimensions, facts)
    _check_parameters(settings, facts)
    for item in items:
        _check_item(item, facts)
        if item.is_fused:
            _check_fusion(item, facts)


def check_rerank(query: Item, documents: Sequence[Item], settings: RerankSettings, facts: RerankFacts) -> None:
    """Check the query, the documents and the settings of a call for scores.

    Raises:
        QwenVLInputError: The model does not take one of them.
    """
    if facts.retired:
        raise QwenVLInputError(f"model={settings.model!r}: {facts.retired}")
    _check_parameters(settings, facts)
    if settings.top_n is not None and (type(settings.top_n) is not int or settings.top_n < 1):
        raise QwenVLInputError(f"top_n={settings.top_n!r}: it must be a whole number above 0.")
    for item in (query, *documents):
        _check_item(item, facts)
        if item.is_fused:
            raise QwenVLInputError(f"{item.location}: rerankers take one text, image or video an item, not a list.")
    for name, part_class, limit in (
        ("texts", TextPart, facts.max_texts),
        ("images", ImagePart, facts.max_images),
        ("videos", VideoPart, facts.max_videos),
    ):
        number = sum(document.count(part_class) for document in documents)
        if limit is not None and number > limit:
            raise QwenVLInputError(
                f"{number} {name} to rank: {facts.name} accepts at most {limit} in a request, and scores compare "
                "within one request only. Retrieve fewer documents before they are ranked."
            )


def check_region(region: str | None, facts: Facts) -> None:
    """Check that the model is offered in a region; `None` for a server of the caller's, which is not checked.

    Raises:
        QwenVLInputError: It is not.
    """
    if region is None or not facts.regions:
        return
    row = find_region(region)
    if row is not None and row.id not in facts.regions:
        raise QwenVLInputError(
            f"{facts.name} is not offered in region {row.id}. Set region= to {' or '.join(facts.regions)}, with a key "
            "of that region."
        )


def _check_dimensions(dimensions: int | None, facts: EmbeddingFacts) -> None:
    if dimensions is None:
        return
    if type(dimensions) is not int or dimensions < 1:
        raise QwenVLInputError(f"dimensions={dimensions!r}: it must be a whole number above 0.")
    if facts.dimensions and dimensions not in facts.dimensions:
        choices = ", ".join(map(str, facts.dimensions))
        raise QwenVLInputError(f"dimensions={dimensions}: {facts.name} has {choices}.")


def _check_parameters(settings: EmbeddingSettings | RerankSettings, facts: Facts) -> None:
    if not settings.model.strip():
        raise QwenVLInputError(f"model={settings.model!r} is invalid. Pass the name of a model, or leave it out.")
    if settings.fps is not None:
        if not facts.fps:
            raise QwenVLInputError(f"fps={settings.fps}: {facts.name} does not sample videos at a chosen rate.")
        if not 0 <= settings.fps <= 1:
            raise QwenVLInputError(f"fps={settings.fps}: it must be from 0 to 1 for embedding models and rerankers.")
    if settings.instruct is not None and not facts.instruct:
        raise QwenVLInputError(f"instruct=: {facts.name} takes no instruction. Use qwen3-vl-embedding or leave it out.")


def _check_item(item: Item, facts: Facts) -> None:
    if not item.parts:
        raise QwenVLInputError(f"{item.location}: this item is an empty list.")
    for part in item.parts:
        if isinstance(part, TextPart):
            if not part.text.strip():
                raise QwenVLInputError(f"{item.location}: this text is empty. Leave out items without text.")
            _check_encoding(part.text, item.location)
        else:
            _check_medium(part, item, facts)


def _check_encoding(text: str, location: str) -> None:
    """Check that a text can be sent as JSON; texts of broken PDFs may hold halves of surrogate pairs.

    Raises:
        QwenVLInputError: It cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QwenVLInputError(
            f"{location}: character {error.start} of this text, {text[error.start]!a}, is half of a surrogate pair and "
            'can\'t be sent. Replace it: text.encode("utf-8", "replace").decode().'
        ) from None


def _check_medium(part: ItemPart, item: Item, facts: Facts) -> None:
    kind: MediaKind = "image" if isinstance(part, ImagePart) else "video"
    if kind not in facts.media:
        way_out = "qwen3-vl-embedding" if isinstance(facts, EmbeddingFacts) else "qwen3-vl-rerank"
        raise QwenVLInputError(f"{item.location}: {facts.name} does not take {kind}s. Use {way_out}.")
    if isinstance(part, TextPart) or isinstance(part.source, UrlSource):
        return
    size = compute_size(data_uri(part.source, kind, part.location), part.location)
    limit = facts.image_max_bytes if kind == "image" else facts.video_max_bytes
    if limit is not None and size > limit:
        raise QwenVLInputError(
            f"{item.location}: this {kind} has {size:,} bytes. {facts.name} accepts at most {limit:,} "
            f"({limit // 1024**2} MB). Make it smaller."
        )


def _check_fusion(item: Item, facts: EmbeddingFacts) -> None:
    """Check that the parts of an item can become one vector.

    Raises:
        QwenVLInputError: The model does not fuse them.
    """
    texts, images, videos = (item.count(part_class) for part_class in (TextPart, ImagePart, VideoPart))
    if facts.fusion == "never" or (facts.fusion == "images" and (texts or videos)):
        what = "several images only" if facts.fusion == "images" else "nothing"
        raise QwenVLInputError(
            f"{item.location}: this item is a list, which becomes one vector; {facts.name} fuses {what}. "
            "Use qwen3-vl-embedding, or embed its elements apart."
        )
    per_request = (("images", images, facts.max_images), ("videos", videos, facts.max_videos))
    per_content = (("texts", texts, 1), ("images", images, facts.max_fused_images), ("videos", videos, 1))
    limits: Iterable[tuple[str, int, int | None]] = {
        "request": (("elements", len(item.parts), facts.max_items), *per_request),
        "always": (("texts", texts, 1), *per_request),
    }.get(facts.fusion, per_content)
    for name, number, limit in limits:
        if limit is not None and number > limit:
            raise QwenVLInputError(
                f"{item.location}: this item has {number} {name}. {facts.name} fuses at most {limit} into one vector."
            )
