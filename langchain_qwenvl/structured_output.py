"""Request structured output, and parse the answer into objects of the schema.

`qwenvl_core.request.policy` decides whether a model supports a forced tool or a response format; this module
requests each method as the caller chose it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, cast, get_args, get_origin

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
from typing_extensions import is_typeddict, override

from langchain_qwenvl.content_blocks import split_tool_calls
from langchain_qwenvl.exceptions import build_output_error
from langchain_qwenvl.tools import convert_tool, get_json_schema
from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLOutputError
from qwenvl_core.parsing.json_answer import describe_empty_answer, parse_json_answer
from qwenvl_core.request.output_schema import RootType, fit_to_object, get_root_type, inline_root, unwrap_root
from qwenvl_core.types.events import Event

Method = Literal["function_calling", "json_schema", "json_mode"]

_FORMAT_TYPES = ("text", "json_object", "json_schema")
_TOOL_KEYS = ("name", "function", "input_schema", "toolSpec")
"""Keys of a tool's definition, in OpenAI's, Anthropic's and Amazon's form, that a JSON schema does not have."""
_PARTIAL_TYPES: dict[RootType, type] = {"object": dict, "array": list, "value": object}
_DEFAULT_NAME = "answer"
"""Name of the tool or format of a list or another value without a title."""
_JSON_TYPES: dict[RootType, tuple[type, ...]] = {"object": (dict,), "array": (dict, list), "value": ()}
"""Types of the JSON in an answer by the type of the schema's root; values may be wrapped in an object."""


def choose_method(facts: ModelFacts) -> Method:
    """Choose function calling, which every server supports, or JSON for a model without tools."""
    return "function_calling" if facts.tools else "json_schema"


def build_bind_arguments(
    schema: dict[str, Any] | type, *, method: str, strict: bool | None
) -> tuple[dict[str, Any], StructuredOutputParser]:
    """Build the arguments to bind to a model so that it answers with objects of `schema`, and their parser.

    Raises:
        ValueError: The method is unknown, `strict` is combined with `"json_mode"`, or the schema has an unknown form.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, not {method!r}.")
    is_alias = get_origin(schema) is not None  # such as `list[Item]`
    schema = pydantic.RootModel[schema] if is_alias else _unwrap_response_format(schema)  # type: ignore[valid-type]
    cls = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
    fields: dict[str, Any] = {"target": cls, "is_alias": is_alias}
    trace = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    if is_typeddict(schema):  # LangChain cannot convert a recursive one for a trace
        trace["ls_structured_output_format"]["schema"] = _to_function(schema, strict)[0]
    if method == "json_mode":
        if strict is not None:
            raise ValueError('strict has no effect with method="json_mode", which sends no schema. Leave it out.')
        root_type = _find_root_type(schema)
        return {"response_format": {"type": "json_object"}, **trace}, StructuredOutputParser(
            **fields, root_type=root_type
        )
    function, root_type = _to_function(schema, strict)
    if root_type != "object":  # LangChain cannot convert these for a trace
        trace["ls_structured_output_format"]["schema"] = function
    if method == "json_schema":
        response_format = _to_json_schema(function)
        return {"response_format": response_format, **trace}, StructuredOutputParser(**fields, root_type=root_type)
    name = function["name"]
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": name}
    return {**tools, **trace}, StructuredOutputParser(**fields, root_type=root_type, tool=name)


def to_response_format(
    response_format: Mapping[str, Any] | type | None, *, strict: bool | None
) -> Mapping[str, Any] | None:
    """Convert a schema to the service's response format; a response format and `None` are returned unchanged.

    Raises:
        ValueError: The schema has an unknown form.
    """
    if response_format is None:
        return None
    if isinstance(response_format, Mapping) and response_format.get("type") in _FORMAT_TYPES:
        return response_format
    return _to_json_schema(_to_function(cast("dict[str, Any] | type", response_format), strict)[0])


def _to_function(schema: dict[str, Any] | type, strict: bool | None) -> tuple[dict[str, Any], RootType]:
    """Convert a schema to a function, whose parameters are an object; return the type of the schema's own root too."""
    schema = _unwrap_response_format(schema)
    function: dict[str, Any] = convert_tool(_name_schema(schema) if isinstance(schema, dict) else schema)["function"]
    root_type = get_root_type(function.get("parameters") or {})
    if "parameters" in function:
        function = {**function, "parameters": fit_to_object(function["parameters"])}
    if strict is not None:
        function = convert_to_openai_tool(function, strict=strict)["function"]
    return function, root_type


