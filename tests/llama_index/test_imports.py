"""What an import costs: nothing but LlamaIndex itself, and no other framework."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
# As if they were not installed: an import of them fails.
sys.modules.update(dict.fromkeys(("langchain", "langchain_core", "langchain_qwenvl", "langgraph")))
from llama_index_qwenvl import QwenVL, video, video_frames

QwenVL(api_key="k").metadata
video_frames([video("https://example.com/a.mp4").url.unicode_string()])
untouched = ("openai", "dashscope", "pypdfium2", "jiter", "httpx2")
assert not [name for name in untouched if name in sys.modules], [name for name in untouched if name in sys.modules]

from tests.emulator import Emulator, Reply
with Emulator() as server:
    server.script(Reply(text="Yes."))
    llm = QwenVL(base_url=server.compat_url, api_key="k")
    assert str(llm.complete("?")) == "Yes."
    llm.close()
print("done")
"""


def test_an_import_loads_no_sdk_and_a_chat_needs_no_other_framework() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("done\n", 0), ran.stderr
