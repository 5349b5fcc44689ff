"""Schemas of answers: objects at the top, all definitions kept, and values unwrapped."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from qwenvl_core.request.output_schema import RootType, fit_to_object, get_root_type, is_recursive, unwrap_root


class Item(BaseModel):
    name: str


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Left(BaseModel):
    right: Right | None = None


class Right(BaseModel):
    left: Left | None = None


class Items(RootModel[list[Item]]): ...


class Nodes(RootModel[list[Node]]): ...


class Either(RootModel[Item | list[Item]]): ...


ROOT_TYPES: list[tuple[dict[str, Any], RootType]] = [
    (Item.model_json_schema(), "object"),
    (Node.model_json_schema(), "object"),
    (RootModel[Item].model_json_schema(), "object"),
    (RootModel[dict[str, int]].model_json_schema(), "object"),
    (Items.model_json_schema(), "array"),
    (Nodes.model_json_schema(), "array"),
    (RootModel[Items].model_json_schema(), "array"),
    (RootModel[tuple[int, str]].model_json_schema(), "array"),
    (Either.model_json_schema(), "value"),
    (RootModel[int].model_json_schema(), "value"),
    ({"items": {"type": "integer"}}, "array"),
    ({"allOf": [{"$ref": "#/definitions/A"}], "definitions": {"A": {"type": "object"}}}, "object"),
    ({"properties": {"a": {}}}, "object"),
    ({"enum": ["a", "b"]}, "value"),
    ({"type": ["array", "null"]}, "value"),
    ({"$ref": "#"}, "value"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "value"),
    ({"$ref": "https://example.com/schema"}, "value"),
    ({}, "object"),
]


@pytest.mark.parametrize(("schema", "root_type"), ROOT_TYPES)
def test_root_type_of_schema(schema: dict[str, Any], root_type: RootType) -> None:
    assert get_root_type(schema) == root_type
    fitted = fit_to_object(schema)
    assert fitted.get("type", "object") == "object"
    assert (list(fitted.get("properties", ())) == ["root"]) is (root_type != "object")


def test_object_schema_is_unchanged() -> None:
    schema = Item.model_json_schema()
    assert fit_to_object(schema) == schema
    assert fit_to_object({}) == {}


def test_recursive_object_schema_keeps_definitions() -> None:
    fitted = fit_to_object(Node.model_json_schema())
    assert list(fitted["properties"]) == ["name", "children"]
    assert fitted["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert fitted["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert "$ref" not in fitted


def test_array_schema_is_wrapped_with_definitions_at_the_top() -> None:
    fitted = fit_to_object(Nodes.model_json_schema())
    assert fitted["properties"]["root"] == {"items": {"$ref": "#/$defs/Node"}, "title": "Nodes", "type": "array"}
    assert (fitted["required"], list(fitted["$defs"])) == (["root"], ["Node"])


def test_references_to_a_wrapped_root_are_moved() -> None:
    references = [{"$ref": "#"}, {"$ref": "#/$defs/A"}, {"$ref": "#/items"}]
    schema = {"type": "array", "items": {"anyOf": references}, "$defs": {"A": {"$ref": "#"}}}
    fitted = fit_to_object(schema)
    root = "#/properties/root"
    assert fitted["properties"]["root"]["items"]["anyOf"] == [
        {"$ref": root},
        {"$ref": "#/$defs/A"},
        {"$ref": f"{root}/items"},
    ]
    assert fitted["$defs"] == {"A": {"$ref": "#/properties/root"}}
    assert schema["$defs"] == {"A": {"$ref": "#"}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (Item.model_json_schema(), False),
        (Items.model_json_schema(), False),
        (Node.model_json_schema(), True),
        (Nodes.model_json_schema(), True),
        (Left.model_json_schema(), True),
        ({"type": "object", "properties": {"next": {"$ref": "#"}}}, True),
        ({"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}, False),
        ({"properties": {"$ref": {"type": "string"}}}, False),
        ({"$ref": "#/$defs/missing"}, False),
    ],
)
def test_recursion_is_found(schema: dict[str, Any], expected: bool) -> None:
    assert is_recursive(schema) is expected


@pytest.mark.parametrize(
    ("value", "root_type", "expected"),
    [
        ({"root": [1]}, "array", [1]),
        ({"items": [1]}, "array", [1]),
        ([1], "array", [1]),
        ({"root": {"a": 1}}, "value", {"a": 1}),
        ({"items": [1]}, "value", {"items": [1]}),
        ({"root": [1]}, "object", {"root": [1]}),
        ({"root": [1], "more": 2}, "array", {"root": [1], "more": 2}),
        ({}, "array", {}),
        (None, "value", None),
    ],
)
def test_value_is_unwrapped(value: Any, root_type: RootType, expected: Any) -> None:
    assert unwrap_root(value, root_type) == expected
