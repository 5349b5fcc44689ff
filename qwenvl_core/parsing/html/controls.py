"""Convert the controls of a form to text: ticks of boxes, values of fields, choices of lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qwenvl_core.parsing.html.tokenizer import BLOCK_TAGS, Token, split_names

TICKED, EMPTY = "☑", "☐"
_TICK_TYPES = frozenset({"checkbox", "radio"})
_WITHOUT_VALUE = frozenset({"hidden", "image", "file"})
_SPACED_TAGS = split_names("textarea button output meter progress select tspan text")
_FALSE = frozenset({"false", "0", "no", "off"})
_FIELD_TAGS = split_names("input isindex")
CONTROL_TAGS = _SPACED_TAGS | _FIELD_TAGS | {"option"}


def convert_controls(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield the tokens of a page with the controls of its forms as text."""
    choices: list[Token] | None = None  # the tokens of the open list of choices
    for token in tokens:
        is_list_tag = token.name == "select" and token.kind != "void"
        if choices is not None and (is_list_tag or token.name in BLOCK_TAGS):
            yield from _convert_choices(choices)
            choices = None
        if token.name == "select" and token.kind == "start" and "data-bbox" not in token.attributes:
            choices = []
        elif choices is not None:
            choices.append(token)
        else:
            yield from _convert_control(token)
    yield from _convert_choices(choices or [])


def _convert_control(token: Token) -> Iterator[Token]:
    """Yield the token, or the text of a control with a space on each side."""
    if token.name not in CONTROL_TAGS or "data-bbox" in token.attributes:
        yield token
    elif token.name in _FIELD_TAGS and token.kind != "end":
        yield Token("text", text=f" {_format_input(token)} ")
    elif token.name in ("meter", "progress") and token.kind != "end" and token.attributes.get("value"):
        yield Token("text", text=f" {token.attributes['value']} ")
    else:
        yield Token("text", text=" ")


def _format_input(token: Token) -> str:
    kind = token.attributes.get("type", "text").strip().lower()
    if kind in _TICK_TYPES:
        return TICKED if _is_set(token, "checked") else EMPTY
    return "" if kind in _WITHOUT_VALUE else token.attributes.get("value", "")


def _is_set(token: Token, name: str) -> bool:
    return name in token.attributes and token.attributes[name].strip().lower() not in _FALSE


def _convert_choices(tokens: list[Token]) -> Iterator[Token]:
    """Yield the choices of a list, each with a tick or an empty box if one of them is selected."""
    has_selected = any(token.name == "option" and _is_set(token, "selected") for token in tokens)
    if tokens:
        yield Token("text", text=" ")
    for token in tokens:
        if token.name != "option":
            yield from _convert_control(token)
        elif token.kind != "end":
            sign = (TICKED if _is_set(token, "selected") else EMPTY) if has_selected else ""
            yield Token("text", text=f" {sign} ")
    if tokens:
        yield Token("text", text=" ")
