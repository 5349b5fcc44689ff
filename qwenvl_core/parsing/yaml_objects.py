"""Find objects with coordinates in YAML, by the indentation of its lines.

```
- bbox_2d: [100, 200, 300, 400]
  label: mug
```

Only mappings, lists and plain scalars are read: models write no more, and the text around them is prose, which a YAML
library rejects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from qwenvl_core.parsing.coordinate_keys import get_kind, is_prose
from qwenvl_core.parsing.json_scanner import ScannedObject
from qwenvl_core.parsing.numbers import NUMBER, parse_numbers

# Between two pairs on one line, such as `label: cup, bbox_2d: [1, 2, 3, 4]`.
_PAIR_END = re.compile(r",[ \t]{1,9}(?=(?:bbox_[23]d|point_2d|label|sub_label)[ \t]{0,9}:)")
_HINT = re.compile(
    r"(?:^[ \t]{0,80}(?:-[ \t]{1,9})*|,[ \t]{1,9}(?=(?:bbox|point)_[23]d))"
    r"[\"']?((?:[a-z]{1,9}[ _-]?)?(?:b?box|point|poly|quad)[^:\"'\n]{0,20})[\"']?\s{0,9}:",
    re.MULTILINE | re.IGNORECASE,
)
_JSON = re.compile(r"\{\s*+\\?[\"']")
_LINE = re.compile(
    r"(?P<indent>[ \t]{0,80}(?:-[ \t]{1,9}){0,5})"
    r"(?P<key>\"[^\"\n]{1,80}\"|'[^'\n]{1,80}'|[^\s\"'{}\[\](),:#<>-][^\"'{}\[\](),:#<>\n]{0,80}?)[ \t]{0,9}:"
    r"(?:[ \t]+(?P<value>.*))?\Z"
)
_ITEM = re.compile(r"[ \t]{0,80}-[ \t]{1,9}(?P<value>[^\s:][^:]{0,80})\Z")
_LISTS = re.compile(
    r"^[ \t]{0,80}(?:-[ \t]{1,9})?[\"']?(?P<key>[^\W\d][\w -]{0,80}+)[\"']?:[ \t]*(?:"
    r"\n(?P<items>(?:[ \t]{0,80}-[ \t]{1,9}\[[^\[\]\n]{0,200}\][ \t]*(?:\n|\Z))++)"
    r"|\[(?P<flow>(?:[\s,]{0,99}+\[[^\[\]\n]{0,200}\])++))",
    re.MULTILINE,
)
_BRACKET = re.compile(r"\[")
_ITEM_IN_BRACKETS = re.compile(r"\[([^\[\]]*+)\]")
_MAX_FLOW_LINES = 20
_MAX_KEY_WORDS = 4  # a longer key of a mapping is prose before it
_COMMENT = re.compile(r"\s#.*\Z")
_CONSTANTS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(slots=True)
class _Mapping:
    """A mapping that is not ended yet.

    Attributes:
        start: Offset of its first key.
        column: Column of its keys.
        parent_key: The key that it stands under.
        items: Its items so far.
        last_key: The key of the last item.
    """

    start: int
    column: int
    parent_key: str | None
    items: dict[str, Any] = field(default_factory=dict)
    last_key: str = ""


def is_yaml(text: str) -> bool:
    """Return whether a text has lines with coordinate keys in YAML, and no JSON objects."""
    lower = text.lower()
    has_words = ":" in text and any(word in lower for word in ("box", "point", "poly", "quad"))
    return has_words and any(get_kind(match[1]) for match in _HINT.finditer(text)) and _JSON.search(text) is None


def find_yaml_objects(text: str, *, is_cut: bool = False) -> list[ScannedObject]:
    """Find mappings with a coordinate key in linear time.

    Args:
        text: The answer.
        is_cut: Whether the answer was cut off, so that the mapping at its end may be incomplete.
    """
    reader = _YamlReader()
    offset = 0
    for line in text.split("\n"):
        for pair in _split_pairs(line):
            reader.add_line(pair.rstrip(), offset)
        offset += len(line) + 1
    if not is_cut:
        reader.end_mappings(0)
    return reader.objects


def _split_pairs(line: str) -> list[str]:
    """Return a line, or each of its pairs with the indentation of the first one."""
    pairs = _PAIR_END.split(line) if ", " in line else []
    match = _LINE.match(pairs[0]) if len(pairs) > 1 else None
    return [pairs[0], *(" " * match.start("key") + pair for pair in pairs[1:])] if match else [line]


def find_list_keys(text: str) -> dict[int, str]:
    """Return the key of each item of a list such as `key: [[1, 2, 30, 40]]` by the offset of the item's bracket.

    The items may be on lines of their own below the key, each after a hyphen.
    """
    keys: dict[int, str] = {}
    for lists in _LISTS.finditer(text) if ":" in text else ():
        key = lists["key"]
        if len(key.split()) <= _MAX_KEY_WORDS and not is_prose(key):
            group = "items" if lists["items"] else "flow"
            keys.update((lists.start(group) + item.start(), key) for item in _BRACKET.finditer(lists[group]))
    return keys


class _YamlReader:
    def __init__(self) -> None:
        self.objects: list[ScannedObject] = []
        self._open: list[_Mapping] = []
        self._flow: list[str] | None = None  # the lines of a list in brackets that is not closed yet
        self._depth = 0  # of its brackets

    def add_line(self, line: str, offset: int) -> None:
        """Read a line that begins at `offset`."""
        if self._flow is not None:
            self._flow.append(line)
            self._depth += _count_open_brackets(line)
            if self._depth <= 0 or len(self._flow) > _MAX_FLOW_LINES:
                self._set_value(" ".join(self._flow))
                self._flow = None
            return
        match = _LINE.match(line)
        item = None if match else _ITEM.match(line)
        if match:
            self._add_key(match, offset)
        elif item and self._open:
            self._add_list_item(item["value"])
        elif line[:1].strip():  # prose, or the end of a code fence
            self.end_mappings(0)

    def end_mappings(self, column: int) -> None:
        """End the mappings whose keys are at this column or further to the right."""
        while self._open and self._open[-1].column >= column:
            mapping = self._open.pop()
            if any(get_kind(key) and value for key, value in mapping.items.items()):
                self.objects.append(ScannedObject(mapping.start, mapping.items, mapping.parent_key))

    def _add_key(self, match: re.Match[str], offset: int) -> None:
        column, key = match.start("key"), match["key"].strip("\"'")
        self.end_mappings(column if "-" in match["indent"] else column + 1)
        top = self._open[-1] if self._open else None
        if top and top.column == column and key in top.items and any(map(get_kind, top.items)):
            self.end_mappings(column)  # the next object, without a mark between
            top = self._open[-1] if self._open else None
        if top is None or top.column != column:
            is_name = top is not None and len(top.last_key.split()) <= _MAX_KEY_WORDS and not is_prose(top.last_key)
            top = _Mapping(offset + column, column, top.last_key if top and is_name else None)
            self._open.append(top)
        top.last_key = key
        value = match["value"] or ""
        self._depth = _count_open_brackets(value) if value.startswith("[") else 0
        if self._depth > 0:
            self._flow = [value]
        else:
            self._set_value(value)

    def _set_value(self, source: str) -> None:
        top = self._open[-1]
        top.items[top.last_key] = _parse_value(source)

    def _add_list_item(self, source: str) -> None:
        items = self._open[-1].items
        key = self._open[-1].last_key
        values = items.get(key)
        if values is None:
            values = items[key] = []
        if isinstance(values, list):
            values.append(_parse_value(source))


def _count_open_brackets(line: str) -> int:
    return line.count("[") - line.count("]")


def _parse_value(source: str) -> Any:
    source = _COMMENT.sub("", source).strip()
    if source.startswith("[") and "[" in source[1:]:
        return [numbers for item in _ITEM_IN_BRACKETS.findall(source) if (numbers := parse_numbers(item))] or source
    if source[:1] in ("[", "("):
        return parse_numbers(source) or source
    if len(source) > 1 and source[0] == source[-1] and source[0] in "\"'":
        return source[1:-1]
    if NUMBER.fullmatch(source) and len(source) < 16:
        return float(source) if "." in source else int(source)
    return _CONSTANTS.get(source.lower(), source)
