"""Follow an unusable reply by another request: what is sent, and what the caller receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from qwenvl_core.errors import (
    QwenVLAPIError,
    QwenVLContentFilterError,
    QwenVLOutputError,
    QwenVLRateLimitError,
    QwenVLStreamInterruptedError,
)
from qwenvl_core.types.events import Event, ReasoningDelta, TextDelta, ToolCallDelta
from qwenvl_core.types.reply import Reply as CoreReply
from qwenvl_core.types.reply import accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import NamedTool
from qwenvl_core.wire.tool_names import to_wire_name
from tests.emulator import Emulator, Fault, Reply, ToolCall
from tests.support.pipeline import CALL_MODES, client, events_of, request

CROP = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
ZOOM = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "crop"}}
JSON_OBJECT = {"type": "json_object"}
SCHEMA = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
CALL = ToolCall("c1", "crop", '{"x": 1}')
BROKEN = ToolCall("c0", "crop", '{"x": ')
CALLED = Reply(tool_calls=[CALL])
PROSE = Reply(reasoning="Hm.", text="I look.")

Run = Callable[[Request], list[Event]]


@pytest.fixture(params=["sync", "async"])
def run(server: Emulator, request: pytest.FixtureRequest) -> Run:
    """Run a request against the emulator, sync and async."""
    return lambda chat_request: events_of(client(server.compat_url), chat_request, request.param)


@pytest.fixture
def server() -> Any:
    with Emulator() as emulator:
        yield emulator


def forced(*, stream: bool = False, **settings: Any) -> Request:
    return request("Hi", stream=stream, **{"tools": (CROP, ZOOM), "tool_choice": NamedTool("crop"), **settings})


def bodies(server: Emulator) -> list[Any]:
    assert server.refusals == []
    assert server.unused_replies == 0
    return [recorded.json for recorded in server.requests]


def thinking(server: Emulator) -> list[Any]:
    return [body.get("enable_thinking") for body in bodies(server)]


# --- a forced tool ----------------------------------------------------------------------------------------------------


def test_kept_demand_is_one_request_that_thinks(server: Emulator, run: Run) -> None:
    server.script(Reply(reasoning="Hm.", text="I crop.", tool_calls=[CALL]))
    reply = accumulate(run(forced()))
    assert (reply.reasoning, reply.text, reply.tool_calls[0].arguments) == ("Hm.", "I crop.", '{"x": 1}')
    (body,) = bodies(server)
    assert (body["enable_thinking"], body["tool_choice"], body["tools"]) == (True, "auto", [CROP])


def test_missed_demand_is_forced_in_second_request(server: Emulator, run: Run) -> None:
    server.script(PROSE, Reply(text="Here.", tool_calls=[CALL]))
    reply = accumulate(run(forced(thinking_budget=9)))
    assert (reply.reasoning, reply.text) == ("Hm.", "I look.\n\nHere.")
    assert [call.name for call in reply.tool_calls] == ["crop"]
    first, second = bodies(server)
    assert second["messages"] == [
        *first["messages"],
        {"role": "assistant", "content": "I look."},
        {"role": "user", "content": "Now call the tool crop."},
    ]
    assert (second["enable_thinking"], second["tool_choice"], second["tools"]) == (False, NAMED, [CROP])
    assert "thinking_budget" not in second
    assert "stream" not in second  # as without thinking
    notes = reply.finish.adjustments
    assert len(notes) == 3
    assert "tool_choice='auto' instead of 'crop'" in notes[0]
    assert notes[1].startswith("sent another request, without thinking: The model did not call crop")
    assert "request id 00000000-0000-9000-8000-000000000001" in notes[1]
    assert notes[2] == "thinking_budget not sent: thinking is off for this request"


def test_usage_of_both_requests_is_added(server: Emulator, run: Run) -> None:
    usage = {"prompt": 10, "completion": 5, "reasoning": 2, "image": 4}
    server.script(Reply(reasoning="Hm.", text="No.", usage=usage), Reply(tool_calls=[CALL], usage=usage))
    reply = accumulate(run(forced()))
    assert reply.usage is not None
    assert reply.usage[:4] == (20, 10, 30, 4)
    assert (reply.usage.image, reply.usage.raw["prompt_tokens"]) == (8, 20)
    assert reply.usage.raw["prompt_tokens_details"]["image_tokens"] == 8


Row = tuple[dict[str, Any], list[Reply], list[Any], str]
ROWS: dict[str, Row] = {
    # settings, replies, `enable_thinking` of each request, part of the error
    "prose twice": ({}, [PROSE, PROSE], [True, False], r"did not call crop.*called no tool.*2 requests"),
    "prose, more retries": ({"output_retries": 2}, [PROSE] * 3, [True, False, False], "3 requests"),
    "prose, no retries": ({"output_retries": 0}, [PROSE, PROSE], [True, False], "2 requests"),
    "another tool": (
        {"tool_choice": "required", "tools": (CROP,)},
        [Reply(tool_calls=[ToolCall("c", "zoom", "{}")])] * 2,
        [True, False],
        "did not call crop; it called zoom",
    ),
    "broken twice": ({}, [Reply(tool_calls=[BROKEN])] * 2, [True, False], "not a JSON object"),
    "cut within a call": ({}, [Reply(tool_calls=[BROKEN], finish="length")], [True], "cut off.*Raise max_tokens"),
    "cut before a call": ({}, [Reply(reasoning="Hm", finish="length")] * 2, [True, False], "cut off by max_tokens"),
    "empty twice": ({}, [Reply(reasoning="Hm.")] * 2, [True, False], "reply is empty.*thinking_budget"),
    "asked": ({"forced_output": "ask"}, [PROSE], [True], r"could only be sent as 'auto' while qwen3-vl-plus thinks"),
    "asked, broken": ({"forced_output": "ask"}, [Reply(tool_calls=[BROKEN])] * 2, [True, True], "JSON object"),
    "asked, empty": ({"forced_output": "ask"}, [Reply(reasoning="Hm.")] * 2, [True, False], "reply is empty"),
    "without thinking": ({"forced_output": "no_thinking"}, [PROSE], [False], "required by tool_choice 'crop'"),
    "thinking off": ({"enable_thinking": False}, [PROSE], [False], "called no tool"),
    "thinking off, broken": ({"enable_thinking": False}, [Reply(tool_calls=[BROKEN])] * 2, [False] * 2, "JSON object"),
    "always thinks": ({"model": "qwen3-vl-8b-thinking"}, [PROSE, PROSE], [None, None], "2 requests"),
    "never thinks": ({"model": "qwen3-vl-8b-instruct"}, [PROSE], [None], "called no tool"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("settings", "replies", "thinks", "words"), ROWS.values(), ids=ROWS)
def test_demand_that_is_never_kept_raises(
    server: Emulator, run: Run, settings: Any, replies: list[Reply], thinks: list[Any], words: str, stream: bool
) -> None:
    server.script(*replies)
    with pytest.raises(QwenVLOutputError, match=words) as caught:
        run(forced(stream=stream, **settings))
    assert thinking(server) == thinks
    reasoning = [str(reply.reasoning) for reply in replies if reply.reasoning]
    assert caught.value.reasoning == "\n\n".join(reasoning)
    texts = [str(reply.text) for reply in replies if reply.text]
    assert caught.value.partial == ("\n\n".join(texts) or (replies[-1].tool_calls or [CALL])[-1].arguments) or not texts
    assert caught.value.finish is not None


def test_content_filter_raises_without_second_request(server: Emulator, run: Run) -> None:
    server.script(Reply(reasoning="Hm.", text="Half", finish="content_filter"))
    with pytest.raises(QwenVLContentFilterError) as caught:
        run(forced())
    assert caught.value.partial == "Half"
    assert len(bodies(server)) == 1


def test_broken_call_then_good_one_keeps_both_apart(server: Emulator, run: Run) -> None:
    server.script(Reply(tool_calls=[BROKEN]), CALLED)
    reply = accumulate(run(forced()))
    assert [(call.id, call.arguments) for call in reply.tool_calls] == [("c0", '{"x": '), ("c1", '{"x": 1}')]


# --- faults of the second request -------------------------------------------------------------------------------------


def test_second_request_is_retried_alone(server: Emulator, run: Run) -> None:
    limited = Fault(status=429, code="limit_requests", headers={"retry-after": "0"})
    server.script(PROSE, limited, CALLED)
    events = events_of(client(server.compat_url, max_retries=1), forced(), "sync")
    assert accumulate(events).tool_calls
    assert thinking(server) == [True, False, False]
    server.reset()
    server.script(PROSE, limited)
    with pytest.raises(QwenVLRateLimitError) as caught:
        run(forced())
    assert caught.value.partial == "I look."


CUT_SECOND = Fault(reply=Reply(text=["Sec", "ond", "."]), after=2, close_without_finish=True)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=500), QwenVLAPIError),
        (
            CUT_SECOND,
            QwenVLStreamInterruptedError,
        ),
    ],
)
def test_broken_second_request_raises_with_text_of_both(
    server: Emulator, run: Run, fault: Fault, error: type[Exception]
) -> None:
    server.script(PROSE, fault)
    with pytest.raises(error) as caught:
        run(forced(stream=True))
    assert str(caught.value.partial).startswith("I look.")  # type: ignore[attr-defined]


def test_broken_first_request_is_not_followed(server: Emulator, run: Run) -> None:
    server.script(Fault(reply=PROSE, after=4, close_without_finish=True))
    with pytest.raises(QwenVLStreamInterruptedError):
        run(request("Hi", stream=True, response_format=JSON_OBJECT))
    assert len(bodies(server)) == 1


def test_stream_closed_in_second_request_closes_connection(server: Emulator) -> None:
    server.script(PROSE, Reply(text=["x"] * 500, delay=0.005))
    core_client = client(server.compat_url)
    stream = core_client.stream(forced(stream=True))
    while "x" not in next(stream):
        pass
    stream.close()
    for _ in range(300):
        if server.disconnects:
            break
        asyncio.run(asyncio.sleep(0.01))
    assert server.disconnects == 1
    core_client.close()


# --- JSON -------------------------------------------------------------------------------------------------------------

WORDS = "Here {it} is:"
JSON_TEXTS: dict[str, tuple[str, str]] = {
    # the reply's text, the words that become reasoning
    "bare": ('{"a": 1}', ""),
    "spaces": (' \n{"a": 1}\n', ""),
    "fence": ('```json\n{"a": 1}\n```', ""),
    "words around a fence": (f'{WORDS}\n```json\n{{"a": 1}}\n```\nDone.', f"\n\n{WORDS}\n\nDone."),
    "words behind": ('{"a": 1}\nDone.', "\n\nDone."),
}


@pytest.mark.parametrize("response_format", [JSON_OBJECT, JSON_SCHEMA])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "words"), JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_json_of_each_form_is_isolated_in_one_request(
    server: Emulator, run: Run, text: str, words: str, stream: bool, response_format: Any
) -> None:
    server.script(Reply(reasoning="Hm.", text=text))
    reply = accumulate(run(request("Hi", stream=stream, response_format=response_format)))
    assert (reply.text, reply.reasoning) == ('{"a": 1}', f"Hm.{words}")
    assert thinking(server) == [True]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["It is red.", "", "[Note] It is red.", "```\nx\n```"])
def test_prose_instead_of_json_is_followed(server: Emulator, run: Run, text: str, stream: bool) -> None:
    server.script(Reply(reasoning="Hm.", text=text), Reply(text='{"a": 1}'))
    reply = accumulate(run(request("Hi", stream=stream, response_format=JSON_SCHEMA, model="qwen3.7-plus")))
    assert (reply.text, reply.reasoning) == ('{"a": 1}', f"Hm.\n\n{text}" if text else "Hm.")
    first, second = bodies(server)
    assert ("response_format" in first, second["response_format"]) == (False, JSON_SCHEMA)
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][1]["content"] == (text or "Hm.")
    assert "JSON" in second["messages"][2]["content"]


@pytest.mark.parametrize("text", ['{"a": ', '{"a": 1}{"a": 2}', '{"b": 1}', '```json\n{"a" 1}\n```'])
def test_broken_json_is_followed_unless_the_caller_has_received_it(server: Emulator, run: Run, text: str) -> None:
    server.script(Reply(reasoning="Hm.", text=text), Reply(text='{"a": 1}'))
    reply = accumulate(run(request("Hi", response_format=JSON_SCHEMA)))
    assert reply.text == '{"a": 1}'
    assert thinking(server) == [True, False]
    server.reset()
    server.script(Reply(reasoning="Hm.", text=text))
    with pytest.raises(QwenVLOutputError) as caught:
        run(request("Hi", stream=True, response_format=JSON_SCHEMA))
    assert caught.value.partial == text
    assert thinking(server) == [True]


def test_json_cut_off_is_not_completed(server: Emulator, run: Run) -> None:
    server.script(Reply(reasoning="Hm.", text='{"a": ', finish="length"))
    with pytest.raises(QwenVLOutputError, match="JSON was cut off by max_tokens"):
        run(request("Hi", response_format=JSON_OBJECT))
    assert len(bodies(server)) == 1


def test_streamed_json_is_passed_on_as_it_arrives(server: Emulator) -> None:
    server.script(Reply(text=["```js", 'on\n{"a"', ": 1", "}\n", "```"]))
    events = events_of(client(server.compat_url), request("Hi", stream=True, response_format=JSON_OBJECT), "sync")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ['{"a"', ": 1", "}"]


def test_call_keeps_a_demand_for_json(server: Emulator, run: Run) -> None:
    server.script(Reply(reasoning="Hm.", text="I look.", tool_calls=[CALL]))
    reply = accumulate(run(request("Hi", tools=(CROP,), response_format=JSON_OBJECT)))
    assert (reply.text, len(reply.tool_calls)) == ("I look.", 1)
    assert thinking(server) == [True]


# --- calls written as text --------------------------------------------------------------------------------------------

TEXT_CALL = '<tool_call>\n{"name": "crop", "arguments": {"x": 1}}\n</tool_call>'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("settings", [{"tool_choice": None}, {}, {"tool_choice": "auto", "enable_thinking": False}])
def test_call_written_as_text_is_a_call(server: Emulator, run: Run, settings: Any, stream: bool) -> None:
    server.script(Reply(reasoning="", text=TEXT_CALL))
    reply = accumulate(run(forced(stream=stream, **settings)))
    assert (reply.text, [(call.name, call.arguments) for call in reply.tool_calls]) == ("", [("crop", '{"x": 1}')])
    assert reply.tool_calls[0].id
    assert len(bodies(server)) == 1


@pytest.mark.parametrize(
    "settings", [{"tool_choice": "none"}, {"tools": ()}, {"tool_choice": None, "response_format": JSON_OBJECT}]
)
def test_text_is_no_call_where_none_is_possible(server: Emulator, settings: Any) -> None:
    text = '{"name": "crop", "arguments": {}}'
    server.script(Reply(text=text))
    reply = accumulate(events_of(client(server.compat_url), forced(stream=True, **settings), "sync"))
    assert (reply.text, reply.tool_calls) == (text, ())


def test_name_that_is_converted_is_read_from_text(server: Emulator, run: Run) -> None:
    tool = {"type": "function", "function": {"name": "裁剪", "parameters": {"type": "object", "properties": {}}}}
    name = to_wire_name("裁剪")
    server.script(Reply(text=f'call\n{{"name": "{name}", "arguments": {{}}}}'))
    reply = accumulate(run(request("Hi", tools=(tool,), tool_choice="required")))
    assert [call.name for call in reply.tool_calls] == ["裁剪"]
    assert "written as text" in reply.finish.adjustments[-1]
    (body,) = bodies(server)
    assert body["messages"][0]["content"].endswith(f"Answer with a call of the tool {name}.")


def test_other_text_streams_at_once(server: Emulator) -> None:
    server.script(Reply(text=["ca", "lm", " sea"], tool_calls=[CALL]))
    events = events_of(client(server.compat_url), forced(stream=True, tool_choice=None), "sync")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["calm", " sea"]
    assert next(event.call_index for event in events if isinstance(event, ToolCallDelta)) == 0


# --- replies that hold nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Reply(reasoning="Hm."), Reply(reasoning="Hm.", tool_calls=[BROKEN])])
@pytest.mark.parametrize("stream", [False, True])
def test_unusable_reply_is_requested_again(server: Emulator, run: Run, first: Reply, stream: bool) -> None:
    server.script(first, Reply(text="Red."))
    reply = accumulate(run(forced(stream=stream, tool_choice=None)))
    assert (reply.reasoning, reply.text) == ("Hm.", "Red.")
    assert thinking(server) == [True, bool(first.tool_calls)]
    assert server.requests[1].json["messages"][1] == {"role": "assistant", "content": "Hm."}


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_empty_reply_without_tools_is_returned_and_reported(server: Emulator, run: Run, retries: int) -> None:
    server.script(*[Reply(reasoning="Hm.")] * (retries + 1))
    reply = accumulate(run(request("Hi", output_retries=retries)))
    assert (reply.text, reply.finish.finish_reason) == ("", "stop")
    assert reply.finish.adjustments[-1] == f"the reply is empty (requests: {retries + 1})"
    assert len(bodies(server)) == retries + 1


@pytest.mark.parametrize("settings", [{"tools": (CROP,)}, {}])
def test_reply_cut_off_while_thinking_is_not_requested_again(server: Emulator, run: Run, settings: Any) -> None:
    server.script(Reply(reasoning="Hm", finish="length"))
    if settings:
        with pytest.raises(QwenVLOutputError, match=r"cut off by max_tokens.*thinking_budget"):
            run(request("Hi", **settings))
    else:
        assert accumulate(run(request("Hi"))).finish.finish_reason == "length"
    assert len(bodies(server)) == 1


SCRIPTS: dict[str, tuple[dict[str, Any], list[Reply]]] = {
    "prose, then a call": ({}, [PROSE, CALLED]),
    "thinking-only": (
        {"model": "qwen3-vl-8b-thinking"},
        [PROSE, Reply(reasoning="So.", text="Ok.", tool_calls=[CALL])],
    ),
    "prose, then JSON": ({"tools": (), "response_format": JSON_OBJECT}, [PROSE, Reply(text='```\n{"a": 1}\n```')]),
    "words around JSON": ({"tools": (), "response_format": JSON_OBJECT}, [Reply(text='Ok:\n```\n{"a": 1}\n```\nSo.')]),
    "nothing, then text": ({"tool_choice": None}, [Reply(reasoning="Hm."), Reply(text="Red.")]),
    "a call as text": ({}, [Reply(text=TEXT_CALL)]),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "replies"), SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("api", ["openai", "dashscope"])
def test_whole_reply_equals_folded_stream(server: Emulator, settings: Any, replies: list[Reply], api: Any) -> None:
    base_url = server.compat_url if api == "openai" else server.native_url
    results: list[CoreReply] = []
    for stream in (False, True):
        for mode in CALL_MODES:
            server.reset()
            server.script(*replies)
            events = events_of(client(base_url, api=api), forced(stream=stream, **settings), mode)
            results.append(accumulate(events))
            assert server.refusals == []
            assert any(isinstance(event, ReasoningDelta) for event in events) is bool(results[-1].reasoning)
    assert all(result == results[0] for result in results)
