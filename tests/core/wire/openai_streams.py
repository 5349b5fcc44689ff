"""Streams of the OpenAI-compatible API, as Model Studio and other servers send them, and their events."""

from __future__ import annotations

from typing import Any

from qwenvl_core.types.events import Event, Finish, Usage
from tests.core.wire.openai_chunks import (
    CALLED,
    COUNTED,
    STOP,
    USAGE,
    C,
    R,
    T,
    calls,
    fragment,
    last,
    usage_chunk,
)
from tests.support.pipeline import chunk

# The payloads of a stream and the events they yield.
GOLDEN: dict[str, tuple[list[Any], list[Event]]] = {
    "reasoning, then text": (
        [
            chunk(content=None, role="assistant", reasoning_content=""),
            chunk(content=None, reasoning_content="We"),
            chunk(content=None, reasoning_content=" see."),
            chunk(content="Fo", reasoning_content=None),
            chunk(content="ur.", reasoning_content=None),
            STOP,
            usage_chunk(),
        ],
        [R("We"), R(" see."), T("Fo"), T("ur."), COUNTED, last()],
    ),
    # --- Model Studio
    "reasoning opens with text": ([chunk(reasoning_content="a", content=None), STOP], [R("a"), last()]),
    "content null, empty, a list, missing": (
        [
            chunk(content=None, reasoning_content="a"),
            chunk(content="", reasoning_content="b"),
            chunk(content=[], reasoning_content="c"),
            chunk(reasoning_content="d"),
            chunk(content="e"),
            STOP,
        ],
        [R("a"), R("b"), R("c"), R("d"), T("e"), last()],
    ),
    "content as a list of parts": (
        [chunk(content=[{"type": "text", "text": "a"}, {"text": "b"}, {"text": None}, {}]), STOP],
        [T("ab"), last()],
    ),
    "content as one part": ([chunk(content={"type": "text", "text": "a"}), STOP], [T("a"), last()]),
    "reasoning and text in one chunk": (
        [chunk(reasoning_content="a", content="b"), chunk("stop", reasoning_content="c", content="d")],
        [R("a"), T("b"), R("c"), T("d"), last()],
    ),
    "text with reasoning null, empty, absent": (
        [
            chunk(content="a", reasoning_content=None),
            chunk(content="b", reasoning_content=""),
            chunk(content="c"),
            STOP,
        ],
        [T("a"), T("b"), T("c"), last()],
    ),
    'finish reason "null", null, absent': (
        [
            chunk("null", content="a"),
            chunk(None, content="b"),
            {"choices": [{"delta": {"content": "c"}}], "model": "qwen3-vl-plus"},
            STOP,
        ],
        [T("a"), T("b"), T("c"), last()],
    ),
    'id "" in later fragments': (
        [
            calls(fragment(0, "c1", "crop", ""), content=None, role="assistant"),
            calls(fragment(0, "", None, '{"x":')),
            calls(fragment(0, "", "", " 1}")),
            CALLED,
        ],
        [C(0, "c1", "crop", ""), C(0, None, None, '{"x":'), C(0, None, None, " 1}"), last("tool_calls")],
    ),
    "two indexes in one chunk": (
        [
            calls(fragment(0, "c1", "crop", "{")),
            calls(fragment(0, "", None, "}"), fragment(1, "c2", "zoom", "")),
            calls(fragment(1, "", None, "{}"), finish="tool_calls"),
        ],
        [
            C(0, "c1", "crop", "{"),
            C(0, None, None, "}"),
            C(1, "c2", "zoom", ""),
            C(1, None, None, "{}"),
            last("tool_calls"),
        ],
    ),
    "interleaved fragments": (
        [
            calls(fragment(0, "c1", "crop", "{"), fragment(1, "c2", "zoom", "[")),
            calls(fragment(1, "", None, "]"), fragment(0, "", None, "}")),
            CALLED,
        ],
        [
            C(0, "c1", "crop", "{"),
            C(1, "c2", "zoom", "["),
            C(1, None, None, "]"),
            C(0, None, None, "}"),
            last("tool_calls"),
        ],
    ),
    "text, reasoning and a call in one chunk": (
        [calls(fragment(0, "c1", "crop", "{}"), content="b", reasoning_content="a"), CALLED],
        [R("a"), T("b"), C(0, "c1", "crop", "{}"), last("tool_calls")],
    ),
    "a chunk without finish reason and logprobs": (
        [
            calls(fragment(0, "c1", "crop", "{}")),
            {"choices": [{"delta": {"tool_calls": [fragment(0, "", None, "")]}, "index": 0}]},
            {"choices": [{"finish_reason": "tool_calls", "delta": {}, "index": 0}]},
        ],
        [C(0, "c1", "crop", "{}"), C(0, None, None, ""), last("tool_calls")],
    ),
    "the finish reason with the last arguments": (
        [calls(fragment(0, "c1", "crop", "{")), calls(fragment(0, "", None, "}"), finish="tool_calls")],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "thinking without an answer": (
        [chunk(reasoning_content="Hm"), chunk("length", content="")],
        [R("Hm"), last("length")],
    ),
    "usage without details": (
        [STOP, usage_chunk({"prompt_tokens": 3, "completion_tokens": 4})],
        [Usage(3, 4, 7, raw={"prompt_tokens": 3, "completion_tokens": 4}), last()],
    ),
    "usage with empty or null details": (
        [
            STOP,
            usage_chunk(
                {
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "prompt_tokens_details": {},
                    "completion_tokens_details": None,
                }
            ),
        ],
        [
            Usage(
                3,
                4,
                7,
                raw={
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "prompt_tokens_details": {},
                    "completion_tokens_details": None,
                },
            ),
            last(),
        ],
    ),
    "usage that counts thinking as text": (
        [
            STOP,
            usage_chunk(
                {
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "total_tokens": 7,
                    "completion_tokens_details": {"text_tokens": 4},
                }
            ),
        ],
        [
            Usage(
                3,
                4,
                7,
                raw={
                    "prompt_tokens": 3,
                    "completion_tokens": 4,
                    "total_tokens": 7,
                    "completion_tokens_details": {"text_tokens": 4},
                },
            ),
            last(),
        ],
    ),
    "search results next to the choices": (
        [{**chunk(content="a"), "search_info": {"search_results": [1]}}, STOP],
        [T("a"), last(extras={"search_info": {"search_results": [1]}})],
    ),
    "log probabilities": (
        [
            chunk(content="a", choice={"logprobs": {"content": [{"token": "a", "logprob": -1}]}}),
            chunk(content="b", choice={"logprobs": {"content": [{"token": "b", "logprob": 0}]}}),
            chunk("stop", choice={"logprobs": None}),
        ],
        [
            T("a"),
            T("b"),
            last(extras={"logprobs": {"content": [{"token": "a", "logprob": -1}, {"token": "b", "logprob": 0}]}}),
        ],
    ),
    "tags and calls within text are text": (
        [chunk(reasoning_content='<tool_call>{"name": "crop"}</tool_call>'), chunk(content="<think>a</think>b"), STOP],
        [R('<tool_call>{"name": "crop"}</tool_call>'), T("<think>a</think>b"), last()],
    ),
    # --- vLLM, SGLang, transformers, Ollama
    "reasoning under its other key": (
        [chunk(reasoning="a", content=None), chunk(reasoning=None, content="b"), STOP],
        [R("a"), T("b"), last()],
    ),
    "reasoning under both keys": ([chunk(reasoning="a", reasoning_content="a"), STOP], [R("a"), last()]),
    "reasoning under its other key, the first empty": (
        [chunk(reasoning="a", reasoning_content=""), STOP],
        [R("a"), last()],
    ),
    "reasoning alone, content null": (
        [chunk(reasoning="a", content=None), chunk("stop", content=None)],
        [R("a"), last()],
    ),
    "usage on every chunk": (
        [
            chunk(content="a", usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}),
            chunk(content="b", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
            chunk("stop", usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
        ],
        [T("a"), T("b"), Usage(5, 2, 7, raw={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}), last()],
    ),
    "usage with the finish reason": (
        [chunk(content="a"), chunk("stop", content="b", usage=USAGE)],
        [T("a"), T("b"), COUNTED, last()],
    ),
    "reasoning tokens next to the counters": (
        [STOP, usage_chunk({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "reasoning_tokens": 2})],
        [
            Usage(
                3,
                4,
                7,
                reasoning=2,
                raw={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "reasoning_tokens": 2},
            ),
            last(),
        ],
    ),
    "no usage": ([chunk("stop", content="a")], [T("a"), last()]),
    "the finish reason on the last text": ([chunk(content="a"), chunk("stop", content="b")], [T("a"), T("b"), last()]),
    "finish reason stop with tool calls": (
        [calls(fragment(0, "c1", "crop", "{}")), chunk("stop")],
        [C(0, "c1", "crop", "{}"), last("stop")],
    ),
    "fragments without id, type, arguments": (
        [
            calls({"index": 0, "id": "c1", "function": {"name": "crop"}}),
            calls({"index": 0, "function": {"arguments": "{}"}}),
            calls({"index": 0, "function": {}}),
            calls({"index": 0}),
            CALLED,
        ],
        [
            C(0, "c1", "crop", ""),
            C(0, None, None, "{}"),
            C(0, None, None, ""),
            C(0, None, None, ""),
            last("tool_calls"),
        ],
    ),
    "calls without any id get one": (
        [calls(fragment(0, None, "crop", "{}")), calls(fragment(1, "", "zoom", "{}")), CALLED],
        [
            C(0, "call_chatcmpl-1_0", "crop", "{}"),
            C(1, "call_chatcmpl-1_1", "zoom", "{}"),
            last("tool_calls"),
        ],
    ),
    "whole calls without index": (
        [calls(fragment(None, "c1", "crop", "{}"), fragment(None, "c2", "zoom", "{}")), CALLED],
        [C(0, "c1", "crop", "{}"), C(1, "c2", "zoom", "{}"), last("tool_calls")],
    ),
    "whole calls that all have index 0": (
        [calls(fragment(0, "c1", "crop", "{}")), calls(fragment(0, "c2", "crop", '{"x":1}')), CALLED],
        [C(0, "c1", "crop", "{}"), C(1, "c2", "crop", '{"x":1}'), last("tool_calls")],
    ),
    "another id for each fragment of one call": (
        [
            calls(fragment(0, "tool-1", "crop", "")),
            calls(fragment(0, "tool-2", None, "{")),
            calls(fragment(0, "tool-3", None, "}")),
            CALLED,
        ],
        [C(0, "tool-1", "crop", ""), C(0, None, None, "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "the name in every fragment": (
        [calls(fragment(0, "c1", "crop", "{")), calls(fragment(0, "c1", "crop", "}")), CALLED],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "indexes that do not begin with 0": (
        [calls(fragment(3, "c1", "crop", "{")), calls(fragment(3, None, None, "}")), CALLED],
        [C(0, "c1", "crop", "{"), C(0, None, None, "}"), last("tool_calls")],
    ),
    "arguments as an object": (
        [calls(fragment(0, "c1", "crop", {"x": "ö"})), CALLED],
        [C(0, "c1", "crop", '{"x": "ö"}'), last("tool_calls")],
    ),
    "arguments with surrounding space are unchanged": (
        [calls(fragment(0, "c1", "crop", ' {"x":')), calls(fragment(0, "", None, ' " a " } ')), CALLED],
        [C(0, "c1", "crop", ' {"x":'), C(0, None, None, ' " a " } '), last("tool_calls")],
    ),
    "tool_calls empty or null": (
        [chunk(content="a", tool_calls=[]), chunk(content="b", tool_calls=None), STOP],
        [T("a"), T("b"), last()],
    ),
    "only the first of several choices": (
        [
            {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "x"}}]},
            {"choices": [{"index": 1, "delta": {"content": "y"}, "finish_reason": "stop"}]},
            {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]},
        ],
        [T("a"), T("b"), Finish("stop", "qwen3-vl-plus")],
    ),
    "delta null": ([{"choices": [{"delta": None, "index": 0}]}, chunk("stop", content="a")], [T("a"), last()]),
    "choices null": ([{"choices": None}, chunk("stop", content="a")], [T("a"), last()]),
    "error null": ([{**chunk("stop", content="a"), "error": None}], [T("a"), last()]),
    "Unicode line separators are text": (
        [chunk(content="a\u2028b\u2029c\u0085d\u000be\u001cf\u00a0"), STOP],
        [T("a\u2028b\u2029c\u0085d\u000be\u001cf\u00a0"), last()],
    ),
}
