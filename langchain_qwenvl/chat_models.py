"""`ChatQwenVL`: a Qwen-VL model as a LangChain chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages.base import BaseMessage
from langchain_core.outputs.chat_generation import ChatGenerationChunk
from langchain_core.outputs.chat_result import ChatResult
from langchain_core.outputs.llm_result import LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict
from typing_extensions import override

from langchain_qwenvl.model_base import QwenVLBase

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

    from langchain_qwenvl.structured_output import Method


class ChatQwenVL(QwenVLBase):
    """A Qwen-VL model of Alibaba's Model Studio (DashScope), or one that is served behind the same API.

    Thinking is on by default: the reasoning streams before the answer, and is in
    `message.additional_kwargs["reasoning_content"]` and in `message.content_blocks`.

    ```python
    llm = ChatQwenVL(region="singapore")
    llm.invoke([HumanMessage([
        {"type": "image", "url": "receipt.jpg"},
        {"type": "text", "text": "What was paid?"},
    ])])
    ```

    Every keyword that shapes a request can also be given per call, through `bind`, and by agents. All of a model's
    errors are `qwenvl_core.errors.QwenVLError` and LangChain's `Model…Error` at once. The vendor's pages: "Visual
    understanding (Qwen-VL)", "Visual reasoning".
    """

    model_config = ConfigDict(defer_build=False)

    # --- Tools and structured output ---

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools to call.

        Args:
            tools: Tools in any form that LangChain knows; none of them leaves out `tool_choice` as well.
            tool_choice: `"auto"`, `"none"`, `"any"`, `"required"`, a tool's name, or OpenAI's dict; `True` forces any
                tool, `False` says nothing.
            strict: Put `strict` into each tool's definition.
            response_format: What the answer must look like when no tool is called: the vendor's dict, or a schema.
            kwargs: More keywords for every call: `parallel_tool_calls`, any setting.
        """
        from langchain_qwenvl import structured_output

        bound: dict[str, Any] = {**kwargs}
        if tools:
            bound["tools"] = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
            bound["tool_choice"] = tool_choice
        bound["response_format"] = structured_output.response_format(response_format, strict=strict)
        return self.bind(**{name: value for name, value in bound.items() if value is not None})

    @override
    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """This model, answering with objects of a schema.

        No method thinks on a hybrid model, since the service refuses it; other calls of the same model do. A model
        that always thinks is asked instead of forced, and an answer that is no such object is an error.

        Args:
            schema: A Pydantic class (2 or 1), a `TypedDict`, a JSON schema with a title, or a tool's definition.
            method: `"function_calling"` forces a tool of that schema; `"json_schema"` sends the schema as the response
                format, or puts it into the prompt where the model takes none; `"json_mode"` sends only the wish for
                JSON, and the prompt must say the rest. Default: function calling where the model has tools, else
                `"json_schema"`.
            include_raw: Give `{"raw": message, "parsed": object or None, "parsing_error": error or None}`.
            strict: Put `strict` into the tool or the response format.
            kwargs: More keywords for every call.

        Returns:
            A runnable that gives objects of a Pydantic class, or else dicts. A stream gives them as they grow.

        Raises:
            ValueError: An unknown method or keyword, a keyword that the method decides on, or `strict` with
                `"json_mode"`.
            OutputParserException: (when run) The answer is no such object; it is a `QwenVLOutputError` as well.
        """
        from langchain_qwenvl import structured_output
        from langchain_qwenvl.pipeline import INCLUDE_RAW, normalize_call_options
        from qwenvl_core.catalog.models import describe

        kwargs = normalize_call_options(kwargs)
        self._settings(kwargs)  # unknown keywords raise now
        method = method or structured_output.default_method(describe(kwargs.get("model") or self.model))
        bound, parser = structured_output.bind_arguments(schema, method=method, strict=strict)
        if decided := sorted(bound.keys() & kwargs.keys()):
            raise ValueError(f"method={method!r} decides on {', '.join(decided)} itself; leave it to that.")
        if include_raw:
            return structured_output.with_raw(self.bind(**kwargs, **bound, **{INCLUDE_RAW: True}), parser)
        return self.bind(**kwargs, **bound) | parser

    # --- The way through the house: each step of it is in `asking`, which a model has imported when it is made ---

    @override
    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        from langchain_qwenvl.message_normalization import normalize_messages

        prompt = super()._convert_input(model_input)
        if isinstance(prompt, ChatPromptValue):
            return ChatPromptValue(messages=normalize_messages(prompt.messages))
        return prompt

    @override
    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        from langchain_qwenvl.message_normalization import normalize_messages

        return super().generate([normalize_messages(conversation) for conversation in messages], *args, **kwargs)

    @override
    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        from langchain_qwenvl.message_normalization import normalize_messages

        return await super().agenerate([normalize_messages(conversation) for conversation in messages], *args, **kwargs)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        from langchain_qwenvl import pipeline

        return pipeline.stream(self, messages, stop, kwargs, run_manager)

    @override
    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        from langchain_qwenvl import pipeline

        return pipeline.astream(self, messages, stop, kwargs, run_manager)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from langchain_qwenvl import pipeline

        return pipeline.generate(self, messages, stop, kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        from langchain_qwenvl import pipeline

        return await pipeline.agenerate(self, messages, stop, kwargs)

    # Where a handler wants tokens, LangChain makes the message of `invoke` from chunks, in these two.

    @override
    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        from langchain_qwenvl import pipeline

        return pipeline.finalize_result(super()._generate_with_cache(*args, **kwargs))

    @override
    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        from langchain_qwenvl import pipeline

        return pipeline.finalize_result(await super()._agenerate_with_cache(*args, **kwargs))
