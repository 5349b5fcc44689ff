"""Test each rule with a request that violates it and a similar one that does not."""

from __future__ import annotations

import base64
import http.client
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.emulator import Emulator, RecordedRequest
from tests.emulator.chat_request import ChatRequest
from tests.emulator.rules import RULES
from tests.emulator.rules.ocr import TASKS as OCR_TASKS

USER: dict[str, Any] = {"role": "user", "content": "Which city is this?"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
TOOL_CHOICE = {"type": "function", "function": {"name": "weather"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Xi\'an"}'}}
CALLING: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "Sunny.", "tool_call_id": "call_1"}
ALGORITHM = "<400> InternalError.Algo.InvalidParameter: "
INVALID = ("InvalidParameter", "invalid_parameter_error")
PLUS = "qwen3-vl-plus"


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@dataclass(frozen=True)
class Call:
    """A request independent of the API; ``extra`` becomes top-level fields (compatible) or parameters (native)."""

    model: Any = PLUS
    messages: Any = field(default_factory=lambda: [USER])
    extra: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, api: str) -> dict[str, Any]:
        body: dict[str, Any] = {} if self.model is None else {"model": self.model}
        messages = {} if self.messages is None else {"messages": self.messages}
        if api == "compat":
            return body | messages | {"stream": self.stream} | self.extra
        incremental = {"incremental_output": True} if self.stream else {}
        return body | {"input": messages, "parameters": incremental | self.extra}


@dataclass(frozen=True)
class Response:
    status: int
    code: Any
    message: str
    content_type: str


PATHS = {
    "compat": "/compatible-mode/v1/chat/completions",
    "native": "/api/v1/services/aigc/multimodal-generation/generation",
    "text": "/api/v1/services/aigc/text-generation/generation",
}


def send(server: Emulator, api: str, call: Call, *, raw: bytes | None = None, method: str = "POST") -> Response:
    """Send a request and return the error in the response; code and message are empty without an error."""
    headers = {"Authorization": "Bearer sk-test", "Content-Type": "application/json"}
    if api != "compat" and call.stream:
        headers["X-DashScope-SSE"] = "enable"
    client = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=5)
    try:
        body = json.dumps(call.body(api)).encode() if raw is None else raw
        client.request(method, PATHS[api], body, headers | call.headers)
        response = client.getresponse()
        text = response.read().decode()
    finally:
        client.close()
    if "event:error" in text:
        text = text.partition("data:")[2]
    error: dict[str, Any] = {}
    if response.status >= 400 or text.startswith('{"code"'):
        parsed = json.loads(text)
        error = parsed["error"] if api == "compat" else parsed
    return Response(
        response.status, error.get("code"), error.get("message", ""), response.getheader("content-type", "")
    )


@dataclass(frozen=True)
class Row:
    """A request that is refused, a similar one that is accepted, and the error."""

    name: str
    bad: Call
    good: Call
    message: str
    codes: tuple[Any, Any] = INVALID
    """(native, compatible)"""
    status: int = 400
    apis: tuple[str, ...] = ("compat", "native")


def _parameter_row(name: str, bad: Any, good: Any, message: str, **fields: Any) -> Row:
    title = f"{name}={json.dumps(bad)[:30]}"
    prefix = fields.pop("prefix", ALGORITHM)
    return Row(title, Call(extra={name: bad}), Call(extra={name: good}), prefix + message, **fields)


def _messages_row(name: str, bad: list[Any], good: list[Any], message: str, **fields: Any) -> Row:
    return Row(name, Call(messages=bad), Call(messages=good), message, **fields)


def png_uri(width: int, height: int) -> str:
    """Return the data URI of a PNG header."""
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return "data:image/png;base64," + base64.b64encode(head).decode()


def jpeg_uri(width: int, height: int) -> str:
    """Return the data URI of a JPEG with an APP0 segment and a frame header."""
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8" + app0 + frame).decode()


def image(url: str, api: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}} if api == "compat" else {"image": url}


def frames(count: int, api: str) -> dict[str, Any]:
    urls = [f"https://example.com/{number}.jpg" for number in range(count)]
    return {"type": "video", "video": urls, "fps": 2} if api == "compat" else {"video": urls, "fps": 2}


def make_message(*parts: Any, role: str = "user", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts)} | fields


def _media_rows(name: str, bad: Any, good: Any, message: str, *, model: str = PLUS, **fields: Any) -> Iterator[Row]:
    """Yield a row for each API with the same media."""
    for api in ("compat", "native"):
        yield Row(
            f"{name} ({model})",
            Call(model=model, messages=[make_message(bad(api))]),
            Call(model=model, messages=[make_message(good(api))]),
            message,
            apis=(api,),
            **fields,
        )


