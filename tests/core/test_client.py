"""The client over real connections: sync and async alike, whatever goes wrong, under load, and without a leak."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import json
import logging
import os
import socket
import threading
import time
import traceback
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from qwenvl_core.client.client import Client
from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLConnectionError,
    QwenVLContextOverflowError,
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLMissingKeyError,
    QwenVLModelNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
    QwenVLTimeoutError,
)
from qwenvl_core.types.events import Event, Finish, ReasoningDelta, TextDelta, Usage
from qwenvl_core.types.media import File, Inline
from qwenvl_core.types.messages import Image
from qwenvl_core.types.reply import fold
from tests.core.support import (
    KEY,
    WAYS,
    Way,
    chunk,
    chunked,
    client,
    events_of,
    head,
    png,
    raw_server,
    reply_of,
    request,
    sse,
    until,
    user,
)
from tests.emulator import Emulator, Fault, Quirks, Reply, ToolCall

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

ways = pytest.mark.parametrize("way", WAYS)


# --- the main road, and every road beside it --------------------------------------------------------------------------

QUIRKS: list[dict[str, Any]] = [
    {},
    {"first_reasoning_empty": False},
    *({"content_mode": mode} for mode in ("null", "empty", "list", "missing")),
    {"reasoning_and_text_in_one_chunk": True},
    *({"answer_reasoning": mode} for mode in ("null", "empty", "absent")),
    *({"reasoning_key": key} for key in ("reasoning", "both")),
    {"finish_null_string": True},
    {"finish_missing_key": True},
    {"finish_on_last_text_chunk": True},
    {"finish_with_last_arguments": True},
    {"empty_tool_id": False},
    {"tool_fragment_without_id": True},
    {"tool_fragment_without_type": True},
    {"tool_fragment_without_arguments": True},
    {"arguments_with_name": True},
    {"empty_tool_deltas": True},
    {"two_tool_indexes_in_one_chunk": True},
    {"usage_every_chunk": True},
    {"usage_on_last_chunk": True},
    {"comments": True},
    {"crlf": True},
    {"cr": True},
    {"no_space_after_data": True},
    {"multi_line_data": True},
    {"bom": True},
    {"gzip": True},
    *({"split_bytes": size} for size in (1, 3, 7)),
    {"gzip": True, "split_bytes": 1},
    {"cr": True, "split_bytes": 1, "bom": True, "comments": True},
    {"no_done": True},
    {"set_cookie": True},
]  # fmt: skip


@ways
@pytest.mark.parametrize("quirks", QUIRKS, ids=lambda quirks: ",".join(f"{k}={v}" for k, v in quirks.items()) or "none")
def test_every_road_leads_to_the_same_reply(quirks: dict[str, Any], way: Way, emulator: Emulator) -> None:
    emulator.script(FULL, FULL)
    plain = reply_of(client(emulator.compat_url), STREAM, "sync")
    emulator.quirks = Quirks(**quirks)
    reply = reply_of(client(emulator.compat_url), STREAM, way)
    assert reply.text == "Ein Löwe 😀\u2028\u0085."
    assert reply.reasoning == "Hm. 好的。"
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("c1", "crop", '{"x": 1}'),
        ("c2", "zoom", "{}"),
    ]
    assert reply.usage == plain.usage
    same = {"request_id": "", "reply_id": ""}
    assert reply.finish._replace(**same) == plain.finish._replace(**same)
    assert reply.finish.request_id.endswith("2")


@ways
def test_a_whole_reply_is_the_folded_stream(way: Way, emulator: Emulator) -> None:
    emulator.script(FULL, FULL)
    whole = reply_of(client(emulator.compat_url), WHOLE, way)
    streamed = reply_of(client(emulator.compat_url), request(enable_thinking=False, stream=True), way)
    same = {"request_id": "", "reply_id": ""}
    assert whole.finish._replace(**same) == streamed.finish._replace(**same)
    assert (whole.text, whole.reasoning, whole.tool_calls, whole.usage) == (
        streamed.text,
        streamed.reasoning,
        streamed.tool_calls,
        streamed.usage,
    )
    assert [body.json.get("stream") for body in emulator.requests] == [None, True]


@ways
def test_what_is_sent(way: Way, emulator: Emulator) -> None:
    events_of(client(emulator.compat_url, default_headers={"X-Mine": "1"}), STREAM, way)
    (sent,) = emulator.requests
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["user-agent"].startswith("qwenvl-adapters/")
    assert sent.headers["x-mine"] == "1"
    assert sent.headers["content-type"] == "application/json"
    assert int(sent.headers["content-length"]) == len(sent.body)


@ways
def test_what_is_meant_for_another_vendor_stays_here(
    way: Way, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-of-another")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: of-another\nauthorization: Bearer of-another")
    events_of(client(emulator.compat_url), STREAM, way)
    assert "of-another" not in str(emulator.requests[0].headers)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {KEY}"


@ways
def test_the_callers_own_authorization_wins(way: Way, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer of-another")
    events_of(client(emulator.compat_url, default_headers={"Authorization": "Bearer own"}), STREAM, way)
    assert emulator.requests[0].headers["authorization"] == "Bearer own"


# --- every fault has one right outcome --------------------------------------------------------------------------------

Interrupted, Timeout, Api = QwenVLStreamInterruptedError, QwenVLTimeoutError, QwenVLAPIError
Outcome = tuple[Any, type[QwenVLError], str, int | None]

FAULTS: dict[str, Outcome] = {
    # what goes wrong in a stream: the error's class, the text so far, the status
    "reset before the headers": (Fault(reset="before-headers"), QwenVLConnectionError, "", None),
    "reset after events": (Fault(reset="after-events", reply=CUT, after=3), Interrupted, SAID, None),
    "reset before the first event": (Fault(reset="after-events", reply=CUT), Interrupted, "", None),
    "reset within a character": (Fault(reset="mid-character", reply=CUT, after=1), Interrupted, "Ein ", None),
    "closed without a finish reason": (Fault(close_without_finish=True, reply=CUT, after=3), Interrupted, SAID, None),
    "closed at once": (Fault(close_without_finish=True, reply=CUT), Interrupted, "", None),
    "truncated JSON": (Fault(truncate_json=True, reply=CUT, after=3), Interrupted, SAID, None),
    "truncated body": (Fault(truncate_body=True, reply=CUT, after=3), Interrupted, SAID, None),
    "an error in the stream": (
        Fault(status=429, code="limit_requests", carrier="in-stream", reply=CUT, after=3),
        QwenVLRateLimitError,
        SAID,
        None,
    ),
    "moderation in the stream": (
        Fault(code="data_inspection_failed", carrier="in-stream", reply=CUT, after=2),
        QwenVLInvalidRequestError,
        "Ein ",
        None,
    ),
    "a page with status 200": (Fault(non_json_200=True), Api, "", 200),
    "400": (Fault(status=400), QwenVLInvalidRequestError, "", 400),
    "400, too long": (
        Fault(status=400, message="Range of input length should be [1, 9]"),
        QwenVLContextOverflowError,
        "",
        400,
    ),
    "401": (Fault(status=401), QwenVLAuthenticationError, "", 401),
    "402": (Fault(status=402), QwenVLArrearageError, "", 402),
    "403": (Fault(status=403), QwenVLPermissionDeniedError, "", 403),
    "404": (Fault(status=404), QwenVLModelNotFoundError, "", 404),
    "408": (Fault(status=408, code="timeout"), Timeout, "", 408),
    "409": (Fault(status=409, code="conflict"), QwenVLInvalidRequestError, "", 409),
    "413": (Fault(status=413, code="too_large", carrier="html"), QwenVLInvalidRequestError, "", 413),
    "429": (Fault(status=429), QwenVLRateLimitError, "", 429),
    "500": (Fault(status=500), Api, "", 500),
    "502, HTML": (Fault(status=502, carrier="html"), Api, "", 502),
    "503, text": (Fault(status=503, carrier="text"), Api, "", 503),
    "504, empty": (Fault(status=504, code="x", carrier="empty"), Timeout, "", 504),
    "a redirect": (Fault(redirect="http://127.0.0.1:9/elsewhere"), Api, "", 307),
}


@ways
@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str, way: Way, emulator: Emulator) -> None:
    fault, cls, partial, status = FAULTS[name]
    emulator.script(fault)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), STREAM, way)
    error = caught.value
    assert isinstance(error, cls)
    assert type(error) is cls or cls is QwenVLInvalidRequestError
    assert (error.partial, error.status_code) == (partial, status)
    assert len(emulator.requests) == 1
    if name != "reset before the headers":
        assert error.request_id == "00000000-0000-9000-8000-000000000001"
    if status not in (None, 200) or name.startswith("reset"):
        assert isinstance(error.__cause__, Exception)
        assert type(error.__cause__).__module__.partition(".")[0] in ("openai", "httpx", "httpx2")
    until(lambda: emulator.open_connections == 0)


WHOLE_FAULTS: dict[str, Outcome] = {
    "reset before the headers": (Fault(reset="before-headers"), QwenVLConnectionError, "", None),
    "reset within the body": (Fault(reset="after-events", reply=TEXT), QwenVLConnectionError, "", None),
    "truncated JSON": (Fault(truncate_json=True, reply=TEXT), Api, "", 200),
    "truncated body": (Fault(truncate_body=True, reply=TEXT), QwenVLConnectionError, "", None),
    "a page": (Fault(non_json_200=True), Api, "", 200),
    "400 as an event": (
        Fault(status=400, code="data_inspection_failed", carrier="data-body"),
        QwenVLInvalidRequestError,
        "",
        400,
    ),
    "500": (Fault(status=500), Api, "", 500),
    "a redirect": (Fault(redirect="http://127.0.0.1:9/elsewhere"), Api, "", 307),
}


@ways
@pytest.mark.parametrize("name", WHOLE_FAULTS)
def test_faults_of_whole_replies(name: str, way: Way, emulator: Emulator) -> None:
    fault, cls, partial, status = WHOLE_FAULTS[name]
    emulator.script(fault)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url), WHOLE, way)
    assert isinstance(caught.value, cls)
    assert (caught.value.partial, caught.value.status_code) == (partial, status)
    assert len(emulator.requests) == 1


@ways
def test_nobody_listens(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(QwenVLConnectionError, match="Can't reach the server") as caught:
        events_of(client(f"http://127.0.0.1:{port}/v1"), STREAM, way)
    assert isinstance(caught.value.__cause__, openai.APIConnectionError)


@ways
def test_no_such_host(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(QwenVLConnectionError, match="Name or service not known"):
        events_of(client("http://nowhere.invalid/v1"), STREAM, way)


@ways
def test_no_tls_on_the_other_side(way: Way, emulator: Emulator) -> None:
    with pytest.raises(QwenVLConnectionError, match=r"SSL|TLS|ssl"):
        events_of(client(emulator.compat_url.replace("http://", "https://")), STREAM, way)


@ways
def test_a_redirect_is_not_followed(way: Way, emulator: Emulator) -> None:
    with Emulator() as elsewhere:
        emulator.script(Fault(redirect=f"{elsewhere.compat_url}/chat/completions"))
        with pytest.raises(QwenVLError):
            events_of(client(emulator.compat_url), STREAM, way)
        assert elsewhere.requests == []


# --- time -------------------------------------------------------------------------------------------------------------


def seconds_until_timeout(url: str, way: Way, **limits: Any) -> tuple[float, QwenVLTimeoutError]:
    start = time.monotonic()
    with pytest.raises(QwenVLTimeoutError) as caught:
        events_of(client(url, **limits), STREAM, way)
    return time.monotonic() - start, caught.value


@ways
def test_a_stall_before_the_first_byte(way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(stall=3))
    took, error = seconds_until_timeout(emulator.compat_url, way, timeout=0.2, stream_chunk_timeout=5)
    assert 0.15 < took < 2.0
    assert "timeout=" in str(error)
    assert isinstance(error.__cause__, openai.APITimeoutError)


@ways
@pytest.mark.parametrize(
    "limits",
    [
        {"timeout": 5, "stream_chunk_timeout": 0.2},
        {"timeout": 0.6, "stream_chunk_timeout": 5},
        {"timeout": None, "stream_chunk_timeout": 0.2},
        {"timeout": 0.6, "stream_chunk_timeout": None},
    ],
)
@pytest.mark.parametrize(("after", "said"), [(0, ""), (3, SAID)])
def test_a_stall_between_chunks(limits: Any, after: int, said: str, way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(stall=3, reply=CUT, after=after))
    took, error = seconds_until_timeout(emulator.compat_url, way, **limits)
    assert 0.15 < took < 2.5
    assert error.partial == said
    assert error.request_id
    assert "stream_chunk_timeout=" in str(error)
    until(lambda: emulator.open_connections == 0)


@ways
@pytest.mark.parametrize("drip", [b": keep-alive\n\n", b"x", b"\n"])
def test_drops_that_are_no_chunk_do_not_keep_a_stream_alive(drip: bytes, way: Way) -> None:
    begun = chunked(sse(chunk(content="Ein "), done=False), end=False)
    with raw_server([head("Transfer-Encoding: chunked"), begun, *[chunked(drip, end=False), 0.05] * 40]) as server:
        took, error = seconds_until_timeout(server.url, way, stream_chunk_timeout=0.3)
    assert 0.25 < took < 1.5
    assert error.partial == "Ein "


@ways
def test_a_whole_answer_has_the_time_of_timeout(way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(stall=0.4, reply=TEXT))
    reply = reply_of(client(emulator.compat_url, timeout=5, stream_chunk_timeout=0.1), WHOLE, way)
    assert reply.text == "Ein Löwe 😀."


@ways
def test_drops_do_not_keep_a_whole_answer_waiting(way: Way) -> None:
    with raw_server([head("Transfer-Encoding: chunked"), *[chunked(b" ", end=False), 0.05] * 40]) as server:
        start = time.monotonic()
        with pytest.raises(QwenVLTimeoutError, match="timeout="):
            events_of(client(server.url, timeout=0.3), WHOLE, way)
    assert 0.25 < time.monotonic() - start < 1.5


@ways
def test_a_slow_reader_is_not_taken_for_a_slow_server(way: Way, emulator: Emulator) -> None:
    emulator.quirks = Quirks(comments=True)
    emulator.script(TEXT)
    asking = client(emulator.compat_url, stream_chunk_timeout=0.2)
    texts: list[Event] = []
    if way == "sync":
        for event in asking.events(STREAM):
            texts.append(event)
            time.sleep(0.25)
        asking.close()
    else:

        async def collect() -> None:
            async for event in asking.aevents(STREAM):
                texts.append(event)
                await asyncio.sleep(0.25)

        asyncio.run(collect())
    assert fold(texts).text == "Ein Löwe 😀."


# --- retries ----------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (2, 3)])
def test_at_most_so_many_requests(asked: Any, retries: int, requests: int, way: Way, emulator: Emulator) -> None:
    emulator.script(*[Fault(status=429, headers={"Retry-After": "0.01"})] * 5)
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=retries), asked, way)
    assert len(emulator.requests) == requests


@ways
def test_what_the_server_asks_for_is_obeyed(way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "1"}), TEXT)
    start = time.monotonic()
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, way).text == "Ein Löwe 😀."
    assert 0.95 < time.monotonic() - start < 3.0
    assert len(emulator.requests) == 2


@ways
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=408, code="x", headers=SOON),
        Fault(status=429, headers=SOON),
        Fault(status=429, code="insufficient_quota", headers=SOON),  # tokens per minute
        Fault(status=500, headers=SOON),
        Fault(status=503, carrier="html", headers=SOON),
    ],
)
def test_what_may_pass_is_tried_again(fault: Fault, way: Way, emulator: Emulator) -> None:
    emulator.script(fault, fault, TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, way).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 3
    assert len({sent.body for sent in emulator.requests}) == 1


@ways
def test_a_connection_that_breaks_before_the_answer_is_tried_again(way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(reset="before-headers"), TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=1), STREAM, way).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 2


@ways
@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        (Fault(status=400), QwenVLInvalidRequestError),
        (Fault(code="Arrearage"), QwenVLArrearageError),
        (Fault(code="data_inspection_failed"), QwenVLInvalidRequestError),
        (Fault(status=401), QwenVLAuthenticationError),
        (Fault(status=403), QwenVLPermissionDeniedError),
        (Fault(status=404), QwenVLModelNotFoundError),
        (Fault(status=413, code="too_large"), QwenVLInvalidRequestError),
        (Fault(code="PrepaidBillOverdue"), QwenVLArrearageError),  # 429, like these
        (Fault(code="PostpaidBillOverdue"), QwenVLArrearageError),
        (Fault(code="CommodityNotPurchased"), QwenVLArrearageError),
        (
            Fault(status=429, code="insufficient_quota", message="Free allocated quota exceeded."),
            QwenVLQuotaExceededError,
        ),
    ],
)
def test_what_waiting_does_not_cure_is_not_tried_again(fault: Fault, cls: Any, way: Way, emulator: Emulator) -> None:
    emulator.script(fault)
    with pytest.raises(cls):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, way)
    assert len(emulator.requests) == 1


@ways
def test_a_server_that_asks_for_more_than_patience_is_not_bothered_again(way: Way, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, way)
    assert len(emulator.requests) == 1


@ways
@pytest.mark.parametrize(
    "fault",
    [
        Fault(reset="after-events", reply=CUT, after=3),
        Fault(truncate_body=True, reply=CUT, after=3),
        Fault(close_without_finish=True, reply=CUT, after=3),
        Fault(status=429, carrier="in-stream", reply=CUT, after=3),
        Fault(status=500, carrier="in-stream", reply=CUT, after=3),
    ],
)
def test_a_stream_that_gave_tokens_is_never_started_again(fault: Fault, way: Way, emulator: Emulator) -> None:
    emulator.script(fault, TEXT)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url, max_retries=2), STREAM, way)
    assert caught.value.partial == SAID
    assert len(emulator.requests) == 1


def picture_request(form: str, path: Path) -> Any:
    data = png(padding=3_000_000)
    path.write_bytes(data)
    source: Any = Inline(data) if form == "bytes" else File(path)
    return request(user(Image(source), "?"), stream=True)


@ways
@pytest.mark.parametrize("form", ["bytes", "path"])
@pytest.mark.parametrize(
    "fault", [Fault(status=429, headers=SOON), Fault(reset="before-headers")], ids=["429", "reset"]
)
def test_a_large_body_is_sent_again_whole(
    fault: Fault, form: str, way: Way, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.script(fault, TEXT)
    asked = picture_request(form, tmp_path / "a.png")
    assert reply_of(client(emulator.compat_url, max_retries=1), asked, way).text == "Ein Löwe 😀."
    first, second = emulator.requests
    assert len(first.body) > 4_000_000
    assert first.body == second.body
    url = json.loads(second.body)["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == png(padding=3_000_000)
    assert {int(sent.headers["content-length"]) for sent in emulator.requests} == {len(first.body)}
    assert not any("transfer-encoding" in sent.headers for sent in emulator.requests)


@ways
def test_a_file_that_goes_while_it_is_sent_is_the_callers_error(way: Way, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    asked = picture_request("path", path)
    opened = Path.open

    def gone(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path and opens.count(path) >= most:
            raise FileNotFoundError(2, "No such file or directory")
        opens.append(self)
        return opened(self, *args, **kwargs)

    opens: list[Path] = []
    most = 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", gone)
        reply_of(client(emulator.compat_url), asked, way)
        most = opens.count(path) - 1  # the last time it is opened is for the body
        opens.clear()
        with pytest.raises(QwenVLInputError, match=r"a\.png"):
            events_of(client(emulator.compat_url), asked, way)


# --- lifetimes --------------------------------------------------------------------------------------------------------


def gated(count: int = 8) -> tuple[Reply, list[threading.Event]]:
    """A reply whose events are sent one at a time, when the test says so."""
    gates = [threading.Event() for _ in range(count)]
    return Reply(text=["Ein ", "Löwe", "."], gates=gates), gates


@ways
def test_a_delta_is_delivered_before_the_next_one_is_sent(way: Way, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply)
    asking = client(emulator.compat_url)
    gates[0].set()  # the role
    texts: list[str] = []

    def heard(event: Event) -> None:
        if isinstance(event, TextDelta):
            texts.append(event.text)
            gates[len(texts) + 1].set()
        if len(texts) == 3:
            for gate in gates:
                gate.set()

    gates[1].set()
    if way == "sync":
        for event in asking.events(STREAM):
            heard(event)
        asking.close()
    else:

        async def collect() -> None:
            async for event in asking.aevents(STREAM):
                heard(event)

        asyncio.run(collect())
    assert texts == ["Ein ", "Löwe", "."]


def leave(asking: Client, how: str) -> None:
    """Listen to the first event and go."""
    match how:
        case "close":
            events = asking.events(STREAM)
            assert isinstance(next(events), TextDelta)
            events.close()
        case "break":
            for _ in asking.events(STREAM):
                break
        case _:
            with suppress(KeyError):
                for _ in asking.events(STREAM):
                    raise KeyError


async def aleave(asking: Client, how: str) -> None:
    match how:
        case "close":
            events = asking.aevents(STREAM)
            assert isinstance(await anext(events), TextDelta)
            await events.aclose()
        case "break":
            async for _ in asking.aevents(STREAM):
                break
        case _:
            with suppress(KeyError):
                async for _ in asking.aevents(STREAM):
                    raise KeyError


@ways
@pytest.mark.parametrize("how", ["close", "break", "error"])
def test_an_abandoned_stream_closes_its_connection(how: str, way: Way, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(reply, TEXT)
    gates[0].set()
    gates[1].set()
    asking = client(emulator.compat_url)

    async def leave_and_return() -> None:
        await aleave(asking, how)
        gc.collect()
        await asyncio.sleep(0.05)
        assert emulator.open_connections == 0
        assert fold([event async for event in asking.aevents(STREAM)]).text == "Ein Löwe 😀."

    if way == "sync":
        leave(asking, how)
        gc.collect()
        until(lambda: emulator.open_connections == 0)
        assert fold(asking.events(STREAM)).text == "Ein Löwe 😀."
        asking.close()
    else:
        asyncio.run(leave_and_return())


@pytest.mark.parametrize("when", ["before the headers", "between chunks"])
def test_a_cancelled_stream_closes_its_connection(when: str, emulator: Emulator) -> None:
    reply, gates = gated()
    emulator.script(Fault(stall=30) if when == "before the headers" else reply, TEXT)
    gates[0].set()
    gates[1].set()
    asking = client(emulator.compat_url)
    heard: list[Event] = []

    async def listen() -> None:
        async for event in asking.aevents(STREAM):
            heard.append(event)  # noqa: PERF401  # as it comes

    async def cancel() -> None:
        task = asyncio.create_task(listen())
        while not (heard or (emulator.requests and when == "before the headers")):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if emulator.open_connections == 0:
                break
            await asyncio.sleep(0.01)
        assert emulator.open_connections == 0
        await listen()  # the connection's end is no trouble to the next request

    asyncio.run(cancel())


@ways
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
def test_one_connection_carries_one_request_after_another(asked: Any, way: Way, emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    if way == "sync":
        for _ in range(20):
            fold(asking.events(asked))
        asking.close()
    else:

        async def repeat() -> None:
            for _ in range(20):
                [event async for event in asking.aevents(asked)]

        asyncio.run(repeat())
    assert emulator.connections == 1
    assert len(emulator.requests) == 20


ANSWER = sse(chunk(content="Ein Löwe"), chunk("stop"))


@ways
def test_the_connection_is_used_again_when_the_end_came_with_the_last_event(way: Way) -> None:
    """One write for the last event and the end of the body: there is nothing left to wait for."""
    with raw_server([head("Transfer-Encoding: chunked") + chunked(ANSWER)]) as server:
        asking = client(server.url)
        start = time.monotonic()
        if way == "sync":
            for _ in range(10):
                assert fold(asking.events(STREAM)).text == "Ein Löwe"
            asking.close()
        else:

            async def repeat() -> None:
                for _ in range(10):
                    [event async for event in asking.aevents(STREAM)]

            asyncio.run(repeat())
        took = time.monotonic() - start
    assert server.connections == 1
    assert took < 0.9


@ways
@pytest.mark.parametrize(
    "after",
    [
        pytest.param([5.0], id="silence"),
        pytest.param([chunked(b": keep-alive\n\n", end=False), 0.04] * 100, id="comments"),
        pytest.param([chunked(sse(chunk(content="more"), done=False), end=False), 0.04] * 100, id="chatter"),
    ],
)
def test_what_the_server_does_after_the_end_delays_nothing(after: Any, way: Way) -> None:
    with raw_server([head("Transfer-Encoding: chunked"), chunked(ANSWER, end=False), *after]) as server:
        start = time.monotonic()
        assert reply_of(client(server.url), STREAM, way).text == "Ein Löwe"
        assert time.monotonic() - start < 0.8


@ways
@pytest.mark.parametrize(
    "after",
    [pytest.param([b""], id="closed"), pytest.param([5.0], id="silence")],
)
def test_an_answer_that_said_why_it_ended_is_whole(after: Any, way: Way) -> None:
    """Without `[DONE]`, and without the end of the body."""
    said = sse(chunk(content="Ein Löwe"), chunk("stop", usage={"prompt_tokens": 1, "completion_tokens": 2}), done=False)
    with raw_server([head("Transfer-Encoding: chunked"), chunked(said, end=False), *after]) as server:
        reply = reply_of(client(server.url, stream_chunk_timeout=0.2), STREAM, way)
    assert (reply.text, reply.finish.reason) == ("Ein Löwe", "stop")
    assert reply.usage is not None


@ways
def test_a_body_without_length_ends_with_the_connection(way: Way) -> None:
    with raw_server([head("Connection: close"), ANSWER, b""]) as server:
        assert reply_of(client(server.url), STREAM, way).text == "Ein Löwe"
    with (
        raw_server([head("Connection: close"), ANSWER[:40], b""]) as server,
        pytest.raises(QwenVLStreamInterruptedError),
    ):
        events_of(client(server.url), STREAM, way)


@ways
def test_a_broken_gzip_is_an_error(way: Way) -> None:
    packed = gzip.compress(ANSWER)
    for body in (packed[: len(packed) // 2], b"not gzip at all"):
        script = [head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(body)]
        with raw_server(script) as server, pytest.raises(QwenVLStreamInterruptedError):
            events_of(client(server.url), STREAM, way)


@ways
def test_a_server_that_speaks_no_http_is_an_error(way: Way) -> None:
    with raw_server([b"SSH-2.0-OpenSSH_9.6\r\n", b""]) as server, pytest.raises(QwenVLConnectionError):
        events_of(client(server.url), STREAM, way)


def test_event_loops_in_sequence(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    loops: list[weakref.ref[Any]] = []

    async def ask() -> str:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return fold([event async for event in asking.aevents(STREAM)]).text

    answers = {asyncio.run(ask()) for _ in range(3)}
    loop = asyncio.new_event_loop()  # ended as libraries do, without any farewell to generators
    answers.add(loop.run_until_complete(ask()))
    loop.run_until_complete(asking.aclose())
    loop.close()
    assert len(answers) == 1
    del loop
    gc.collect()
    assert [ref() for ref in loops] == [None] * 4  # nothing of an ended loop is kept
    until(lambda: not emulator._server.open)


def test_event_loops_side_by_side(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    answers: list[str] = []

    async def ask() -> None:
        for _ in range(5):
            reply = fold([event async for event in asking.aevents(STREAM)])
            answers.append(reply.text)

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_many_streams_at_a_time_in_one_loop(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    asking = client(emulator.compat_url)

    async def ask(number: int) -> str:
        asked = request(f"{number} and {number}", stream=True)
        return fold([event async for event in asking.aevents(asked)]).text

    async def ask_all() -> list[str]:
        return await asyncio.gather(*(ask(number) for number in range(64)))

    assert asyncio.run(ask_all()) == [f"{number}and{number}" for number in range(64)]


def test_threads_share_a_client(emulator: Emulator) -> None:
    emulator.respond = lambda sent: Reply(text=sent.json["messages"][0]["content"].split(" "))
    asking = client(emulator.compat_url)
    start = threading.Barrier(8)
    wrong: list[str] = []

    def ask(number: int) -> None:
        start.wait()
        for turn in range(5):
            text = fold(asking.events(request(f"{number} and {turn}", stream=True))).text
            if text != f"{number}and{turn}":
                wrong.append(text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert emulator.connections <= 8  # one pool, although all of them came first
    asking.close()
    until(lambda: not emulator._server.open)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    before = fold(asking.events(STREAM)).text
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if fold(asking.events(STREAM)).text == before else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert fold(asking.events(STREAM)).text == before
    assert emulator.connections == 2  # the parent's is still its own
    asking.close()


def test_closed_connections_are_opened_again(emulator: Emulator) -> None:
    asking = client(emulator.compat_url)
    asking.close()  # nothing is open yet
    for _ in range(2):
        fold(asking.events(STREAM))
        asking.close()
        until(lambda: not emulator._server.open)
    asking.close()

    async def twice() -> None:
        await asking.aclose()
        for _ in range(2):
            [event async for event in asking.aevents(STREAM)]
            await asking.aclose()
        await asking.aclose()

    asyncio.run(twice())
    assert emulator.connections == 4


@ways
def test_the_callers_own_http_client_is_used_and_left_open(way: Way, emulator: Emulator) -> None:
    seen: list[str] = []
    if way == "sync":
        with openai.DefaultHttpxClient(event_hooks={"request": [lambda sent: seen.append(sent.method)]}) as own:
            asking = client(emulator.compat_url, http_client=own)
            fold(asking.events(STREAM))
            asking.close()
            assert not own.is_closed
            fold(asking.events(STREAM))
    else:

        async def hook(sent: Any) -> None:
            seen.append(sent.method)

        async def ask() -> None:
            async with openai.DefaultAsyncHttpxClient(event_hooks={"request": [hook]}) as own:
                asking = client(emulator.compat_url, http_async_client=own)
                [event async for event in asking.aevents(STREAM)]
                await asking.aclose()
                assert not own.is_closed
                [event async for event in asking.aevents(STREAM)]

        asyncio.run(ask())
    assert seen == ["POST", "POST"]
    assert emulator.connections == 1


@ways
def test_a_proxy_of_the_environment_is_used(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = head(f"Content-Length: {len(ANSWER)}") + ANSWER
    with raw_server([answer]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "")
        assert reply_of(client("http://model.test/v1"), STREAM, way).text == "Ein Löwe"
        assert proxy.connections == 1


def test_the_same_client_is_held_for_the_same_connection(emulator: Emulator) -> None:
    one, same, other = (
        client(emulator.compat_url),
        client(emulator.compat_url),
        client(emulator.compat_url, timeout=9.0),
    )
    assert Client.of(same._connection, one) is one
    assert Client.of(other._connection, one) is not one
    assert Client.of(one._connection, None) is not one


# --- keys -------------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_without_a_key_nothing_is_sent(key: str, way: Way, emulator: Emulator) -> None:
    with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY") as caught:
        events_of(client(emulator.compat_url, api_key=key), STREAM, way)
    assert isinstance(caught.value, ValueError)
    assert emulator.requests == []
    assert emulator.connections == 0


SECRET = "sk-0123456789abcdef-secret"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in ("", "openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@ways
@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        Fault(status=401),
        Fault(status=500),
        Fault(reset="before-headers"),
        Fault(close_without_finish=True),
        Fault(stall=3),
    ],
)
def test_the_key_is_nowhere(answer: Any, way: Way, emulator: Emulator, logged: pytest.LogCaptureFixture) -> None:
    emulator.script(answer)
    asking = client(emulator.compat_url, api_key=SECRET, timeout=0.3)
    told = [repr(asking), str(asking), repr(asking._connection)]
    try:
        told.append(repr(events_of(asking, request(user(Image(Inline(png())), "?"), stream=True), way)))
    except QwenVLError as error:
        told += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    told.append(logged.text)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert logged.records
    assert not [text for text in told if SECRET in text]


@ways
@pytest.mark.parametrize(
    "key", [f"{SECRET}\n", f" {SECRET}", f"{SECRET} {SECRET}", f"{SECRET}ö", f"{SECRET}\0", f"{SECRET}\r\nX: 1"]
)
def test_a_key_that_fits_in_no_header_is_not_quoted(
    key: str, way: Way, emulator: Emulator, logged: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(QwenVLAuthenticationError) as caught:
        events_of(client(emulator.compat_url, api_key=key, max_retries=2), STREAM, way)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in logged.text
    assert emulator.requests == []


@ways
def test_events_come_in_their_order(way: Way, emulator: Emulator) -> None:
    events = events_of(client(emulator.compat_url), STREAM, way)
    kinds = [type(event) for event in events]
    assert kinds == sorted(kinds, key=[ReasoningDelta, TextDelta, Usage, Finish].index)
    assert {*kinds} == {ReasoningDelta, TextDelta, Usage, Finish}
