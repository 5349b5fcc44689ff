"""Test that the errors that the quickstarts explain are the errors that a first run meets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from PIL import Image

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Fault
from tests.support.markdown import read_markdown
from tests.support.media_files import heic_header
from tests.support.vcr_config import environment

Ask = Callable[..., None]

OF_OTHERS = ("requires a different Python", "ModuleNotFoundError", "SyntaxError")  # pip's and Python's own messages
WRONG_KEY = Fault(status=401, code="invalid_api_key", message="Incorrect API key provided.")


def ask_langchain(picture: object, model: str = "qwen3-vl-plus") -> None:
    image = {"type": "image", "url": picture}
    ChatQwenVL(model=model, max_retries=0).invoke([{"role": "user", "content": [image, {"type": "text", "text": "?"}]}])


def ask_llama_index(picture: object, model: str = "qwen3-vl-plus") -> None:
    blocks = [ImageBlock(path=Path(str(picture))), TextBlock(text="?")]
    QwenVL(model=model, max_retries=0).chat([ChatMessage(role="user", blocks=blocks)])


def collect_errors(ask: Ask, folder: Path, emulator: Emulator) -> list[str]:
    """Make the mistakes of a first run and return their messages."""
    Image.new("RGB", (100, 100)).save(folder / "good.png")
    Image.new("RGB", (100, 100)).save(folder / "animation.gif")
    (folder / "text.jpg").write_text("not a picture")
    large = (folder / "good.png").read_bytes() + bytes(21 * 1024**2)
    (folder / "large.png").write_bytes(large)
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "phone.heic").write_bytes(heic_header(4032, 3024))
    messages = []

    def attempt(name: str, model: str = "qwen3-vl-plus", **variables: str) -> None:
        picture = folder / name if ask is ask_llama_index or name != "string" else str(folder / "good.png")
        with environment(**{"DASHSCOPE_API_KEY": "sk-1", "DASHSCOPE_BASE_URL": emulator.compat_url, **variables}):
            with pytest.raises(Exception) as caught:  # noqa: PT011 (of several classes)
                ask(picture, model)
            messages.append(str(caught.value))

    attempt("good.png", DASHSCOPE_API_KEY="")
    attempt("good.png", DASHSCOPE_API_KEY="sk-…")
    emulator.script(WRONG_KEY)
    attempt("good.png")
    attempt("good.png", model="qwen3-vl-missing")
    for name in ("missing.jpg", "animation.gif", "large.png", "text.jpg", "scan.pdf", "phone.heic", "string"):
        attempt(name)
    attempt("good.png", DASHSCOPE_BASE_URL="http://127.0.0.1:9/compatible-mode/v1")
    return messages


@pytest.mark.parametrize(
    ("page", "ask"),
    [
        ("docs/quickstart-langchain.md", ask_langchain),
        ("docs/quickstart-llama-index.md", ask_llama_index),
        ("docs/zh/quickstart-langchain.md", ask_langchain),
        ("docs/zh/quickstart-llama-index.md", ask_llama_index),
    ],
)
def test_errors_of_quickstart_are_those_that_a_first_run_meets(
    page: str, ask: Ask, tmp_path: Path, emulator: Emulator
) -> None:
    errors = collect_errors(ask, tmp_path, emulator)
    rows = re.findall(r"^\| `([^`]+)`", read_markdown(page), re.MULTILINE)
    explained = [row for row in rows if not row.startswith(OF_OTHERS)]
    assert len(explained) >= 10
    for row in explained:
        pattern = ".*".join(re.escape(part.strip()) for part in re.split(r"…|my photo\.jpg", row))
        assert any(re.search(pattern, error, re.DOTALL) for error in errors), row