def _frame_rows() -> Iterator[Row]:
    limits = {
        "qwen3-vl-plus": 2000,
        "qwen3-vl-flash": 2000,
        "qwen2.5-vl-72b-instruct": 512,
        "qwen-vl-max": 512,
        "qwen3-vl-8b-instruct": 512,
    }
    for model, maximum in limits.items():
        text = (
            f"{ALGORITHM}The video modality input does not meet the requirements because: "
            f"the range of sequence images shoule be (4, {maximum})."
        )
        yield from _media_rows("3 frames", lambda a: frames(3, a), lambda a: frames(4, a), text, model=model)
        yield from _media_rows(
            f"{maximum + 1} frames",
            lambda a, n=maximum: frames(n + 1, a),
            lambda a, n=maximum: frames(n, a),
            text,
            model=model,
        )


BAD_URL = ALGORITHM + "The provided URL does not appear to be valid. Ensure it is correctly formatted."
RANGES = ALGORITHM + "Range of {} should be {}"
GOOD_URL = "https://example.com/a.png"
FITS = "data:image/png;base64," + "A" * (10_485_760 - 22)
FITS_NEWER = "data:image/png;base64," + "A" * (20_971_520 - 22)
CALL_WITHOUT_RESULT = (
    ALGORITHM + 'An assistant message with "tool_calls" must be followed by tool messages responding to each '
    '"tool_call_id". The following tool_call_ids did not have response messages: message[{}].role'
)
RESULT_WITHOUT_CALL = (
    ALGORITHM + 'Messages with role "tool" must be a response to a preceding message with "tool_calls"'
)
STOP = (
    'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", '
    "and all elements within the list must be of the same type."
)
FORCED = ALGORITHM + "The tool_choice parameter does not support being set to required or object in thinking mode"
CHOICE = ALGORITHM + 'tool_choice is one of the strings that should be ["none", "auto"]'
FORMAT = (
    ALGORITHM + "Unknown format of response_format, response_format should be a dict, includes 'type' and an optional "
    "key 'json_schema'. The response_format type from user is {}."
)
JSON_THINKING = ALGORITHM + "Json mode response is not supported when enable_thinking is true"
JSON_WORD = (
    ALGORITHM + "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
)
BUDGET = "The thinking_budget parameter must be a positive integer and not greater than 81920"
STREAM_ONLY = "This model only support stream mode, please enable the stream parameter to access the model."
JSON_USER = {"role": "user", "content": "Answer in JSON."}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}


def _calling(arguments: str) -> list[dict[str, Any]]:
    call = CALL | {"function": {"name": "weather", "arguments": arguments}}
    return [USER, CALLING | {"tool_calls": [call]}, RESULT]


ENVELOPE_ROWS = [
    Row(
        "no model",
        Call(model=None),
        Call(),
        "you must provide a model parameter.",
        (None, None),
        apis=("compat",),
    ),
    Row(
        "no model",
        Call(model=None),
        Call(),
        'Required parameter "model" missing from request.',
        ("BadRequest.EmptyModel", None),
        apis=("native",),
    ),
    *(
        Row(
            f"model {name}",
            Call(model=name),
            Call(model=good),
            f"The model {name} does not exist or you do not have access to it.",
            ("ModelNotFound", "model_not_found"),
            404,
        )
        for name, good in [
            ("qwen9-vl", PLUS),
            ("Qwen3-VL-Plus", "qwen3-vl-plus-2025-09-23"),
            ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl-8b-instruct"),
            ("qwen-vl-maximal", "qwen-vl-max-latest"),
            ("qwen3-vl-flash-us-x", "qwen3-vl-flash-us"),
        ]
    ),
    Row(
        "text model on the multimodal endpoint",
        Call(model="qwen-plus"),
        Call(),
        "url error, please check url!",
        apis=("native",),
    ),
]

