"""Test that the documentation pages that come from data are the ones that the data give, and that they are complete."""

from __future__ import annotations

import dataclasses
import re

import langchain_core.exceptions
import pytest

from langchain_qwenvl import exceptions
from qwenvl_core.catalog.endpoints import REGIONS
from qwenvl_core.catalog.models import CATALOGUE
from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from qwenvl_core.catalog.retrieval_models import EMBEDDING_MODELS, RERANKERS
from qwenvl_core.errors import QwenVLError
from tests.emulator.quirk_list import QUIRKS
from tests.emulator.quirks import Quirks
from tests.support.paths import ROOT
from tests.support.rendered_pages import PAGES
from tests.support.rendered_pages.markdown import COMMAND, build_table, group, mark, quote


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_page_is_rendered_from_its_data(name: str) -> None:
    if name == "errors.md" and not hasattr(langchain_core.exceptions, "ModelRefusalError"):
        pytest.skip("the page names classes that this langchain-core does not have yet")
    assert read(name) == PAGES[name](), f"write it: {COMMAND}"


@pytest.mark.parametrize("name", PAGES)
def test_tables_of_page_have_equal_rows(name: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", read(name), re.MULTILINE):
        head, *rows = [re.split(r"(?<!\\)\|", line) for line in table.splitlines()]
        assert {len(row) for row in rows} == {len(head)}, head
        assert all(cell.strip() for row in rows for cell in row[1:-1]), head


def test_providers_page_lists_every_provider_and_its_key() -> None:
    page = read("providers.md")
    for provider in PROVIDERS:
        assert f"| `{provider.name}` |" in page
        assert provider.key_variable is None or provider.key_variable in page


@pytest.mark.parametrize("name", ["vllm", "sglang", "llama.cpp", "ollama"])
def test_providers_page_has_a_start_command(name: str) -> None:
    assert f"$ {get_provider(name).start_command}" in read("providers.md")
    assert "qwen3-vl" in get_provider(name).start_command.lower()


MODELS = {row.name for row in CATALOGUE} | {row.name for row in EMBEDDING_MODELS} | {row.name for row in RERANKERS}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_page_names_model_with_its_source(name: str) -> None:
    sources = read("models.md").partition("## Sources")[2]
    assert re.search(rf"^\|[^|]*`{re.escape(name)}`[^|]*\| \w", sources, re.MULTILINE)


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("Thinking", "| `qwen3-vl-plus` | hybrid | — | 81,920 | — | yes | object |"),
        ("Context", "| `qwen3-vl-plus` | 262,144 | 260,096 | 258,048 | 32,768 | — |"),
        ("Images", "| `qwen3-vl-plus` | 32 × 32 | 4 | 2,560 | 16,384 | 256 | 250 | 20 MiB | relative |"),
        ("OCR", "| `qwen3.5-ocr` | `text_recognition`, `advanced_recognition`,"),
        ("Batches", "| `qwen-vl-max` | — | — | — | Alibaba has retired qwen-vl-max."),
        ("Embedding", "| `qwen3-vl-embedding` | text, image, video | **2560**, 2048,"),
        ("Regions", "| `eu-central-1` | `eu`, `germany`, `frankfurt` | by workspace only |"),
    ],
)
def test_models_page_states_the_facts_of_a_row(section: str, line: str) -> None:
    sections = re.split(r"^## ", read("models.md"), flags=re.MULTILINE)
    (text,) = (text for text in sections if text.startswith(section))
    assert f"\n{line}" in text


def test_models_page_lists_every_region() -> None:
    assert all(f"| `{region.id}` | {quote(region.aliases)} |" in read("models.md") for region in REGIONS)


def table_of(section: str) -> list[str]:
    """Return the lines of a section of the errors page."""
    return next(text for text in read("errors.md").split("\n## ") if text.startswith(section)).splitlines()


def list_classes(kind: type[QwenVLError]) -> list[type[QwenVLError]]:
    below = [cls for child in kind.__subclasses__() for cls in list_classes(child)]
    return [kind, *(cls for cls in below if cls.__module__ == "qwenvl_core.errors")]


@pytest.mark.parametrize("kind", dict.fromkeys(list_classes(QwenVLError)), ids=lambda kind: kind.__name__)
def test_errors_page_lists_class_with_hint_and_counterpart(kind: type[QwenVLError]) -> None:
    (row,) = (line for line in table_of("Causes") if line.startswith(f"| [`{kind.__name__}`]"))
    assert ("| yes |" in row) == kind.retryable
    assert kind.hint in read("errors.md")
    counterpart = getattr(exceptions, kind.__name__, None)
    if counterpart is not None:
        assert any(f"`{base.__name__}`" in row for base in counterpart.__mro__ if "langchain_core" in base.__module__)


def test_every_switch_of_the_emulator_is_in_one_quirk() -> None:
    switches = [switch for quirk in QUIRKS for switch in quirk.switches]
    assert sorted(switches) == sorted(field.name for field in dataclasses.fields(Quirks))


def test_quirks_page_lists_every_quirk_and_switch() -> None:
    page = read("wire-quirks.md")
    for quirk in QUIRKS:
        assert quirk.sent in page
        assert quirk.handling in page
        assert all(f"`{switch}`" in page for switch in quirk.switches)


def test_quirks_have_the_numbers_that_the_emulator_cites() -> None:
    numbers = [quirk.number for quirk in QUIRKS if quirk.number]
    assert numbers == sorted(numbers)
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")]
    cited = {int(number) for text in sources for number in re.findall(r"\bQ(\d+)\b", text)}
    assert cited <= set(numbers)


def test_build_table_escapes_vertical_bars() -> None:
    assert build_table(("a", "b"), [("x|y", "")]) == "| a | b |\n| --- | --- |\n| x\\|y |  |"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (4, "4"), (8000, "8,000"), (1_000_000, "1,000,000"), (131_072, "131,072")]
)
def test_group_writes_thousands(value: int | None, text: str) -> None:
    assert group(value) == text


def test_quote_and_mark_write_dash_for_nothing() -> None:
    assert (quote([]), quote(["a", 1]), mark(False), mark(True)) == ("—", "`a`, `1`", "—", "yes")
