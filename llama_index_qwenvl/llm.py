"""`QwenVL`: a Qwen-VL model as a LlamaIndex LLM."""

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

if TYPE_CHECKING:
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.tools.types import BaseTool

# For a model of which no source states them, in tokens. Agents cut their memory to fit: better too short than refused.
_UNSTATED_CONTEXT_WINDOW = 32_768
_UNSTATED_NUM_OUTPUT = 4_096

_TRACED = ("model", "temperature", "top_p", "max_tokens", "enable_thinking", "thinking_budget")


class QwenVL(StructuredPrediction):
    """A Qwen-VL model of Alibaba's Model Studio (DashScope), or one that is served behind the same API.

    Thinking is on by default: it streams as `thinking_delta` in `ChatResponse.additional_kwargs`, and is the message's
    `ThinkingBlock` and `additional_kwargs["reasoning_content"]`.

    ```python
    llm = QwenVL(region="singapore")
    llm.chat([ChatMessage(role="user", blocks=[
        ImageBlock(path="receipt.jpg"),
        TextBlock(text="What was paid?"),
    ])])
    ```

    Every keyword that shapes a request can also be given per call. Errors are `qwenvl_core.errors.QwenVLError`. The
    vendor's pages: "Visual understanding (Qwen-VL)", "Visual reasoning".
    """

    model_config = ConfigDict(defer_build=False)

    @classmethod
    @override
    def class_name(cls) -> str:
        # Multi-modal indices look for "multi" in it.
        return "qwenvl_multi_modal_llm"

    @property
    @override
    def metadata(self) -> LLMMetadata:
        from qwenvl_core.catalog.models import describe

        facts, calls = describe(self.model), self.is_function_calling_model
        return LLMMetadata(
            context_window=self.context_window or facts.context_window or _UNSTATED_CONTEXT_WINDOW,
            num_output=self.num_output or self.max_tokens or facts.max_output or _UNSTATED_NUM_OUTPUT,
            is_chat_model=True,
            is_function_calling_model=facts.tools if calls is None else calls,
            model_name=self.model,
        )

    @override
    def to_payload(self) -> dict[str, Any]:
        """What tracers and callbacks are told of this model: nothing secret."""
        traced = {name: getattr(self, name) for name in _TRACED}
        return {**super().to_payload(), **{name: value for name, value in traced.items() if value is not None}}

    # --- Chats and completions. Each step of their way is in `asking`, which a model has imported when it is made ---

    @llm_chat_callback()
    @override
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation; `kwargs` are settings of this call."""
        from llama_index_qwenvl import pipeline

        return pipeline.chat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As `chat`, for async."""
        from llama_index_qwenvl import pipeline

        return await pipeline.achat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The answer as it is written; the last chunk holds all of it. Closing the generator closes the connection."""
        from llama_index_qwenvl import pipeline

        return pipeline.stream_chat(self, messages, kwargs)

    @llm_chat_callback()
    @override
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """As `stream_chat`, for async."""
        from llama_index_qwenvl import pipeline

        return pipeline.astream_chat(self, messages, kwargs)

    @llm_completion_callback()
    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to one prompt; `image_documents` are images (and videos) for it to look at."""
        from llama_index_qwenvl import pipeline

        return pipeline.complete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """As `complete`, for async."""
        from llama_index_qwenvl import pipeline

        return await pipeline.acomplete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """As `complete`, as it is written."""
        from llama_index_qwenvl import pipeline

        return pipeline.stream_complete(self, prompt, kwargs)

    @llm_completion_callback()
    @override
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """As `stream_complete`, for async."""
        from llama_index_qwenvl import pipeline

        return pipeline.astream_complete(self, prompt, kwargs)

    def count_tokens(
        self, messages: Sequence[ChatMessage], tools: Sequence[BaseTool | Mapping[str, Any]] | None = None
    ) -> int:
        """About how many input tokens a conversation is, offline; see `qwenvl_core.request.token_count`.

        Args:
            messages: The conversation. Of local images and videos the headers are read; URLs count as the most that
                can be behind them.
            tools: Tools that go with it.
        """
        from llama_index_qwenvl import pipeline
        from qwenvl_core.request.token_count import count_tokens

        request = pipeline.request(self, messages, {"tools": tools} if tools else {})
        return count_tokens(request.messages, request.settings)

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
        """The keywords of the chat that offers `tools`; a given `tool_choice` wins over `tool_required`."""
        from llama_index_qwenvl.tools import to_openai_tool

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
            "tools": [to_openai_tool(tool, strict=strict) for tool in tools],
            **({} if choice is None else {"tool_choice": choice}),
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    @override
    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        from llama_index_qwenvl.tools import keep_first_call

        return response if allow_parallel_tool_calls else keep_first_call(response)

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tool calls of a response or chunk; within a stream, with as much of their arguments as has come.

        Raises:
            ValueError: There are none, and `error_on_no_tool_call` is set.
        """
        from llama_index_qwenvl.tools import read_tool_selections

        selections = read_tool_selections(response)
        if error_on_no_tool_call and not selections:
            invalid = response.message.additional_kwargs.get("invalid_tool_calls")
            raise ValueError("The model called no tool" + (f" that can be executed: {invalid}." if invalid else "."))
        return selections
