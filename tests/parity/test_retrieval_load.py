"""Embed many items under random latencies and faults, with the caller's HTTP clients, in both frameworks."""

from __future__ import annotations

import asyncio
import random
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from langchain_qwenvl import QwenVLEmbeddings, QwenVLReranker
from llama_index_qwenvl import QwenVLEmbedding, QwenVLRerank
from qwenvl_core.errors import QwenVLError
from tests.emulator import Emulator, Fault
from tests.support.media_files import grey_png

per_embedder = pytest.mark.parametrize("embedder", [QwenVLEmbeddings, QwenVLEmbedding])
per_class = pytest.mark.parametrize("cls", [QwenVLEmbeddings, QwenVLEmbedding, QwenVLReranker, QwenVLRerank])
per_mode = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def make(cls: Any, emulator: Emulator, **keywords: Any) -> Any:
    return cls(**{"api_key": "sk-test", "base_url": emulator.compat_url, "max_retries": 0, **keywords})


def embed(model: Any, items: list[Any], *, is_async: bool) -> list[list[float]]:
    return asyncio.run(model.aembed(items)) if is_async else model.embed(items)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Paths of 200 pictures, all different."""
    paths = [tmp_path / f"{index}.png" for index in range(200)]
    for index, path in enumerate(paths):
        path.write_bytes(grey_png(32 + index, 32))
    return paths


@per_embedder
@per_mode
def test_many_items_under_random_latencies_are_in_order(
    embedder: Any, emulator: Emulator, is_async: bool, pictures: list[Path]
) -> None:
    delays, lock, running, peak = random.Random(5), threading.Lock(), 0, 0

    def delay(payload: Any) -> Any:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(delays.uniform(0, 0.02))
        delays.shuffle(payload["output"]["embeddings"])
        with lock:
            running -= 1
        return payload

    emulator.alter_retrieval = delay
    items: list[Any] = [f"text {index}" for index in range(1000)]
    for index, path in enumerate(pictures):
        items.insert(index * 6, path)
    model = make(embedder, emulator, dimensions=256, max_concurrency=6)
    vectors = embed(model, items, is_async=is_async)
    assert len(emulator.requests) == 60  # 1,200 items, 20 in each
    assert 1 < peak <= 6
    assert emulator.refusals == []
    emulator.alter_retrieval = None
    chosen = [0, 1, 6, 599, 1194, 1199]
    assert [vectors[index] for index in chosen] == model.embed([items[index] for index in chosen])
    assert model.usage.requests == 61


@per_embedder
@per_mode
def test_throttled_requests_are_repeated_within_max_retries(
    embedder: Any, emulator: Emulator, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwenvl_core.transport.retry._FIRST_DELAY", 0.0)
    emulator.retrieval_faults.extend([Fault(status=429), Fault(status=503), Fault(status=500)])
    model = make(embedder, emulator, max_retries=3, max_concurrency=2)
    assert len(embed(model, [f"t{index}" for index in range(100)], is_async=is_async)) == 100
    assert len(emulator.requests) == 8
    assert model.usage.requests == 5


@per_embedder
@per_mode
def test_no_repetition_begins_after_an_error(
    embedder: Any, emulator: Emulator, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request waits to be repeated while another one fails for good."""
    ended = threading.Event()  # a sync call leaves its threads behind, which go on when their request has ended
    monkeypatch.setattr("qwenvl_core.transport.retry.time", SimpleNamespace(sleep=lambda delay: ended.wait(20)))
    monkeypatch.setattr("qwenvl_core.transport.retry._FIRST_DELAY", 8.0)
    emulator.retrieval_faults.extend([Fault(status=503), Fault(status=400)])
    model = make(embedder, emulator, max_retries=2, max_concurrency=2)
    with pytest.raises(QwenVLError) as caught:
        embed(model, [f"t{index}" for index in range(100)], is_async=is_async)
    assert caught.value.status_code == 400
    ended.set()
    for thread in threading.enumerate():
        if thread.name.startswith("qwenvl-retrieval"):
            thread.join(20)
    assert len(emulator.requests) == 2


@per_class
@per_mode
def test_http_client_of_caller_is_used_and_left_open(cls: Any, emulator: Emulator, is_async: bool) -> None:
    headers = {"X-Trace": "abc"}

    async def run_async() -> None:
        async with openai.DefaultAsyncHttpxClient(headers=headers) as client:
            model = make(cls, emulator, http_async_client=client)
            await (model.aembed(["a"]) if "Embedding" in cls.__name__ else model.arerank("q", ["a"]))
            await model.aclose()
            assert not client.is_closed

    if is_async:
        asyncio.run(run_async())
    else:
        with openai.DefaultHttpxClient(headers=headers) as client:
            model = make(cls, emulator, http_client=client, default_headers={"X-Model": "seen"})
            _ = model.embed(["a"]) if "Embedding" in cls.__name__ else model.rerank("q", ["a"])
            model.close()
            assert not client.is_closed
        assert emulator.requests[0].headers["x-model"] == "seen"
    assert emulator.requests[0].headers["x-trace"] == "abc"
    assert emulator.requests[0].headers["authorization"] == "Bearer sk-test"


@per_embedder
def test_memory_does_not_grow_with_the_pictures(embedder: Any, emulator: Emulator, tmp_path: Path) -> None:
    """Pictures are read when their request is sent, so that memory depends on the concurrent requests only."""
    path = tmp_path / "a.png"
    path.write_bytes(grey_png(padding=200_000))
    model = make(embedder, emulator, dimensions=256, max_concurrency=1)
    model.embed([path])

    def forget(payload: Any) -> Any:
        emulator.requests.clear()
        return payload

    emulator.alter_retrieval = forget

    def measure_peak(count: int) -> int:
        tracemalloc.start()
        try:
            model.embed([path] * count)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert measure_peak(40) < measure_peak(10) + 2_000_000  # 8 MB of pictures
