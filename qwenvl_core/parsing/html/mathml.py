"""Convert MathML to inline HTML, whose superscripts and subscripts can be shown and written as plain text.

A fraction becomes `(a + b)/(c)`, a root `√(x)`. The source in another notation that MathML may hold is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, Token, split_names

MATH_TAGS = split_names("math mfrac msup msub msubsup msqrt mroot mrow mtable mover munder munderover")
"""Tags that begin a formula; models sometimes leave out `<math>`."""

_MAX_DEPTH = 30  # deeper tags are left out and their text is kept
_HIDDEN = frozenset({"annotation", "annotation-xml", "mphantom"})
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064"))
_ACCENTS = frozenset("¯ˉ‾^~˜→⃗˙¨´`ˇ˘_")


@dataclass(slots=True)
class _Node:
    """A tag of MathML with its content, or text if it has no name."""

    name: str
    text: str = ""
    children: list[_Node] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)


def convert_math(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield the tokens of a page with its MathML as inline tags and text."""
    root, depth = "", 0  # the outermost tag of the open formula, and how many of its name are open
    math: list[Token] = []
    before: list[Token] = []
    for token in tokens:
        is_outside = token.name in BLOCK_TAGS or "data-bbox" in token.attributes
        if not depth and token.name in MATH_TAGS and token.kind == "start" and not is_outside:
            root, depth, math = token.name, 1, [] if token.name == "math" else [token]
            continue
        if depth and not is_outside:  # else the end tag is missing
            depth += {"start": 1, "end": -1}.get(token.kind, 0) if token.name == root else 0
            math.append(token)
            if depth:
                continue
        is_end = bool(math) and not is_outside
        if math:
            before = _write_row([_build_tree(math)], before)
            yield from before
            math, depth = [], 0
        if not is_end:
            if token.text and _ends_with_digit(before) and _starts_with_digit([token]):
                yield Token("text", text=" ")
            before = [token] if token.text else []
            yield token
    if math:
        yield from _write_row([_build_tree(math)], before)


def _build_tree(tokens: list[Token]) -> _Node:
    root = _Node("math")
    stack = [root]
    for token in tokens:
        if token.kind == "text":
            text = " ".join(token.text.translate(_INVISIBLE).split())
            if text:
                stack[-1].children.append(_Node("", text))
        elif token.kind == "end":
            if any(node.name == token.name for node in stack[1:]):
                while stack.pop().name != token.name:
                    pass
        elif token.kind in ("start", "void"):
            node = _Node(token.name, attributes=token.attributes)
            if len(stack) < _MAX_DEPTH:
                stack[-1].children.append(node)
                if token.kind == "start":
                    stack.append(node)
    return root


def _write(node: _Node) -> list[Token]:
    if not node.name:
        return [Token("text", text=node.text)]
    if node.name in _HIDDEN:
        return []
    write = _WRITERS.get(node.name)
    return write(node) if write and node.children else _write_row(node.children)


def _write_row(nodes: list[_Node], before: list[Token] | None = None) -> list[Token]:
    """Write nodes one after the other, and a space between a number and a number or fraction after it.

    Args:
        nodes: The nodes.
        before: The tokens that precede them, which are not written.
    """
    tokens: list[Token] = []
    for node in nodes:
        written = _write(node)
        if written and _ends_with_digit(tokens or before or []) and _starts_with_digit(written):
            tokens.append(Token("text", text=" "))
        tokens += written
    return tokens


def _ends_with_digit(tokens: list[Token]) -> bool:
    return bool(tokens) and (tokens[-1].kind == "end" or tokens[-1].text[-1:].isdigit())


def _starts_with_digit(tokens: list[Token]) -> bool:
    return tokens[0].text[:1].isdigit() or (tokens[0].text.startswith("(") and any(t.text == "/" for t in tokens))


def _write_argument(node: _Node) -> list[Token]:
    """Write a node, in parentheses unless it is one number or name."""
    tokens = _write(node)
    text = "".join(token.text for token in tokens)
    if len(tokens) == 1 and (text.isalnum() or text.replace(".", "", 1).isdigit()):
        return tokens
    return [Token("text", text="("), *tokens, Token("text", text=")")]


def _write_fraction(node: _Node) -> list[Token]:
    first, *rest = node.children
    slash = [Token("text", text="/")] if rest else []
    return [*_write_argument(first), *slash, *(token for child in rest[:1] for token in _write_argument(child))]


def _write_root(node: _Node) -> list[Token]:
    if node.name == "msqrt":
        return [Token("text", text="√"), *_write_argument(_Node("mrow", children=node.children))]
    radicand, *index = node.children
    degree = [Token("text", text="["), *_write(index[0]), Token("text", text="]")] if index else []
    return [Token("text", text="√"), *degree, *_write_argument(radicand)]


def _write_scripts(node: _Node) -> list[Token]:
    base, *scripts = node.children
    tokens = _write(base)
    for tag, script in zip(_SCRIPT_TAGS[node.name], scripts, strict=False):
        written = _write(script)
        text = "".join(token.text for token in written)
        if text in _ACCENTS:
            tokens += written
        elif written:
            tokens += [Token("start", tag), *written, Token("end", tag)]
    return tokens


def _write_table(node: _Node) -> list[Token]:
    """Write the cells of a row with commas, and rows with semicolons between them."""
    separator = "; " if node.name == "mtable" else ", "
    tokens: list[Token] = []
    for child in node.children:
        written = _write(child)
        if tokens and written:
            tokens.append(Token("text", text=separator))
        tokens += written
    return tokens


def _write_fenced(node: _Node) -> list[Token]:
    opening, closing = node.attributes.get("open", "("), node.attributes.get("close", ")")
    return [Token("text", text=opening), *_write_table(node), Token("text", text=closing)]


_SCRIPT_TAGS = {
    "msup": ("sup",),
    "msub": ("sub",),
    "msubsup": ("sub", "sup"),
    "mover": ("sup",),
    "munder": ("sub",),
    "munderover": ("sub", "sup"),
}
_WRITERS: dict[str, Callable[[_Node], list[Token]]] = {
    **dict.fromkeys(_SCRIPT_TAGS, _write_scripts),
    **dict.fromkeys(("msqrt", "mroot"), _write_root),
    **dict.fromkeys(("mtable", "mtr", "mlabeledtr"), _write_table),
    "mfrac": _write_fraction,
    "mfenced": _write_fenced,
    "semantics": lambda node: _write(node.children[0]),
}
