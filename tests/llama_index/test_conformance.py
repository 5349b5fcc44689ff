"""Run the conformance suite for LlamaIndex LLMs on `QwenVL`."""

from __future__ import annotations

import pytest

from tests.emulator import Emulator, Reply, ToolCall
from tests.llama_index.conformance import Calls, LLMConformance


class TestQwenVL(LLMConformance):
    @pytest.fixture(autouse=True)
    def _use_emulator(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def script_reply(self, reasoning: str = "", text: str = "", calls: Calls = ()) -> None:
        self.emulator.script(Reply(reasoning=reasoning, text=text, tool_calls=[ToolCall(*call) for call in calls]))
