"""Check that importing the adapter loads LlamaIndex only: no SDK and no other framework."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
# Make imports of the other framework fail, as if it were not installed.
sys.modules.update(dict.fromkeys(("langchain", "langchain_core", "langchain_qwenvl", "langgraph")))
from llama_index_qwenvl import QwenVL
sdks = ("openai", "dashscope", "pypdfium2", "httpx2")
for name in (*sdks, "jiter", "qwenvl_core.types.messages", "qwenvl_core.client.client"):
    assert name not in sys.modules, name

from llama_index_qwenvl import video, video_frames
QwenVL(api_key="k").metadata
video_frames([video("https://example.com/a.mp4").url.unicode_string()])
for name in sdks:
    assert name not in sys.modules, name
# Building a model imports the client, so that the first call does not block an event loop with it.
assert "qwenvl_core.client.client" in sys.modules

from tests.emulator import Emulator, Reply
with Emulator() as server:
    server.script(Reply(text="Yes."))
    llm = QwenVL(base_url=server.compat_url, api_key="k")
    assert str(llm.complete("?")) == "Yes."
    llm.close()
print("done")
"""


def test_import_loads_no_sdk_and_chat_needs_no_other_framework() -> None:
    process = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (process.stdout, process.returncode) == ("done\n", 0), process.stderr
