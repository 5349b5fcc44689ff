"""The documentation page of the providers is the one that its rows give."""

from __future__ import annotations

import pytest

from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from tests.support.provider_page import PATH, render


def test_page_is_rendered_from_the_rows() -> None:
    assert PATH.read_text(encoding="utf-8") == render(), "write it: python -m tests.support.provider_page"


def test_page_lists_every_provider_and_its_key() -> None:
    page = PATH.read_text(encoding="utf-8")
    for provider in PROVIDERS:
        assert f"| `{provider.name}` |" in page
        assert provider.key_variable is None or provider.key_variable in page


@pytest.mark.parametrize("name", ["vllm", "sglang", "llama.cpp", "ollama"])
def test_page_has_a_start_command(name: str) -> None:
    assert f"$ {get_provider(name).start_command}" in PATH.read_text(encoding="utf-8")
    assert "qwen3-vl" in get_provider(name).start_command.lower()