MESSAGE_ROWS = [
    Row(
        "no messages",
        Call(messages=None),
        Call(),
        "Required parameter(messages) missing or invalid, please check the request parameters.",
        apis=("compat",),
    ),
    Row(
        "no messages",
        Call(messages=None),
        Call(),
        'Either "prompt" or "messages" must exist and cannot both be none',
        apis=("native",),
    ),
    _messages_row("empty messages", [], [USER], "[] is too short - 'messages'"),
    _messages_row(
        "message is text",
        ["Hello"],
        [USER],
        ALGORITHM + "Input should be a valid dictionary or instance of GPT3Message",
    ),
    _messages_row(
        "developer role",
        [{"role": "developer", "content": "x"}, USER],
        [{"role": "system", "content": "x"}, USER],
        "developer is not one of ['system', 'assistant', 'user', 'tool', 'function'] - 'messages.[0].role'",
    ),
    _messages_row("no content", [{"role": "user"}], [USER], ALGORITHM + "The content field is a required field."),
    _messages_row(
        "assistant without content or calls",
        [USER, {"role": "assistant", "content": None}, USER],
        [USER, CALLING | {"content": None}, RESULT],
        ALGORITHM + "The content field is a required field.",
    ),
    _messages_row(
        "no user message",
        [{"role": "system", "content": "x"}],
        [{"role": "system", "content": "x"}, USER],
        ALGORITHM + "The input messages do not contain elements with the role of user.",
    ),
    _messages_row(
        "empty tool_calls",
        [USER, {"role": "assistant", "content": "x", "tool_calls": []}, USER],
        [USER, {"role": "assistant", "content": "x"}, USER],
        "[] is too short - 'messages.[1].tool_calls'",
    ),
    *(
        _messages_row(
            f"arguments {arguments!r}",
            _calling(arguments),
            _calling("{}"),
            ALGORITHM + 'The "function.arguments" parameter of the code model must be in JSON format.',
        )
        for arguments in ("", "{", "null", "[1]")
    ),
    _messages_row("tool message without a call", [USER, RESULT], [USER, CALLING, RESULT], RESULT_WITHOUT_CALL),
    _messages_row(
        "tool message for another call",
        [USER, CALLING, RESULT | {"tool_call_id": "call_2"}],
        [USER, CALLING, RESULT],
        RESULT_WITHOUT_CALL,
    ),
    _messages_row(
        "tool message after a user message",
        [USER, CALLING, USER, RESULT],
        [USER, CALLING, RESULT, USER],
        RESULT_WITHOUT_CALL,
    ),
    _messages_row(
        "call without a result", [USER, CALLING, USER], [USER, CALLING, RESULT, USER], CALL_WITHOUT_RESULT.format(2)
    ),
    _messages_row(
        "one of two calls without a result",
        [USER, CALLING | {"tool_calls": [CALL, CALL | {"id": "call_2"}]}, RESULT],
        [USER, CALLING | {"tool_calls": [CALL, CALL | {"id": "call_2"}]}, RESULT, RESULT | {"tool_call_id": "call_2"}],
        CALL_WITHOUT_RESULT.format(3),
    ),
    Row(
        "too much text",
        Call(messages=[{"role": "user", "content": "word" * 260_097}]),
        Call(messages=[{"role": "user", "content": "word" * 260_096}]),
        ALGORITHM + "Range of input length should be [1, 260096]",
    ),
    Row(
        "too much text to think",
        Call(messages=[{"role": "user", "content": "word" * 260_000}], extra={"enable_thinking": True}),
        Call(messages=[{"role": "user", "content": "word" * 260_000}], extra={"enable_thinking": False}),
        ALGORITHM + "Range of input length should be [1, 258048]",
    ),
]

