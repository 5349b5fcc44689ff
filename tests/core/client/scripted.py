"""Requests and replies that the tests of the client share."""

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
SAID = "Ein Löwe"  # of CUT, after the first three events: the role, and two pieces
SOON = {"Retry-After": "0.05"}

ways = pytest.mark.parametrize("call_mode", CALL_MODES)
