"""Test the flows of batches without I/O: what they request, how often, how long they pause, and what they conclude."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLAPIError, QwenVLConnectionError, QwenVLError, QwenVLTimeoutError
from qwenvl_core.transport import batch_calls
from qwenvl_core.transport.batch_calls import Order
from qwenvl_core.transport.batch_results import ResultSink, read_results
from qwenvl_core.transport.batch_steps import Call, Flow, Pause, ReadLines
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.types.batch import Batch, BatchStatus
from qwenvl_core.wire.batches import ResultReader

CONNECTION = Connection(api="openai", base_url="https://example.com/v1", api_key="sk-test")
ORDER = Order(CONNECTION, "qwen3-vl-plus", "24h")


def fail(status: int | None) -> QwenVLError:
    return QwenVLConnectionError("lost") if status is None else QwenVLAPIError("failed", status_code=status)


def describe(batch_id: str = "b", state: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": batch_id, "status": state, "input_file_id": "f", "created_at": 1} | fields


@dataclass
class Service:
    """Answers the steps of a flow from a script, in order; the last reply to a request is given again."""

    replies: dict[str, list[Any]]
    requests: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def run(self, flow: Flow[Any]) -> Any:
        """Run a flow; return its result."""
        result: Any = None
        while True:
            try:
                step = flow.throw(result) if isinstance(result, QwenVLError) else flow.send(result)
            except StopIteration as stop:
                return stop.value
            result = self._perform(step)

    def _perform(self, step: Any) -> Any:
        match step:
            case Pause(seconds):
                self.pauses.append(seconds)
                return None
            case Call(build):
                return self._reply(_name(build(None)))
            case ReadLines(file_id, consume):
                reply = self._reply(file_id)
                for line in reply if isinstance(reply, list) else ():
                    consume(line)
                return reply if isinstance(reply, QwenVLError) else None

    def _reply(self, name: str) -> Any:
        self.requests.append(name)
        script = self.replies[name]
        return script.pop(0) if len(script) > 1 else script[0]


def _name(request: HttpRequest) -> str:
    after = (request.params or {}).get("after")
    return f"{request.method} {request.url}" + (f" after {after}" if after else "")


CREATE, LIST = "POST /batches", "GET /batches"
EMPTY, LISTED = {"data": [], "has_more": False}, {"data": [describe()], "has_more": False}

CREATIONS: dict[str, tuple[list[Any], list[Any], int, int]] = {
    # replies to the creation, replies of the list; requests for a creation, looks at the list
    "accepted": ([describe()], [EMPTY], 1, 0),
    "lost, listed at once": ([fail(None)], [LISTED], 1, 1),
    "lost, listed late": ([fail(500), describe("second")], [EMPTY] * 4 + [LISTED], 1, 5),
    "gateway page": ([fail(200)], [EMPTY, LISTED], 1, 2),
    "not created": ([fail(503), describe()], [EMPTY], 2, 5),
    "rate limit": ([fail(429), describe()], [EMPTY], 2, 1),
    "last attempt was it": ([fail(None)], [EMPTY] * 12 + [LISTED], 3, 13),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_create_batch_is_repeated_only_after_the_list_had_time_to_show_it(name: str) -> None:
    created, listed, creations, looks = CREATIONS[name]
    service = Service({CREATE: list(created), LIST: list(listed)})
    assert service.run(batch_calls.create_batch(ORDER, "f")).id == "b"
    assert (service.requests.count(CREATE), service.requests.count(LIST)) == (creations, looks)


@pytest.mark.parametrize(("status", "creations"), [(400, 1), (401, 1), (404, 1), (429, 3), (500, 3), (None, 3)])
def test_create_batch_raises_what_is_refused_or_fails_each_time(status: int | None, creations: int) -> None:
    service = Service({CREATE: [fail(status)], LIST: [EMPTY]})
    with pytest.raises(QwenVLError):
        service.run(batch_calls.create_batch(ORDER, "f"))
    assert service.requests.count(CREATE) == creations


@pytest.mark.parametrize(("is_recent", "looks", "seconds"), [(True, 5, 7.5), (False, 1, 0)])
def test_create_batch_after_a_crash_looks_first(is_recent: bool, looks: int, seconds: float) -> None:
    service = Service({CREATE: [describe()], LIST: [EMPTY]})
    service.run(batch_calls.create_batch(ORDER, "f", may_exist=True, is_recent=is_recent))
    assert service.requests == [LIST] * looks + [CREATE]
    assert sum(service.pauses) == seconds


def test_find_batch_reads_all_pages_of_a_server_without_the_filter() -> None:
    other = {"id": "o", "input_file_id": "x"}
    pages = {
        LIST: [{"data": [other], "has_more": True, "last_id": "o"}],
        f"{LIST} after o": [{"data": [other | {"id": "p"}], "has_more": True}],
        f"{LIST} after p": [LISTED],
    }
    assert Service(pages).run(batch_calls.find_batch("f")).id == "b"


@pytest.mark.parametrize("last_ids", [["o"], [str(i) for i in range(1000)]], ids=["the same page", "endless"])
def test_find_batch_ends_with_a_list_that_does_not(last_ids: list[str]) -> None:
    pages = [{"data": [{"id": last_id, "input_file_id": "x"}], "has_more": True} for last_id in last_ids]
    service = Service({LIST: pages, **{f"{LIST} after {last_id}": pages for last_id in last_ids}})
    assert service.run(batch_calls.find_batch("f")) is None


def test_cancel_batches_cancels_the_others_of_one_that_fails() -> None:
    service = Service(
        {
            "GET /batches/gone": [fail(404)],
            "GET /batches/b": [describe(state="in_progress")],
            "POST /batches/b/cancel": [describe(state="cancelling")],
        }
    )
    with pytest.raises(QwenVLError, match="Batch gone was not found"):
        service.run(batch_calls.cancel_batches(["gone", "b"]))
    assert service.requests[-1] == "POST /batches/b/cancel"


@pytest.mark.parametrize(("state", "is_error"), [("completed", False), ("in_progress", True)])
def test_cancel_batches_that_ended_meanwhile_is_no_error(state: str, is_error: bool) -> None:
    service = Service(
        {
            "GET /batches/b": [describe(state="in_progress"), describe(state=state)],
            "POST /batches/b/cancel": [fail(400)],
        }
    )
    if is_error:
        with pytest.raises(QwenVLError):
            service.run(batch_calls.cancel_batches(["b"]))
    else:
        assert service.run(batch_calls.cancel_batches(["b"])).state == state


@pytest.mark.parametrize(("skips_gone", "pauses"), [(False, 0), (True, 2)])
def test_poll_batches_raises_for_a_batch_that_is_gone(skips_gone: bool, pauses: int) -> None:
    waiting = describe(state="in_progress")
    service = Service({"GET /batches/gone": [fail(404)], "GET /batches/b": [waiting, waiting, describe()]})
    with pytest.raises(QwenVLError, match=r"Batch gone was not found.*region="):
        service.run(batch_calls.poll_batches(["gone", "b"], None, None, skips_gone=skips_gone))
    assert len(service.pauses) == pauses
    assert service.requests.count("GET /batches/gone") == 1


def test_poll_batches_passes_any_order_of_states_and_ends_by_its_timeout() -> None:
    states = ["in_progress", "validating", "queued", "finalizing", "in_progress", "completed"]
    service = Service({"GET /batches/b": [describe(state=state) for state in states]})
    assert service.run(batch_calls.poll_batches(["b"], None, None)).state == "completed"
    assert service.pauses == [2, 4, 8, 16, 32]
    with pytest.raises(QwenVLTimeoutError, match="'in_progress'"):
        Service({"GET /batches/b": [describe(state="in_progress")]}).run(batch_calls.poll_batches(["b"], 0, None))


def line(custom_id: str, status: int = 200) -> bytes:
    return json.dumps({"custom_id": custom_id, "response": {"status_code": status, "body": {"message": "m"}}}).encode()


def read(batches: Iterable[dict[str, Any]], files: dict[str, list[Any]], state: str) -> tuple[Any, ResultReader, int]:
    """Read the results of a batch with two requests, `0` and `1`; return the problem, the reader, and the looks."""
    first, *others = batches
    service, reader = (
        Service({"GET /batches/b": [describe(state=state) | row for row in others or [first]]} | files),
        (ResultReader()),
    )
    counts = first.get("request_counts") or {"total": 0, "completed": 0, "failed": 0}
    batch = Batch(
        "b",
        BatchStatus(state, **counts),
        output_file_id=first.get("output_file_id") or "",
        error_file_id=first.get("error_file_id") or "",
    )
    sink = ResultSink(reader, reader.read, lambda: reader.answered.keys() >= {"0", "1"})
    problem = service.run(read_results(batch, sink))
    assert sum(service.pauses) <= 7.5
    return problem, reader, len(service.pauses)


def counts(total: int, completed: int, failed: int = 0) -> dict[str, Any]:
    return {"request_counts": {"total": total, "completed": completed, "failed": failed}}


BOTH, OUT, ERR = [line("0"), line("1")], {"output_file_id": "o"}, {"error_file_id": "e"}
CUT = [line("0"), line("1")[:30]]
READINGS: dict[str, tuple[list[dict[str, Any]], dict[str, list[Any]], str, str, int]] = {
    # descriptions, files, state; what the results are (reply, error, missing) or the problem; further looks
    "whole": ([OUT | counts(2, 2)], {"o": [BOTH]}, "completed", "++", 0),
    "counts lag": ([OUT | counts(0, 0)], {"o": [BOTH]}, "completed", "++", 0),
    "both files": ([OUT | ERR | counts(2, 1, 1)], {"o": [[line("1")]], "e": [[line("0", 400)]]}, "completed", "-+", 0),
    "failures only": ([ERR | counts(2, 0, 2)], {"e": [[line("0", 400), line("1", 400)]]}, "completed", "--", 0),
    "expired in part": ([OUT | counts(2, 1)], {"o": [[line("0")]]}, "expired", "+?", 0),
    "expired, nothing done": ([counts(2, 0)], {}, "expired", "??", 0),
    "failed": ([counts(0, 0)], {}, "failed", "??", 0),
    "file late": ([OUT | counts(2, 2)], {"o": [fail(404), fail(404), BOTH]}, "completed", "++", 2),
    "file gone": ([OUT | counts(2, 2)], {"o": [fail(404)]}, "completed", "failed", 4),
    "file id late": ([counts(2, 2), counts(2, 2), OUT | counts(2, 2)], {"o": [BOTH]}, "completed", "++", 2),
    "counts and file id late": ([counts(0, 0), OUT | counts(2, 2)], {"o": [BOTH]}, "completed", "++", 1),
    "no file id": ([counts(2, 2)], {}, "completed", "has no file of answers", 4),
    "no file id, no counts": ([counts(0, 0)], {}, "completed", "has no file of answers", 4),
    "no file id, in part": ([counts(2, 1)], {}, "expired", "has no file of answers", 4),
    "nothing answered": ([counts(2, 0)], {}, "completed", "??", 4),
    "cut without an error": ([OUT | counts(2, 2)], {"o": [CUT, BOTH]}, "completed", "++", 1),
    "cut at a line's end": ([OUT | counts(2, 2)], {"o": [BOTH[:1], BOTH]}, "completed", "++", 1),
    "broken line": ([OUT | counts(2, 2)], {"o": [CUT]}, "completed", "+?", 4),
    "left out, counted": ([OUT | counts(2, 2)], {"o": [BOTH[:1]]}, "completed", "+?", 4),
    "left out": ([OUT | counts(2, 1)], {"o": [BOTH[:1]]}, "completed", "+?", 0),
    "page of a proxy once": ([OUT | counts(2, 2)], {"o": [[b"<html>"], BOTH]}, "completed", "++", 1),
    "page of a proxy": ([OUT | counts(2, 2)], {"o": [[b'{"error": "x"}']]}, "completed", "something else", 4),
    "failures gone": ([OUT | ERR | counts(2, 1, 1)], {"o": [BOTH[:1]], "e": [fail(404)]}, "completed", "+?", 4),
    "failures gone, not needed": ([OUT | ERR | counts(2, 2)], {"o": [BOTH], "e": [fail(404)]}, "completed", "++", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_read_results_takes_nothing_for_missing_that_may_exist(name: str) -> None:
    rows, files, state, expected, looks = READINGS[name]
    problem, reader, pauses = read(rows, {name: list(script) for name, script in files.items()}, state)
    marks = {True: "+", False: "-", None: "?"}
    found = "".join(marks[reader.answered.get(custom_id)] for custom_id in "01")
    assert (expected in str(problem)) if problem else (found == expected)
    assert pauses == looks


def test_read_results_raises_other_errors() -> None:
    with pytest.raises(QwenVLAPIError):
        read([OUT], {"o": [fail(500)]}, "completed")


def test_upload_file_without_an_id_raises(tmp_path: Path) -> None:
    flow = batch_calls.upload_file(tmp_path / "a.jsonl")
    next(flow)
    with pytest.raises(QwenVLAPIError, match="no id"):
        flow.send({"object": "file"})
