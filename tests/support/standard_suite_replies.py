"""LangChain's own integration suite: its cassettes, and what the emulator says to its questions.

The suite runs under pytest alone, so it is no scenario. Each of its questions stands in the cassette once, however many
of its tests ask it.
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
"""The classes of the suite by the names of their cassettes."""

LONG = "Here are some numbers:\n" + " ".join(str(number) for number in range(500)) + "\nHow many of them are odd?"
"""A prompt that is long enough for the service's cache."""
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


def script_reply(request: RecordedRequest) -> Reply:
    """What a helpful model would say to one of the suite's requests: the same to the same request."""
    ask = ChatRequest("native" if request.route.startswith("/api/") else "compat", request)
    name = _called(ask)
    # Not of the whole body: how a tool is described differs from one version of Python to the next.
    asked = [ask.model, ask.stream, name, *ask.texts()]
    digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    call = ToolCall(f"call_{digest[:8]}", name, _arguments(name, ask)) if name else None
    return Reply(
        reasoning=["The user wants ", "an answer. 好的。"] if ask.thinking else "",
        text="" if call else _text(ask),
        tool_calls=[call] if call else [],
        usage={"cached": 256} if LONG_AGAIN in ask.texts() else None,
        # Not counted: the requests of a batch come in any order.
        request_id=f"{digest[:8]}-0000-9000-8000-{digest[8:20]}",
        created=1_767_225_600,
    )


def _called(ask: ChatRequest) -> str | None:
    """The tool that is forced; else the first on offer, unless one has been called already."""
    offered = [tool["function"]["name"] for tool in ask.parameter("tools") or ()]
    match ask.parameter("tool_choice"):
        case {"function": {"name": str(name)}}:
            return name
        case "required":
            return str(offered[0])
    answered = any(message["role"] == "tool" for message in ask.messages)
    return str(offered[0]) if offered and not answered else None


def _arguments(name: str, ask: ChatRequest) -> list[str]:
    """The arguments, in two pieces."""
    question = "".join(ask.texts())
    values = _ARGUMENTS.get(name) or next((said for word, said in _CUSTOMERS.items() if word in question), {})
    if "no punchline" in question:
        values = {"setup": values["setup"]}
    text = json.dumps(values, ensure_ascii=False)
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def _text(ask: ChatRequest) -> list[str]:
    if ask.parameter("response_format"):
        return _arguments("Joke", ask)
    stop = ask.parameter("stop")
    return ["".join(_WORDS).partition(stop[0])[0]] if stop else _WORDS
