"""Test that responses have the recorded shapes and that the vendors' clients can read them."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionContentPartImageParam, ChatCompletionMessageParam

from tests.emulator import Emulator, Fault, Quirks, Reply, ToolCall
from tests.support.paths import RECORDINGS

recorded_only = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs the shared recordings")

COMPAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/multimodal-generation/generation"
USER = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
IMAGE: ChatCompletionContentPartImageParam = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
NATIVE_USER = {"role": "user", "content": [{"image": "https://example.com/a.png"}, {"text": "What is this?"}]}
THINKING = Reply(
    reasoning=["好", "的,"], text=["三", "厘米"], usage={"prompt": 544, "completion": 590, "reasoning": 500}
)
CALLS = Reply(tool_calls=[ToolCall("call_a", "weather", ['{"city": ', '"杭州"}']), ToolCall("call_b", "time")])


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


@pytest.fixture
def server(running: Emulator) -> Emulator:
    running.reset()
    return running


def post(server: Emulator, path: str, body: dict[str, Any], **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Send a request and return the response and its raw body."""
    all_headers = {"Authorization": "Bearer sk-test"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    try:
        client.request("POST", path, json.dumps(body), all_headers)
        response = client.getresponse()
        return response, response.read()
    finally:
        client.close()


def fetch_compat(server: Emulator, reply: Reply | Fault, *, stream: bool = True, **body: Any) -> bytes:
    server.script(reply)
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    request = {"model": "qwen3-vl-plus", "messages": [USER], "stream": stream} | usage | body
    return post(server, COMPAT, request, Accept_Encoding="gzip")[1]


def fetch_native(server: Emulator, reply: Reply | Fault, *, stream: bool = True, **parameters: Any) -> bytes:
    server.script(reply)
    headers = {"X_DashScope_SSE": "enable"} if stream else {}
    parameters = {"incremental_output": True} | parameters
    request = {"model": "qwen3-vl-plus", "input": {"messages": [NATIVE_USER]}, "parameters": parameters}
    return post(server, NATIVE, request, **headers)[1]


def payloads(stream: bytes | str) -> list[Any]:
    """Parse the JSON of every data line."""
    text = stream if isinstance(stream, str) else stream.decode()
    data = [line.removeprefix("data:").strip() for line in text.split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def shape(value: Any) -> Any:
    """Replace the values of a JSON value by the names of their types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def lines(stream: bytes | str) -> list[str]:
    """Return the framing of a stream: each line up to its first digit or brace."""
    text = stream if isinstance(stream, str) else stream.decode()
    return [line.partition("{")[0].rstrip("0123456789") for line in text.split("\n")]


def recording(name: str) -> str:
    return (RECORDINGS / name).read_text(encoding="utf-8-sig").replace("\r\n", "\n").strip("\n")


# --- the compatible API and its recordings ------------------------------------------------------------------


@recorded_only
def test_compat_thinking_stream_has_recorded_shape_of_qvq(server: Emulator) -> None:
    recorded = recording("openai-compatible/qvq-max.compat.excerpt.sse")
    quirks = Quirks(answer_reasoning="absent", no_reasoning_tokens=True)
    reply = Reply(
        reasoning=["好的"], text=["方"], usage={"prompt": 544, "completion": 590, "image": 520}, quirks=quirks
    )
    emulated = fetch_compat(server, reply, model="qvq-max")
    assert shape(payloads(emulated)) == shape(payloads(recorded))
    assert [shape(chunk) for chunk in payloads(emulated)] == [shape(chunk) for chunk in payloads(recorded)]
    assert lines(emulated.strip()) == lines(recorded)


@recorded_only
def test_compat_thinking_stream_equals_recording_of_qwen3_max(server: Emulator) -> None:
    recorded = [json.loads(line) for line in recording("openai-compatible/alibaba-reasoning.excerpt.jsonl").split("\n")]
    usage = {"prompt": 24, "completion": 1355, "reasoning": 1084, "cached": 0}
    reply = Reply(
        reasoning=["We", " are asked:"],
        text=["  \n\n**Answer: ", "3**"],
        usage=usage,
        quirks=Quirks(no_text_tokens=True),
        created=recorded[0]["created"],
        request_id=recorded[0]["id"].removeprefix("chatcmpl-"),
    )
    assert payloads(fetch_compat(server, reply, model="qwen3-max")) == recorded


@recorded_only
def test_compat_whole_reply_equals_recording(server: Emulator) -> None:
    recorded = json.loads(recording("openai-compatible/alibaba-nonstream-reasoning.json"))
    message = recorded["choices"][0]["message"]
    reply = Reply(
        reasoning=message["reasoning_content"],
        text=message["content"],
        usage={"prompt": 24, "completion": 504, "reasoning": 496, "cached": 0},
        quirks=Quirks(no_text_tokens=True),
        created=recorded["created"],
        request_id=recorded["id"].removeprefix("chatcmpl-"),
    )
    body = {"model": "qwen-plus", "messages": [USER], "enable_thinking": True}
    server.script(reply)
    assert json.loads(post(server, COMPAT, body)[1]) == recorded


# --- the native API and its recordings ----------------------------------------------------------------------


def kinds(chunks: list[Any]) -> dict[str, Any]:
    """Return one shape per kind of chunk, by its non-empty fields and its finish reason."""
    shapes: dict[str, Any] = {}
    for chunk in chunks:
        choice = chunk["output"]["choices"][0]
        message = choice["message"]
        fields = [key for key in ("content", "reasoning_content", "tool_calls") if message.get(key)]
        shapes["+".join([*fields, choice["finish_reason"]])] = shape(chunk)
    return shapes


OLD = Quirks(no_total_tokens=True, usage_details_absent=True)


@recorded_only
@pytest.mark.parametrize(
    ("name", "reply"),
    [
        pytest.param(
            "multimodal-generation-message-with-tools-sse.response.body.txt",
            Reply(
                reasoning=["用户", "需要"],
                text=["告别", "杭州", "周末。"],
                quirks=Quirks(reasoning_and_text_in_one_chunk=True, empty_cache_details=True),
            ),
            id="thinking",
        ),
        pytest.param("multimodal-generation-vl-sse.response.body.txt", Reply(text=["这", "是"], quirks=OLD), id="2024"),
        pytest.param(
            "openai-compatible/qvq-max.native.excerpt.sse",
            Reply(
                reasoning=["好的"],
                text=["厘米"],
                quirks=Quirks(finish_on_last_text_chunk=False, no_reasoning_tokens=True),
            ),
            id="qvq",
        ),
    ],
)
def test_native_stream_has_recorded_shape(server: Emulator, name: str, reply: Reply) -> None:
    recorded, emulated = recording(name), fetch_native(server, reply)
    assert kinds(payloads(emulated)) == kinds(payloads(recorded))
    assert lines(emulated)[:5] == lines(recorded)[:5]


@recorded_only
@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("multimodal-generation-vl-nosse", Reply(text="海滩。", quirks=OLD)),
        (
            "multimodal-generation-vl-ocr-key-information-extraction-nosse",
            Reply(
                text="{}",
                content_extra={"ocr_result": {"kv_result": {"乘车日期": "", "发票": {"发票代码": "", "发票号码": ""}}}},
            ),
        ),
    ],
)
def test_native_whole_reply_has_recorded_shape(server: Emulator, name: str, reply: Reply) -> None:
    recorded = json.loads(recording(f"{name}.response.body.txt"))
    assert shape(json.loads(fetch_native(server, reply, stream=False))) == shape(recorded)


@recorded_only
def test_native_search_has_recorded_shape(server: Emulator) -> None:
    recorded = json.loads(recording("multimodal-generation-with-websearch-nosse.response.body.txt"))
    del recorded["usage"]["plugins"]
    message = {"role": "user", "content": [{"text": "x"}]}
    server.script(Reply(reasoning="用户", text="结合", quirks=Quirks(search_info=True)))
    body = {"model": "qwen3.6-plus", "input": {"messages": [message]}, "parameters": {"incremental_output": False}}
    assert shape(json.loads(post(server, NATIVE, body)[1])) == shape(recorded)


@recorded_only
def test_native_errors_have_recorded_shape(server: Emulator) -> None:
    in_stream = recording("parameter-error-sse.response.body.txt")
    emulated = fetch_native(server, Fault(status=400), stream=True)
    assert lines(emulated.strip()) == lines(in_stream)
    assert shape(payloads(emulated)) == shape(payloads(in_stream))
    for name, status in (("parameter-error-nosse", 400), ("auth-error-nosse", 401)):
        alone = json.loads(recording(f"{name}.response.body.txt"))
        assert shape(json.loads(fetch_native(server, Fault(status=status), stream=False))) == shape(alone)


@recorded_only
@pytest.mark.parametrize("stream", [True, False])
def test_headers_include_recorded_names(server: Emulator, stream: bool) -> None:
    """The names of times, of proxies and of the body length are not compared."""
    name = "message-with-tools-sse" if stream else "with-websearch-nosse"
    head = recording(f"multimodal-generation-{name}.response.header.txt")
    names = {line.partition(":")[0].lower() for line in head.split("\n")[1:]}
    ignored = {"date", "req-arrive-time", "resp-start-time", "request-duration", "x-envoy-upstream-service-time"}
    body = {"model": "qwen3-vl-plus", "input": {"messages": [NATIVE_USER]}}
    accept = {"Accept": "text/event-stream"} if stream else {}
    response, _ = post(server, NATIVE, body, **accept)
    assert names - ignored - {"transfer-encoding"} <= {key.lower() for key, _ in response.getheaders()}
    assert response.getheader("x-dashscope-finished") == ("false" if stream else "true")


# --- shapes without a recording -----------------------------------------------------------------------------


def deltas(stream: bytes) -> list[Any]:
    return [choice.get("delta") for chunk in payloads(stream) for choice in chunk["choices"]]


def test_compat_tool_calls_are_streamed_in_fragments(server: Emulator) -> None:
    chunks = payloads(fetch_compat(server, CALLS))
    compat_deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert compat_deltas[0]["role"] == "assistant"
    assert compat_deltas[0]["tool_calls"] == [
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    ]
    assert compat_deltas[1]["tool_calls"] == [
        {"index": 0, "id": "", "type": "function", "function": {"arguments": '{"city": '}}
    ]
    assert compat_deltas[3]["tool_calls"][0]["id"] == "call_b"
    assert set(chunks[-3]["choices"][0]) == {"delta", "index"}
    assert chunks[-2]["choices"][0] == {"delta": {}, "index": 0, "logprobs": None, "finish_reason": "tool_calls"}
    assert chunks[-1]["choices"] == []


def test_native_tool_calls_share_chunk(server: Emulator) -> None:
    choices = [chunk["output"]["choices"][0] for chunk in payloads(fetch_native(server, CALLS))]
    assert [choice["finish_reason"] for choice in choices] == ["null"] * 4 + ["tool_calls"]
    assert [call["index"] for call in choices[3]["message"]["tool_calls"]] == [0, 1]
    assert choices[3]["message"]["tool_calls"][0] == {
        "index": 0,
        "id": "",
        "type": "function",
        "function": {"arguments": ""},
    }


def test_native_output_is_cumulative_by_default(server: Emulator) -> None:
    reply = Reply(text=["a", "b", "c"])
    texts = [
        [chunk["output"]["choices"][0]["message"]["content"][0]["text"] for chunk in payloads(stream)]
        for stream in (fetch_native(server, reply, incremental_output=False), fetch_native(server, reply))
    ]
    assert texts == [["a", "ab", "abc"], ["a", "b", "c"]]


def test_usage_grows_in_native_and_comes_once_in_compat(server: Emulator) -> None:
    counts = [chunk["usage"]["output_tokens"] for chunk in payloads(fetch_native(server, THINKING))]
    assert counts == sorted(counts)
    assert counts[-1] == 590
    assert [bool(chunk["usage"]) for chunk in payloads(fetch_compat(server, THINKING))] == [False] * 6 + [True]
    without = payloads(fetch_compat(server, THINKING, stream_options={}))
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in without)


def test_usage_has_media_and_cached_tokens(server: Emulator) -> None:
    usage = {"prompt": 1000, "image": 600, "video": 300, "cached": 64}
    reply = Reply(text="x", usage=usage)
    assert payloads(fetch_compat(server, reply))[-1]["usage"]["prompt_tokens_details"] == {
        "text_tokens": 100,
        "image_tokens": 600,
        "video_tokens": 300,
        "cached_tokens": 64,
    }
    usage_payload = json.loads(fetch_native(server, reply, stream=False))["usage"]
    assert (usage_payload["image_tokens"], usage_payload["video_tokens"]) == (600, 300)
    assert usage_payload["prompt_tokens_details"] == {"cached_tokens": 64}


def test_default_reply_depends_on_request(server: Emulator) -> None:
    tool = {"type": "function", "function": {"name": "weather"}}

    def answer(**body: Any) -> Any:
        request = {"model": "qwen3-vl-plus", "messages": [USER | {"content": "json?"}]} | body
        return json.loads(post(server, COMPAT, request)[1])["choices"][0]["message"]

    assert "reasoning_content" not in answer()
    assert answer(enable_thinking=True)["reasoning_content"]
    assert answer(response_format={"type": "json_object"})["content"] == "{}"
    for choice in ("required", tool):
        assert answer(tools=[tool], tool_choice=choice)["tool_calls"][0]["function"]["name"] == "weather"
    server.respond = lambda request: Reply(text=request.json["model"])
    assert answer()["content"] == "qwen3-vl-plus"


def test_two_servers_send_same_bytes() -> None:
    responses = []
    for _ in range(2):
        with Emulator() as server:
            responses.append(
                [fetch_compat(server, THINKING), fetch_native(server, CALLS), fetch_compat(server, Fault(status=500))]
            )
    assert responses[0] == responses[1]


# --- quirks -------------------------------------------------------------------------------------------------


def with_quirks(server: Emulator, reply: Reply, **quirks: Any) -> bytes:
    server.quirks = Quirks(**quirks)
    try:
        return fetch_compat(server, reply)
    finally:
        server.quirks = Quirks()


def test_quirks_change_content_and_reasoning(server: Emulator) -> None:
    assert "reasoning_content" in deltas(with_quirks(server, THINKING))[0]
    assert deltas(with_quirks(server, THINKING, first_reasoning_empty=False))[0]["reasoning_content"] == "好"
    assert [delta.get("content", "missing") for delta in deltas(with_quirks(server, THINKING, content_mode="missing"))][
        :2
    ] == ["missing"] * 2
    assert deltas(with_quirks(server, THINKING, content_mode="list"))[0]["content"] == []
    assert deltas(with_quirks(server, THINKING, content_mode="empty"))[0]["content"] == ""
    both = deltas(with_quirks(server, THINKING, reasoning_and_text_in_one_chunk=True))[2]
    assert (both["reasoning_content"], both["content"]) == ("的,", "三")
    assert deltas(with_quirks(server, THINKING, answer_reasoning="empty"))[3]["reasoning_content"] == ""
    assert "reasoning_content" not in deltas(with_quirks(server, THINKING, answer_reasoning="absent"))[3]
    assert deltas(with_quirks(server, THINKING, reasoning_key="reasoning"))[1]["reasoning"] == "好"
    tags = "".join(delta.get("content") or "" for delta in deltas(with_quirks(server, THINKING, think_tags=True)))
    assert tags == "<think>\n好的,\n</think>\n\n三厘米"
    lone = "".join(delta.get("content") or "" for delta in deltas(with_quirks(server, THINKING, lone_think_end=True)))
    assert lone.startswith("好的,\n</think>")
    leaked = deltas(with_quirks(server, CALLS, tool_call_in_reasoning=True))[1]["reasoning_content"]
    assert json.loads(leaked.split("\n")[1])["name"] == "weather"


def test_quirks_change_finish_reason(server: Emulator) -> None:
    def finishes(stream: bytes) -> list[Any]:
        return [choice.get("finish_reason", "missing") for chunk in payloads(stream) for choice in chunk["choices"]]

    assert finishes(with_quirks(server, THINKING))[-1] == "stop"
    assert finishes(with_quirks(server, THINKING, finish_null_string=True))[0] == "null"
    assert finishes(with_quirks(server, THINKING, finish_missing_key=True))[0] == "missing"
    last = payloads(with_quirks(server, THINKING, finish_on_last_text_chunk=True))[-2]["choices"][0]
    assert (last["delta"]["content"], last["finish_reason"]) == ("厘米", "stop")
    last = payloads(with_quirks(server, CALLS, finish_with_last_arguments=True))[-2]["choices"][0]
    assert last["delta"]["tool_calls"]
    assert last["finish_reason"] == "tool_calls"
    assert finishes(with_quirks(server, CALLS, finish_stop_with_tool_calls=True))[-1] == "stop"


def test_quirks_change_tool_calls(server: Emulator) -> None:
    def fragments(**quirks: Any) -> list[Any]:
        return [call for delta in deltas(with_quirks(server, CALLS, **quirks)) for call in delta.get("tool_calls", [])]

    assert fragments(empty_tool_id=False)[1]["id"] == "call_a"
    assert "id" not in fragments(tool_fragment_without_id=True)[1]
    assert "type" not in fragments(tool_fragment_without_type=True)[1]
    assert "arguments" not in fragments(tool_fragment_without_arguments=True)[0]["function"]
    assert fragments(arguments_with_name=True)[0]["function"] == {"name": "weather", "arguments": '{"city": '}
    assert fragments(empty_tool_deltas=True)[1]["function"]["arguments"] == ""
    two = deltas(with_quirks(server, CALLS, two_tool_indexes_in_one_chunk=True))[3]["tool_calls"]
    assert [call["index"] for call in two] == [0, 1]
    assert [call["index"] for call in fragments(interleaved_tool_calls=True)][:4] == [0, 1, 0, 1]
    assert deltas(with_quirks(server, THINKING, empty_tool_calls=True))[0]["tool_calls"] == []


def test_quirks_change_usage(server: Emulator) -> None:
    def usage(**quirks: Any) -> Any:
        return payloads(with_quirks(server, THINKING, **quirks))[-1]["usage"]

    assert all(chunk["usage"] for chunk in payloads(with_quirks(server, THINKING, usage_every_chunk=True)))
    last = payloads(with_quirks(server, THINKING, usage_on_last_chunk=True))[-1]
    assert last["choices"]
    assert last["usage"]["total_tokens"] == 1134
    assert usage(usage_details_empty=True)["completion_tokens_details"] == {}
    assert "completion_tokens_details" not in usage(usage_details_absent=True)
    assert usage(no_reasoning_tokens=True)["completion_tokens_details"] == {"text_tokens": 590}
    assert usage(reasoning_tokens_top_level=True)["reasoning_tokens"] == 500
    assert "total_tokens" not in usage(no_total_tokens=True)
    assert not any(chunk["usage"] for chunk in payloads(with_quirks(server, THINKING, no_usage=True)))


def test_quirks_change_framing(server: Emulator) -> None:
    plain = payloads(with_quirks(server, THINKING))
    assert b"\ndata:{" in with_quirks(server, THINKING, no_space_after_data=True)
    assert with_quirks(server, THINKING, comments=True).startswith(b": keep-alive\n\ndata: {")
    assert with_quirks(server, THINKING, crlf=True).endswith(b"data: [DONE]\r\n\r\n")
    carriage_returns = with_quirks(server, THINKING, cr=True)
    assert b"\n" not in carriage_returns
    assert len(payloads(carriage_returns.replace(b"\r", b"\n"))) == len(plain)
    many = with_quirks(server, THINKING, multi_line_data=True).split(b"\n\n")[0]
    assert many.count(b"\ndata: ") > 5
    joined = b"\n".join(line.removeprefix(b"data: ") for line in many.split(b"\n"))
    assert set(json.loads(joined)) == set(plain[0])
    assert with_quirks(server, THINKING, bom=True).startswith(b"\xef\xbb\xbfdata: ")
    assert payloads(gzip.decompress(with_quirks(server, THINKING, gzip=True)))[1]["choices"] == plain[1]["choices"]
    assert b"[DONE]" not in with_quirks(server, THINKING, no_done=True)
    assert len(payloads(with_quirks(server, THINKING, split_bytes=1))) == len(plain)


def test_quirks_add_fields_and_headers(server: Emulator) -> None:
    assert payloads(with_quirks(server, THINKING, search_info=True))[0]["search_info"]["search_results"]
    server.script(Reply(text="It", quirks=Quirks(partial_response=True, set_cookie=True, no_request_id=True)))
    response, _ = post(server, COMPAT, {"model": "qwen3-vl-plus", "messages": [USER]})
    assert response.getheader("x-dashscope-partialresponse") == "true"
    assert response.getheader("set-cookie", "").startswith("acw_tc=")
    assert response.getheader("x-request-id") is None


def test_every_quirk_has_test() -> None:
    tests = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert [field.name for field in fields(Quirks) if f"{field.name}=" not in tests] == []


def test_line_separators_are_sent_unescaped(server: Emulator) -> None:
    text = "a\u2028b\u0085c\u001cd"
    stream = fetch_compat(server, Reply(text=[text]))
    assert "\u2028b\u0085c".encode() in stream
    assert deltas(stream)[1]["content"] == text


# --- the vendors' clients -----------------------------------------------------------------------------------


@pytest.fixture
def openai_client(server: Emulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.compat_url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    "quirks", [Quirks(), Quirks(comments=True, crlf=True), Quirks(no_space_after_data=True, split_bytes=3)]
)
def test_openai_sdk_reads_streams(server: Emulator, openai_client: openai.OpenAI, quirks: Quirks) -> None:
    server.script(Reply(reasoning="好的，想一想。", text="三厘米 📏", tool_calls=CALLS.tool_calls, quirks=quirks))
    chunks = list(
        openai_client.chat.completions.create(
            model="qwen3-vl-plus",
            messages=[{"role": "user", "content": [IMAGE]}],
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"enable_thinking": True},
        )
    )
    sdk_deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in sdk_deltas) == "好的，想一想。"
    assert "".join(delta.content or "" for delta in sdk_deltas) == "三厘米 📏"
    calls = [call for delta in sdk_deltas for call in delta.tool_calls or () if call.index == 0]
    assert "".join((call.function and call.function.arguments) or "" for call in calls) == '{"city": "杭州"}'
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.model_dump()["prompt_tokens_details"]["image_tokens"] == 258


def test_openai_sdk_reads_replies_and_errors(server: Emulator, openai_client: openai.OpenAI) -> None:
    server.script(Reply(text="Yes.", tool_calls=CALLS.tool_calls), Fault(status=429, headers={"Retry-After": "1"}))
    create = openai_client.chat.completions.create
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "x"}]
    answer = create(model="qwen3-vl-plus", messages=messages)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Yes.", "tool_calls")
    assert answer.choices[0].message.tool_calls is not None
    call = answer.choices[0].message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "weather"
    with pytest.raises(openai.RateLimitError) as limited:
        create(model="qwen3-vl-plus", messages=messages)
    assert (limited.value.code, limited.value.response.headers["retry-after"]) == ("limit_requests", "1")
    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="qwen9", messages=messages)
    assert unknown.value.request_id == "00000000-0000-9000-8000-000000000003"


def _converse(server: Emulator, **keywords: Any) -> Any:
    from dashscope import MultiModalConversation

    return MultiModalConversation.call(
        model="qwen3-vl-plus", messages=[NATIVE_USER], api_key="sk-test", base_address=server.native_url, **keywords
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dashscope_1_reads_streams_replies_and_errors(server: Emulator) -> None:
    http_request = pytest.importorskip("dashscope.api_entities.http_request")

    server.script(Reply(reasoning="好的。", text="三厘米"), Reply(text="Yes."), Fault(status=400), Fault(status=429))
    events = list(_converse(server, stream=True, incremental_output=True, enable_thinking=True))
    messages = [event.output.choices[0].message for event in events]
    assert "".join(message.get("reasoning_content") or "" for message in messages) == "好的。"
    assert "".join(item["text"] for message in messages for item in message.content) == "三厘米"
    assert events[-1].output.choices[0].finish_reason == "stop"
    assert _converse(server).output.choices[0].message.content == [{"text": "Yes."}]
    assert next(iter(_converse(server, stream=True))).code == "InvalidParameter"
    assert _converse(server).status_code == 429
    http_request.close_shared_sync_session()


def test_dashscope_2_reads_streams_and_uploads_files(server: Emulator, tmp_path: Path) -> None:
    client_class = pytest.importorskip("dashscope").Client
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    messages = [{"role": "user", "content": [{"type": "image", "url": str(picture)}, {"type": "text", "text": "x"}]}]
    server.script(Reply(reasoning="Hm.", text="Yes."), Reply(text="No."))
    with client_class(api_key="sk-test", base_url=server.native_url) as client:
        stream = client.multimodal.chat.create(
            model="qwen3-vl-plus", messages=messages, stream=True, enable_thinking=True
        )
        chunks = list(stream)
        answer = client.multimodal.chat.create(model="qwen3-vl-plus", messages="x")
    assert "".join(chunk.delta.reasoning_content or "" for chunk in chunks) == "Hm."
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "Yes."
    assert answer.output_text == "No."
    assert [upload.content for upload in server.uploads] == [picture.read_bytes()]
    chat = next(request for request in server.requests if request.route == NATIVE)
    assert chat.json["input"]["messages"][0]["content"][0]["image"] == server.uploads[0].url
    assert chat.headers["x-dashscope-ossresourceresolve"] == "enable"
