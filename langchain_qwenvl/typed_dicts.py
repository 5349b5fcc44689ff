"""Convert recursive `TypedDict` classes to JSON schemas: LangChain's conversion of them does not end.

pydantic cannot convert them either before Python 3.12, unless they come from `typing_extensions`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

_QUALIFIERS = (Required, NotRequired, typing_extensions.ReadOnly)


def build_recursive_schema(cls: type) -> dict[str, Any] | None:
    """Build the JSON schema of a `TypedDict`; return `None` if it is not recursive, or a name in it is unknown."""
    try:
        if not _leads_back(cls, ()):
            return None
    except NameError:
        return None
    builder = _SchemaBuilder()
    return {**builder.convert(cls), "$defs": builder.definitions}


def _leads_back(kind: Any, path: tuple[Any, ...]) -> bool:
    """Return whether a type contains a `TypedDict` that contains itself."""
    if is_typeddict(kind):
        if kind in path:
            return True
        return any(_leads_back(hint, (*path, kind)) for hint in _get_hints(kind).values())
    return any(_leads_back(inner, path) for inner in get_args(kind))


def _get_hints(cls: type) -> dict[str, Any]:
    # Within a function, the name of the class itself is known nowhere else.
    return get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)


def _contains_typed_dict(kind: Any) -> bool:
    return is_typeddict(kind) or any(_contains_typed_dict(inner) for inner in get_args(kind))


class _SchemaBuilder:
    """Convert types, and collect the definitions of the classes in them."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._names: dict[type, str] = {}

    def convert(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type; a `TypedDict` becomes a reference to its definition."""
        if is_typeddict(kind):
            return {"$ref": f"#/$defs/{self._define(kind)}"}
        origin, inner = get_origin(kind), get_args(kind)
        if origin in _QUALIFIERS or origin is Annotated:
            return self.convert(inner[0])
        if not _contains_typed_dict(kind):
            return self._convert_other(kind)
        if origin in (Union, UnionType):
            return {"anyOf": [self.convert(item) for item in inner]}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.convert(inner[-1])}
        return {"type": "array", "items": self.convert(inner[0])}

    def _convert_other(self, kind: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema()
        self.definitions |= schema.pop("$defs", {})
        return schema

    def _define(self, cls: type) -> str:
        """Define a class once, and return the name of its definition."""
        if cls not in self._names:
            number = sum(known.__name__ == cls.__name__ for known in self._names)
            name = self._names[cls] = f"{cls.__name__}_{number}" if number else cls.__name__
            fields = dict(self._convert_fields(cls))
            self.definitions[name] = {
                "type": "object",
                "title": cls.__name__,
                # `inspect.getdoc` would return the docstring of `dict` for a class without one.
                **({"description": inspect.cleandoc(cls.__doc__)} if cls.__doc__ else {}),
                "properties": {field: schema for field, (schema, _) in fields.items()},
                "required": [field for field, (_, is_required) in fields.items() if is_required],
            }
        return self._names[cls]

    def _convert_fields(self, cls: type) -> Iterator[tuple[str, tuple[dict[str, Any], bool]]]:
        """Yield each field with its schema, and whether it is required.

        As LangChain does, a field's `Annotated` is read as its default, `...` for none, and its description.
        """
        required_keys: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
        for field, hint in _get_hints(cls).items():
            schema = self.convert(hint)
            metadata: tuple[Any, ...] = getattr(hint, "__metadata__", ())
            is_required = field in required_keys and get_origin(hint) is not NotRequired
            if len(metadata) > 1 and isinstance(metadata[1], str):
                schema = {**schema, "description": metadata[1]}
                is_required = is_required and metadata[0] is ...
            yield field, (schema, is_required)
