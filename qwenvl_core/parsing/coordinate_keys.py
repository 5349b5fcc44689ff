"""Know the keys under which models put coordinates, and those that only group objects.

`bbox_2d`, `point_2d` and `bbox_3d` are the vendor's; the others are usual in prompts and in the data of other models.
"""

from __future__ import annotations

import re
from typing import Literal

GroundingKind = Literal["box", "point", "box3d"]

VENDOR_KEYS: dict[str, GroundingKind] = {"bbox_2d": "box", "point_2d": "point", "bbox_3d": "box3d"}
"""Keys that mean coordinates whatever their value is."""

_KINDS: dict[str, GroundingKind] = {
    **VENDOR_KEYS,
    **dict.fromkeys(("bbox", "box", "box_2d", "bbox2d", "box2d", "bounding_box", "bounding_box_2d"), "box"),
    **dict.fromkeys(("boundingbox", "bndbox", "quad", "quad_2d", "polygon", "polygon_2d", "poly"), "box"),
    **dict.fromkeys(("point", "point2d"), "point"),
    "bbox3d": "box3d",
}
_PRIORITY = {key: index for index, key in enumerate(_KINDS)}
_CONTAINERS = frozenset(
    {
        *("annotations", "answers", "bboxs", "bboxes", "boxes", "boxs", "datas", "detecteds", "detections", "elements"),
        *("entities", "fields", "founds", "groundings", "images", "instances", "items", "labels", "lines", "lists"),
        *("locations", "objects", "outputs", "pages", "points", "predictions", "regions", "responses", "results"),
        *("shapes", "targets", "texts", "words"),
    }
)  # in the plural
_NOT_IN_KEY = re.compile(r"[\s-]+")


def get_kind(key: str) -> GroundingKind | None:
    """Return the kind of coordinates that a key means, in any case and with spaces or hyphens; `None` for others."""
    if len(key) > 20:
        return None
    return _KINDS.get(key) or _KINDS.get(_NOT_IN_KEY.sub("_", key.strip().lower()))


def get_priority(key: str) -> int:
    """Return the order in which keys of one kind are read; the first readable one counts."""
    return _PRIORITY[_NOT_IN_KEY.sub("_", key.strip().lower())]


def get_label(key: str | None) -> str | None:
    """Return the label of an object from the key that it stands under; `None` for a key that only groups objects."""
    words = (key or "").split()
    if not words or f"{words[-1].lower().removesuffix('s')}s" in _CONTAINERS or get_kind(key or ""):
        return None
    return key
