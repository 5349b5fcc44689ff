"""Test that the Python blocks of the documentation run, print what the pages show, and play their cassettes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import docs_pages
from tests.support.docs_pages import NO_CASSETTE, list_pages, read_cassette_name, run_page
from tests.support.markdown import read_markdown
from tests.support.scenarios import PAGES
from tests.support.vcr_config import environment, provenance_of, replayed

each_page = pytest.mark.parametrize("name", list_pages())


@each_page
def test_page_runs_from_its_cassette_and_prints_what_it_shows(name: str) -> None:
    cassette_name = read_cassette_name(name)
    assert cassette_name, f"{name} declares no cassette: add <!-- cassette: docs_… --> at its top"
    if cassette_name == NO_CASSETTE:
        with environment():
            printed = run_page(name)
    else:
        with replayed(cassette_name) as cassette:
            printed = run_page(name, PAGES[cassette_name].prepare)
        assert cassette.all_played
    if cassette_name == NO_CASSETTE or provenance_of(cassette_name) == "emulator":
        assert [item for item in printed if not item.is_as_shown] == []


@each_page
def test_page_declares_cassette_once_at_its_top(name: str) -> None:
    text = read_markdown(name)
    assert text.count("<!-- cassette:") == 1
    assert text.index("<!-- cassette:") < text.index("```")


def test_every_row_of_the_tables_is_declared_by_its_page() -> None:
    assert {page.cassette: read_cassette_name(f"docs/{page.name}") for page in PAGES.values()} == {
        name: name for name in PAGES
    }


@pytest.fixture
def write_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read pages from a temporary folder."""
    monkeypatch.setattr("tests.support.markdown.ROOT", tmp_path)


def test_run_page_runs_blocks_in_one_namespace_and_compares_output(
    write_page: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text(
        '=== "A"\n\n    ```python\n    word = "a"\n    def show():\n        print(word)\n    ```\n\n'
        "```python\nshow()\n```\n\nprints\n\n<!-- output -->\n```text\na\n```\n\n"
        "```console\n$ exit 1\n```\n\n```python\nprint(2)\n```\n<!-- output -->\n```text\n3\n```\n"
    )
    printed = docs_pages.run_page("page.md")
    assert [(item.line, item.expected, item.actual) for item in printed] == [(17, "a", "a"), (29, "3", "2")]


def test_run_page_compares_output_behind_tabs_with_every_tab(write_page: None, tmp_path: Path) -> None:
    tab = '=== "{0}"\n\n    ```python\n    print("{0}")\n    ```\n\n'
    output = "{0}<!-- output -->\n{0}```text\n{0}b\n{0}```\n\n"
    tabs = [tab.format("other"), "Text.\n\n", tab.format("a"), tab.format("b")]
    (tmp_path / "page.md").write_text("".join([*tabs, output.format("    "), output.format("")]))
    printed = run_page("page.md")
    assert [(item.line, item.actual) for item in printed] == [(23, "b"), (28, "a"), (28, "b")]
    assert {item.expected for item in printed} == {"b"}


def test_run_page_keeps_a_namespace_for_each_label_of_tabs(write_page: None, tmp_path: Path) -> None:
    def in_tab(label: str, code: str) -> str:
        return f'=== "{label}"\n\n    ```python\n    {code}\n    ```\n\n'

    page = [
        "```python\nfirst = 1\nseen = []\n```\n\n",
        in_tab("A", "word = 'a'; seen.append(word)"),
        in_tab("B", "assert 'word' not in globals(); word = 'b'; seen.append(word)"),
        "```python\nseen.append(word + '!')\nsecond = 2\n```\n\n",
        in_tab("B", "seen.append(word); assert (first, second) == (1, 2)"),
        in_tab("C", "assert 'word' not in globals(); assert (first, second) == (1, 2)"),
        in_tab("A", "seen.append(word); print(seen)") + "    <!-- output -->\n    ```\n    ?\n    ```\n",
    ]
    (tmp_path / "page.md").write_text("".join(page))
    (printed,) = run_page("page.md")
    assert printed.actual == "['a', 'b', 'a!', 'b', 'a']"


@pytest.mark.parametrize(
    ("expected", "actual", "is_as_shown"),
    [
        ("a", "a", True),
        ("a", "a\nb", False),
        ("a.b", "axb", False),
        ("id …)\nend", "id 1 (2))\nend", True),
        ("id …)\nend", "id 1\n2)\nend", False),
        ("id …", "id 1\n2", False),
        ("…", "", True),
    ],
)
def test_printed_with_ellipsis_takes_any_text_within_line(expected: str, actual: str, is_as_shown: bool) -> None:
    assert docs_pages.Printed(1, expected, actual).is_as_shown is is_as_shown


def test_run_page_imports_each_module_once(write_page: None, tmp_path: Path) -> None:
    first = 'import sys\nsys.modules.pop("colorsys", None)\nimport colorsys as first'
    second = "import colorsys\nassert colorsys is first"
    (tmp_path / "page.md").write_text(f"```python\n{first}\n```\n\n```python\n{second}\n```\n")
    run_page("page.md")
    assert "docs_page" not in sys.modules


def test_run_page_with_failing_block_names_file_and_line(write_page: None, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Title\n\n```python\npass\nraise KeyError\n```\n")
    with pytest.raises(KeyError) as caught:
        run_page("page.md")
    assert caught.traceback[-1].lineno == 4  # counted from 0
    assert str(caught.traceback[-1].path).endswith("page.md")


def test_run_page_writes_into_a_folder_of_its_own(write_page: None, tmp_path: Path) -> None:
    code = 'from pathlib import Path\nassert Path("examples/receipt.png").exists()\nprint(Path("a.txt").read_text())\n'
    code += 'Path("written.txt").write_text("x")'
    (tmp_path / "page.md").write_text(f"```python\n{code}\n```\n<!-- output -->\n```\nprepared\n```\n")
    before = Path.cwd()
    (printed,) = run_page("page.md", lambda folder: (folder / "a.txt").write_text("prepared"))
    assert printed.actual == printed.expected
    assert Path.cwd() == before
    assert not Path("written.txt").exists()


def test_list_pages_finds_pages_with_indented_blocks_only(write_page: None, tmp_path: Path) -> None:
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text('=== "A"\n\n    ```python title="a.py"\n    pass\n    ```\n')
    (tmp_path / "docs" / "zh" / "b.md").write_text("```python\npass\n```\n")
    (tmp_path / "docs" / "c.md").write_text("```console\n$ python\n```\n\n`python`\n")
    (tmp_path / "README.md").write_text("```python\npass\n```\n")
    assert list_pages() == ["docs/a.md", "docs/zh/b.md"]
