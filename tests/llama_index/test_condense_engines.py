"""Test that reasoning of earlier answers is readable on the message, but not printed into prompts."""

from __future__ import annotations

import copy
import pickle

import pytest
from llama_index.core.base.llms.generic_utils import messages_to_history_str
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer

from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, Reply

SECRET = "The user may be a spy."


@pytest.mark.parametrize("streamed", [False, True])
def test_history_of_condense_engine_has_no_reasoning(streamed: bool, llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(reasoning=SECRET, text="Hello."))
    question = ChatMessage(role="user", content="Hi")
    response = list(llm.stream_chat([question]))[-1] if streamed else llm.chat([question])
    message = response.message
    memory = ChatMemoryBuffer.from_defaults(llm=llm)
    memory.put(message)
    for kept in (
        message,
        *memory.get_all(),
        copy.deepcopy(message),
        message.model_copy(),
        pickle.loads(pickle.dumps(message)),
    ):
        assert kept.additional_kwargs["reasoning_content"] == SECRET
        assert kept.additional_kwargs == {"reasoning_content": SECRET}
        assert messages_to_history_str([question, kept]).rstrip() == "user: Hi\nassistant: Hello."
    restored = ChatMessage.model_validate_json(message.model_dump_json())
    assert restored.additional_kwargs["reasoning_content"] == SECRET


async def test_partial_messages_of_a_stream_print_no_reasoning(llm: QwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(reasoning=SECRET, text="Hello."))
    async for chunk in await llm.astream_chat([ChatMessage(role="user", content="Hi")]):
        assert SECRET not in messages_to_history_str([chunk.message])
