"""Structured output: how a schema is asked for, and how the answer becomes an object of it.

Whether the service takes a forced tool or a response format from a model is decided by `qwenvl_core.request.policy`;
here each method is requested as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from typing import Any, Literal, cast, get_args

import pydantic
from langchain_core.messages.ai import AIMessage, AIMessageChunk
from langchain_core.output_parsers.transform import BaseCumulativeTransformOutputParser
from langchain_core.outputs.chat_generation import ChatGeneration
from langchain_core.outputs.generation import Generation
from langchain_core.runnables.base import Runnable, RunnableGenerator, RunnableMap
from langchain_core.runnables.utils import AddableDict
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass
from typing_extensions import override

from langchain_qwenvl.content_blocks import split_tool_calls
from langchain_qwenvl.exceptions import output_error
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.types.events import Event

Method = Literal["function_calling", "json_schema", "json_mode"]

_FENCE = re.compile(r"```(?:json)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_FORMATS = ("text", "json_object", "json_schema")


def default_method(facts: ModelFacts) -> Method:
    """Function calling, which every service and server knows; JSON for a model that has no tools."""
    return "function_calling" if facts.tools else "json_schema"


def bind_arguments(
    schema: dict[str, Any] | type, *, method: str, strict: bool | None
) -> tuple[dict[str, Any], StructuredOutputParser]:
    """What to bind to a model so that it answers with objects of `schema`, and what reads them.

    Raises:
        ValueError: An unknown method, `strict` with `"json_mode"`, or a schema in no known form.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}.")
    schema = _unwrapped(schema)
    cls = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    told = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    if method == "json_mode":
        if strict is not None:
            raise ValueError('strict means nothing with method="json_mode", which sends no schema.')
        return {"response_format": {"type": "json_object"}, **told}, StructuredOutputParser(target=cls)
    function = _function(schema, strict)
    if method == "json_schema":
        return {"response_format": _json_schema(function), **told}, StructuredOutputParser(target=cls)
    name = function["name"]
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": name}
    return {**tools, **told}, StructuredOutputParser(target=cls, tool=name)


def response_format(wanted: Mapping[str, Any] | type | None, *, strict: bool | None) -> Mapping[str, Any] | None:
    """A response format as the service takes it, from its own form or from a schema.

    Raises:
        ValueError: A schema in no known form.
    """
    if wanted is None or (isinstance(wanted, Mapping) and wanted.get("type") in _FORMATS):
        return wanted
    return _json_schema(_function(cast("dict[str, Any] | type", wanted), strict))


def _function(schema: dict[str, Any] | type, strict: bool | None) -> dict[str, Any]:
    function: dict[str, Any] = dict(convert_to_openai_tool(_unwrapped(schema), strict=strict)["function"])
    # A title may be any text, a name may not.
    return {**function, "name": re.sub(r"[^A-Za-z0-9_-]", "_", function["name"])[:64]}


def _unwrapped(schema: dict[str, Any] | type) -> dict[str, Any] | type:
    """A schema in the clothes of a response format, as a function: LangChain would take its name and leave it."""
    if not isinstance(schema, dict):
        return schema
    inner = schema.get("json_schema")
    named = inner if isinstance(inner, dict) else schema
    if "schema" not in named or "name" not in named:
        return schema
    others = {name: value for name, value in named.items() if name != "schema"}
    return {**others, "parameters": named["schema"]}


def _json_schema(function: dict[str, Any]) -> dict[str, Any]:
    described = {name: value for name, value in function.items() if name != "parameters"}
    return {"type": "json_schema", "json_schema": {**described, "schema": function.get("parameters", {})}}


