"""The printed demo: escape codes for terminals only, and an output file of its own for each picture."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from examples import demo, langchain_image, terminal
from tests.support import llama_server
from tests.support.vcr_config import replayed

ESCAPE = "\033"


class Terminal(io.StringIO):
    """A text buffer that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def unset_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variable of the machine that runs the tests."""
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files while the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    """What the demo prints when its output is not a terminal."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr("tempfile.tempdir", str(folder))
        demo.main()
    return printed.getvalue()


def print_image_example() -> str:
    """Return what the image example prints to a terminal."""
    with redirect_stdout(Terminal()) as printed, replayed("demo_langchain_image"):
        langchain_image.main()
    return printed.getvalue()


def test_demo_without_terminal_prints_no_escape_codes(output: str) -> None:
    assert "Thinking: The receipt lists" in output
    assert "Answer: Yes." in output
    assert ESCAPE not in output


def test_demo_without_key_names_cassettes_and_provenance(output: str) -> None:
    assert output.startswith("DASHSCOPE_API_KEY is not set: replaying bundled cassettes.")
    assert "(cassettes/demo_langchain_image.yaml, recorded from: " in output


def test_document_demos_write_different_pictures(folder: Path, output: str) -> None:
    pictures = sorted(folder.iterdir())
    assert [picture.name for picture in pictures] == [
        f"{framework}_{name}.png"
        for framework in ("langchain", "llama_index")
        for name in ("cited_1", "cited_2", "page_1", "page_3")
    ]
    for picture in pictures:
        assert output.count(str(picture)) == 1


def test_example_in_terminal_prints_dim_thinking_and_bold_answer() -> None:
    printed = print_image_example()
    assert "\033[90mThe\033[0m" in printed
    assert "\033[1mYes.\033[0m" in printed


def test_example_with_no_color_prints_no_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert ESCAPE not in print_image_example()


def test_style_with_empty_no_color_prints_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty NO_COLOR counts as not set, see https://no-color.org."""
    monkeypatch.setenv("NO_COLOR", "")
    with redirect_stdout(Terminal()):
        assert terminal.dim("text") == "\033[90mtext\033[0m"


def test_style_of_empty_text_is_empty() -> None:
    with redirect_stdout(Terminal()):
        assert terminal.bold("") == ""


@pytest.mark.llama_cpp
@pytest.mark.skipif(not llama_server.is_available(), reason=llama_server.REASON)
def test_demo_of_own_server_runs_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER", "llama.cpp")
    with redirect_stdout(io.StringIO()) as printed:
        demo.main()
    assert printed.getvalue().count("Hello! How can I help you today?") == 2
    assert "(provider: llama.cpp)" in printed.getvalue()


def test_demo_of_another_provider_names_the_one_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER", "vllm")
    with redirect_stdout(io.StringIO()) as printed:
        demo.main()
    assert "PROVIDER=vllm" in printed.getvalue()
