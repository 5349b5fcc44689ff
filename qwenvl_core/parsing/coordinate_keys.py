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
        *("shapes", "targets", "texts", "words", "contents", "coordinates", "coords", "frames", "segments"),
    }
)  # in the plural
_QUALIFIERS = frozenset(
    {
        *("all", "annotated", "bounding", "detected", "final", "found", "grounded", "identified", "key", "layout"),
        *("located", "my", "ocr", "our", "page", "predicted", "recognized", "the", "these", "visible"),
    }
)  # words before the name of a container
# In the singular, without another word, these are also what is seen, such as the frame of a picture.
_THINGS = frozenset({"frame", "image", "line", "list", "page", "segment", "shape", "text", "word"})
_NUMBERED = frozenset({"pages", "images", "frames"})  # containers of which there may be several
_NUMBERED_WORD = re.compile(r"page|image|frame", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")
_MAX_CONTAINER = 40  # characters
_PROSE_START = re.compile(r"(?:sure|certainly|absolutely|of course|here)\Z|here(?:'s| is| are)\b|以下", re.IGNORECASE)
_PROSE_END = re.compile(r"\b(?:is|are|as follows)\Z|如下\Z", re.IGNORECASE)
_MAX_PROSE_END = 12  # characters
_PROSE_WORDS = ("sure", "certainly", "absolutely", "course", "here", "is", "are", "follows", "如下")
# The ends of all keys that are no labels, except numbered ones and prose from its first word; most keys end otherwise.
_ENDS = frozenset(
    name[-2:] for plural in (*_CONTAINERS, *_KINDS, *_PROSE_WORDS) for name in (plural, plural.removesuffix("s"))
)
_PROSE_STARTS = ("he", "以下")
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
    if not key or key.isspace():
        return None
    return None if _can_be_other(key) and (get_kind(key) or _is_container(key) or is_prose(key)) else key


def _can_be_other(key: str) -> bool:
    """Return whether the ends of a key allow that it is no label; most keys need no further look."""
    if key[-1].isdigit():
        return _NUMBERED_WORD.search(key) is not None
    return key.rstrip()[-2:].lower() in _ENDS or key[:2].lower() in _PROSE_STARTS


def is_prose(key: str) -> bool:
    """Return whether a key is what a model writes before its answer, such as `Sure` or `The boxes are`."""
    return bool(_PROSE_START.match(key) or _PROSE_END.search(key, max(0, len(key) - _MAX_PROSE_END)))


def _is_container(key: str) -> bool:
    """Return whether a key, such as `detected_objects`, `boundingBoxes` or `page 2`, only groups objects."""
    words = [word.lower() for word in _WORD.findall(key[:_MAX_CONTAINER])]
    if len(words) == 1 and words[0] in _THINGS:
        return False
    names = [f"{word.removesuffix('s')}s" for word in words]
    if len(words) > 1 and words[-1].isdigit():
        return names[-2] in _NUMBERED and len(words) == 2
    is_qualified = all(word in _QUALIFIERS or name in _CONTAINERS for word, name in zip(words, names, strict=True))
    return bool(words) and is_qualified and names[-1] in _CONTAINERS and len(key) <= _MAX_CONTAINER