def with_raw(llm: Runnable[Any, AIMessage], parser: StructuredOutputParser) -> Runnable[Any, Any]:
    """`llm`, with its message, the object parsed from it, and the error of parsing it.

    In a stream the message comes as it grows, then object and error: also when there is an error, which LangChain's own
    way with fallbacks would raise.
    """

    def judged(message: AIMessage) -> AddableDict:
        try:
            return AddableDict(parsed=parser.invoke(message), parsing_error=None)
        except Exception as error:
            return AddableDict(parsed=None, parsing_error=error)

    def parse(chunks: Iterator[dict[str, Any]]) -> Iterator[AddableDict]:
        told: list[Any] = []
        for chunk in chunks:
            told.append(chunk["raw"])
            yield AddableDict(chunk)
        yield judged(_sum(told))

    async def aparse(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[AddableDict]:
        told: list[Any] = []
        async for chunk in chunks:
            told.append(chunk["raw"])
            yield AddableDict(chunk)
        yield judged(_sum(told))

    return RunnableMap(raw=llm) | RunnableGenerator(parse, aparse, name="parse")


def _sum(messages: list[Any]) -> AIMessage:
    first, *others = messages
    return cast("AIMessage", first + others if others else first)


def suppress_output_errors(events: Generator[Event]) -> Generator[Event]:
    """The same events; an answer that is not what was demanded ends as others do, for the parser to judge."""
    try:
        yield from events
    except QwenVLOutputError as error:
        if error.finish is None:
            raise
        yield error.finish


async def asuppress_output_errors(events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """As `suppress_output_errors`, for async."""
    try:
        async for event in events:
            yield event
    except QwenVLOutputError as error:
        if error.finish is None:
            raise
        yield error.finish
    finally:
        await events.aclose()


class StructuredOutputParser(BaseCumulativeTransformOutputParser[Any]):
    """Reads an object from a tool call's arguments or from the answer's text; from a stream, as it grows.

    A whole answer is read strictly: cut-off JSON is an error, and never an object with the rest missing.

    Attributes:
        target: The Pydantic class of the objects; without one they are dicts.
        tool: The tool whose arguments are read; without one, the text is.
    """

    target: Any = None
    tool: str | None = None

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The object that an answer holds.

        Args:
            result: The answer, whole or so far.
            partial: The answer is a stream's so far; its last chunk makes it whole.

        Returns:
            The object; `None` while there is none yet.

        Raises:
            OutputParserException: A whole answer that holds no such object.
        """
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        if partial and isinstance(message, AIMessageChunk) and message.chunk_position != "last":
            return self._growing(message)
        # In a stream that was none, LangChain hands on a message of no kind, which has an AI message's attributes.
        whole = cast("AIMessage", message)
        value = _arguments(whole, self.tool) if self.tool else _json_object(whole)
        try:
            return self._object(value)
        except (pydantic.ValidationError, pydantic.v1.ValidationError) as error:
            raise output_error(f"The answer is no {self.target.__name__}: {error}", _raw(whole)) from error

    @override
    def parse(self, text: str) -> Any:
        """As `parse_result`, from text alone."""
        return self.parse_result([Generation(text=text)])

    @property
    @override
    def OutputType(self) -> Any:
        return self.target or dict[str, Any]

    @property
    @override
    def _type(self) -> str:
        return "qwenvl_structured_output"

    def _growing(self, message: AIMessageChunk) -> Any:
        """The object as far as it has come; an object of a class, once the fields so far make a valid one."""
        calls = (call["args"] for call in message.tool_calls if call["name"] == self.tool)
        value = next(calls, None) if self.tool else _partial_json(message.text)
        if not isinstance(value, dict):
            return None
        try:
            return self._object(value)
        except (pydantic.ValidationError, pydantic.v1.ValidationError):
            return None

    def _object(self, value: dict[str, Any]) -> Any:
        if self.target is None:
            return value
        if issubclass(self.target, pydantic.BaseModel):
            # As JSON, where a strict class takes a date or an enumeration as a string.
            return self.target.model_validate_json(json.dumps(value))
        return self.target.parse_obj(value)


def _arguments(message: AIMessage, tool: str) -> dict[str, Any]:
    """The arguments of the first call of `tool`."""
    valid, broken = split_tool_calls(message)
    for call in valid:
        if call["name"] == tool:
            return call["args"]
    if broken:
        why = f"The call of {broken[0]['name']} has no whole arguments."
    else:
        called = ", ".join(call["name"] for call in valid) or "nothing"
        why = f"The model did not call {tool}; it called {called}."
    raise output_error(why + _cut(message), _raw(message))


def _json_object(message: AIMessage) -> dict[str, Any]:
    """The JSON object that is the text, or that the text has between fences."""
    text = message.text
    error: Exception | None = None
    for candidate in (text, *_FENCE.findall(text)):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError) as failure:
            error = error or failure
            continue
        if isinstance(value, dict):
            return value
    raise output_error(
        f"The answer is no JSON object ({error or 'another JSON value'}).{_cut(message)}", text
    ) from error


def _partial_json(text: str) -> Any:
    """The JSON value that an unfinished text begins; `None` where none has begun."""
    _, fence, fenced = text.partition("```")
    begun = fenced.partition("\n")[2].partition("```")[0] if fence and not text.lstrip().startswith("{") else text
    try:
        return parse_partial_json(begun.strip())
    except (ValueError, RecursionError):
        return None


def _cut(message: AIMessage) -> str:
    was_cut = message.response_metadata.get("finish_reason") == "length"
    return " The answer was cut off by max_tokens." if was_cut else ""


def _raw(message: AIMessage) -> str:
    """What the model wrote, as text: its calls' arguments, or else its answer."""
    valid, broken = split_tool_calls(message)
    written = [json.dumps(call["args"]) for call in valid] + [call["args"] or "" for call in broken]
    return "\n".join(written) or message.text
