"""Render the documentation page of the errors from the docstrings and attributes of their classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import langchain_core.exceptions as langchain

import langchain_qwenvl
from qwenvl_core import errors
from qwenvl_core.errors import QwenVLError
from tests.support.rendered_pages.markdown import build_notice, build_table, join_sections, mark, quote

Kind = type[QwenVLError]

_INTRODUCTION = f"""# Errors

{build_notice("qwenvl_core/errors.py")}

Every error of this package is a `QwenVLError`. LlamaIndex users catch these classes, LangChain users the classes of the
same names in `langchain_qwenvl`: each is also the class of langchain-core in the table, so that middleware and agents
know it. An error of the SDK or of the connection is the `__cause__`.

```text
{{tree}}
```

## Attributes

{{attributes}}

## Causes and ways out

“Repeated” means that the same request may succeed later. Within a call it is repeated up to `max_retries` times, as
long as no part of an answer has arrived, and after the delay that the server requests. HTTP 409 is repeated too.
"""
_MESSAGE = """## The message

A message begins with what is wrong, the place in your input (`messages[2].content[0]`) and the value, then says what is
allowed. `status_code`, `code` and `request_id` follow in brackets, then the hint:

"""


def render() -> str:
    """Render the page as Markdown."""
    tree = "\n".join(_draw_tree(QwenVLError))
    attributes = [
        (f"`{name}`", _link(kind) if kind is not QwenVLError else "all", meaning)
        for kind in list_errors(QwenVLError)
        for name, meaning in _list_attributes(kind)
    ]
    return join_sections(
        _INTRODUCTION.format(tree=tree, attributes=build_table(("attribute", "of", "meaning"), attributes)),
        build_table(
            ("class", "cause", "way out", "repeated", "in LangChain also"), map(_list_error, list_errors(QwenVLError))
        ),
        _MESSAGE
        + build_table(("class", "hint"), [(_link(kind), kind.hint) for kind in list_errors(QwenVLError) if kind.hint]),
    )  # fmt: skip


def list_errors(kind: Kind) -> Iterator[Kind]:
    """Yield a class of the core and those below it, in the order of their definition."""
    yield kind
    for child in _list_children(kind):
        yield from list_errors(child)


def _draw_tree(kind: Kind, indent: str = "") -> Iterator[str]:
    others = [base.__name__ for base in kind.__bases__[1:]]
    yield indent + kind.__name__ + (f" ({', '.join(others)})" if others else "")
    for child in _list_children(kind):
        yield from _draw_tree(child, f"{indent}    ")


def _list_children(kind: Kind) -> list[Kind]:
    """Return the classes of the core whose first base is `kind`, so that each is listed once."""
    children = kind.__subclasses__()
    return [child for child in children if child.__module__ == errors.__name__ and child.__bases__[0] is kind]


def _list_error(kind: Kind) -> tuple[str, ...]:
    cause, way_out = _read_docstring(kind)
    return _link(kind), cause, way_out, mark(kind.retryable), _list_counterparts(kind)


def _read_docstring(kind: Kind) -> tuple[str, str]:
    """Return the cause, which is the first paragraph, and the way out."""
    paragraphs = inspect.cleandoc(kind.__dict__["__doc__"]).split("\n\n")
    (way_out,) = (text.removeprefix("Way out: ") for text in paragraphs if text.startswith("Way out: "))
    return " ".join(paragraphs[0].split()), " ".join(way_out.split())


def _list_attributes(kind: Kind) -> list[tuple[str, str]]:
    """Return the attributes that the docstring of a class describes."""
    text = inspect.cleandoc(kind.__dict__["__doc__"])
    section = re.search(r"^Attributes:\n((?: +.*\n)+)", text, re.MULTILINE)
    entries = re.split(r"^ {4}(?=\w)", section[1], flags=re.MULTILINE)[1:] if section else []
    return [(name, " ".join(meaning.split())) for name, _, meaning in (entry.partition(":") for entry in entries)]


def _list_counterparts(kind: Kind) -> str:
    counterpart = getattr(langchain_qwenvl, kind.__name__, kind) if kind is not QwenVLError else kind
    bases = [base for base in counterpart.__mro__ if base.__module__ == langchain.__name__]
    direct = [base for base in bases if not any(other is not base and issubclass(other, base) for other in bases)]
    return quote(base.__name__ for base in direct)


def _link(kind: Kind) -> str:
    return f"[`{kind.__name__}`](reference/qwenvl_core.md#{kind.__module__}.{kind.__name__})"