MEDIA_ROWS = [
    *(
        Row(
            f"part type {kind}",
            Call(messages=[make_message({"type": kind, kind: "x"})]),
            Call(messages=[make_message({"type": "text", "text": "x"})]),
            f"Invalid value: {kind}. Supported values are: 'text','image_url','video_url' and 'video'.",
            ("InvalidParameter", "invalid_value"),
            apis=("compat",),
        )
        for kind in ("image", "file", "input_audio", "thinking")
    ),
    *(
        Row(
            f"part {part}",
            Call(messages=[make_message(part)]),
            Call(messages=[make_message({"text": "x"})]),
            "The item of content should be a message of a certain modal.",
            apis=("native",),
        )
        for part in ({"type": "image_url", "image_url": {"url": GOOD_URL}}, {"file": "x"}, {}, "text")
    ),
    Row(
        "image_url is text",
        Call(messages=[make_message({"type": "image_url", "image_url": GOOD_URL})]),
        Call(messages=[make_message({"type": "image_url", "image_url": {"url": GOOD_URL}, "min_pixels": 3136})]),
        ALGORITHM + "Input should be a valid dictionary or instance of GPT3Message",
        apis=("compat",),
    ),
    Row(
        "text part is null",
        Call(messages=[make_message({"text": None})]),
        Call(messages=[make_message({"text": "x"})]),
        ALGORITHM + "Input should be a valid dictionary or instance of GPT3Message",
        apis=("native",),
    ),
    *(
        row
        for url in ("/home/me/a.png", "file:///home/me/a.png", "a.png", "data:image/png,plain", "oss://dir/a.png")
        for row in _media_rows(f"url {url}", lambda a, u=url: image(u, a), lambda a: image(GOOD_URL, a), BAD_URL)
    ),
    *_media_rows(
        "one byte too many",
        lambda a: image(FITS + "A", a),
        lambda a: image(FITS, a),
        "Exceeded limit on max bytes per data-uri item : 10485760",
        model="qwen-vl-max",
        codes=("BadRequest.TooLarge", "BadRequest.TooLarge"),
    ),
    *_media_rows(
        "one byte too many",
        lambda a: image(FITS_NEWER + "A", a),
        lambda a: image(FITS_NEWER, a),
        "Exceeded limit on max bytes per data-uri item : 20971520",
        model="qwen3.8-max",
        codes=("BadRequest.TooLarge", "BadRequest.TooLarge"),
    ),
    *(
        Row(
            f"{limit + 1} images for {model}",
            Call(model=model, messages=[make_message(*[image(GOOD_URL, api)] * (limit + 1))]),
            Call(model=model, messages=[make_message(*[image(GOOD_URL, api)] * limit)]),
            ALGORITHM + f"The number of images by URL exceeds the limit of {limit}.",
            apis=(api,),
        )
        for api in ("compat", "native")
        for model, limit in (("qwen3.8-max", 2048), ("qwen3.8-flash", 256))
    ),
    Row(
        "65 videos",
        Call(messages=[make_message(*[frames(4, "compat")] * 65)]),
        Call(messages=[make_message(*[frames(4, "compat")] * 64)]),
        ALGORITHM + "The number of videos exceeds the limit of 64.",
        apis=("compat",),
    ),
    Row(
        "video for an OCR model",
        Call(model="qwen3.5-ocr", messages=[make_message(frames(4, "native"))]),
        Call(model="qwen3.5-ocr", messages=[make_message(image(GOOD_URL, "native"))]),
        ALGORITHM + "The provided messages input is invalid. The error info is [Unexpected item type in content.]",
        apis=("native",),
    ),
    *_frame_rows(),
    *(
        row
        for build_uri in (png_uri, jpeg_uri)
        for row in _media_rows(
            f"{build_uri.__name__} of 9 x 20",
            lambda a, m=build_uri: image(m(9, 20), a),
            lambda a, m=build_uri: image(m(10, 20), a),
            f"{ALGORITHM}The image length and width do not meet the model restrictions. "
            "[height:20 or width:9 must be larger than 10]",
        )
    ),
    *_media_rows(
        "201 : 1",
        lambda a: image(png_uri(4020, 20), a),
        lambda a: image(png_uri(4000, 20), a),
        f"{ALGORITHM}The image length and width do not meet the model restrictions. "
        "[absolute aspect ratio must be smaller than 200, got 201.0]",
    ),
    *(
        Row(
            "image in a tool message",
            Call(messages=[USER, CALLING, make_message(image(GOOD_URL, api), role="tool", tool_call_id="call_1")]),
            Call(messages=[USER, CALLING, RESULT, make_message(image(GOOD_URL, api))]),
            ALGORITHM + "The provided messages input is invalid. The error info is [Unexpected item type in content.]",
            apis=(api,),
        )
        for api in ("compat", "native")
    ),
    Row(
        "image for a text model",
        Call(model="qwen3-max", messages=[make_message(image(GOOD_URL, "compat"))]),
        Call(model="qwen3-max"),
        ALGORITHM + "The provided messages input is invalid. The error info is [Unexpected item type in content.]",
        apis=("compat",),
    ),
]

