"""The emulator's bytes have the shapes that were recorded, and the vendors' own clients can read them."""

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

from tests.emulator import Emulator, Fault, Quirks, Reply, ToolCall
from tests.support.paths import RECORDINGS

recorded_only = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not here")

COMPAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/multimodal-generation/generation"
USER = {"role": "user", "content": [{"type": "text", "text": "What is this?"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
ASKED = {"role": "user", "content": [{"image": "https://example.com/a.png"}, {"text": "What is this?"}]}
THOUGHT = Reply(
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
    """The response and its body, with nothing decoded."""
    sent = {"Authorization": "Bearer sk-test"} | {name.replace("_", "-"): value for name, value in headers.items()}
    client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    try:
        client.request("POST", path, json.dumps(body), sent)
        response = client.getresponse()
        return response, response.read()
    finally:
        client.close()


def compat(server: Emulator, reply: Reply | Fault, *, stream: bool = True, **body: Any) -> bytes:
    server.script(reply)
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    request = {"model": "qwen3-vl-plus", "messages": [USER], "stream": stream} | usage | body
    return post(server, COMPAT, request, Accept_Encoding="gzip")[1]


def native(server: Emulator, reply: Reply | Fault, *, stream: bool = True, **parameters: Any) -> bytes:
    server.script(reply)
    headers = {"X_DashScope_SSE": "enable"} if stream else {}
    parameters = {"incremental_output": True} | parameters
    request = {"model": "qwen3-vl-plus", "input": {"messages": [ASKED]}, "parameters": parameters}
    return post(server, NATIVE, request, **headers)[1]


def payloads(stream: bytes | str) -> list[Any]:
    """The JSON of every data line."""
    text = stream if isinstance(stream, str) else stream.decode()
    data = [line.removeprefix("data:").strip() for line in text.split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in data if line != "[DONE]"]


def shape(value: Any) -> Any:
    """The keys and types of a value, without what it says."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def lines(stream: bytes | str) -> list[str]:
    """The framing: each line up to its first digit or brace."""
    text = stream if isinstance(stream, str) else stream.decode()
    return [line.partition("{")[0].rstrip("0123456789") for line in text.split("\n")]


def recording(name: str) -> str:
    return (RECORDINGS / name).read_text(encoding="utf-8-sig").replace("\r\n", "\n").strip("\n")


# --- the compatible API beside its recordings ---------------------------------------------------------------


@recorded_only
def test_compat_thinking_stream_as_recorded_of_qvq(server: Emulator) -> None:
    recorded = recording("openai-compatible/qvq-max.compat.excerpt.sse")
    quirks = Quirks(answer_reasoning="absent", no_reasoning_tokens=True)
    reply = Reply(
        reasoning=["好的"], text=["方"], usage={"prompt": 544, "completion": 590, "image": 520}, quirks=quirks
    )
    emulated = compat(server, reply, model="qvq-max")
    assert shape(payloads(emulated)) == shape(payloads(recorded))
    assert [shape(chunk) for chunk in payloads(emulated)] == [shape(chunk) for chunk in payloads(recorded)]
    assert lines(emulated.strip()) == lines(recorded)


@recorded_only
def test_compat_thinking_stream_as_recorded_of_qwen3_max(server: Emulator) -> None:
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
    assert payloads(compat(server, reply, model="qwen3-max")) == recorded


@recorded_only
def test_compat_whole_answer_as_recorded(server: Emulator) -> None:
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


# --- the native API beside its recordings -------------------------------------------------------------------


def kinds(chunks: list[Any]) -> dict[str, Any]:
    """One shape per kind of chunk: what it says, and whether it ends the stream."""
    seen: dict[str, Any] = {}
    for chunk in chunks:
        choice = chunk["output"]["choices"][0]
        message = choice["message"]
        said = [key for key in ("content", "reasoning_content", "tool_calls") if message.get(key)]
        seen["+".join([*said, choice["finish_reason"]])] = shape(chunk)
    return seen


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
def test_native_stream_as_recorded(server: Emulator, name: str, reply: Reply) -> None:
    recorded, emulated = recording(name), native(server, reply)
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
def test_native_whole_answer_as_recorded(server: Emulator, name: str, reply: Reply) -> None:
    recorded = json.loads(recording(f"{name}.response.body.txt"))
    assert shape(json.loads(native(server, reply, stream=False))) == shape(recorded)


@recorded_only
def test_native_search_as_recorded(server: Emulator) -> None:
    recorded = json.loads(recording("multimodal-generation-with-websearch-nosse.response.body.txt"))
    del recorded["usage"]["plugins"]
    asked = {"role": "user", "content": [{"text": "x"}]}
    server.script(Reply(reasoning="用户", text="结合", quirks=Quirks(search_info=True)))
    body = {"model": "qwen3.6-plus", "input": {"messages": [asked]}, "parameters": {"incremental_output": False}}
    assert shape(json.loads(post(server, NATIVE, body)[1])) == shape(recorded)


@recorded_only
def test_native_errors_as_recorded(server: Emulator) -> None:
    in_stream = recording("parameter-error-sse.response.body.txt")
    emulated = native(server, Fault(status=400), stream=True)
    assert lines(emulated.strip()) == lines(in_stream)
    assert shape(payloads(emulated)) == shape(payloads(in_stream))
    for name, status in (("parameter-error-nosse", 400), ("auth-error-nosse", 401)):
        alone = json.loads(recording(f"{name}.response.body.txt"))
        assert shape(json.loads(native(server, Fault(status=status), stream=False))) == shape(alone)


@recorded_only
@pytest.mark.parametrize("stream", [True, False])
def test_headers_as_recorded(server: Emulator, stream: bool) -> None:
    """All but the clock, the proxies' own and the length."""
    name = "message-with-tools-sse" if stream else "with-websearch-nosse"
    head = recording(f"multimodal-generation-{name}.response.header.txt")
    names = {line.partition(":")[0].lower() for line in head.split("\n")[1:]}
    left_out = {"date", "req-arrive-time", "resp-start-time", "request-duration", "x-envoy-upstream-service-time"}
    body = {"model": "qwen3-vl-plus", "input": {"messages": [ASKED]}}
    accept = {"Accept": "text/event-stream"} if stream else {}
    response, _ = post(server, NATIVE, body, **accept)
    assert names - left_out - {"transfer-encoding"} <= {key.lower() for key, _ in response.getheaders()}
    assert response.getheader("x-dashscope-finished") == ("false" if stream else "true")


# --- what is not in the recordings, chunk by chunk ----------------------------------------------------------


def deltas(stream: bytes) -> list[Any]:
    return [choice.get("delta") for chunk in payloads(stream) for choice in chunk["choices"]]


def test_compat_tool_calls(server: Emulator) -> None:
    chunks = payloads(compat(server, CALLS))
    said = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert said[0]["role"] == "assistant"
    assert said[0]["tool_calls"] == [
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    ]
    assert said[1]["tool_calls"] == [{"index": 0, "id": "", "type": "function", "function": {"arguments": '{"city": '}}]
    assert said[3]["tool_calls"][0]["id"] == "call_b"
    assert set(chunks[-3]["choices"][0]) == {"delta", "index"}
    assert chunks[-2]["choices"][0] == {"delta": {}, "index": 0, "logprobs": None, "finish_reason": "tool_calls"}
    assert chunks[-1]["choices"] == []


def test_native_tool_calls(server: Emulator) -> None:
    choices = [chunk["output"]["choices"][0] for chunk in payloads(native(server, CALLS))]
    assert [choice["finish_reason"] for choice in choices] == ["null"] * 4 + ["tool_calls"]
    assert [call["index"] for call in choices[3]["message"]["tool_calls"]] == [0, 1]
    assert choices[3]["message"]["tool_calls"][0] == {
        "index": 0,
        "id": "",
        "type": "function",
        "function": {"arguments": ""},
    }


def test_native_output_is_cumulative_unless_asked_otherwise(server: Emulator) -> None:
    reply = Reply(text=["a", "b", "c"])
    texts = [
        [chunk["output"]["choices"][0]["message"]["content"][0]["text"] for chunk in payloads(stream)]
        for stream in (native(server, reply, incremental_output=False), native(server, reply))
    ]
    assert texts == [["a", "ab", "abc"], ["a", "b", "c"]]


def test_usage_grows_natively_and_comes_once_in_compat(server: Emulator) -> None:
    counts = [chunk["usage"]["output_tokens"] for chunk in payloads(native(server, THOUGHT))]
    assert counts == sorted(counts)
    assert counts[-1] == 590
    assert [bool(chunk["usage"]) for chunk in payloads(compat(server, THOUGHT))] == [False] * 6 + [True]
    without = payloads(compat(server, THOUGHT, stream_options={}))
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in without)


def test_media_and_cache_in_the_usage(server: Emulator) -> None:
    usage = {"prompt": 1000, "image": 600, "video": 300, "cached": 64}
    reply = Reply(text="x", usage=usage)
    assert payloads(compat(server, reply))[-1]["usage"]["prompt_tokens_details"] == {
        "text_tokens": 100,
        "image_tokens": 600,
        "video_tokens": 300,
        "cached_tokens": 64,
    }
    written = json.loads(native(server, reply, stream=False))["usage"]
    assert (written["image_tokens"], written["video_tokens"]) == (600, 300)
    assert written["prompt_tokens_details"] == {"cached_tokens": 64}


def test_the_default_answer_follows_the_request(server: Emulator) -> None:
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


def test_two_servers_say_the_same_bytes() -> None:
    said = []
    for _ in range(2):
        with Emulator() as server:
            said.append([compat(server, THOUGHT), native(server, CALLS), compat(server, Fault(status=500))])
    assert said[0] == said[1]


# --- quirks -------------------------------------------------------------------------------------------------


def quirky(server: Emulator, reply: Reply, **quirks: Any) -> bytes:
    server.quirks = Quirks(**quirks)
    try:
        return compat(server, reply)
    finally:
        server.quirks = Quirks()


def test_quirks_of_content_and_reasoning(server: Emulator) -> None:
    assert "reasoning_content" in deltas(quirky(server, THOUGHT))[0]
    assert deltas(quirky(server, THOUGHT, first_reasoning_empty=False))[0]["reasoning_content"] == "好"
    assert [d.get("content", "missing") for d in deltas(quirky(server, THOUGHT, content_mode="missing"))][:2] == [
        "missing"
    ] * 2
    assert deltas(quirky(server, THOUGHT, content_mode="list"))[0]["content"] == []
    assert deltas(quirky(server, THOUGHT, content_mode="empty"))[0]["content"] == ""
    both = deltas(quirky(server, THOUGHT, reasoning_and_text_in_one_chunk=True))[2]
    assert (both["reasoning_content"], both["content"]) == ("的,", "三")
    assert deltas(quirky(server, THOUGHT, answer_reasoning="empty"))[3]["reasoning_content"] == ""
    assert "reasoning_content" not in deltas(quirky(server, THOUGHT, answer_reasoning="absent"))[3]
    assert deltas(quirky(server, THOUGHT, reasoning_key="reasoning"))[1]["reasoning"] == "好"
    tags = "".join(d.get("content") or "" for d in deltas(quirky(server, THOUGHT, think_tags=True)))
    assert tags == "<think>\n好的,\n</think>\n\n三厘米"
    lone = "".join(d.get("content") or "" for d in deltas(quirky(server, THOUGHT, lone_think_end=True)))
    assert lone.startswith("好的,\n</think>")
    leaked = deltas(quirky(server, CALLS, tool_call_in_reasoning=True))[1]["reasoning_content"]
    assert json.loads(leaked.split("\n")[1])["name"] == "weather"


def test_quirks_of_the_finish(server: Emulator) -> None:
    def finishes(stream: bytes) -> list[Any]:
        return [c.get("finish_reason", "missing") for chunk in payloads(stream) for c in chunk["choices"]]

    assert finishes(quirky(server, THOUGHT))[-1] == "stop"
    assert finishes(quirky(server, THOUGHT, finish_null_string=True))[0] == "null"
    assert finishes(quirky(server, THOUGHT, finish_missing_key=True))[0] == "missing"
    last = payloads(quirky(server, THOUGHT, finish_on_last_text_chunk=True))[-2]["choices"][0]
    assert (last["delta"]["content"], last["finish_reason"]) == ("厘米", "stop")
    last = payloads(quirky(server, CALLS, finish_with_last_arguments=True))[-2]["choices"][0]
    assert last["delta"]["tool_calls"]
    assert last["finish_reason"] == "tool_calls"
    assert finishes(quirky(server, CALLS, finish_stop_with_tool_calls=True))[-1] == "stop"


def test_quirks_of_tool_calls(server: Emulator) -> None:
    def fragments(**quirks: Any) -> list[Any]:
        return [call for d in deltas(quirky(server, CALLS, **quirks)) for call in d.get("tool_calls", [])]

    assert fragments(empty_tool_id=False)[1]["id"] == "call_a"
    assert "id" not in fragments(tool_fragment_without_id=True)[1]
    assert "type" not in fragments(tool_fragment_without_type=True)[1]
    assert "arguments" not in fragments(tool_fragment_without_arguments=True)[0]["function"]
    assert fragments(arguments_with_name=True)[0]["function"] == {"name": "weather", "arguments": '{"city": '}
    assert fragments(empty_tool_deltas=True)[1]["function"]["arguments"] == ""
    two = deltas(quirky(server, CALLS, two_tool_indexes_in_one_chunk=True))[3]["tool_calls"]
    assert [call["index"] for call in two] == [0, 1]
    assert [call["index"] for call in fragments(interleaved_tool_calls=True)][:4] == [0, 1, 0, 1]
    assert deltas(quirky(server, THOUGHT, empty_tool_calls=True))[0]["tool_calls"] == []


def test_quirks_of_the_usage(server: Emulator) -> None:
    def usage(**quirks: Any) -> Any:
        return payloads(quirky(server, THOUGHT, **quirks))[-1]["usage"]

    assert all(chunk["usage"] for chunk in payloads(quirky(server, THOUGHT, usage_every_chunk=True)))
    last = payloads(quirky(server, THOUGHT, usage_on_last_chunk=True))[-1]
    assert last["choices"]
    assert last["usage"]["total_tokens"] == 1134
    assert usage(usage_details_empty=True)["completion_tokens_details"] == {}
    assert "completion_tokens_details" not in usage(usage_details_absent=True)
    assert usage(no_reasoning_tokens=True)["completion_tokens_details"] == {"text_tokens": 590}
    assert usage(reasoning_tokens_top_level=True)["reasoning_tokens"] == 500
    assert "total_tokens" not in usage(no_total_tokens=True)
    assert not any(chunk["usage"] for chunk in payloads(quirky(server, THOUGHT, no_usage=True)))


def test_quirks_of_the_framing(server: Emulator) -> None:
    plain = payloads(quirky(server, THOUGHT))
    assert b"\ndata:{" in quirky(server, THOUGHT, no_space_after_data=True)
    assert quirky(server, THOUGHT, comments=True).startswith(b": keep-alive\n\ndata: {")
    assert quirky(server, THOUGHT, crlf=True).endswith(b"data: [DONE]\r\n\r\n")
    carriage_returns = quirky(server, THOUGHT, cr=True)
    assert b"\n" not in carriage_returns
    assert len(payloads(carriage_returns.replace(b"\r", b"\n"))) == len(plain)
    many = quirky(server, THOUGHT, multi_line_data=True).split(b"\n\n")[0]
    assert many.count(b"\ndata: ") > 5
    joined = b"\n".join(line.removeprefix(b"data: ") for line in many.split(b"\n"))
    assert set(json.loads(joined)) == set(plain[0])
    assert quirky(server, THOUGHT, bom=True).startswith(b"\xef\xbb\xbfdata: ")
    assert payloads(gzip.decompress(quirky(server, THOUGHT, gzip=True)))[1]["choices"] == plain[1]["choices"]
    assert b"[DONE]" not in quirky(server, THOUGHT, no_done=True)
    assert len(payloads(quirky(server, THOUGHT, split_bytes=1))) == len(plain)


def test_quirks_beside_the_choices(server: Emulator) -> None:
    assert payloads(quirky(server, THOUGHT, search_info=True))[0]["search_info"]["search_results"]
    server.script(Reply(text="It", quirks=Quirks(partial_response=True, set_cookie=True, no_request_id=True)))
    response, _ = post(server, COMPAT, {"model": "qwen3-vl-plus", "messages": [USER]})
    assert response.getheader("x-dashscope-partialresponse") == "true"
    assert response.getheader("set-cookie", "").startswith("acw_tc=")
    assert response.getheader("x-request-id") is None


def test_every_quirk_is_tried() -> None:
    tests = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert [field.name for field in fields(Quirks) if f"{field.name}=" not in tests] == []


def test_line_separators_are_text(server: Emulator) -> None:
    text = "a\u2028b\u0085c\u001cd"
    stream = compat(server, Reply(text=[text]))
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
def test_the_openai_sdk_reads_streams(server: Emulator, openai_client: openai.OpenAI, quirks: Quirks) -> None:
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
    said = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in said) == "好的，想一想。"
    assert "".join(delta.content or "" for delta in said) == "三厘米 📏"
    arguments = [call.function.arguments for d in said for call in d.tool_calls or () if call.index == 0]
    assert "".join(arguments) == '{"city": "杭州"}'
    assert chunks[-1].usage.prompt_tokens_details.image_tokens == 258


def test_the_openai_sdk_reads_answers_and_errors(server: Emulator, openai_client: openai.OpenAI) -> None:
    server.script(Reply(text="Yes.", tool_calls=CALLS.tool_calls), Fault(status=429, headers={"Retry-After": "1"}))
    create = openai_client.chat.completions.create
    messages = [{"role": "user", "content": "x"}]
    answer = create(model="qwen3-vl-plus", messages=messages)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Yes.", "tool_calls")
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    with pytest.raises(openai.RateLimitError) as limited:
        create(model="qwen3-vl-plus", messages=messages)
    assert (limited.value.code, limited.value.response.headers["retry-after"]) == ("limit_requests", "1")
    with pytest.raises(openai.NotFoundError) as unknown:
        create(model="qwen9", messages=messages)
    assert unknown.value.request_id == "00000000-0000-9000-8000-000000000003"


def _converse(server: Emulator, **more: Any) -> Any:
    from dashscope import MultiModalConversation

    return MultiModalConversation.call(
        model="qwen3-vl-plus", messages=[ASKED], api_key="sk-test", base_address=server.native_url, **more
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dashscope_1_reads_streams_answers_and_errors(server: Emulator) -> None:
    http_request = pytest.importorskip("dashscope.api_entities.http_request")

    server.script(Reply(reasoning="好的。", text="三厘米"), Reply(text="Yes."), Fault(status=400), Fault(status=429))
    events = list(_converse(server, stream=True, incremental_output=True, enable_thinking=True))
    said = [event.output.choices[0].message for event in events]
    assert "".join(message.get("reasoning_content") or "" for message in said) == "好的。"
    assert "".join(item["text"] for message in said for item in message.content) == "三厘米"
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
    sent = next(request for request in server.requests if request.route == NATIVE)
    assert sent.json["input"]["messages"][0]["content"][0]["image"] == server.uploads[0].url
    assert sent.headers["x-dashscope-ossresourceresolve"] == "enable"
