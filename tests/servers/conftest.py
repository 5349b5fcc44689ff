"""llama.cpp's own HTTP server, started once for each module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.support import llama_server
from tests.support.llama_server import LlamaServer

HYBRID = "Qwen/Qwen3.5-27B"


@pytest.fixture(scope="module")
def hello() -> Iterator[LlamaServer]:
    with llama_server.serve("hello") as server:
        yield server


@pytest.fixture(scope="module")
def caller() -> Iterator[LlamaServer]:
    with llama_server.serve("tool") as server:
        yield server


def chat(server: LlamaServer, **keywords: Any) -> ChatQwenVL:
    return ChatQwenVL(**{"model": HYBRID, "base_url": server.base_url, "provider": "llama.cpp", **keywords})


def llm(server: LlamaServer, **keywords: Any) -> QwenVL:
    return QwenVL(**{"model": HYBRID, "base_url": server.base_url, "provider": "llama.cpp", **keywords})
