"""Test that the reference shows every public name with its types, defaults, errors and an example."""

from __future__ import annotations

import html
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.docs.built_site import BuiltSite
from tests.docs.reference_fields import list_keywords
from tests.support.public_names import PUBLIC_NAMES, PublicName

_HEADING = re.compile(r'<h([1-6]) id="([^"]+)"')
_TAG = re.compile(r"<[^>]+>")
NEVER_RAISE = {
    *("qwenvl_core.models.describe", "qwenvl_core.tokens.exceeds_max_ratio"),
    *("qwenvl_core.grounding.Grounded", "qwenvl_core.layout.LayoutElement", "qwenvl_core.layout.PageLayout"),
    *("qwenvl_core.media.SampledFrames", "qwenvl_core.models.ModelFacts", "qwenvl_core.types.batch.BatchStatus"),
    *("qwenvl_core.types.retrieval.Ranked", "qwenvl_core.types.retrieval.RetrievalUsage"),
    *("langchain_qwenvl.Citation", "llama_index_qwenvl.Citation"),
}
"""Values and functions for which no argument is wrong."""

BUILT_HERE = {"qwenvl_core.types.retrieval.Ranked", "qwenvl_core.client.batch_job.BatchJob"}
"""Classes that users get, but do not construct."""

each_name = pytest.mark.parametrize("name", PUBLIC_NAMES, ids=lambda name: name.path)


@cache
def read_sections(page: Path) -> dict[str, str]:
    """Return the HTML of a page's sections by anchor: from the heading to the next one that is not below it."""
    text = page.read_text(encoding="utf-8")
    headings = [(int(match[1]), match[2], match.start()) for match in _HEADING.finditer(text)]
    sections = {}
    for index, (level, anchor, start) in enumerate(headings):
        ends = (later for later_level, _, later in headings[index + 1 :] if later_level <= level)
        sections[anchor] = text[start : next(ends, len(text))]
    return sections


def read_section(site: BuiltSite, name: PublicName) -> str:
    return read_sections(site.folder / "reference" / f"{name.page}.html")[name.path]


def to_text(markup: str) -> str:
    """Return the text of HTML with all white space removed, so that line breaks do not matter."""
    return "".join(html.unescape(_TAG.sub("", markup)).split())


def squeeze(text: str) -> str:
    return "".join(text.replace("`", "").split())


@each_name
def test_name_is_in_the_reference_with_its_docstring(name: PublicName, site: BuiltSite) -> None:
    text = to_text(read_section(site, name))
    if not name.is_constant:
        first = inspect.cleandoc(name.value.__doc__).split("\n\n")[0]
        assert squeeze(first) in text


@pytest.mark.parametrize("name", [name for name in PUBLIC_NAMES if not name.is_constant], ids=lambda name: name.path)
def test_name_has_an_example_and_its_errors(name: PublicName, site: BuiltSite) -> None:
    section = read_section(site, name)
    assert 'class="language-python' in section[section.index("Example") :]
    if not name.is_error and name.path not in NEVER_RAISE:
        assert "Raises:" in to_text(section)


def list_parameters(name: PublicName) -> list[tuple[str, str, str | None]]:
    """Return name, type and default of the parameters of a function or class, as they are written."""
    value = name.value
    if inspect.isclass(value) and issubclass(value, BaseModel):
        return [(keyword.name, keyword.annotation, keyword.default) for keyword in list_keywords(value)]
    if name.is_error or name.path in BUILT_HERE:
        return []
    parameters = inspect.signature(value).parameters.values()
    return [
        (
            item.name,
            re.sub(r"\b\w+\.(?=\w)", "", str(item.annotation)),
            None if item.default is item.empty else repr(item.default),
        )
        for item in parameters
    ]


@each_name
def test_parameters_have_their_types_and_defaults(name: PublicName, site: BuiltSite) -> None:
    if name.is_constant:
        return
    text = re.sub(r"(?<=\d)_(?=\d)", "", to_text(read_section(site, name)).replace('"', "'"))
    for parameter, annotation, default in list_parameters(name):
        written = squeeze(f"{parameter}: {annotation}").replace('"', "'")
        assert written in text
        if default is not None and "factory" not in default:
            is_literal = re.fullmatch(r"(?!\d{8})[\w.'-]+|\(.*\)", default)  # bytes are written as `150 * MB`
            assert f"{written}={squeeze(default) if is_literal else ''}" in text


def test_inherited_fields_appear_once(site: BuiltSite) -> None:
    for path in ("langchain_qwenvl.ChatQwenVL", "llama_index_qwenvl.QwenVL"):
        page = site.folder / "reference" / f"{path.split('.')[0]}.html"
        text = to_text(read_sections(page)[path])
        assert text.count("thinking_budget(int|None") == 1
        assert f"{path}.thinking_budget" not in read_sections(page)
        assert f"{path}.callbacks" not in read_sections(page)


def test_members_of_the_frameworks_are_not_listed(site: BuiltSite) -> None:
    page = read_sections(site.folder / "reference" / "langchain_qwenvl.html")
    assert "langchain_qwenvl.ChatQwenVL.bind_tools" in page
    assert "langchain_qwenvl.ChatQwenVL.abatch_as_completed" not in page
