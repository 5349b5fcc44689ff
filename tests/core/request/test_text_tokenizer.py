"""Text counts: exact with the vendor's tokenizer where it applies, else an estimate; no network, loaded once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from qwenvl_core.request import text_tokenizer
from qwenvl_core.request.token_count import count_text_tokens, count_tokens
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.settings import ModelSettings
from tests.support.paths import ROOT

TEXTS = [
    "What is it?",
    "通义千问视觉理解模型 2026",
    "naïve façade — ½",
    "<|im_end|>",
    '{"a": [1, 2.5]}',
    "\n\n  x",
    "🙂" * 9,
    "Ünïcödé",
]
EXACT = [
    "qwen3-vl-plus",
    "qwen3-vl-flash-2025-10-15",
    "qwen-vl-ocr",
    "qvq-max",
    "Qwen/Qwen3-VL-8B-Instruct",
    "qwen2.5-vl-7b",
]
ESTIMATED = ["qwen3.5-plus", "qwen3.7-plus", "qwen3.5-ocr", "qwen3.9-max", "gpt-4o", "my-own-model"]


@pytest.fixture
def vendor_tokenizer() -> Any:
    return pytest.importorskip("dashscope").get_tokenizer("qwen-vl-plus")


@pytest.fixture
def not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tokenizer, "_loaded", [])


@pytest.mark.parametrize("model", EXACT)
def test_text_tokens_up_to_qwen3_vl_are_those_of_the_vendor(vendor_tokenizer: Any, model: str) -> None:
    for text in TEXTS:
        assert count_text_tokens(text, model) == len(vendor_tokenizer.encode(text))
    assert count_text_tokens("", model) == 0


@pytest.mark.parametrize("model", ESTIMATED)
def test_text_tokens_of_other_models_are_estimated(model: str) -> None:
    assert [count_text_tokens(text, model) for text in TEXTS] == [count_text_tokens(text) for text in TEXTS]


def test_messages_use_the_same_count(vendor_tokenizer: Any) -> None:
    def count(text: str) -> int:
        return count_tokens([Message("user", (TextPart(text),))], ModelSettings())

    text = "Visual understanding, 图像理解." * 20
    assert count(text) - count("") == len(vendor_tokenizer.encode(text))


@pytest.mark.usefixtures("not_loaded")
def test_tokenizer_without_the_sdk_falls_back_to_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dashscope.tokenizers", None)
    assert [count_text_tokens(text, "qwen3-vl-plus") for text in TEXTS] == [count_text_tokens(text) for text in TEXTS]


@pytest.mark.usefixtures("not_loaded")
def test_tokenizer_is_loaded_once_and_without_network(monkeypatch: pytest.MonkeyPatch, vendor_tokenizer: Any) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("network")

    loads: list[int] = []
    load = text_tokenizer._load_tokenizer

    def load_and_count() -> text_tokenizer.Encode | None:
        loads.append(1)
        return load()

    monkeypatch.setattr(text_tokenizer, "_load_tokenizer", load_and_count)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(lambda _: count_text_tokens(TEXTS[1], "qwen3-vl-plus"), range(32)))
    assert counts == {len(vendor_tokenizer.encode(TEXTS[1]))}
    assert len(loads) == 1


def test_sdk_is_imported_with_the_first_count_only() -> None:
    code = (
        "import json, sys\n"
        "from qwenvl_core.request.token_count import count_text_tokens\n"
        "before = 'dashscope' in sys.modules\n"
        "count_text_tokens('a', 'qwen3.7-plus')\n"
        "print(json.dumps([before, 'dashscope' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False]
