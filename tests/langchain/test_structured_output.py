"""`with_structured_output`: every method, schema and model; whole, streamed and raw; invalid answers."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pydantic.v1
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.wire.tool_names import to_wire_name
from tests.emulator import Emulator, Reply, ToolCall
from tests.langchain.conftest import Make


class Joke(pydantic.BaseModel):
    """A joke."""

    setup: str = pydantic.Field(description="Before the point.")
    punchline: str


class JokeV1(pydantic.v1.BaseModel):
    """A joke."""

    setup: str = pydantic.v1.Field(description="Before the point.")
    punchline: str


class JokeDict(TypedDict):
    """A joke."""

    setup: Annotated[str, ..., "Before the point."]
    punchline: str


JOKE_SCHEMA = {**Joke.model_json_schema(), "title": "A joke!"}  # a title is free text, a tool's name is not
SCHEMAS: dict[str, Any] = {
    "Pydantic": Joke,
    "Pydantic 1": JokeV1,
    "TypedDict": JokeDict,
    "JSON schema": JOKE_SCHEMA,
    "tool": {"type": "function", "function": {"name": "Joke", "description": "A joke.", "parameters": JOKE_SCHEMA}},
    "named schema": {"name": "Joke", "schema": JOKE_SCHEMA, "strict": True},
    "response format": {"type": "json_schema", "json_schema": {"name": "Joke", "schema": JOKE_SCHEMA}},
}
GOOD = {"setup": "Why? 为什么?", "punchline": "Because 😀."}
TEXT = json.dumps(GOOD, ensure_ascii=False)
METHODS = ["function_calling", "json_schema", "json_mode"]
QUESTION = "A joke as json, please."
each_method = pytest.mark.parametrize("method", METHODS)


def answer(method: str, text: str, **fields: Any) -> Reply:
    """Build the model's answer: a tool call or text."""
    if method == "function_calling":
        return Reply(tool_calls=[ToolCall("call_1", "Joke", text)], **fields)
    return Reply(text=text, **fields)


def answer_for(method: str, schema: Any, text: str) -> Reply:
    names = {id(JokeV1): "JokeV1", id(JokeDict): "JokeDict", id(JOKE_SCHEMA): to_wire_name("A joke!")}
    reply = answer(method, text)
    if reply.tool_calls:
        return Reply(tool_calls=[ToolCall("call_1", names.get(id(schema), "Joke"), text)])
    return reply


def is_joke(value: Any, schema: Any) -> bool:
    if schema in (Joke, JokeV1):
        return type(value) is schema and value.setup == GOOD["setup"] and value.punchline == GOOD["punchline"]
    return bool(value == GOOD)


