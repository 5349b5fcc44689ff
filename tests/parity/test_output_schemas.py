"""Structured output as users write it: lists at the top, recursive schemas, any name; in every way to request it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NotRequired, TypedDict

import pydantic.v1
import pytest
from langchain_core.tools import StructuredTool
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.program.function_program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, RootModel, create_model

from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL
from qwenvl_core.errors import QwenVLOutputError
from tests.emulator import Emulator, Reply, ToolCall
from tests.emulator.chat_request import RecordedRequest
from tests.support.model_factories import model_factory

PROMPT = PromptTemplate("Find all, as json.")
METHODS = ["function_calling", "json_schema", "json_mode"]
MODES = [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION]
MODELS = ["qwen3-vl-plus", "qwen3.7-plus", "qwen3-vl-8b-thinking"]  # JSON objects, JSON schemas, always thinking


class Box(BaseModel):
    """A box."""

    label: str
    bbox_2d: list[int]


class Boxes(RootModel[list[Box]]):
    """All boxes."""


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list[Node] = []


class Tree(TypedDict):
    """A tree."""

    name: Annotated[str, ..., "Its name."]
    children: NotRequired[list[Tree]]
    parent: Tree | None
    named: dict[str, Tree]
    boxes: list[Box]


class Nodes(RootModel[list[Node]]): ...


class OldBoxes(pydantic.v1.BaseModel):
    __root__: list[int]


Fapiao = create_model("发票", __doc__="An invoice.", total=(float, ...))
BOXES: list[dict[str, Any]] = [{"label": "cat", "bbox_2d": [1, 2, 3, 4]}, {"label": "dog", "bbox_2d": [5, 6, 7, 8]}]
TREE = {"name": "a", "children": [{"name": "b", "children": [{"name": "c", "children": []}]}]}
TYPED_TREE: dict[str, Any] = {"name": "a", "children": [], "parent": None, "named": {}, "boxes": BOXES}
ARRAY = {"type": "array", "items": Box.model_json_schema()}
SCHEMAS: dict[str, tuple[Any, Any, Any]] = {  # schema, the value that the model finds, the result
    "root model": (Boxes, BOXES, Boxes.model_validate(BOXES)),
    "generic root model": (RootModel[list[Box]], BOXES, RootModel[list[Box]].model_validate(BOXES)),
    "list": (list[Box], BOXES, [Box(**box) for box in BOXES]),
    "array schema": (ARRAY, BOXES, BOXES),
    "titled array schema": ({"title": "All boxes", **ARRAY}, BOXES, BOXES),
    "tool with array": ({"name": "boxes", "parameters": ARRAY}, BOXES, BOXES),
    "response format": ({"type": "json_schema", "json_schema": {"name": "b", "schema": ARRAY}}, BOXES, BOXES),
    "pydantic 1 root": (OldBoxes, [1, 2], OldBoxes(__root__=[1, 2])),
    "recursive": (Node, TREE, Node.model_validate(TREE)),
    "recursive schema": ({"title": "Tree", **Node.model_json_schema()}, TREE, TREE),
    "recursive TypedDict": (Tree, TYPED_TREE, TYPED_TREE),
    "list of recursive": (Nodes, [TREE, TREE], Nodes.model_validate([TREE, TREE])),
    "dict": (RootModel[dict[str, int]], {"a": 1}, RootModel[dict[str, int]]({"a": 1})),
    "union": (RootModel[Box | list[int]], BOXES[0], RootModel[Box | list[int]](Box(**BOXES[0]))),
    "number": (RootModel[int], 5, RootModel[int](5)),
    "Chinese name": (Fapiao, {"total": 1.5}, Fapiao(total=1.5)),
}
every_schema = pytest.mark.parametrize(("schema", "value", "expected"), SCHEMAS.values(), ids=SCHEMAS)
LLAMA_INDEX_SCHEMAS = {
    name: row for name, row in SCHEMAS.items() if isinstance(row[0], type) and issubclass(row[0], BaseModel)
}
every_class = pytest.mark.parametrize(
    ("schema", "value", "expected"), LLAMA_INDEX_SCHEMAS.values(), ids=LLAMA_INDEX_SCHEMAS
)


def find_schema(body: dict[str, Any]) -> Any:
    """Return the schema in a request: of the only tool, the response format, or the prompt; `None` without one."""
    if "tools" in body:
        return body["tools"][0]["function"]["parameters"]
    if "json_schema" in body.get("response_format", {}):
        return body["response_format"]["json_schema"]["schema"]
    _, found, schema = body["messages"][-1]["content"].partition("JSON schema:\n")
    return json.loads(schema) if found else None


def answer_with(value: Any, *, wrapped: bool = True) -> Callable[[RecordedRequest], Reply]:
    """Build a model that answers with a value in the form that its request describes, or with the bare value."""

    def respond(request: RecordedRequest) -> Reply:
        schema = find_schema(request.json)
        is_wrapped = wrapped and schema is not None and list(schema.get("properties", ())) == ["root"]
        text = json.dumps({"root": value} if is_wrapped else value, ensure_ascii=False)
        if "tools" in request.json:
            return Reply(tool_calls=[ToolCall("call_1", request.json["tools"][0]["function"]["name"], text)])
        return Reply(text=text)

    return respond


@pytest.fixture
def make_langchain(emulator: Emulator) -> Iterator[Callable[..., ChatQwenVL]]:
    with model_factory(ChatQwenVL, emulator.compat_url) as make:
        yield make


@pytest.fixture
def make_llama_index(emulator: Emulator) -> Iterator[Callable[..., QwenVL]]:
    with model_factory(QwenVL, emulator.compat_url) as make:
        yield make


# --- LangChain


@every_schema
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
async def test_langchain_returns_value_whole_and_streamed(
    emulator: Emulator, make_langchain: Any, schema: Any, value: Any, expected: Any, method: str, model: str
) -> None:
    if method == "json_mode" and not isinstance(value, dict | list):
        pytest.skip("The JSON mode of the service answers with an object or a list.")
    emulator.respond = answer_with(value)
    llm = make_langchain(model=model)
    chain = llm.with_structured_output(schema, method=method)
    results = [chain.invoke("As json."), await chain.ainvoke("As json."), list(chain.stream("As json."))[-1]]
    assert results == [expected] * 3
    raw = llm.with_structured_output(schema, method=method, include_raw=True).invoke("As json.")
    assert raw["parsed"] == expected
    assert emulator.refusals == []
    sent = json.dumps(find_schema(emulator.requests[0].json))
    if method != "json_mode" and "children" in json.dumps(value):
        assert f'{{"$ref": "#/$defs/{"Tree" if schema is Tree else "Node"}"}}' in sent
    await llm.aclose()


@pytest.mark.parametrize("answer", [BOXES, {"boxes": BOXES}, {"root": BOXES}], ids=["bare", "other name", "wrapped"])
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("fence", ["", "```json\n"])
def test_langchain_json_list_is_found_in_every_form(
    emulator: Emulator, make_langchain: Any, answer: Any, method: str, fence: str
) -> None:
    text = f"{fence}{json.dumps(answer)}\n{fence[:3]}"
    emulator.script(Reply(text=text), Reply(text=text), Reply(text=text))
    llm = make_langchain(enable_thinking=False)
    chain = llm.with_structured_output(Boxes, method=method)
    assert chain.invoke("json") == Boxes.model_validate(BOXES)
    streamed = list(chain.stream("json"))
    assert [len(boxes.root) for boxes in streamed if boxes] == sorted(len(boxes.root) for boxes in streamed if boxes)
    assert streamed[-1] == Boxes.model_validate(BOXES)
    assert llm.with_structured_output(ARRAY, method=method).invoke("json") == BOXES


@pytest.mark.parametrize("method", METHODS)
def test_langchain_object_instead_of_list_raises(emulator: Emulator, make_langchain: Any, method: str) -> None:
    emulator.respond = answer_with({"label": "cat", "more": 1}, wrapped=False)
    with pytest.raises(QwenVLOutputError, match="not a JSON array"):
        make_langchain().with_structured_output(ARRAY, method=method).invoke("json")


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_langchain_empty_answer_is_called_empty(emulator: Emulator, make_langchain: Any, method: str) -> None:
    thinker = make_langchain(model="qwen3-vl-8b-thinking")
    emulator.script(*[Reply(reasoning="A cat, I think.", text="")] * 2)
    raw = thinker.with_structured_output(Boxes, method=method, include_raw=True).invoke("json")
    error = raw["parsing_error"]
    assert "empty" in str(error)
    assert "A cat, I think." in str(error)
    assert error.reasoning == "A cat, I think.\n\nA cat, I think."  # of both requests


def test_langchain_recursive_tools_keep_their_definitions(emulator: Emulator, make_langchain: Any) -> None:
    def save(tree: Node) -> str:
        """Save a tree."""
        return tree.name

    structured = StructuredTool.from_function(save, name="保存")
    mcp_like = StructuredTool(name="mcp.save", description="Save.", args_schema=Node.model_json_schema(), func=save)
    tools = [save, structured, mcp_like, Node, {"name": "plain", "parameters": Node.model_json_schema()}]
    make_langchain().bind_tools(tools).invoke("Hi")
    assert emulator.refusals == []
    functions = [tool["function"] for tool in emulator.requests[0].json["tools"]]
    for function in functions:
        assert "#/$defs/Node" in json.dumps(function["parameters"])
        assert "children" in json.dumps(function["parameters"]["$defs"])
    assert [function["description"].partition(":")[0] for function in functions[1:3]] == ["保存", "mcp.save"]
    assert functions[0]["description"] == "Save a tree."
    strict = make_langchain().bind_tools([Node], strict=True).kwargs["tools"][0]["function"]
    assert strict["strict"] is True
    assert strict["parameters"]["additionalProperties"] is False


def test_langchain_recursive_typed_dict_is_described_whole(emulator: Emulator, make_langchain: Any) -> None:
    emulator.respond = answer_with(TREE)
    make_langchain().with_structured_output(Tree).invoke("Hi")
    function = emulator.requests[0].json["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("Tree", "A tree.")
    parameters = function["parameters"]
    assert parameters["required"] == ["name", "parent", "named", "boxes"]
    assert parameters["properties"]["name"] == {"type": "string", "description": "Its name."}
    assert parameters["properties"]["named"]["additionalProperties"] == {"$ref": "#/$defs/Tree"}
    assert sorted(parameters["$defs"]) == ["Box", "Tree"]


def test_langchain_local_typed_dict_without_docstring_is_described(make_langchain: Any) -> None:
    class Chain(TypedDict):
        links: list[Chain]  # type: ignore[misc]  # mypy has no recursive types within functions

    chain: Any = make_langchain().with_structured_output(Chain)
    (tool,) = chain.first.kwargs["tools"]
    assert tool["function"]["description"] == ""
    assert tool["function"]["parameters"]["properties"]["links"]["items"] == {"$ref": "#/$defs/Chain"}


# --- LlamaIndex


@every_class
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")
async def test_llama_index_returns_value_whole_and_streamed(
    emulator: Emulator, make_llama_index: Any, schema: Any, value: Any, expected: Any, mode: Any, model: str
) -> None:
    emulator.respond = answer_with(value)
    llm = make_llama_index(model=model, pydantic_program_mode=mode)
    results = [
        llm.structured_predict(schema, PROMPT),
        await llm.astructured_predict(schema, PROMPT),
        list(llm.stream_structured_predict(schema, PROMPT))[-1],
        [item async for item in await llm.astream_structured_predict(schema, PROMPT)][-1],
        llm.as_structured_llm(schema).complete("Find all, as json.").raw,
        list(llm.as_structured_llm(schema).stream_chat([ChatMessage("As json.")]))[-1].raw,
    ]
    assert results == [expected] * 6
    assert emulator.refusals == []
    if "children" in json.dumps(value):
        assert '{"$ref": "#/$defs/Node"}' in json.dumps(find_schema(emulator.requests[0].json))
    await llm.aclose()


@every_class
async def test_llama_index_program_returns_value(
    emulator: Emulator, make_llama_index: Any, schema: Any, value: Any, expected: Any
) -> None:
    emulator.respond = answer_with(value)
    llm = make_llama_index()
    program = FunctionCallingProgram.from_defaults(schema, prompt=PROMPT, llm=llm)
    assert [program(), await program.acall()] == [expected] * 2
    assert emulator.refusals == []
    await llm.aclose()


@pytest.mark.parametrize("answer", [BOXES, {"boxes": BOXES}], ids=["bare", "other name"])
@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "Here they are: {}"])
def test_llama_index_json_list_is_found_in_every_form(
    emulator: Emulator, make_llama_index: Any, answer: Any, form: str
) -> None:
    text = form.replace("{}", json.dumps(answer))
    emulator.script(Reply(text=text), Reply(text=text))
    llm = make_llama_index(enable_thinking=False)
    assert llm.structured_predict(Boxes, PROMPT) == Boxes.model_validate(BOXES)
    streamed = list(llm.stream_structured_predict(Boxes, PROMPT))
    assert streamed[-1] == Boxes.model_validate(BOXES)
    assert all(isinstance(boxes, Boxes) for boxes in streamed)


async def test_llama_index_tool_names_come_back_as_the_callers(emulator: Emulator, make_llama_index: Any) -> None:
    def crop(x: int) -> str:
        return f"cropped at {x}"

    tools = [FunctionTool.from_defaults(crop, name=name, description="Crop.") for name in ("裁剪", "放大", "a.b")]
    emulator.respond = lambda request: Reply(
        tool_calls=[ToolCall("call_1", request.json["tools"][:2][-1]["function"]["name"], '{"x": 1}')]
    )
    llm = make_llama_index()
    assert llm.predict_and_call(tools, "Go.").sources[0].tool_name == "放大"
    assert (await llm.apredict_and_call(tools, "Go.", tool_choice="放大")).sources[0].tool_name == "放大"
    response = llm.chat_with_tools(tools, "Go.")
    assert [block.tool_name for block in response.message.blocks if isinstance(block, ToolCallBlock)] == ["放大"]
    result = ChatMessage(role="tool", content="ok", additional_kwargs={"tool_call_id": "call_1"})
    llm.chat([ChatMessage("Go."), response.message, result], tools=tools)
    assert emulator.refusals == []
    assert len({tool["function"]["name"] for tool in emulator.requests[0].json["tools"]}) == 3
    await llm.aclose()