PARAMETER_ROWS = [
    _parameter_row("temperature", 2, 1.99, "Temperature should be in [0.0, 2.0)"),
    _parameter_row("temperature", -0.1, 0, "Temperature should be in [0.0, 2.0)"),
    _parameter_row("temperature", "0", 0.5, "'temperature' must be Float"),
    _parameter_row("top_p", 0, 0.01, "Range of top_p should be (0.0, 1.0]"),
    _parameter_row("top_p", 1.1, 1, "Range of top_p should be (0.0, 1.0]"),
    _parameter_row("top_k", -1, 0, "Parameter top_k be greater than or equal to 0"),
    _parameter_row("repetition_penalty", 0, 0.1, "Repetition_penalty should be greater than 0.0"),
    _parameter_row("presence_penalty", 2.1, 2, "Presence_penalty should be in [-2.0, 2.0]"),
    _parameter_row("presence_penalty", -2.1, -2, "Presence_penalty should be in [-2.0, 2.0]"),
    _parameter_row("n", 0, 1, "Range of n should be [1, 4]"),
    _parameter_row("n", 5, 4, "Range of n should be [1, 4]"),
    _parameter_row(
        "max_completion_tokens", 0, 1, "Range of max_completion_tokens should be greater than or equal to 1"
    ),
    _parameter_row("max_tokens", 0, 1, "Range of max_tokens should be [1, 32768]"),
    _parameter_row("max_tokens", 32_769, 32_768, "Range of max_tokens should be [1, 32768]"),
    _parameter_row("seed", -1, 0, "Range of seed should be [0, 9223372036854775807]", apis=("native",)),
    _parameter_row("seed", 2**63, 2**63 - 1, "Range of seed should be [0, 9223372036854775807]", apis=("native",)),
    _parameter_row(
        "seed",
        -1,
        0,
        "-1 is lesser than the minimum of 0 - 'seed'",
        prefix="",
        codes=(None, "invalid_value"),
        apis=("compat",),
    ),
    _parameter_row(
        "seed",
        2**31,
        2**31 - 1,
        "2147483648 is greater than the maximum of 2147483647 - 'seed'",
        prefix="",
        codes=(None, "invalid_value"),
        apis=("compat",),
    ),
    _parameter_row("stop", ["a", 1], ["a", "b"], STOP),
    _parameter_row("stop", 7, "a", STOP),
    _parameter_row("stop", [["a"]], [[37763, 367]], STOP),
    _parameter_row("tools", [], [TOOL], "[] is too short - 'tools'", prefix=""),
    _parameter_row(
        "tools",
        [TOOL | {"function": {"name": "search"}}],
        [TOOL | {"function": {"name": "research"}}],
        "Tool names are not allowed to be [search]",
    ),
    _parameter_row(
        "tools",
        [TOOL | {"function": {"name": "天气"}}],
        [TOOL | {"function": {"name": "weather-2_X"}}],
        "Invalid 'tools[0].function.name': must be 1 to 64 characters of [a-zA-Z0-9_-]",
    ),
    _parameter_row(
        "tools",
        [TOOL | {"function": {"name": "weather", "parameters": {"type": "object", "items": {"$ref": "#/$defs/A"}}}}],
        [TOOL | {"function": {"name": "weather", "parameters": {"type": "object", "items": {"$ref": "#"}}}}],
        "Invalid schema for tools[0].function.parameters: reference #/$defs/A not found",
    ),
    Row(
        "names of tool calls",
        Call(messages=[USER, {**CALLING, "tool_calls": [{**CALL, "function": {"name": "a.b", "arguments": "{}"}}]}]),
        Call(messages=[USER, CALLING, RESULT]),
        ALGORITHM + "Invalid 'messages[1].tool_calls.function.name': must be 1 to 64 characters of [a-zA-Z0-9_-]",
    ),
    *(
        Row(
            f"tools for {model}",
            Call(model=model, extra={"tools": [TOOL]}, stream=True),
            Call(model=model, stream=True),
            ALGORITHM + "The tool call is not supported.",
        )
        for model in ("qvq-max", "qwen-vl-max", "qwen2.5-vl-7b-instruct", "qwen-vl-ocr")
    ),
    *(
        Row(
            f"tool_choice {choice}",
            Call(extra={"tools": [TOOL], "tool_choice": choice}),
            Call(extra={"tools": [TOOL], "tool_choice": good}),
            CHOICE,
        )
        for choice, good in [
            ("any", "auto"),
            ({"type": "function", "function": {"name": "other"}}, TOOL_CHOICE),
            (True, "required"),
        ]
    ),
    _parameter_row("parallel_tool_calls", "yes", True, "'parallel_tool_calls' must be Boolean"),
    Row(
        "json_object without the word",
        Call(extra={"response_format": {"type": "json_object"}}),
        Call(messages=[JSON_USER], extra={"response_format": {"type": "json_object"}}),
        JSON_WORD,
    ),
    Row(
        "json_schema on a model without it",
        Call(messages=[JSON_USER], extra={"response_format": SCHEMA}),
        Call(model="qwen3.7-plus", extra={"response_format": SCHEMA, "enable_thinking": False}),
        FORMAT.format("json_schema"),
    ),
    Row(
        "JSON on a model without it",
        Call(model="qwen2.5-vl-7b-instruct", messages=[JSON_USER], extra={"response_format": {"type": "json_object"}}),
        Call(model="qwen2.5-vl-7b-instruct", messages=[JSON_USER], extra={"response_format": {"type": "text"}}),
        FORMAT.format("json_object"),
    ),
    Row(
        "unknown response_format",
        Call(extra={"response_format": {"type": "xml"}}),
        Call(extra={"response_format": {"type": "text"}}),
        FORMAT.format("xml"),
    ),
]


def _thinks(model: str = PLUS, *, stream: bool = True, on: Any = True, **fields: Any) -> Call:
    switch = {} if on is None else {"enable_thinking": on}
    messages = fields.pop("messages", [USER])
    return Call(model=model, messages=messages, extra=switch | fields, stream=stream)


