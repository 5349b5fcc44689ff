"""Reply to LangChain's own integration suite when its cassettes are recorded from the emulator.

The suite runs only under pytest, so it is not a scenario. A cassette holds each of its requests once, however many of
its tests send it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.emulator import RecordedRequest, Reply, ToolCall
from tests.emulator.chat_request import ChatRequest
from tests.support.paths import ROOT

FILE = str(ROOT / "tests" / "langchain" / "test_standard_integration.py")
SUITES = {"standard_thinking": "TestThinking", "standard_not_thinking": "TestNotThinking"}
"""Names of the test classes by the names of their cassettes."""

LONG = "Here are some numbers:\n" + " ".join(str(number) for number in range(500)) + "\nHow many of them are odd?"
"""A prompt long enough for the cache of the service."""
LONG_AGAIN = LONG.replace("odd", "even")

_JOKE = {"setup": "Why was the cat on the computer?", "punchline": "To keep an eye on the mouse."}
_ARGUMENTS: dict[str, Any] = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "greeting_generator": {"answer_style": "Pirate"},
    "my_adder_tool": {"a": 3, "b": 4},
    "get_weather": {"location": "San Francisco, CA"},
    "Joke": _JOKE,
    "JokeDict": _JOKE,
    "random_image": {},
    "random_pdf": {},
}
_CUSTOMERS = {
    "你好": {"customer_name": "你好啊集团", "description": "a Chinese technology company"},
    "こんにちは": {"customer_name": "こんにちは株式会社", "description": "a Japanese company"},
}
_WORDS = ["Ahoy there! ", "What shall I do for you, and for your cat?"]


def script_reply(http_request: RecordedRequest) -> Reply:
    """Reply to a request of the suite as a helpful model would; equal requests get equal replies."""
    request = ChatRequest("native" if http_request.route.startswith("/api/") else "compat", http_request)
    name = _choose_tool(request)
    # The digest leaves out the tools, because their descriptions differ between versions of Python.
    inputs = [request.model, request.stream, name, *request.texts()]
    digest = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    call = ToolCall(f"call_{digest[:8]}", name, _build_arguments(name, request)) if name else None
    return Reply(
        reasoning=["The user wants ", "an answer. 好的。"] if request.thinking else "",
        text="" if call else _build_text(request),
        tool_calls=[call] if call else [],
        usage={"cached": 256} if LONG_AGAIN in request.texts() else None,
        # Derived from the request instead of a counter, because the requests of a batch come in any order.
        request_id=f"{digest[:8]}-0000-9000-8000-{digest[8:20]}",
        created=1_767_225_600,
    )


def _choose_tool(request: ChatRequest) -> str | None:
    """Return the forced tool, else the first tool unless one has already been called."""
    names = [tool["function"]["name"] for tool in request.parameter("tools") or ()]
    match request.parameter("tool_choice"):
        case {"function": {"name": str(name)}}:
            return name
        case "required":
            return str(names[0])
    has_result = any(message["role"] == "tool" for message in request.messages)
    return str(names[0]) if names and not has_result else None


def _build_arguments(name: str, request: ChatRequest) -> list[str]:
    """Return the JSON of the arguments in two deltas."""
    question = "".join(request.texts())
    values = _ARGUMENTS.get(name) or next((customer for word, customer in _CUSTOMERS.items() if word in question), {})
    if "no punchline" in question:
        values = {"setup": values["setup"]}
    text = json.dumps(values, ensure_ascii=False)
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def _build_text(request: ChatRequest) -> list[str]:
    if request.parameter("response_format") or "with one JSON object" in "".join(request.texts()):
        return _build_arguments("Joke", request)
    stop = request.parameter("stop")
    return ["".join(_WORDS).partition(stop[0])[0]] if stop else _WORDS
