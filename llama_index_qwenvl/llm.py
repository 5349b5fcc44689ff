"""Define `QwenVL`, the LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import ConfigDict
from typing_extensions import override

from llama_index_qwenvl.structured_output import StructuredPrediction
from qwenvl_core.client.lazy_import import lazy_module

if TYPE_CHECKING:
    from llama_index.core.chat_engine.types import AgentChatResponse
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.tools.types import BaseTool

    from llama_index_qwenvl import batches, pipeline
    from llama_index_qwenvl import tools as tools_module
    from qwenvl_core.catalog import provider_models as models
    from qwenvl_core.client.batch_job import BatchJob
    from qwenvl_core.errors import QwenVLError
    from qwenvl_core.request import token_count
else:
    batches = lazy_module("llama_index_qwenvl.batches")
    pipeline = lazy_module("llama_index_qwenvl.pipeline")
    tools_module = lazy_module("llama_index_qwenvl.tools")
    models = lazy_module("qwenvl_core.catalog.provider_models")
    token_count = lazy_module("qwenvl_core.request.token_count")

# Fallbacks, in tokens, for models without these facts. Agents trim their memory to the window, and the service rejects
# a conversation that is too long, so a short window is safer.
_DEFAULT_CONTEXT_WINDOW = 32_768
_DEFAULT_NUM_OUTPUT = 4_096

_TRACED = (
    "model", "temperature", "top_p", "max_tokens", "max_completion_tokens", "enable_thinking", "thinking_budget",
    "reasoning_effort",
)  # fmt: skip


class QwenVL(StructuredPrediction):
    """Chat with a Qwen-VL model of Alibaba's Model Studio (DashScope), or of a server with the same API.

    Thinking is on by default: it streams as `thinking_delta` in `ChatResponse.additional_kwargs` and is in the
    message's `ThinkingBlock` and `additional_kwargs["reasoning_content"]`.

    Files are read from the `path` of a block, and from strings only as far as `local_files` allows. Every keyword that
    shapes a request can also be passed per call. Errors are `qwenvl_core.errors.QwenVLError`.

    `FunctionAgent` keeps each answer with its `ThinkingBlock` in the memory. It goes back to models that use earlier
    reasoning (Qwen3.8 by default, others with `preserve_thinking=True`, other servers in the current turn) and is not
    sent to the others. At Model Studio, `preserve_thinking=False` sends none.

    Source: the vendor's pages "Visual understanding (Qwen-VL)" and "Visual reasoning".

    Raises:
        QwenVLInputError: A keyword or the input can't be sent; the message names it, and nothing was sent.
        QwenVLMissingKeyError: No API key is configured.
        QwenVLError: The server refused the request, or the connection failed; see `qwenvl_core.errors`.

    Example:
        ```python
        from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

        llm = QwenVL(region="singapore")
        blocks = [ImageBlock(path=Path("receipt.png")), TextBlock(text="What was paid?")]
        response = llm.chat([ChatMessage(role="user", blocks=blocks)])
        print(response.message.additional_kwargs["reasoning_content"])
        print(response.message.content)
        ```
    """

    model_config = ConfigDict(defer_build=False)

    @classmethod
    @override
    def class_name(cls) -> str:
        # Multi-modal indices check that the name contains "multi".
        return "qwenvl_multi_modal_llm"

    @property
    @override
    def metadata(self) -> LLMMetadata:
        facts = models.describe_at(self.model, self._provider_row.name)
        is_function_calling = self.is_function_calling_model
        window = self.context_window or self._detected_context_window or facts.context_window
        return LLMMetadata(
            context_window=window or _DEFAULT_CONTEXT_WINDOW,
            num_output=self.num_output
            or self.max_tokens
            or self.max_completion_tokens
            or facts.max_output
            or _DEFAULT_NUM_OUTPUT,
            is_chat_model=True,
            is_function_calling_model=facts.tools if is_function_calling is None else is_function_calling,
            model_name=self.model,
        )

    @override
    def to_payload(self) -> dict[str, Any]:
        """Return the settings that tracers and callbacks receive; they contain no secrets."""
        traced = {name: getattr(self, name) for name in _TRACED}
        return {**super().to_payload(), **{name: value for name, value in traced.items() if value is not None}}

    # --- Chats and completions ---

    @llm_chat_callback()
    @override
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation.

        Args:
            messages: The conversation.
            kwargs: Settings of this call; also `tools`, `tool_choice` and `response_format`.

        Returns:
            The response; its message has a `ThinkingBlock`, a `TextBlock` and a `ToolCallBlock` for each call.

        Raises:
            QwenVLInputError: A message or a keyword can't be sent; nothing was sent.
            QwenVLError: The request failed, or the answer is not usable.

        Example:
            ```python
            from llama_index.core.llms import ChatMessage

            response = llm.chat([ChatMessage(role="user", content="What is 2 + 2?")], thinking_budget=500)
            print(response.message.content)
            ```
        """
        return pipeline.chat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer a conversation asynchronously; see `chat`."""
        return await pipeline.achat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream the answer to a conversation.

        Args:
            messages: The conversation.
            kwargs: Settings of this call, as for `chat`.

        Returns:
            A generator of chunks: `delta` is new text, `additional_kwargs["thinking_delta"]` new reasoning. The last
            chunk has the whole answer. Closing the generator closes the connection.

        Raises:
            QwenVLError: (while iterating) As for `chat`; `partial` is the text so far.

        Example:
            ```python
            from llama_index.core.llms import ChatMessage

            for chunk in llm.stream_chat([ChatMessage(role="user", content="What is 2 + 2?")]):
                print(chunk.additional_kwargs.get("thinking_delta") or chunk.delta)
            ```
        """
        return pipeline.stream_chat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Stream the answer asynchronously; see `stream_chat`."""
        return pipeline.astream_chat(self, messages, kwargs)

    @llm_completion_callback()
    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer one prompt.

        Args:
            prompt: The text.
            formatted: Not used; the prompt is sent as it is.
            kwargs: Settings of this call, as for `chat`; `image_documents` are images and videos that precede the text.

        Returns:
            The response, with the `raw` and the `additional_kwargs` of `chat`.

        Raises:
            QwenVLError: As for `chat`.

        Example:
            ```python
            from llama_index.core.schema import ImageDocument

            picture = ImageDocument(image_path="receipt.png")
            print(llm.complete("What was paid?", image_documents=[picture]).text)
            ```
        """
        return pipeline.complete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer one prompt asynchronously; see `complete`."""
        return await pipeline.acomplete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Stream the answer to one prompt.

        Args:
            prompt: The text.
            formatted: Not used; the prompt is sent as it is.
            kwargs: Settings of this call, as for `complete`.

        Returns:
            A generator of chunks: `delta` is new text, `text` the text so far. Errors are those of `stream_chat`.
        """
        return pipeline.stream_complete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Stream the answer to one prompt asynchronously; see `complete`."""
        return pipeline.astream_complete(self, prompt, kwargs)

    # --- Batches ---

    def submit_batch(
        self, list_of_messages: Sequence[Sequence[ChatMessage]], *, window: str = "24h", **kwargs: Any
    ) -> BatchJob[ChatResponse | QwenVLError]:
        """Submit conversations as batch files, which are answered within `window` at half the price.

        Args:
            list_of_messages: The conversations, each as for `chat`.
            window: The time within which the service answers, at least `"24h"`.
            kwargs: Settings of all conversations, as for `chat`: also `tools`, `tool_choice`, `response_format`.

        Returns:
            The job. Its `results()` are one response or `QwenVLError` for each conversation, in their order.

        Raises:
            QwenVLInputError: A conversation can't be sent; the message has its index, and nothing was sent.
            QwenVLError: A request failed.

        Example:
            ```python
            from llama_index.core.llms import ChatMessage

            conversations = [[ChatMessage(role="user", content=text)] for text in ("What is 2 + 2?", "And 3 + 3?")]
            job = llm.submit_batch(conversations, enable_thinking=False)
            print(job.poll().state)  # completed
            print(len(job.results()))  # 2
            ```
        """
        return batches.submit(self, list_of_messages, kwargs, window=window)

    async def asubmit_batch(
        self, list_of_messages: Sequence[Sequence[ChatMessage]], *, window: str = "24h", **kwargs: Any
    ) -> BatchJob[ChatResponse | QwenVLError]:
        """Submit conversations as batch files asynchronously; see `submit_batch`."""
        return await batches.asubmit(self, list_of_messages, kwargs, window=window)

    def batch_job(self, ids: str | Sequence[str]) -> BatchJob[ChatResponse | QwenVLError]:
        """Return the job of batches that were submitted earlier.

        Args:
            ids: The ids, as in `BatchJob.ids`.

        Returns:
            The job. No request is sent before one of its methods is called.
        """
        return batches.find_job(self, ids)

    def count_tokens(
        self, messages: Sequence[ChatMessage], tools: Sequence[BaseTool | Mapping[str, Any]] | None = None
    ) -> int:
        """Count the input tokens of a conversation, offline.

        Text is exact for models up to Qwen3-VL with the extra `dashscope`, otherwise an estimate; see
        `qwenvl_core.request.token_count`.

        Args:
            messages: The conversation. Only the headers of local images and videos are read; a URL counts as the
                maximum that an image or video can cost.
            tools: LlamaIndex tools, or dicts in OpenAI's form.

        Returns:
            The number of tokens.

        Raises:
            QwenVLInputError: A message can't be sent, or an image can't be read.

        Example:
            ```python
            from llama_index.core.llms import ChatMessage, ImageBlock

            message = ChatMessage(role="user", blocks=[ImageBlock(path=Path("receipt.png"))])
            print(llm.count_tokens([message]) > 100)  # True
            ```
        """
        request = pipeline.build_request(self, messages, {"tools": tools} if tools else {})
        return token_count.count_tokens(
            request.messages, request.settings, local_files=request.local_files, has_storage=self._has_storage
        )

    # --- Tools ---

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Build the keywords of a chat with tools; an explicit `tool_choice` overrides `tool_required`."""
        messages = list(chat_history or [])
        if user_msg is not None:
            messages.append(
                ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
            )
        if not tools:
            return {"messages": messages, **kwargs}
        choice = tool_choice if tool_choice is not None else "required" if tool_required else None
        return {
            "messages": messages,
            "tools": [tools_module.to_openai_tool(tool, strict=strict) for tool in tools],
            **({} if choice is None else {"tool_choice": choice}),
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    # LlamaIndex calls tools and its function calling program by these methods.

    @override
    def predict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """Let the model call a tool, and return the result.

        Args:
            tools: The tools.
            args: Arguments of LlamaIndex's `FunctionCallingLLM.predict_and_call`.
            kwargs: Its keywords: `user_msg`, `chat_history`, `error_on_no_tool_call` and others.

        Returns:
            The result of the called tool, or of several.

        Raises:
            ValueError: The model called no tool, and `error_on_no_tool_call` is set.
            QwenVLError: The request failed.
        """
        return super().predict_and_call([tools_module.complete_tool(tool) for tool in tools], *args, **kwargs)

    @override
    async def apredict_and_call(self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any) -> AgentChatResponse:
        """Let the model call a tool asynchronously; see `predict_and_call`."""
        return await super().apredict_and_call([tools_module.complete_tool(tool) for tool in tools], *args, **kwargs)

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the tool calls of a response or chunk; in a stream, with the arguments received so far.

        Args:
            response: The response of `chat`, or a chunk of `stream_chat`.
            error_on_no_tool_call: Whether a response without calls is an error.
            kwargs: Not used.

        Returns:
            The calls, with their arguments as dicts.

        Raises:
            ValueError: There are none and `error_on_no_tool_call` is set.
        """
        selections = tools_module.read_tool_selections(response)
        if error_on_no_tool_call and not selections:
            invalid_calls = response.message.additional_kwargs.get("invalid_tool_calls")
            raise ValueError(
                "The model called no tool" + (f" that can be executed: {invalid_calls}." if invalid_calls else ".")
            )
        return selections
