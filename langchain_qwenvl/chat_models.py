"""Define `ChatQwenVL`, the LangChain chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks.manager import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages.base import BaseMessage
from langchain_core.outputs.chat_generation import ChatGenerationChunk
from langchain_core.outputs.chat_result import ChatResult
from langchain_core.outputs.llm_result import LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from pydantic import ConfigDict
from typing_extensions import override

from langchain_qwenvl.model_base import QwenVLBase
from qwenvl_core.client.lazy_import import lazy_module

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

    from langchain_qwenvl import batches, bound_model, exceptions, message_normalization, pipeline, structured_output
    from langchain_qwenvl import tools as tools_module
    from langchain_qwenvl.bound_model import BoundModel
    from langchain_qwenvl.structured_output import Method
    from qwenvl_core.catalog import provider_models as catalog
    from qwenvl_core.client.batch_job import BatchJob
    from qwenvl_core.errors import QwenVLError
else:
    batches = lazy_module("langchain_qwenvl.batches")
    bound_model = lazy_module("langchain_qwenvl.bound_model")
    catalog = lazy_module("qwenvl_core.catalog.provider_models")
    exceptions = lazy_module("langchain_qwenvl.exceptions")
    message_normalization = lazy_module("langchain_qwenvl.message_normalization")
    pipeline = lazy_module("langchain_qwenvl.pipeline")
    structured_output = lazy_module("langchain_qwenvl.structured_output")
    tools_module = lazy_module("langchain_qwenvl.tools")


class ChatQwenVL(QwenVLBase):
    """Chat with a Qwen-VL model of Alibaba's Model Studio (DashScope), or of a server with the same API.

    Thinking is on by default: the reasoning streams before the answer, and is in
    `message.additional_kwargs["reasoning_content"]` and in `message.content_blocks`.

    A string is a URL; files are read from `pathlib.Path` objects, and from strings only as far as `local_files` allows.
    Every keyword that shapes a request can also be passed per call, through `bind`, and by agents. Errors of the server
    and the connection are both a `QwenVLError` and one of langchain-core's `Model...Error` classes; this package
    exports them.

    `create_agent` keeps each answer with its reasoning in the thread. It goes back to models that use earlier reasoning
    (Qwen3.8 by default, others with `preserve_thinking=True`, other servers in the current turn) and is not sent to the
    others. At Model Studio, `preserve_thinking=False` sends none.

    Source: the vendor's pages "Visual understanding (Qwen-VL)" and "Visual reasoning".

    Raises:
        QwenVLInputError: A keyword or the input can't be sent; the message names it, and nothing was sent.
        QwenVLMissingKeyError: No API key is configured.
        QwenVLError: The server refused the request, or the connection failed; see the errors of this package.

    Example:
        ```python
        from langchain_core.messages import HumanMessage

        llm = ChatQwenVL(region="singapore")
        image, question = {"type": "image", "url": Path("receipt.png")}, {"type": "text", "text": "What was paid?"}
        reply = llm.invoke([HumanMessage([image, question])])
        print(reply.additional_kwargs["reasoning_content"])
        print(reply.text)
        ```
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
        """Bind tools to the model.

        Args:
            tools: Tools in any form that LangChain accepts. Without tools, `tool_choice` is not sent either.
            tool_choice: `"auto"`, `"none"`, `"any"`, `"required"`, a tool's name, or OpenAI's dict. `True` forces any
                tool, `False` sends no choice.
            strict: Value of `strict` in each tool's definition.
            response_format: Format of an answer without tool calls: the vendor's dict, or a schema.
            kwargs: Other keywords for every call: `parallel_tool_calls`, any setting.

        Returns:
            A runnable that returns messages with tool calls.

        Raises:
            ValueError: A tool or the schema can't be converted.
            QwenVLError: (when run) As the model; a forced call that is missing is a `QwenVLOutputError`.

        Example:
            ```python
            from langchain_core.tools import tool

            @tool(description="Read the total of a receipt.")
            def read_total(path: str) -> float:
                return 18.37

            print(llm.bind_tools([read_total]).invoke("What was paid?").tool_calls)
            ```
        """
        bound: dict[str, Any] = {**kwargs}
        if tools:
            bound["tools"] = [tools_module.to_openai_tool(tool, strict=strict) for tool in tools]
            bound["tool_choice"] = tool_choice
        bound["response_format"] = structured_output.to_response_format(response_format, strict=strict)
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
        """Bind a schema, and parse the answers into objects of it.

        The service forces no output while a model thinks. By default such a model is asked for it, and a second request
        without thinking forces it if the answer lacks it; see `forced_output`. `enable_thinking=False` costs least.

        Args:
            schema: A Pydantic class (2 or 1), a `TypedDict`, a type such as `list[Item]`, a JSON schema, or a tool's
                definition. The schema of an object needs a title. A list or another value is requested as the one
                property of an object, and returned without it.
            method: `"function_calling"` forces a tool of that schema. `"json_schema"` sends the schema as the response
                format, or adds it to the prompt for models without response formats. `"json_mode"` requests any JSON
                object; describe it in the prompt. Default: function calling if the model supports tools, else
                `"json_schema"`.
            include_raw: Return `{"raw": message, "parsed": object or None, "parsing_error": error or None}`.
            strict: Value of `strict` in the tool or the response format.
            kwargs: Other keywords for every call.

        Returns:
            A runnable that returns objects of a Pydantic class, or else dicts or lists. A stream yields partial objects
            first.

        Raises:
            ValueError: The method or a keyword is unknown, the method sets a keyword itself, or `strict` is combined
                with `"json_mode"`.
            OutputParserException: (when run) The answer is not an object of the schema; the error is also a
                `QwenVLOutputError`.

        Example:
            ```python
            from pydantic import BaseModel

            class Total(BaseModel):
                amount: float

            reader = llm.with_structured_output(Total)
            print(type(reader).__name__)  # RunnableSequence
            ```
        """
        kwargs = pipeline.normalize_call_settings(kwargs)
        with exceptions.map_core_errors():
            settings = self._settings(kwargs)  # raises on unknown keywords
        facts = catalog.describe_at(settings.model, settings.provider)
        method = method or structured_output.choose_method(facts)
        bound, parser = structured_output.build_bind_arguments(schema, method=method, strict=strict)
        if conflicts := sorted(bound.keys() & kwargs.keys()):
            raise ValueError(f"method={method!r} sets {', '.join(conflicts)} itself. Leave it out.")
        if include_raw:
            llm = self.bind(**kwargs, **bound, **{pipeline.INCLUDE_RAW: True})
            return structured_output.include_raw_message(llm, parser)
        return self.bind(**kwargs, **bound) | parser

    # --- Batches ---

    def submit_batch(
        self,
        inputs: Sequence[LanguageModelInput],
        *,
        window: str = "24h",
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
        tool_choice: dict[str, Any] | str | bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> BatchJob[AIMessage | QwenVLError]:
        """Submit inputs as batch files, which are answered within `window` at half the price.

        Args:
            inputs: The conversations, each as for `invoke`.
            window: The time within which the service answers, at least `"24h"`.
            tools: Tools of all inputs, as for `bind_tools`.
            tool_choice: Which tool must be called, as for `bind_tools`.
            response_format: Format of the answers, as for `bind_tools`.
            kwargs: Settings of all inputs, as for `invoke`.

        Returns:
            The job. Its `results()` are one message or `QwenVLError` for each input, in their order.

        Raises:
            QwenVLInputError: An input can't be sent; the message has its index, and nothing was sent.
            QwenVLError: A request failed.

        Example:
            ```python
            job = llm.submit_batch(["What is 2 + 2?", "What is 3 + 3?"], enable_thinking=False)
            print(job.poll().state)  # completed
            print(len(job.results()))  # 2
            ```
        """
        settings = batches.build_call_settings(tools, tool_choice, response_format, kwargs)
        return batches.submit(self, inputs, settings, window=window)

    async def asubmit_batch(
        self,
        inputs: Sequence[LanguageModelInput],
        *,
        window: str = "24h",
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
        tool_choice: dict[str, Any] | str | bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Any,
    ) -> BatchJob[AIMessage | QwenVLError]:
        """Submit inputs as batch files asynchronously; see `submit_batch`."""
        settings = batches.build_call_settings(tools, tool_choice, response_format, kwargs)
        return await batches.asubmit(self, inputs, settings, window=window)

    def batch_job(self, ids: str | Sequence[str]) -> BatchJob[AIMessage | QwenVLError]:
        """Return the job of batches that were submitted earlier.

        Args:
            ids: The ids, as in `BatchJob.ids`.

        Returns:
            The job. No request is sent before one of its methods is called.

        Example:
            ```python
            ids = llm.submit_batch(["What is 2 + 2?"]).ids
            print(llm.batch_job(ids).poll().state)  # completed
            ```
        """
        return batches.find_job(self, ids)

    @override
    def bind(self, **kwargs: Any) -> BoundModel:
        """Bind keywords of a call.

        Args:
            kwargs: Any setting of a call.

        Returns:
            A runnable that passes the keywords to each call; it has the methods of the model.

        Example:
            ```python
            quick = llm.bind(enable_thinking=False, max_tokens=100)
            print(quick.invoke("Hello").text)
            ```
        """
        return bound_model.BoundModel(bound=self, kwargs=kwargs, config={})

    @override
    def with_config(
        self, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind a configuration: callbacks, tags, metadata and others.

        Args:
            config: The configuration.
            kwargs: Its entries as keywords, which replace those of `config`.

        Returns:
            A runnable with the configuration; it has the methods of the model.

        Example:
            ```python
            print(llm.with_config(tags=["receipts"]).invoke("Hello").text)
            ```
        """
        merged = cast("RunnableConfig", {**(config or {}), **kwargs})
        return bound_model.BoundModel(bound=self, config=merged, kwargs={})

    # --- The request ---

    @override
    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        prompt = super()._convert_input(model_input)
        if isinstance(prompt, ChatPromptValue):
            return ChatPromptValue(messages=_normalize_messages(prompt.messages))
        return prompt

    @override
    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        return super().generate([_normalize_messages(conversation) for conversation in messages], *args, **kwargs)

    @override
    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        return await super().agenerate(
            [_normalize_messages(conversation) for conversation in messages], *args, **kwargs
        )

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return pipeline.stream(self, messages, stop, kwargs, run_manager)

    @override
    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        return pipeline.astream(self, messages, stop, kwargs, run_manager)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return pipeline.generate(self, messages, stop, kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await pipeline.agenerate(self, messages, stop, kwargs)

    # If a callback handler needs tokens, these methods of LangChain stream and merge chunks to the message of `invoke`.

    @override
    def _generate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        result = pipeline.finalize_result(super()._generate_with_cache(*args, **kwargs))
        self._update_profile()
        return result

    @override
    async def _agenerate_with_cache(self, *args: Any, **kwargs: Any) -> ChatResult:
        result = pipeline.finalize_result(await super()._agenerate_with_cache(*args, **kwargs))
        self._update_profile()
        return result


def _normalize_messages(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    with exceptions.map_core_errors():
        return message_normalization.normalize_messages(messages)
