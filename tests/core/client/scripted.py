"""Requests and scripted replies for the tests of the client."""

from __future__ import annotations

import pytest

from tests.emulator import Reply, ToolCall
from tests.support.pipeline import CALL_MODES, request

STREAM = request(stream=True)
WHOLE = request(enable_thinking=False)
TEXT = Reply(text=["Ein ", "Löwe ", "😀", "."])
FULL = Reply(
    reasoning="Hm. 好的。",
    text="Ein Löwe 😀\u2028\u0085.",
    tool_calls=[ToolCall("c1", "crop", '{"x": 1}'), ToolCall("c2", "zoom", "{}")],
)
CUT = Reply(text=["Ein ", "Löwe"])
CUT_TEXT = "Ein Löwe"  # text of CUT after its first three events: the role and two deltas
RETRY_SOON = {"Retry-After": "0.05"}

both_call_modes = pytest.mark.parametrize("call_mode", CALL_MODES)