def _json_rows(kind: dict[str, Any]) -> Iterator[Row]:
    """Yield a row for each model that thinks while a JSON format is requested."""
    cases: list[tuple[str, Any, Any, dict[str, Any]]] = [
        (PLUS, True, None, {"response_format": {"type": "json_object"}}),
        ("qwen3.7-plus", None, False, {"response_format": kind}),
        ("qwen3-vl-8b-thinking", None, None, {}),
    ]
    for model, on, off, good in cases:
        yield Row(
            f"{kind['type']} while {model} thinks",
            _thinks(model, on=on, messages=[JSON_USER], response_format=kind),
            _thinks(model, on=off, messages=[JSON_USER], **good),
            JSON_THINKING,
        )


THINKING_ROWS = [
    *(
        Row(
            f"enable_thinking for {model}",
            _thinks(model, on=on),
            _thinks(model, on=None),
            f"The model {model} does not support enable_thinking.",
            ("InvalidParameter.NotSupportEnableThinking",) * 2,
        )
        for model in ("qwen-vl-plus", "qwen2.5-vl-7b-instruct", "qwen3-vl-8b-instruct", "qwen-vl-ocr-latest")
        for on in (True, False)
    ),
    *(
        Row(
            f"{model} without thinking",
            _thinks(model, on=False),
            _thinks(model, on=None),
            ALGORITHM + "The value of the enable_thinking parameter is restricted to True.",
        )
        for model in ("qwen3-vl-235b-a22b-thinking", "qvq-max-2025-03-25")
    ),
    Row(
        "enable_thinking is text",
        _thinks(on="true"),
        _thinks(on=True),
        ALGORITHM + "'enable_thinking' must be Boolean",
    ),
    *(
        Row(f"thinking_budget {bad}", _thinks(thinking_budget=bad), _thinks(thinking_budget=81_920), ALGORITHM + BUDGET)
        for bad in (0, -1, 81_921, 1.5, True)
    ),
    Row(
        "effort and budget",
        _thinks("qwen3.8-max", reasoning_effort="low", thinking_budget=100),
        _thinks("qwen3.8-max", reasoning_effort="low"),
        ALGORITHM + "reasoning_effort and thinking_budget cannot be set at the same time",
    ),
    *(
        Row(
            f"effort {effort} for {model}",
            _thinks(model, on=None, reasoning_effort=effort),
            _thinks(good, on=None, reasoning_effort="low"),
            ALGORITHM + message,
        )
        for effort, model, good, message in [
            ("low", PLUS, "qwen3.8-flash", f"The model {PLUS} does not support reasoning_effort."),
            (
                "ultra",
                "qwen3.8-max",
                "qwen3.8-max-0902",
                "The value of reasoning_effort should be one of "
                "['minimal', 'low', 'medium', 'high', 'xhigh', 'max', 'none']",
            ),
        ]
    ),
    Row(
        "effort without thinking",
        _thinks("qwen3.8-max", on=False, reasoning_effort="low"),
        _thinks("qwen3.8-max", on=False, reasoning_effort="none"),
        ALGORITHM + "reasoning_effort is only supported when enable_thinking is true",
    ),
    Row(
        "max_tokens while qwen3.8-max thinks",
        _thinks("qwen3.8-max", max_tokens=32_769),
        _thinks("qwen3.8-max", on=False, max_tokens=32_769),
        ALGORITHM + "Range of max_tokens should be [1, 32768]",
    ),
    Row("QVQ without stream", _thinks("qvq-plus", on=None, stream=False), _thinks("qvq-plus", on=None), STREAM_ONLY),
    Row(
        "open-source hybrid thinks without stream",
        _thinks("qwen3-32b", on=None, stream=False),
        _thinks("qwen3-32b", on=False, stream=False),
        "parameter.enable_thinking must be set to false for non-streaming calls",
        apis=("compat",),
    ),
    Row(
        "cumulative thinking stream",
        _thinks(incremental_output=False),
        _thinks(on=False, incremental_output=False),
        ALGORITHM + 'The incremental_output parameter must be "true" when enable_thinking is true',
        apis=("native",),
    ),
    Row(
        "stream that does not say that it is incremental",
        _thinks("qwen3.6-plus", on=None, incremental_output=None),
        _thinks("qwen3.6-plus", on=None),
        ALGORITHM + 'The incremental_output parameter must be "true" when enable_thinking is true',
        apis=("native",),
    ),
    Row(
        "cumulative QVQ stream",
        _thinks("qvq-max", on=None, incremental_output=False),
        _thinks("qvq-max", on=None, incremental_output=None),
        ALGORITHM + "The incremental_output parameter of this model cannot be set to False.",
        apis=("native",),
    ),
    Row(
        "result_format text while thinking",
        _thinks(result_format="text"),
        _thinks(result_format="message"),
        ALGORITHM + 'The result_format parameter must be "message" when enable_thinking is true',
        apis=("native",),
    ),
    *(
        Row(
            f"forced tool while {model} thinks",
            _thinks(model, on=on, tools=[TOOL], tool_choice=choice),
            _thinks(model, on=off, tools=[TOOL], tool_choice=good),
            FORCED,
        )
        for choice in ("required", TOOL_CHOICE)
        for model, on, off, good in [
            (PLUS, True, False, choice),
            ("qwen3.6-plus", None, False, choice),
            ("qwen3-vl-32b-thinking", None, None, "auto"),
        ]
    ),
    *(row for kind in ({"type": "json_object"}, SCHEMA) for row in _json_rows(kind)),
    Row(
        "partial answer while thinking",
        _thinks(messages=[USER, {"role": "assistant", "content": "It", "partial": True}]),
        _thinks(on=False, messages=[USER, {"role": "assistant", "content": "It", "partial": True}]),
        ALGORITHM + "Partial mode is not supported when enable_thinking is true",
    ),
]

