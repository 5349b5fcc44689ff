"""Reading the rest of a finished stream, so that its connection can be used again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from qwenvl_core.transport import connection_reuse
from qwenvl_core.transport.connection_reuse import drain
from qwenvl_core.types.reply import accumulate
from tests.support.pipeline import chunk, client, request, sse, until
from tests.support.raw_server import chunked, head, raw_server


class FakeResponse:
    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_drain_reads_the_rest_and_closes_the_response() -> None:
    response, rest = FakeResponse(), iter([b"0\r\n", b"\r\n"])
    drain(response, rest)
    assert response.is_closed
    assert list(rest) == []


def test_drain_of_a_silent_server_returns_in_time_and_closes_the_response_later() -> None:
    response, end = FakeResponse(), threading.Event()

    def wait_for_end() -> Iterator[bytes]:
        end.wait(5)
        yield b""

    start = time.monotonic()
    drain(response, wait_for_end())
    assert 0.05 < time.monotonic() - start < 0.8
    assert not response.is_closed
    end.set()
    until(lambda: response.is_closed)


def test_drain_of_a_body_that_stays_open_leaves_no_thread_and_no_connection() -> None:
    """A server that sends no end of the body must not occupy a thread, or a connection of a small pool."""
    body = chunked(sse(chunk(content="Yes"), chunk("stop")), end=False)
    with (
        raw_server([head("Transfer-Encoding: chunked"), body, 30.0]) as server,
        httpx.Client(limits=httpx.Limits(max_connections=1)) as http_client,
    ):
        model_client = client(server.url, http_client=http_client)
        start = time.monotonic()
        for _ in range(3):
            assert accumulate(model_client.stream(request(stream=True))).text == "Yes"
        assert time.monotonic() - start < 3
    until(lambda: not any("_read_rest" in thread.name for thread in threading.enumerate()))


def test_drain_of_an_endless_body_stops_reading() -> None:
    response = FakeResponse()

    def repeat_comments() -> Iterator[bytes]:
        while not response.is_closed:
            time.sleep(0.01)
            yield b": keep-alive\n\n"

    drain(response, repeat_comments())
    until(lambda: response.is_closed)


def test_drain_of_a_broken_connection_closes_the_response() -> None:
    response = FakeResponse()

    def fail() -> Iterator[bytes]:
        raise ConnectionResetError
        yield b""

    drain(response, fail())
    assert response.is_closed


def test_drain_without_a_free_thread_closes_the_response_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    occupied = threading.BoundedSemaphore(1)
    occupied.acquire()
    monkeypatch.setattr(connection_reuse, "_free_threads", {os.getpid(): occupied})
    response, rest = FakeResponse(), iter([b"unread"])
    drain(response, rest)
    assert response.is_closed
    assert list(rest) == [b"unread"]
