"""`QwenVL` against the suite for any LLM."""

from __future__ import annotations

import pytest

from tests.emulator import Emulator, Reply, ToolCall
from tests.llama_index.conformance import Calls, LLMConformance


class TestQwenVL(LLMConformance):
    @pytest.fixture(autouse=True)
    def _service(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def says(self, reasoning: str = "", text: str = "", calls: Calls = ()) -> None:
        self.emulator.script(Reply(reasoning=reasoning, text=text, tool_calls=[ToolCall(*call) for call in calls]))
