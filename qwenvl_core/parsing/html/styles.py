"""Replace tags whose style strikes, raises or lowers their text by the tags for it, since styles are not kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from qwenvl_core.parsing.html.tokenizer import Token, split_names

STYLE_HINT = re.compile(r"style\s{0,9}=[^<>]{0,200}?(?:line-through|vertical-align|text-position)", re.IGNORECASE)
"""Whether a page may have such a style."""

_STYLED_TAGS = split_names("span font b i u em strong a label bdi mark")
_ELEMENT = re.compile(
    r"<(?P<name>span|font)\b(?P<attributes>[^<>]{0,500}+)>(?P<content>[^<>]*+)</(?P=name)>", re.IGNORECASE
)
_TAG_BY_STYLE = (
    (re.compile(r"line-through", re.IGNORECASE), "del"),
    (re.compile(r"(?:vertical-align|text-position)\s{0,9}:\s{0,9}(?:super|text-top)", re.IGNORECASE), "sup"),
    (re.compile(r"(?:vertical-align|text-position)\s{0,9}:\s{0,9}(?:sub|text-bottom)", re.IGNORECASE), "sub"),
)


def convert_styles(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield the tokens of a page with `<del>`, `<sup>` and `<sub>` for styled tags."""
    open_tags: dict[str, list[str]] = {name: [] for name in _STYLED_TAGS}  # what each open tag became, by its name
    for token in tokens:
        if token.name not in _STYLED_TAGS or token.kind not in ("start", "end"):
            yield token
        elif token.kind == "start":
            name = _find_tag(token)
            open_tags[token.name].append(name)
            yield token if name == token.name else Token("start", name, token.attributes)
        else:
            names = open_tags[token.name]
            yield Token("end", names.pop() if names else token.name)


def replace_styles(text: str) -> str:
    """Replace styled tags without tags inside them, in Markdown, by the tags for their style."""
    return _ELEMENT.sub(_replace_element, text) if STYLE_HINT.search(text) else text


def _replace_element(match: re.Match[str]) -> str:
    name = next((name for pattern, name in _TAG_BY_STYLE if pattern.search(match["attributes"])), None)
    return f"<{name}>{match['content']}</{name}>" if name else match.group()


def _find_tag(token: Token) -> str:
    style = token.attributes.get("style", "")
    return next((name for pattern, name in _TAG_BY_STYLE if style and pattern.search(style)), token.name)
