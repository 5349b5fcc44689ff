"""Test the style of names, comments and docstrings: terms of the field, no filler words, no metaphors."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")
FOLDERS = (*PACKAGES, "tests", "bench", "examples", "docs")
FILES = {str(path.relative_to(ROOT)): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}
FILLER_WORDS = {
    *("told", "said", "says", "seen", "asked", "asking", "heard", "spoken", "meant", "wanted", "given", "whose"),
    *("beside", "most", "least", "house", "room", "rooms", "clothes", "road", "roads", "farewell"),
}
METAPHORS = re.compile(r"\b(house|rooms?|clothes|farewell|roads?|whose\s+word|by\s+the\s+word\s+of)\b", re.IGNORECASE)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

every_file = pytest.mark.parametrize("name", FILES)
every_package_file = pytest.mark.parametrize("name", [name for name in FILES if name.startswith(PACKAGES)])


def parse(path: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every function, class, argument, variable and attribute that a module defines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield node.lineno, name


def split_words(name: str) -> list[str]:
    """Split an identifier at underscores and capitals, in lower case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().split("_")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of every comment."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of every docstring, including strings that document an attribute."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", ()) if isinstance(node, Documented) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


@every_file
def test_defined_names_have_no_filler_words(name: str) -> None:
    found = [
        f"{line}: {identifier}"
        for line, identifier in defined_names(parse(FILES[name]))
        if FILLER_WORDS.intersection(split_words(identifier))
    ]
    assert found == []


@every_file
def test_comments_and_docstrings_have_no_metaphors(name: str) -> None:
    texts = [*comments(FILES[name]), *docstrings(parse(FILES[name]))]
    assert [f"{line}: {match[0]}" for line, text in texts for match in METAPHORS.finditer(text)] == []


@every_package_file
def test_docstrings_start_with_full_sentence(name: str) -> None:
    nodes = [node for node in ast.walk(parse(FILES[name])) if isinstance(node, Documented)]
    first_lines = [(node, (ast.get_docstring(node) or ".").partition("\n")[0]) for node in nodes]
    assert [f"{getattr(node, 'name', 'module')}: {line}" for node, line in first_lines if not line.endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_is_said_by", ["", "is", "said", "by"]),
        ("ToldUser", ["told", "user"]),
        ("SSEMost", ["sse", "most"]),
        ("mostly", ["mostly"]),
    ],
)
def test_split_words_separates_underscores_and_capitals(name: str, words: list[str]) -> None:
    assert split_words(name) == words


def test_defined_names_include_all_kinds_of_definitions() -> None:
    source = """
import os as a
class B:
    c: int = 1
    def d(self, e, *f, g=1, **h):
        self.i = 1
        for j, (k, *l) in []: pass
        with open() as m: pass
        if n := 1: pass
        match 1:
            case [o, *p]: pass
            case {"x": q, **r}: pass
        try: pass
        except OSError as s: pass
        return [t for t in ()], lambda u: u
async def v(): pass
"""
    names = {name for _, name in defined_names(ast.parse(source))}
    assert names == {"self", *"aBcdefghijklmnopqrstuv"}