OCR = "qwen-vl-ocr"
SCHEMA_LEVELS: dict[str, Any] = {"a": {"b": {"c": {"d": ""}}}}
EXTRACTION = "key_information_extraction"
IMAGE = {"image": "https://example.com/a.jpg"}
COMPAT_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}}


def _ocr_call(options: Any, model: str = OCR) -> Call:
    return Call(model=model, messages=[{"role": "user", "content": [IMAGE]}], extra={"ocr_options": options})


def _ocr_row(name: str, bad: Any, good: Any, message: str) -> Row:
    return Row(name, _ocr_call(bad), _ocr_call(good), ALGORITHM + message, apis=("native",))


def _rotated(image: dict[str, Any], **hints: Any) -> Call:
    return Call(model=OCR, messages=[{"role": "user", "content": [{**image, **hints}]}])


OCR_ROWS = [
    Row(
        "OCR task of another model",
        _ocr_call({"task": "table_parsing"}, PLUS),
        _ocr_call({"task": "table_parsing"}),
        ALGORITHM + "The ocr_options parameter is not supported by this model.",
        apis=("native",),
    ),
    Row(
        "OCR task in the compatible API",
        Call(model=OCR, extra={"ocr_options": {"task": "table_parsing"}}),
        Call(model=OCR),
        "Unexpected parameter: ocr_options.",
        apis=("compat",),
    ),
    _ocr_row(
        "rotation in ocr_options",
        {"task": "table_parsing", "enable_rotate": True},
        {"task": "table_parsing"},
        "'ocr_options' must be an object of 'task' and 'task_config'.",
    ),
    _ocr_row(
        "unknown OCR task",
        {"task": "tables"},
        {"task": "document_parsing"},
        f"ocr_options.task should be one of {list(OCR_TASKS)}",
    ),
    _ocr_row(
        "type of result_schema",
        {"task": EXTRACTION, "task_config": {"result_schema": "total"}},
        {"task": EXTRACTION, "task_config": {"result_schema": {"total": ""}}},
        "'ocr_options.task_config.result_schema' must be a JSON object.",
    ),
    _ocr_row(
        "levels of result_schema",
        {"task": EXTRACTION, "task_config": {"result_schema": SCHEMA_LEVELS}},
        {"task": EXTRACTION, "task_config": {"result_schema": SCHEMA_LEVELS["a"]}},
        "'result_schema' can be nested at most 3 levels.",
    ),
    Row(
        "type of enable_rotate",
        _rotated(IMAGE, enable_rotate="yes"),
        _rotated(IMAGE, enable_rotate=False),
        ALGORITHM + "'enable_rotate' must be Boolean, beside an image.",
        apis=("native",),
    ),
    Row(
        "enable_rotate in the compatible API",
        _rotated(COMPAT_IMAGE, enable_rotate=True),
        _rotated(COMPAT_IMAGE, max_pixels=8_388_608),
        "Unexpected parameter in content: enable_rotate.",
        apis=("compat",),
    ),
]

ROWS = [*ENVELOPE_ROWS, *MESSAGE_ROWS, *MEDIA_ROWS, *PARAMETER_ROWS, *OCR_ROWS, *THINKING_ROWS]
CASES = [pytest.param(row, api, id=f"{row.name} [{api}]"[:90]) for row in ROWS for api in row.apis]


