"""Fit the JSON schema of an answer to what the service accepts, and unwrap the answer.

Arguments of a function and JSON answers are objects. A schema of a list or another value is therefore wrapped in an
object with one property. A reference at the top is replaced by its definition; all definitions stay, as recursive
schemas need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

RootType = Literal["object", "array", "value"]

ROOT_PROPERTY = "root"
"""The property of a wrapped schema: pydantic's name of the value of a `RootModel`, by which LlamaIndex sets it."""

_DEFINITIONS = ("$defs", "definitions")
_VALUE_KEYWORDS = ("anyOf", "oneOf", "allOf", "enum", "const", "not", "$ref")
_ARRAY_KEYWORDS = ("items", "prefixItems")


def get_root_type(schema: Mapping[str, Any]) -> RootType:
    """Return whether a schema describes an object, an array, or any other value; an empty schema is an object's."""
    schema = inline_root(schema)
    declared = schema.get("type")
    if declared == "object" or "properties" in schema:
        return "object"
    if declared == "array" or (declared is None and any(keyword in schema for keyword in _ARRAY_KEYWORDS)):
        return "array"
    is_object = declared is None and not any(keyword in schema for keyword in _VALUE_KEYWORDS)
    return "object" if is_object else "value"


def fit_to_object(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object: the same one with its root inlined, or one that wraps it."""
    schema = inline_root(schema)
    if get_root_type(schema) == "object":
        return dict(schema) if "type" in schema or not schema else {"type": "object", **schema}
    definitions = {name: _move_references(schema[name]) for name in _DEFINITIONS if name in schema}
    root = _move_references({name: value for name, value in schema.items() if name not in _DEFINITIONS})
    return {"type": "object", "properties": {ROOT_PROPERTY: root}, "required": [ROOT_PROPERTY], **definitions}


def unwrap_root(value: Any, root_type: RootType) -> Any:
    """Return the value of an answer to a wrapped schema; a value that the model did not wrap is returned unchanged.

    A list is also found under another name, if it is the only property: in JSON mode the model chooses the name.
    """
    if root_type == "object" or not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((name, inner),) = value.items()
    return inner if name == ROOT_PROPERTY or (root_type == "array" and isinstance(inner, list)) else value


def is_recursive(schema: Mapping[str, Any]) -> bool:
    """Return whether a definition refers to itself, directly or through others."""
    finished: set[str] = set()

    def leads_back(node: Any, path: frozenset[str]) -> bool:
        for reference in _find_references(node):
            if reference in path:
                return True
            if reference not in finished:
                if leads_back(_resolve(reference, schema), path | {reference}):
                    return True
                finished.add(reference)
        return False

    return leads_back(schema, frozenset({"#"}))


def inline_root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace a reference at the top, or a single `allOf`, by the schema that it stands for."""
    followed: set[str] = set()
    while True:
        reference, parts = schema.get("$ref"), schema.get("allOf")
        if isinstance(reference, str) and reference not in followed:
            followed.add(reference)
            target = _resolve(reference, schema)
            keyword = "$ref"
        elif isinstance(parts, list) and len(parts) == 1:
            target, keyword = parts[0], "allOf"
        else:
            return schema
        if not isinstance(target, Mapping):
            return schema
        schema = {**target, **{name: value for name, value in schema.items() if name != keyword}}


def _resolve(reference: str, schema: Mapping[str, Any]) -> Any:
    """Return what a reference within a schema points to; `None` if nothing is there."""
    node: Any = schema
    if not reference.startswith("#"):
        return None
    for key in reference[1:].split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or key not in node:
            return None
        node = node[key]
    return node


def _find_references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in node.values():
            yield from _find_references(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _find_references(value)


def _move_references(node: Any) -> Any:
    """Let references to the root, or to parts of it outside the definitions, point to the wrapping property."""
    if isinstance(node, Mapping):
        moved = {name: _move_references(value) for name, value in node.items()}
        reference = moved.get("$ref")
        if isinstance(reference, str) and reference.startswith("#") and not _is_definition(reference):
            moved["$ref"] = f"#/properties/{ROOT_PROPERTY}{reference[1:]}"
        return moved
    return [_move_references(value) for value in node] if isinstance(node, list) else node


def _is_definition(reference: str) -> bool:
    return reference.split("/")[1:2] in ([name] for name in _DEFINITIONS)
