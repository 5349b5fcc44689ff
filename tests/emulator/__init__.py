"""Emulate Alibaba's DashScope service for the tests: both of its chat APIs, on the loopback.

The emulator follows the vendor's documents and recorded traffic. It imports none of the packages under test, so that
it does not repeat their errors.

    with Emulator() as server:
        server.script(Reply(reasoning="Hm.", text="Yes."), Fault(status=429, headers={"Retry-After": "1"}))
        client = OpenAI(base_url=server.compat_url, api_key="sk-test")
"""

from tests.emulator.chat_request import RecordedRequest
from tests.emulator.error_payloads import ApiError
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Fault, Reply, ToolCall
from tests.emulator.server import Emulator
from tests.emulator.uploads import Upload

__all__ = ["ApiError", "Emulator", "Fault", "Quirks", "RecordedRequest", "Reply", "ToolCall", "Upload"]