@pytest.mark.parametrize(("row", "api"), CASES)
def test_rule_refuses_violation_and_accepts_similar_request(server: Emulator, row: Row, api: str) -> None:
    refused = send(server, api, row.bad)
    native, compatible = row.codes
    assert refused.message == row.message
    if not (api == "native" and native is None):
        assert refused.code == (compatible if api == "compat" else native)
    is_stream_event = api == "native" and row.bad.stream and row.status == 400
    assert refused.status == (200 if is_stream_event else row.status)
    accepted = send(server, api, row.good)
    assert (accepted.status, accepted.message) == (200, "")


def test_every_rule_has_a_row() -> None:
    tested_elsewhere = {
        "body is a JSON object",
        "uploaded images are not too large",
        "uploads exist for the account and the model",
    }
    violated = set()
    for row in ROWS:
        for api in row.apis:
            headers = {"x-dashscope-sse": "enable"} if row.bad.stream else {}
            request = RecordedRequest("POST", PATHS[api], headers, json.dumps(row.bad.body(api)).encode())
            chat_request = ChatRequest("compat" if api == "compat" else "native", request)
            violated.add(next(rule.name for rule in RULES if rule.check(chat_request)))
    assert violated == {rule.name for rule in RULES} - tested_elsewhere


@pytest.mark.parametrize("header", [None, "", "Bearer ", "Bearer", "Basic abc"])
@pytest.mark.parametrize(
    ("api", "message"), [("compat", "Incorrect API key provided."), ("native", "No API-key provided.")]
)
def test_missing_key_is_refused_before_other_rules(
    server: Emulator, api: str, message: str, header: str | None
) -> None:
    answer = send(server, api, Call(model=None, headers={"Authorization": header or ""}))
    code = "invalid_api_key" if api == "compat" else "InvalidApiKey"
    assert answer == Response(401, code, message, "application/json")


def test_api_key_refuses_other_keys() -> None:
    with Emulator(api_key="sk-right") as server:
        assert send(server, "compat", Call()).message == "Incorrect API key provided."
        assert send(server, "native", Call(stream=True)).message == "Invalid API-key provided."
        assert send(server, "compat", Call(headers={"Authorization": "Bearer sk-right"})).status == 200


@pytest.mark.parametrize("api", ["compat", "native"])
def test_other_method_or_invalid_body_is_refused(server: Emulator, api: str) -> None:
    assert send(server, api, Call(), method="GET").message == "Request method 'GET' is not supported."
    for raw in (b"{", b"[]", b""):
        answer = send(server, api, Call(), raw=raw)
        assert answer.message == "Required body invalid, please check the request body format."


def test_vision_model_on_text_endpoint_is_refused(server: Emulator) -> None:
    assert send(server, "text", Call()) == Response(
        400, "InvalidParameter", "url error, please check url!", "application/json"
    )


def test_thinks_without_stream_false_refuses_whole_thinking_calls() -> None:
    with Emulator(thinks_without_stream=False) as server:
        refused = send(server, "compat", Call(extra={"enable_thinking": True}))
        assert refused.message == "parameter.enable_thinking must be set to false for non-streaming calls"
        assert send(server, "compat", Call(extra={"enable_thinking": True}, stream=True)).status == 200


def test_unknown_and_null_parameters_are_ignored(server: Emulator) -> None:
    extra = {"frequency_penalty": 9, "made_up": {"x": 1}, "temperature": None, "top_k": None, "stop": None}
    for api in ("compat", "native"):
        assert send(server, api, Call(extra=extra)).status == 200


def test_recorded_tool_conversation_is_accepted(server: Emulator) -> None:
    """In the recording, the native API accepts empty content, an index in calls and text parts in tool messages."""
    calling = {"role": "assistant", "content": [], "tool_calls": [CALL | {"index": 0}]}
    result = {"role": "tool", "content": [{"text": "Sunny."}], "tool_call_id": "call_1"}
    assert (
        send(
            server, "native", Call(messages=[make_message({"text": "x"}), calling, result], extra={"tools": [TOOL]})
        ).status
        == 200
    )


def test_lenient_emulator_refuses_nothing() -> None:
    with Emulator(strict=False) as server:
        broken = Call(model="Qwen/Qwen3-VL-8B-Thinking", messages=[], extra={"temperature": 9})
        assert send(server, "compat", broken).status == 200
        assert send(server, "native", broken).status == 200


def test_known_model_is_accepted_and_messages_are_checked() -> None:
    with Emulator(known_models=["my-finetune"]) as server:
        assert send(server, "compat", Call(model="my-finetune", extra={"enable_thinking": True})).status == 200
        assert send(server, "compat", Call(model="my-finetune", messages=[])).status == 400
        assert [error.status for error in server.refusals] == [400]
