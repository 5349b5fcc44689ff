"""Convert tools to OpenAI's form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from langchain_core.tools.base import BaseTool, create_schema_from_function
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import is_typeddict

from langchain_qwenvl.typed_dicts import build_recursive_schema
from qwenvl_core.request.output_schema import fit_to_object, get_root_type, inline_root, is_recursive


def to_openai_tool(tool: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Convert a tool in any form that LangChain accepts.

    Raises:
        ValueError: The tool has an unknown form.
    """
    converted = convert_tool(tool, strict=strict)
    function = converted.get("function") or {}
    parameters = function.get("parameters") or {}
    if get_root_type(parameters) == "object" and "$ref" not in parameters:
        return converted
    return {**converted, "function": {**function, "parameters": fit_to_object(parameters)}}


def convert_tool(tool: Any, *, strict: bool | None = None) -> dict[str, Any]:
    """Convert a tool whose parameters may be another schema than that of an object.

    LangChain's function replaces references by the definitions, and drops those: of a recursive schema, such as that of
    a tree, only the first level would be left. Such a schema is sent with its definitions.

    Raises:
        ValueError: The tool has an unknown form.
    """
    function = _describe_recursive_tool(tool)
    return convert_to_openai_tool(tool if function is None else function, strict=strict)


def _describe_recursive_tool(tool: Any) -> dict[str, Any] | None:
    """Return the definition of a tool as OpenAI's function; `None` for a tool without a recursive schema."""
    if isinstance(tool, BaseTool):
        if not _is_recursive(tool.args_schema):
            return None
        return _build_function(get_json_schema(tool.tool_call_schema), tool.name, tool.description)
    if isinstance(tool, type) and is_basemodel_subclass(tool):
        return _build_function(get_json_schema(tool)) if _is_recursive(tool) else None
    if is_typeddict(tool):
        schema = build_recursive_schema(tool)
        return None if schema is None else _build_function(schema)
    if inspect.isroutine(tool):
        arguments = _create_arguments_class(tool)
        return _build_function(get_json_schema(arguments), tool.__name__, arguments.__doc__) if arguments else None
    return None


def _build_function(schema: Mapping[str, Any], name: str = "", description: str | None = "") -> dict[str, Any]:
    root = inline_root(schema)
    return {
        "name": name or root.get("title", ""),
        "description": description or root.get("description", ""),
        "parameters": {key: value for key, value in root.items() if key not in ("title", "description")},
    }


def _is_recursive(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return is_recursive(schema)
    return isinstance(schema, type) and _is_recursive_class(schema)


# Agents bind their tools again for each turn, and the schema of a class takes about a millisecond.
@lru_cache(maxsize=256)
def _is_recursive_class(cls: type) -> bool:
    return is_recursive(get_json_schema(cls))


@lru_cache(maxsize=256)
def _create_arguments_class(function: Callable[..., Any]) -> Any:
    """Return a class with the arguments of a function; `None` if its schema is not recursive."""
    cls = create_schema_from_function(
        function.__name__, function, filter_args=(), parse_docstring=True, include_injected=False
    )
    return cls if _is_recursive_class(cls) else None


def get_json_schema(schema: Any) -> dict[str, Any]:
    """Return the JSON schema of a class of pydantic 2 or 1; a schema is returned unchanged."""
    if isinstance(schema, Mapping):
        return dict(schema)
    return dict(schema.model_json_schema() if hasattr(schema, "model_json_schema") else schema.schema())