def _name_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Convert a JSON schema to a function; a tool's definition, and an object's schema without a title, stay as is.

    LangChain's conversion drops a schema without properties.
    """
    if any(key in schema for key in _TOOL_KEYS):
        return schema
    root = inline_root(schema)
    name = root.get("title") or (None if get_root_type(root) == "object" else _DEFAULT_NAME)
    if not name:
        return schema
    description = {"description": root["description"]} if "description" in root else {}
    parameters = {key: value for key, value in root.items() if key not in ("title", "description")}
    return {"name": name, **description, "parameters": parameters}


def _find_root_type(schema: dict[str, Any] | type) -> RootType:
    """Return the type of the answer that a schema describes in JSON mode, where the schema is not sent."""
    if isinstance(schema, dict):
        function = schema.get("function") or schema
        return get_root_type(function.get("parameters") or schema)
    return get_root_type(get_json_schema(schema)) if is_basemodel_subclass(schema) else "object"


def _unwrap_response_format(schema: dict[str, Any] | type) -> dict[str, Any] | type:
    """Unwrap an OpenAI `response_format`; `convert_to_openai_tool` would keep the name and drop the schema."""
    if not isinstance(schema, dict):
        return schema
    inner = schema.get("json_schema")
    named = inner if isinstance(inner, dict) else schema
    if "schema" not in named or "name" not in named:
        return schema
    other_keys = {name: value for name, value in named.items() if name != "schema"}
    return {**other_keys, "parameters": named["schema"]}


def _to_json_schema(function: dict[str, Any]) -> dict[str, Any]:
    description = {name: value for name, value in function.items() if name != "parameters"}
    return {"type": "json_schema", "json_schema": {**description, "schema": function.get("parameters", {})}}


def include_raw_message(llm: Runnable[Any, AIMessage], parser: StructuredOutputParser) -> Runnable[Any, Any]:
    """Return a runnable with the keys `raw` (the message), `parsed` and `parsing_error`.

    A stream yields the chunks of the message, then the object and the error. LangChain's implementation with fallbacks
    would raise the error from the stream.
    """

    def parse_whole(message: AIMessage) -> AddableDict:
        try:
            return AddableDict(parsed=parser.invoke(message), parsing_error=None)
        except Exception as error:
            return AddableDict(parsed=None, parsing_error=error)

    def parse(inputs: Iterator[dict[str, Any]]) -> Iterator[AddableDict]:
        chunks: list[Any] = []
        for item in inputs:
            chunks.append(item["raw"])
            yield AddableDict(item)
        yield parse_whole(_merge_chunks(chunks))

    async def aparse(inputs: AsyncIterator[dict[str, Any]]) -> AsyncIterator[AddableDict]:
        chunks: list[Any] = []
        async for item in inputs:
            chunks.append(item["raw"])
            yield AddableDict(item)
        yield parse_whole(_merge_chunks(chunks))

    return RunnableMap(raw=llm) | RunnableGenerator(parse, aparse, name="parse")


def _merge_chunks(messages: list[Any]) -> AIMessage:
    first, *others = messages
    return cast("AIMessage", first + others if others else first)


def suppress_output_errors(events: Generator[Event]) -> Generator[Event]:
    """Yield the events, and end a reply without the required output like any other; the parser reports the error."""
    try:
        yield from events
    except QwenVLOutputError as error:
        if error.finish is None:
            raise
        yield error.finish


async def asuppress_output_errors(events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """Yield the events asynchronously; see `suppress_output_errors`."""
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
    """Parse an object from a tool call's arguments or from the answer's text; in a stream, from each part of it.

    A whole answer is parsed strictly: truncated JSON is an error, never an object without some fields.

    Attributes:
        target: The Pydantic class of the objects; `None` for dicts and lists.
        tool: The tool whose arguments are parsed; `None` to parse the text.
        root_type: The type of the answers; only an object is not wrapped in another object.
        is_alias: Whether `target` was made for a type such as `list[Item]`, so that its root is returned.
    """

    target: Any = None
    tool: str | None = None
    root_type: RootType = "object"
    is_alias: bool = False

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse the object of an answer.

        Args:
            result: The answer, or the part of it that has arrived so far.
            partial: Whether the answer is streamed; it is complete with the last chunk.

        Returns:
            The object; `None` before its first field has arrived.

        Raises:
            OutputParserException: The whole answer has no object of the schema.
        """
        generation = result[0]
        message = generation.message if isinstance(generation, ChatGeneration) else AIMessage(generation.text)
        if partial and isinstance(message, AIMessageChunk) and message.chunk_position != "last":
            return self._parse_partial(message)
        # For a call that did not stream, LangChain passes a base message here; it has an AI message's attributes.
        whole = cast("AIMessage", message)
        value = _find_arguments(whole, self.tool) if self.tool else _find_json(whole, self.root_type)
        value = unwrap_root(value, self.root_type)
        if self.root_type == "array" and not isinstance(value, list):
            raise _build_error("The answer is not a JSON array, but an object.", whole)
        try:
            return self._validate(value)
        except (pydantic.ValidationError, pydantic.v1.ValidationError) as error:
            raise _build_error(f"The answer is not a valid {self.target.__name__}: {error}.", whole) from error

    @override
    def parse(self, text: str) -> Any:
        """Parse the object of an answer's text; see `parse_result`."""
        return self.parse_result([Generation(text=text)])

    @property
    @override
    def OutputType(self) -> Any:
        return self.target or dict[str, Any]

    @property
    @override
    def _type(self) -> str:
        return "qwenvl_structured_output"

    def _parse_partial(self, message: AIMessageChunk) -> Any:
        """Parse the part of the object that has arrived; with a class, return `None` until it is valid."""
        calls = (call["args"] for call in message.tool_calls if call["name"] == self.tool)
        value = next(calls, None) if self.tool else _parse_partial_json(message.text)
        value = unwrap_root(value, self.root_type)
        if value is None or not isinstance(value, _PARTIAL_TYPES[self.root_type]):
            return None
        # The last item of a list may be unfinished.
        candidates = (value, value[:-1]) if isinstance(value, list) and len(value) > 1 else (value,)
        for candidate in candidates:
            with suppress(pydantic.ValidationError, pydantic.v1.ValidationError):
                return self._validate(candidate)
        return None

    def _validate(self, value: Any) -> Any:
        if self.target is None:
            return value
        if issubclass(self.target, pydantic.BaseModel):
            # From JSON, a strict class accepts a date or an enumeration as a string.
            validated = self.target.model_validate_json(json.dumps(value))
            return validated.root if self.is_alias else validated
        return self.target.parse_obj(value)


