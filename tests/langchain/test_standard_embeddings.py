"""LangChain's own tests of embeddings, against the emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_qwenvl import QwenVLEmbeddings
from tests.emulator import Emulator


class TestUnit(EmbeddingsUnitTests):
    """Construction, also from the environment."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return QwenVLEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "qwen3-vl-embedding", "api_key": "sk-test"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {
            "DASHSCOPE_API_KEY": "sk-environment",
            "DASHSCOPE_REGION": "singapore",
            "DASHSCOPE_WORKSPACE": "ws-1",
            "DASHSCOPE_BASE_URL": "http://127.0.0.1:9/compatible-mode/v1",
        }
        return (
            environment,
            {"dimensions": 512},
            {
                "api_key": "sk-environment",
                "region": "singapore",
                "workspace": "ws-1",
                "base_url": environment["DASHSCOPE_BASE_URL"],
                "dimensions": 512,
            },
        )


class TestSeeingModel(EmbeddingsIntegrationTests):
    """Calls of the default model."""

    model_name = "qwen3-vl-embedding"

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return QwenVLEmbeddings

    @pytest.fixture
    def model(self, emulator: Emulator) -> Iterator[Embeddings]:
        embeddings = QwenVLEmbeddings(model=self.model_name, api_key="sk-test", base_url=emulator.compat_url)
        yield embeddings
        embeddings.close()
        assert emulator.refusals == []


class TestTextModel(TestSeeingModel):
    """Calls of a model that reads text only, at its own endpoint."""

    model_name = "text-embedding-v4"


def test_suite_runs_with_closed_event_loops(emulator: Emulator) -> None:
    embeddings = QwenVLEmbeddings(api_key="sk-test", base_url=emulator.compat_url)
    vectors = [asyncio.run(embeddings.aembed_query("q")) for _ in range(3)]
    assert vectors[0] == vectors[1] == vectors[2] == embeddings.embed_query("q")
