"""Type checkers accept what users write: keys as plain strings, keyword aliases, and the exported exceptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.paths import ROOT

VALID = """
from pydantic import SecretStr

from langchain_qwenvl import ChatQwenVL, QwenVLError, QwenVLRateLimitError
from llama_index_qwenvl import QwenVL

chat = ChatQwenVL(api_key="sk-a", model_name="qwen3-vl-flash", temperature=0.5)
ChatQwenVL(model="qwen3-vl-flash", api_key=SecretStr("sk-a"))
ChatQwenVL(api_key=None)
llm = QwenVL(model="qwen3-vl-flash", api_key="sk-a")
QwenVL(api_key=SecretStr("sk-a"))
QwenVL(api_key=None)
chat.api_key = "sk-b"
llm.api_key = "sk-b"
for key in (chat.api_key, llm.api_key):
    if key is not None:
        print(key.get_secret_value().upper())
print(chat.model_name.upper())
try:
    chat.invoke("Hi")
except QwenVLRateLimitError as error:
    print(error.request_id, error.is_retryable)
except QwenVLError as error:
    print(error.hint)
"""
INVALID = """
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL

ChatQwenVL(api_key=5)
ChatQwenVL(temprature=0.5)
QwenVL(api_key=5)
QwenVL(temprature=0.5)
"""


def run_mypy(folder: Path, program: str) -> list[str]:
    """Return the error lines of `mypy --strict` for a program."""
    api = pytest.importorskip("mypy.api")
    file = folder / "program.py"
    file.write_text(program, "utf-8")
    output, failure, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", str(file)])
    assert not failure
    return [line for line in output.splitlines() if "error:" in line]


def test_mypy_valid_program_passes(tmp_path: Path) -> None:
    assert run_mypy(tmp_path, VALID) == []


def test_mypy_invalid_keywords_are_errors(tmp_path: Path) -> None:
    errors = run_mypy(tmp_path, INVALID)
    assert [error.split()[-1] for error in errors] == ["[arg-type]", "[call-arg]"] * 2