@each_method
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
async def test_object_is_returned_whole_and_streamed(
    schema: Any, method: Any, llm: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.script(*[answer_for(method, schema, TEXT)] * 5)
    chain = llm.with_structured_output(schema, method=method)
    assert is_joke(chain.invoke(QUESTION), schema)
    assert is_joke(await chain.ainvoke(QUESTION), schema)
    assert is_joke(chain.batch([QUESTION])[0], schema)
    streamed = list(chain.stream(QUESTION))
    astreamed = [value async for value in chain.astream(QUESTION)]
    await llm.aclose()
    assert is_joke(streamed[-1], schema)
    assert streamed == astreamed
    assert not emulator.refusals


@each_method
def test_stream_yields_growing_dicts(method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    text = ['{"setup": "W', "hy", '?", "punch', 'line": "Be', 'cause."}']
    emulator.script(
        Reply(text=text)
        if method != "function_calling"
        else Reply(tool_calls=[ToolCall("c", to_wire_name("A joke!"), text)])
    )
    assert list(llm.with_structured_output(JOKE_SCHEMA, method=method).stream(QUESTION)) == [
        *([{}] if method == "function_calling" else []),
        {"setup": "W"},
        {"setup": "Why"},
        {"setup": "Why?"},
        {"setup": "Why?", "punchline": "Be"},
        {"setup": "Why?", "punchline": "Because."},
    ]


@each_method
def test_stream_yields_objects_once_valid(method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    text = ['{"setup": "Why?", "punch', 'line": "Be', 'cause."}']
    emulator.script(
        Reply(text=text) if method != "function_calling" else Reply(tool_calls=[ToolCall("c", "Joke", text)])
    )
    streamed = list(llm.with_structured_output(Joke, method=method).stream(QUESTION))
    assert streamed == [Joke(setup="Why?", punchline="Be"), Joke(setup="Why?", punchline="Because.")]


# --- what is sent


@pytest.fixture
def silent(make: Make) -> ChatQwenVL:
    """Make a model that does not think, so that the service forces each output in one request."""
    return make(enable_thinking=False)


def test_function_calling_sends_forced_tool(silent: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    emulator.script(answer("function_calling", TEXT), answer("function_calling", TEXT))
    silent.with_structured_output(Joke, method="function_calling").invoke(QUESTION)
    sent = body()
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "Joke"}}
    (tool,) = sent["tools"]
    assert tool["function"]["parameters"]["required"] == ["setup", "punchline"]
    assert "response_format" not in sent
    assert sent["enable_thinking"] is False
    silent.with_structured_output(Joke, method="function_calling", strict=True).invoke(QUESTION)
    assert body()["tools"][0]["function"]["strict"] is True


def test_json_schema_sends_response_format(make: Make, emulator: Emulator, body: Any) -> None:
    emulator.script(answer("json_schema", TEXT), answer("json_schema", TEXT))
    llm = make(model="qwen3.7-plus", enable_thinking=False)
    llm.with_structured_output(Joke, method="json_schema").invoke(QUESTION)
    sent = body()
    assert sent["response_format"]["type"] == "json_schema"
    json_schema = sent["response_format"]["json_schema"]
    assert (json_schema["name"], json_schema["description"]) == ("Joke", "A joke.")
    assert json_schema["schema"]["required"] == ["setup", "punchline"]
    assert "strict" not in json_schema
    assert "tools" not in sent
    assert sent["enable_thinking"] is False
    llm.with_structured_output(Joke, method="json_schema", strict=True).invoke(QUESTION)
    assert body()["response_format"]["json_schema"]["strict"] is True
    assert body()["response_format"]["json_schema"]["schema"]["additionalProperties"] is False


def test_json_schema_unsupported_sends_prompt_and_json_object(
    silent: ChatQwenVL, emulator: Emulator, body: Any
) -> None:
    emulator.script(answer("json_schema", TEXT))
    result: Any = silent.with_structured_output(Joke, method="json_schema", include_raw=True).invoke("A joke!")
    assert body()["response_format"] == {"type": "json_object"}
    assert "punchline" in body()["messages"][-1]["content"]
    notes = result["raw"].response_metadata["adjustments"]
    assert [note for note in notes if "instead of json_schema" in note]


def test_json_mode_sends_json_object(silent: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    emulator.script(answer("json_mode", TEXT), answer("json_mode", TEXT))
    chain = silent.with_structured_output(Joke, method="json_mode")
    chain.invoke(QUESTION)
    assert body()["response_format"] == {"type": "json_object"}
    assert body()["messages"] == [{"role": "user", "content": QUESTION}]
    chain.invoke("A joke, please.")
    assert "JSON" in body()["messages"][0]["content"]


def test_model_is_not_changed(llm: ChatQwenVL, emulator: Emulator, bodies: Any) -> None:
    emulator.script(*[answer("function_calling", TEXT)] * 2)
    llm.with_structured_output(Joke).invoke(QUESTION)
    llm.with_structured_output(Joke, forced_output="no_thinking").invoke(QUESTION)
    llm.invoke("Hi")
    assert [sent["enable_thinking"] for sent in bodies()] == [True, False, True]
    assert (llm.enable_thinking, llm.forced_output) == (True, "think_first")


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("qwen3-vl-plus", "tools"),
        ("qwen3-vl-8b-thinking", "tools"),
        ("qwen-vl-max", "response_format"),
        ("my-model", "tools"),
    ],
)
def test_default_method_depends_on_the_model(model: str, sent: str, make: Make, emulator: Emulator, body: Any) -> None:
    emulator.known_models = frozenset({"my-model"})
    emulator.script(answer("function_calling" if sent == "tools" else "json_schema", TEXT))
    assert make(model=model).with_structured_output(Joke).invoke(QUESTION) == Joke(**GOOD)
    assert sent in body()


@pytest.mark.parametrize("strict", [None, True, False])
@each_method
def test_method_sends_only_its_own_keys(
    method: Any, strict: bool | None, make: Make, emulator: Emulator, body: Any
) -> None:
    if method == "json_mode" and strict is not None:
        with pytest.raises(ValueError, match="strict"):
            make().with_structured_output(Joke, method=method, strict=strict)
        return
    emulator.script(answer(method, TEXT))
    llm = make(model="qwen3.7-plus", enable_thinking=False)
    llm.with_structured_output(Joke, method=method, strict=strict).invoke(QUESTION)
    kinds = {"function_calling": None, "json_schema": "json_schema", "json_mode": "json_object"}
    assert body().get("response_format", {}).get("type") == kinds[method]
    assert ("tools" in body()) is (method == "function_calling")


def test_unknown_method_keyword_or_schema_raises(llm: ChatQwenVL) -> None:
    with pytest.raises(ValueError, match="method must be one of function_calling, json_schema, json_mode"):
        llm.with_structured_output(Joke, method="xml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="temprature"):
        llm.with_structured_output(Joke, temprature=1)
    with pytest.raises(ValueError, match="title"):
        llm.with_structured_output({"type": "object", "properties": {}})


@each_method
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_schema_is_sent_except_in_json_mode(
    schema: Any, method: Any, llm: ChatQwenVL, emulator: Emulator, body: Any
) -> None:
    emulator.script(answer_for(method, schema, TEXT))
    llm.with_structured_output(schema, method=method).invoke("A joke!")
    assert ("punchline" in json.dumps(body())) is (method != "json_mode")


def test_tools_can_be_combined_with_json_schema_only(llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    @tool
    def look(x: int) -> str:
        """Look at a place."""
        return str(x)

    emulator.script(answer("json_schema", TEXT))
    chain = llm.with_structured_output(Joke, method="json_schema", tools=[look], tool_choice="auto")
    assert chain.invoke(QUESTION) == Joke(**GOOD)
    assert [sent["function"]["name"] for sent in body()["tools"]] == ["look"]
    with pytest.raises(ValueError, match="'function_calling' sets tools"):
        llm.with_structured_output(Joke, tools=[look])
    with pytest.raises(ValueError, match="'json_schema' sets response_format"):
        llm.with_structured_output(Joke, method="json_schema", response_format={"type": "text"})


def test_keywords_are_sent_with_the_call(llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    emulator.script(answer("function_calling", TEXT))
    llm.with_structured_output(Joke, temperature=0.25, model="qwen3-vl-flash").invoke(QUESTION)
    assert (body()["temperature"], body()["model"]) == (0.25, "qwen3-vl-flash")


@each_method
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_traces_contain_the_schema(schema: Any, method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    class OptionsHandler(BaseCallbackHandler):
        options: Any = None

        def on_chat_model_start(self, *args: Any, options: Any = None, **kwargs: Any) -> None:
            self.options = options

    emulator.script(*[answer_for(method, schema, TEXT)] * 2)
    chain = llm.with_structured_output(schema, method=method)
    for call in (lambda config: chain.invoke(QUESTION, config), lambda config: list(chain.stream(QUESTION, config))):
        handler = OptionsHandler()
        call({"callbacks": [handler]})
        assert handler.options["ls_structured_output_format"]["kwargs"]["method"] == method
        assert "punchline" in handler.options["ls_structured_output_format"]["schema"]["properties"]


# --- invalid answers

PROSE = "I'd rather not."
INVALID_ANSWERS: dict[str, tuple[list[str], str, str | None]] = {
    "prose": (["json_schema", "json_mode"], PROSE, None),
    "empty": (["json_schema", "json_mode"], "", None),
    "a list": (METHODS, "[1, 2]", None),
    "broken": (METHODS, '{"setup": "Why?", "punchline": }', None),
    "truncated": (METHODS, '{"setup": "Why?", "punchline": "Bec', "length"),
    "truncated in the last character": (METHODS, '{"setup": "Why?", "punchline": "Because."', "length"),
    "missing field": (METHODS, '{"setup": "Why?"}', None),
    "field of another type": (METHODS, '{"setup": "Why?", "punchline": {"a": 1}}', None),
    "two objects": (["json_schema", "json_mode"], TEXT + TEXT, None),
}
INVALID_ROWS = [
    pytest.param(method, text, finish, id=f"{name}, {method}")
    for name, (methods, text, finish) in INVALID_ANSWERS.items()
    for method in methods
]


@pytest.mark.parametrize(("method", "text", "finish"), INVALID_ROWS)
async def test_invalid_answer_raises(
    method: Any, text: str, finish: str | None, silent: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.script(*[answer(method, text, finish=finish)] * 3)
    chain = silent.with_structured_output(Joke, method=method)
    with pytest.raises(OutputParserException) as raised:
        chain.invoke(QUESTION)
    error = raised.value
    assert isinstance(error, QwenVLOutputError)
    assert isinstance(error, ValueError)
    assert error.llm_output == text
    assert ("cut off" in str(error)) is (finish == "length")
    with pytest.raises(OutputParserException):
        await chain.ainvoke(QUESTION)
    with pytest.raises(OutputParserException):
        list(chain.stream(QUESTION))  # the stream may yield objects before it raises
    await silent.aclose()


@pytest.mark.parametrize(("method", "text", "finish"), INVALID_ROWS)
def test_include_raw_returns_the_error(
    method: Any, text: str, finish: str | None, silent: ChatQwenVL, emulator: Emulator
) -> None:
    emulator.script(answer(method, text, finish=finish))
    result: Any = silent.with_structured_output(Joke, method=method, include_raw=True).invoke(QUESTION)
    assert isinstance(result["raw"], AIMessage)
    assert result["parsed"] is None
    assert isinstance(result["parsing_error"], OutputParserException)


def test_json_mode_with_dict_schema_accepts_any_object(silent: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(text='{"other": 1}'), Reply(text="[1]"))
    chain = silent.with_structured_output(JOKE_SCHEMA, method="json_mode")
    assert chain.invoke(QUESTION) == {"other": 1}
    with pytest.raises(OutputParserException, match="not a JSON object"):
        chain.invoke(QUESTION)


@pytest.mark.parametrize(
    "reply",
    [Reply(text=PROSE), Reply(tool_calls=[ToolCall("c", "zoom", "{}")])],
    ids=["prose", "another tool"],
)
def test_missing_call_raises(reply: Reply, silent: ChatQwenVL, emulator: Emulator) -> None:
    """A server may ignore a forced tool choice."""
    emulator.script(reply)
    with pytest.raises(OutputParserException, match="did not call Joke"):
        silent.with_structured_output(Joke).invoke(QUESTION)


def test_several_calls_use_the_first_of_the_tool(llm: ChatQwenVL, emulator: Emulator) -> None:
    calls = [
        ToolCall("a", "zoom", "{}"),
        ToolCall("b", "Joke", TEXT),
        ToolCall("c", "Joke", '{"setup": "x", "punchline": "y"}'),
    ]
    emulator.script(Reply(tool_calls=calls))
    assert llm.with_structured_output(Joke).invoke(QUESTION) == Joke(**GOOD)


# --- code fences and surrounding text


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"```JSON {TEXT}```",
        f"Here you are:\n\n```json\n{TEXT}\n```\nHave fun!",
        f"  {TEXT}\n",
        f"```json\n{TEXT}",
        json.dumps(GOOD, indent=2),
        TEXT.replace("Why? ", "Why?\n"),
    ],
    ids=["json", "plain", "no line", "prose around", "spaces", "open end", "indented", "raw line end"],
)
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_json_in_fence_or_whitespace_is_found(text: str, method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(text=text), Reply(text=text))
    chain = llm.with_structured_output(JOKE_SCHEMA, method=method)
    result: Any = chain.invoke(QUESTION)
    assert result["punchline"] == GOOD["punchline"]
    assert list(chain.stream(QUESTION))[-1] == result


def test_stream_yields_growing_dicts_from_fence(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(Reply(text=["```js", 'on\n{"setup": "W', 'hy?", "punchline": ', '"Because."}', "\n```"]))
    streamed = list(llm.with_structured_output(JOKE_SCHEMA, method="json_mode").stream(QUESTION))
    assert streamed == [{"setup": "W"}, {"setup": "Why?"}, {"setup": "Why?", "punchline": "Because."}]


# --- models that always think


@pytest.mark.parametrize("model", ["qwen3-vl-8b-thinking", "qvq-max"])
class TestAlwaysThinking:
    @pytest.mark.parametrize("method", ["json_schema", "json_mode"])
    async def test_json_is_requested_in_the_prompt(
        self, model: str, method: Any, make: Make, emulator: Emulator, body: Any
    ) -> None:
        llm = make(model=model)
        emulator.script(*[Reply(reasoning="Hm.", text=f"```json\n{TEXT}\n```")] * 2)
        chain = llm.with_structured_output(Joke, method=method)
        assert chain.invoke("A joke!") == Joke(**GOOD)
        assert list(chain.stream("A joke!"))[-1] == Joke(**GOOD)
        assert "response_format" not in body()
        assert "JSON" in body()["messages"][-1]["content"]
        assert ("punchline" in body()["messages"][-1]["content"]) is (method == "json_schema")

    @pytest.mark.parametrize("method", ["json_schema", "json_mode"])
    async def test_prose_answer_raises(self, model: str, method: Any, make: Make, emulator: Emulator) -> None:
        llm = make(model=model)
        emulator.script(*[Reply(reasoning="Hm.", text=PROSE)] * 6)
        chain = llm.with_structured_output(Joke, method=method)
        for call in (lambda: chain.invoke("A joke!"), lambda: list(chain.stream("A joke!"))):
            with pytest.raises(OutputParserException, match="not valid JSON"):
                call()
        with pytest.raises(OutputParserException):
            await chain.ainvoke("A joke!")
        await llm.aclose()

    @pytest.mark.parametrize("method", ["json_schema", "json_mode"])
    async def test_include_raw_keeps_the_answer(self, model: str, method: Any, make: Make, emulator: Emulator) -> None:
        llm = make(model=model)
        emulator.script(*[Reply(reasoning="Hm.", text=PROSE)] * 6)
        chain = llm.with_structured_output(Joke, method=method, include_raw=True)
        streamed = add_up(list(chain.stream("A joke!")))
        results: list[Any] = [chain.invoke("A joke!"), await chain.ainvoke("A joke!"), streamed]
        for result in results:
            assert isinstance(result["parsing_error"], OutputParserException)
            assert result["parsed"] is None
            assert result["raw"].content == PROSE
            reasoning = "\n\n".join(["Hm.", PROSE, "Hm."])  # the words that were no JSON, too
            assert result["raw"].additional_kwargs == {"reasoning_content": reasoning}
            assert result["raw"].response_metadata["adjustments"]
        await llm.aclose()


async def test_always_thinking_model_gets_tool_choice_auto(make: Make, emulator: Emulator, body: Any) -> None:
    llm = make(model="qwen3-vl-8b-thinking")
    called = Reply(reasoning="Hm.", tool_calls=[ToolCall("c", "Joke", TEXT)])
    emulator.script(called, *[Reply(reasoning="Hm.", text=PROSE)] * 6)
    chain = llm.with_structured_output(Joke, method="function_calling")
    assert chain.invoke(QUESTION) == Joke(**GOOD)
    assert body()["tool_choice"] == "auto"
    with pytest.raises(OutputParserException, match="called no tool"):
        chain.invoke(QUESTION)
    raw = llm.with_structured_output(Joke, method="function_calling", include_raw=True)
    result: Any = raw.invoke(QUESTION)
    assert result["raw"].content == f"{PROSE}\n\n{PROSE}"
    assert result["raw"].response_metadata["finish_reason"] == "stop"
    assert "'auto'" in result["raw"].response_metadata["adjustments"][0]
    assert result["raw"].usage_metadata
    assert isinstance(result["parsing_error"], OutputParserException)
    aresult: Any = await raw.ainvoke(QUESTION)
    assert aresult["raw"].content == f"{PROSE}\n\n{PROSE}"
    await llm.aclose()


def test_ask_keeps_thinking(make: Make, emulator: Emulator, body: Any) -> None:
    llm = make(forced_output="ask")
    emulator.script(Reply(reasoning="Hm.", tool_calls=[ToolCall("c", "Joke", TEXT)]))
    result: Any = llm.with_structured_output(Joke, include_raw=True).invoke(QUESTION)
    assert result["parsed"] == Joke(**GOOD)
    assert result["raw"].additional_kwargs["reasoning_content"] == "Hm."
    assert body()["enable_thinking"] is True


@each_method
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"setup": "Why?"}', r"not a valid Joke: 1 validation error(.|\n)*\. Try again"),
        ('{"setup": "Wh', "incomplete|not a JSON object"),
        ("", "incomplete|empty"),
    ],
)
def test_parser_error_has_reasoning_of_message(method: Any, text: str, reason: str, llm: ChatQwenVL) -> None:
    chain: Any = llm.with_structured_output(Joke, method=method)
    valid = [{"name": "Joke", "args": json.loads(text), "id": "c"}] if text.endswith("}") else []
    invalid = [{"name": "Joke", "args": text, "id": "c", "error": "", "type": "invalid_tool_call"}]
    calls = {"tool_calls": valid, "invalid_tool_calls": [] if valid else invalid}
    message = AIMessage(
        "" if method == "function_calling" else text,
        additional_kwargs={"reasoning_content": "Hm."},
        **(calls if method == "function_calling" else {}),
    )
    with pytest.raises(QwenVLOutputError, match=reason) as caught:
        chain.last.invoke(message)
    assert caught.value.reasoning == "Hm."


# --- raw results, chains and other settings


@each_method
async def test_include_raw_returns_message_and_object(method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.script(*[answer(method, TEXT)] * 4)
    chain = llm.with_structured_output(Joke, method=method, include_raw=True)
    chunks = list(chain.stream(QUESTION))
    achunks = [chunk async for chunk in chain.astream(QUESTION)]
    results: list[Any] = [chain.invoke(QUESTION), await chain.ainvoke(QUESTION), add_up(chunks), add_up(achunks)]
    for result in results:
        assert set(result) == {"raw", "parsed", "parsing_error"}
        assert result["parsed"] == Joke(**GOOD)
        assert result["parsing_error"] is None
        assert isinstance(result["raw"], AIMessage)
    assert len(chunks) > 5  # the message is streamed in chunks
    await llm.aclose()


def add_up(chunks: list[Any]) -> Any:
    """Add up the chunks of a stream as LangChain does."""
    first, *others = chunks
    for chunk in others:
        first = first + chunk
    return first


class ManyTypes(pydantic.BaseModel):
    """Types that JSON does not have."""

    model_config = pydantic.ConfigDict(strict=True)

    day: datetime.date
    kind: Literal["a", "b"]
    pair: tuple[int, float]
    maybe: str | None = None
    inner: Joke | None = None


@each_method
def test_strict_class_accepts_json_types(method: Any, llm: ChatQwenVL, emulator: Emulator) -> None:
    text = json.dumps({"day": "2026-01-31", "kind": "b", "pair": [1, 2.5], "inner": GOOD})
    reply = Reply(tool_calls=[ToolCall("c", "ManyTypes", text)]) if method == "function_calling" else Reply(text=text)
    emulator.script(reply)
    result: Any = llm.with_structured_output(ManyTypes, method=method).invoke(QUESTION)
    assert result == ManyTypes(day=datetime.date(2026, 1, 31), kind="b", pair=(1, 2.5), inner=Joke(**GOOD))


@each_method
@pytest.mark.parametrize(
    "keywords", [{"output_version": "v1"}, {"disable_streaming": True}, {"streaming": True}], ids=str
)
async def test_model_settings_do_not_change_the_object(
    keywords: dict[str, Any], method: Any, make: Make, emulator: Emulator
) -> None:
    llm = make(**keywords)
    emulator.script(*[answer(method, TEXT)] * 4)
    chain = llm.with_structured_output(Joke, method=method)
    assert chain.invoke(QUESTION) == Joke(**GOOD)
    assert list(chain.stream(QUESTION))[-1] == Joke(**GOOD)
    assert await chain.ainvoke(QUESTION) == Joke(**GOOD)
    assert [value async for value in chain.astream(QUESTION)][-1] == Joke(**GOOD)
    await llm.aclose()


def test_prompt_template_in_a_chain_is_sent(llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    from langchain_core.prompts import ChatPromptTemplate

    emulator.script(answer("function_calling", TEXT))
    chain = ChatPromptTemplate([("system", "Be funny."), ("human", "About {topic}.")]) | llm.with_structured_output(
        Joke
    )
    assert chain.invoke({"topic": "cats"}) == Joke(**GOOD)
    assert [message["content"] for message in body()["messages"]] == [
        "Be funny.",
        "About cats.\n\nAnswer with a call of the tool Joke.",
    ]


def test_image_question_gets_instructions_at_the_end(llm: ChatQwenVL, emulator: Emulator, body: Any) -> None:
    emulator.script(answer("json_schema", TEXT))
    question = HumanMessage([{"type": "text", "text": "Hi"}, {"type": "image", "url": "https://example.com/a.png"}])
    llm.with_structured_output(Joke, method="json_schema").invoke([question])
    parts = body()["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]
    assert "JSON" in parts[-1]["text"]


def test_output_schema_is_the_class(llm: ChatQwenVL) -> None:
    output_schema: type[Any] = llm.with_structured_output(Joke).get_output_schema()
    assert output_schema.model_json_schema()["title"] == "Joke"
    chain: Callable[..., Any] = llm.with_structured_output(JokeDict).invoke
    assert callable(chain)
