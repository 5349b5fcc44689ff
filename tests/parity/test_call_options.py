"""Test what a call passes to the HTTP request: headers, query and timeout, in every mode and over both APIs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLContentFilterError, QwenVLInputError, QwenVLTimeoutError
from tests.emulator import Emulator, Reply
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair, text_of


@pytest.fixture(params=APIS)
def pair(request: pytest.FixtureRequest, emulator: Emulator) -> Iterator[ModelPair]:
    api: Api = request.param
    models = ModelPair(emulator, api, max_retries=0, default_headers={"X-Trace": "model", "X-Own": "1"})
    yield models
    models.close()


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_headers_and_query_of_a_call_are_sent(call_mode: CallMode, pair: ModelPair, emulator: Emulator) -> None:
    emulator.script(Reply(text="A."), Reply(text="B."))
    options: dict[str, Any] = {
        "extra_headers": {"x-trace": "call"}, "extra_query": {"region": "a b", "n": 2}, "stream_chunk_timeout": 9
    }  # fmt: skip
    assert text_of(pair.send(call_mode, **options)) == "A."
    assert text_of(pair.send(call_mode)) == "B."
    first, second = emulator.requests
    assert (first.headers["x-trace"], first.headers["x-own"]) == ("call", "1")
    assert second.headers["x-trace"] == "model"
    own = {*options, "timeout"}
    assert not own & first.json.keys()
    assert not own & first.json.get("parameters", {}).keys()


@pytest.mark.parametrize("limit", ["timeout", "stream_chunk_timeout"])
@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_timeout_of_a_call_is_in_force(call_mode: CallMode, limit: str, pair: ModelPair, emulator: Emulator) -> None:
    gate = threading.Event()
    emulator.script(Reply(text=["A", "."], gates=[gate, gate, gate]))
    limits: dict[str, Any] = {limit: 0.2}
    try:
        with pytest.raises(QwenVLTimeoutError):
            pair.send(call_mode, enable_thinking=True, **limits)
    finally:
        gate.set()


@pytest.mark.parametrize(
    ("keywords", "why"),
    [
        ({"timeout": 0}, "timeout=0 is invalid"),
        ({"timeout": True}, "timeout=True is invalid"),
        ({"timeout": "3"}, "above 0"),
        ({"stream_chunk_timeout": 0}, "stream_chunk_timeout=0 is invalid"),
        ({"timeout": float("nan")}, "above 0"),
        ({"extra_headers": ["a"]}, "extra_headers=.*a dict"),
        ({"extra_headers": {"a": "ü"}}, "extra_headers="),
        ({"extra_headers": {"a": "b\r\nx-other: c"}}, "without line breaks"),
        ({"extra_headers": {"a b": "c"}}, "names without spaces"),
        ({"extra_headers": {"": "c"}}, "extra_headers="),
        ({"extra_query": "a=b"}, "extra_query=.*a dict"),
    ],
)
def test_invalid_option_of_a_call_raises(keywords: dict[str, Any], why: str, pair: ModelPair) -> None:
    for call_mode in CALL_MODES[:4:3]:
        with pytest.raises(QwenVLInputError, match=why):
            pair.send(call_mode, **keywords)


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
def test_structured_answer_blocked_by_content_filter_is_that_error(
    call_mode: CallMode, pair: ModelPair, emulator: Emulator
) -> None:
    emulator.script(Reply(text='{"a": 1', finish="content_filter"))
    with pytest.raises(QwenVLContentFilterError) as caught:
        pair.send(call_mode, response_format={"type": "json_object"}, conversation=None)
    assert caught.value.partial == '{"a": 1'