def _find_arguments(message: AIMessage, tool: str) -> dict[str, Any]:
    """Return the arguments of the first call of `tool`."""
    valid, invalid = split_tool_calls(message)
    for call in valid:
        if call["name"] == tool:
            return call["args"]
    if not valid and not invalid and not message.text.strip():
        raise _build_empty_error(message)
    if invalid:
        reason = f"The call of {invalid[0]['name']} has incomplete arguments."
    else:
        called = ", ".join(call["name"] for call in valid) or "nothing"
        reason = f"The model did not call {tool}; it called {called}."
    raise _build_error(reason + _format_truncation_note(message), message)


def _find_json(message: AIMessage, root_type: RootType) -> Any:
    """Return the JSON value of the answer's text."""
    if not message.text.strip():
        raise _build_empty_error(message)
    try:
        return parse_json_answer(message.text, *_JSON_TYPES[root_type])
    except ValueError as error:
        kind = "JSON" if root_type == "value" else f"a JSON {root_type}"
        reason = f"The answer is not {kind} ({error}).{_format_truncation_note(message)}"
        raise _build_error(reason, message) from error


def _build_empty_error(message: AIMessage) -> QwenVLOutputError:
    is_truncated = message.response_metadata.get("finish_reason") == "length"
    return _build_error(describe_empty_answer(_get_reasoning(message), truncated=is_truncated), message)


def _build_error(reason: str, message: AIMessage) -> QwenVLOutputError:
    """Build the error for an answer without the object, with the output and the reasoning of the answer."""
    error = build_output_error(reason, _join_output_text(message))
    error.reasoning = _get_reasoning(message)
    return error


def _get_reasoning(message: AIMessage) -> str:
    return str(message.additional_kwargs.get("reasoning_content") or "")


def _parse_partial_json(text: str) -> Any:
    """Parse the JSON value at the beginning of an unfinished text or code fence; return `None` before it begins."""
    _, fence, fenced = text.partition("```")
    start = (
        fenced.partition("\n")[2].partition("```")[0] if fence and not text.lstrip().startswith(("{", "[")) else text
    )
    try:
        return parse_partial_json(start.strip())
    except (ValueError, RecursionError):
        return None


def _format_truncation_note(message: AIMessage) -> str:
    is_truncated = message.response_metadata.get("finish_reason") == "length"
    return " The answer was cut off by max_tokens." if is_truncated else ""


def _join_output_text(message: AIMessage) -> str:
    """Return the output of the model as text: the arguments of its calls, or else its answer."""
    valid, invalid = split_tool_calls(message)
    arguments = [json.dumps(call["args"]) for call in valid] + [call["args"] or "" for call in invalid]
    return "\n".join(arguments) or message.text
