"""Models that are shared: by threads, forked children, pickles and event loops, in both frameworks and both APIs."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from tests.emulator import Emulator, RecordedRequest, Reply
from tests.parity.call_modes import APIS, KEY, Api

ChatRequest = Callable[[Any, str], str]
EACH: dict[str, tuple[type, ChatRequest, Callable[[Any, str], Any]]] = {
    "langchain": (ChatQwenVL, lambda llm, said: str(llm.invoke(said).content), lambda llm, said: llm.ainvoke(said)),
    "llama_index": (QwenVL, lambda llm, said: llm.complete(said).text, lambda llm, said: llm.acomplete(said)),
}
pytestmark = [pytest.mark.parametrize("framework", EACH), pytest.mark.parametrize("api", APIS)]


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)


@pytest.fixture
def llm(framework: str, api: Api, emulator: Emulator) -> Iterator[Any]:
    url = emulator.compat_url if api == "openai" else emulator.native_url
    emulator.respond = repeats
    made = EACH[framework][0](api=api, base_url=url, api_key=KEY)
    yield made
    made.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()  # no connection is left to be complained of


def repeats(request: RecordedRequest) -> Reply:
    """Says what was said."""
    body = request.json
    (message,) = body.get("messages") or body["input"]["messages"]
    content = message["content"]
    return Reply(text=content if isinstance(content, str) else content[0]["text"])


def test_threads_that_begin_at_once_share_one_client(framework: str, llm: Any, emulator: Emulator) -> None:
    ask, start = EACH[framework][1], threading.Barrier(8)

    def work(number: int) -> list[str]:
        start.wait()
        return [ask(llm, f"{number}.{turn}") for turn in range(3)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[f"{n}.{turn}" for turn in range(3)] for n in range(8)]
    assert emulator.connections <= 8


def test_a_pickle_goes_on_with_the_key_of_its_new_place(
    framework: str, llm: Any, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    ask = EACH[framework][1]
    assert ask(llm, "Here") == "Here"
    data = pickle.dumps(llm)
    assert KEY.encode() not in data
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-of-the-new-place")
    again = pickle.loads(data)
    assert ask(again, "There") == "There"
    assert emulator.requests[-1].headers["authorization"] == "Bearer sk-of-the-new-place"
    again.close()


def test_a_key_that_is_set_later_may_be_plain(framework: str, llm: Any, emulator: Emulator) -> None:
    ask, copied = EACH[framework][1], llm.model_copy(update={"api_key": "sk-copied"})
    ask(copied, "Hi")
    copied.close()
    llm.api_key = "sk-assigned"
    ask(llm, "Hi")
    sent = [request.headers["authorization"] for request in emulator.requests]
    assert sent == ["Bearer sk-copied", "Bearer sk-assigned"]
    assert not any(key in repr(model) for key in ("sk-copied", "sk-assigned") for model in (copied, llm))


def test_event_loops_and_sync_calls_take_turns(framework: str, llm: Any) -> None:
    ask, aask = EACH[framework][1:]

    async def both() -> list[Any]:
        return await asyncio.gather(aask(llm, "a"), aask(llm, "b"))

    for _ in range(3):
        said = [str(getattr(answer, "text", answer)) for answer in asyncio.run(both())]
        assert said == ["a", "b"]
        assert ask(llm, "c") == "c"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the emulator's threads are the parent's alone
def test_a_forked_child_has_its_own_connections(framework: str, llm: Any) -> None:
    ask = EACH[framework][1]
    assert ask(llm, "Before") == "Before"
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if ask(llm, "Child") == "Child" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(llm, "Parent") == "Parent"
