"""Show the keywords of pydantic classes in the reference: an extension of griffe, for mkdocstrings.

A chat model's keywords are fields of several base classes, and their descriptions are docstrings below the fields. The
extension collects those that this project declares, with resolved types and defaults, as the parameters of the class,
and removes the fields from the members, so that each appears once. Fields of the frameworks' classes are left out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import griffe
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PACKAGES = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")
_QUALIFIER = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")

_OPTIONAL = re.compile(r"^Optional\[(.*)\]$")


@dataclass(frozen=True)
class Keyword:
    """A keyword of a class."""

    name: str
    annotation: str
    default: str | None
    description: str


class ReferenceFields(griffe.Extension):
    """Turn the fields of pydantic classes into parameters."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Convert the classes of a package, after it was read."""
        if pkg.name in PACKAGES:
            for described in _iterate_classes(pkg):
                cls = getattr(importlib.import_module(described.module.path), described.name, None)
                if isinstance(cls, type) and issubclass(cls, BaseModel):
                    _describe_keywords(described, cls)


def list_keywords(cls: type[BaseModel]) -> list[Keyword]:
    """Return the keywords of a class that this project declares: the model, then the others as they are declared."""
    documented = {}
    for base in reversed(cls.__mro__):
        if base.__module__.split(".")[0] in PACKAGES:
            documented.update(_read_fields(base))
    names = sorted(documented.keys() & cls.model_fields.keys(), key=list(cls.model_fields).index)
    names.sort(key=lambda name: name != "model")
    fields = {name: cls.model_fields[name] for name in names}
    return [
        Keyword(name, format_type(field), _format_default(field), documented[name]) for name, field in fields.items()
    ]


def format_type(field: FieldInfo) -> str:
    """Write the type of a field as its declaration would, without the modules of the names."""
    annotation: Any = field.annotation
    is_plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    text = _QUALIFIER.sub("", annotation.__name__ if is_plain else str(annotation))
    text = text.replace("SecretStr", "str | SecretStr")  # pydantic converts a plain string
    return _OPTIONAL.sub(r"\1 | None", text)


def _iterate_classes(module: griffe.Module) -> Iterator[griffe.Class]:
    for member in module.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Module):
            yield from _iterate_classes(member)
        elif isinstance(member, griffe.Class):
            yield member


def _describe_keywords(described: griffe.Class, cls: type[BaseModel]) -> None:
    keywords = list_keywords(cls)
    for name in [name for name in described.members if name in cls.model_fields or name == "model_config"]:
        del described.members[name]
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    parameters += [
        griffe.Parameter(
            keyword.name,
            annotation=keyword.annotation,
            kind=griffe.ParameterKind.keyword_only,
            default=keyword.default,
        )
        for keyword in keywords
    ]
    described.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters)))
    if described.docstring is not None:
        lines = [f"    {keyword.name}: {keyword.description}" for keyword in keywords]
        described.docstring.value = "\n".join([described.docstring.value.rstrip(), "", "Args:", *lines])


def _read_fields(cls: type) -> dict[str, str]:
    """Return the descriptions of the fields that a class declares itself; those below the declarations."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    descriptions: dict[str, str] = {}
    for statement, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    descriptions[statement.target.id] = " ".join(text.split())
                case _:
                    descriptions[statement.target.id] = ""
    return descriptions


def _format_default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    with mock.patch.dict(os.environ, variables, clear=True):  # some defaults are read from the environment
        return repr(field.get_default(call_default_factory=True))
