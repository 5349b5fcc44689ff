"""Test models shared by threads, forks, pickles and event loops, in both frameworks and both APIs."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, RecordedRequest, Reply
from tests.parity.call_modes import APIS, Api
from tests.support.model_factories import KEY

AskFunction = Callable[[Any, str], str]
FRAMEWORKS: dict[str, tuple[type, AskFunction, Callable[[Any, str], Any]]] = {
    "langchain": (ChatQwenVL, lambda llm, text: str(llm.invoke(text).content), lambda llm, text: llm.ainvoke(text)),
    "llama_index": (QwenVL, lambda llm, text: llm.complete(text).text, lambda llm, text: llm.acomplete(text)),
}
pytestmark = [pytest.mark.parametrize("framework", FRAMEWORKS), pytest.mark.parametrize("api", APIS)]


@pytest.fixture
def llm(framework: str, api: Api, emulator: Emulator) -> Iterator[Any]:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    emulator.respond = echo
    model = FRAMEWORKS[framework][0](api=api, base_url=url, api_key=KEY)
    yield model
    model.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()  # an open connection would raise a ResourceWarning


def echo(request: RecordedRequest) -> Reply:
    """Reply with the text of the message."""
    body = request.json
    (message,) = body.get("messages") or body["input"]["messages"]
    content = message["content"]
    return Reply(text=content if isinstance(content, str) else content[0]["text"])


def test_threads_that_start_together_share_client(framework: str, llm: Any, emulator: Emulator) -> None:
    ask, barrier = FRAMEWORKS[framework][1], threading.Barrier(8)

    def work(thread: int) -> list[str]:
        barrier.wait()
        return [ask(llm, f"{thread}.{call}") for call in range(3)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[f"{thread}.{call}" for call in range(3)] for thread in range(8)]
    assert emulator.connections <= 8


def test_unpickled_model_uses_key_of_environment(
    framework: str, llm: Any, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    ask = FRAMEWORKS[framework][1]
    assert ask(llm, "Here") == "Here"
    data = pickle.dumps(llm)
    assert KEY.encode() not in data
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.origin)  # else its host gets no key of the environment
    unpickled = pickle.loads(data)
    assert ask(unpickled, "There") == "There"
    assert emulator.requests[-1].headers["authorization"] == "Bearer sk-of-the-environment"
    unpickled.close()


def test_plain_string_key_set_later_is_used_and_hidden(framework: str, llm: Any, emulator: Emulator) -> None:
    ask, copied = FRAMEWORKS[framework][1], llm.model_copy(update={"api_key": "sk-copied"})
    ask(copied, "Hi")
    copied.close()
    llm.api_key = "sk-assigned"
    ask(llm, "Hi")
    keys = [request.headers["authorization"] for request in emulator.requests]
    assert keys == ["Bearer sk-copied", "Bearer sk-assigned"]
    assert not any(key in repr(model) for key in ("sk-copied", "sk-assigned") for model in (copied, llm))


def test_event_loops_and_sync_calls_alternate(framework: str, llm: Any) -> None:
    ask, aask = FRAMEWORKS[framework][1:]

    async def ask_both() -> list[Any]:
        return list(await asyncio.gather(aask(llm, "a"), aask(llm, "b")))

    for _ in range(3):
        texts = [str(getattr(answer, "text", answer)) for answer in asyncio.run(ask_both())]
        assert texts == ["a", "b"]
        assert ask(llm, "c") == "c"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # only the parent has the threads of the emulator
def test_forked_child_opens_own_connections(framework: str, llm: Any) -> None:
    ask = FRAMEWORKS[framework][1]
    assert ask(llm, "Before") == "Before"
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for what only its parent has
        try:
            os._exit(0 if ask(llm, "Child") == "Child" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(llm, "Parent") == "Parent"
