"""`ChatQwenVL`: a Qwen-VL model as a LangChain chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.utils import from_env, secret_from_env
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr
from typing_extensions import override

from langchain_qwenvl.blocks import PROVIDER
from langchain_qwenvl.chunks import chunk_of, message_of
from langchain_qwenvl.errors import raised_as_langchain
from langchain_qwenvl.messages import to_core, with_mime_types
from langchain_qwenvl.profiles import profile_of
from qwenvl_core import __version__
from qwenvl_core.connection import Connection
from qwenvl_core.endpoints import Api, endpoint
from qwenvl_core.events import Reducer, Usage
from qwenvl_core.request import Request
from qwenvl_core.settings import NAMES, Settings, settings_for

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

    from qwenvl_core.client import Client


class ChatQwenVL(BaseChatModel):
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

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=False)

    model: str = Field(default="qwen3-vl-plus")
    """Name of the model."""

    # The connection.
    api_key: SecretStr | None = Field(default_factory=secret_from_env("DASHSCOPE_API_KEY", default=None))
    """Model Studio key; by default from `DASHSCOPE_API_KEY`. Keys are valid in one region only."""
    region: str = Field(default_factory=from_env("DASHSCOPE_REGION", default="cn-beijing"))
    """Region id or alias: `cn-beijing`, `singapore`, `us`, …; by default from `DASHSCOPE_REGION`."""
    workspace: str | None = Field(default_factory=from_env("DASHSCOPE_WORKSPACE", default=None))
    """Workspace id: selects its gateway; by default from `DASHSCOPE_WORKSPACE`."""
    base_url: str | None = Field(default_factory=from_env("DASHSCOPE_BASE_URL", default=None))
    """Overrides region and workspace; by default from `DASHSCOPE_BASE_URL`."""
    api: Api = "openai"
    """Which of the service's APIs: `"openai"` (OpenAI-compatible) or `"dashscope"` (native)."""
    timeout: float | None = 300.0
    """Seconds to connect, and to wait for a response or its next bytes."""
    stream_chunk_timeout: float | None = 120.0
    """Seconds between two chunks of a stream."""
    max_retries: int = Field(default=2, ge=0)
    """Tries after the first, before anything of the answer has arrived."""
    http_client: Any = Field(default=None, exclude=True, repr=False)
    """Your own sync HTTP client for the SDK."""
    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """Your own async HTTP client for the SDK."""
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Sent with every request."""

    # The request. `None` is never sent.
    enable_thinking: bool = True
    """Whether a hybrid model thinks before it answers."""
    thinking_budget: int | None = Field(default=None, gt=0)
    """Longest thinking, in tokens."""
    preserve_thinking: bool = False
    """Send earlier reasoning back, to models that use it."""
    fold_system_prompt: bool = False
    """Move system messages into the first user message, as the vendor advises for plain chats."""
    forced_tool_choice: Literal["no_thinking", "auto"] = "no_thinking"
    """What a forced tool does to a thinking hybrid model: no thinking for that request, or `tool_choice="auto"`."""
    vl_high_resolution_images: bool | None = None
    """Up to 16,384 tokens an image; `max_pixels` is ignored then."""
    min_pixels: int | None = None
    """Default for every image and video, in pixels; a part's own value wins."""
    max_pixels: int | None = None
    """Default for every image and video, in pixels; a part's own value wins."""
    fps: float | None = None
    """Default for every video, in frames per second; a part's own value wins."""
    temperature: float | None = None
    """Sampling temperature, from 0 to below 2."""
    top_p: float | None = None
    """Nucleus sampling, above 0 up to 1."""
    top_k: int | None = None
    """How many candidates are sampled from."""
    max_tokens: int | None = None
    """Longest answer, in tokens."""
    stop: list[str] | str | None = None
    """Words that end the answer."""
    seed: int | None = None
    """Seed of the sampling."""
    presence_penalty: float | None = None
    """From -2 to 2."""
    repetition_penalty: float | None = None
    """Above 0; 1 is none."""
    logprobs: bool | None = None
    """Give the log probabilities of the answer's tokens."""
    top_logprobs: int | None = None
    """And of that many alternatives."""
    extra_body: Mapping[str, Any] | None = None
    """Merged into the request's body last."""

    # For LangChain itself.
    streaming: bool | None = None
    """`True` lets `invoke` report tokens to callbacks. The wire streams whenever the model thinks, whatever this is."""

    _held: Client | None = PrivateAttr(default=None)

    # --- What LangChain asks of a model ---

    @property
    @override
    def _llm_type(self) -> str:
        return "qwenvl-chat"

    @property
    def model_name(self) -> str:
        """The model's name, as other integrations call it."""
        return self.model

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in sorted(NAMES & type(self).model_fields.keys())}
        where = {"api": self.api, "region": self.region, "workspace": self.workspace, "base_url": self.base_url}
        return {name: value for name, value in (where | given).items() if value is not None}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self._settings({}))

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "DASHSCOPE_API_KEY"}

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._add_version("qwenvl-adapters", __version__)

    @override
    def __getstate__(self) -> dict[Any, Any]:
        """A pickle carries neither the key nor connections."""
        state = super().__getstate__()
        return {
            **state,
            "__dict__": {**state["__dict__"], "api_key": None},
            "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_held": None},
        }

    @override
    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self.api_key = secret_from_env("DASHSCOPE_API_KEY", default=None)()

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools to call.

        Args:
            tools: Tools in any form that LangChain knows.
            tool_choice: `"auto"`, `"none"`, `"any"`, `"required"`, a tool's name, a bool, or OpenAI's dict.
            strict: Put `strict` into each tool's definition.
            kwargs: More keywords for every call: `parallel_tool_calls`, `response_format`, any setting.
        """
        formatted = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        bound = {"tools": formatted, "tool_choice": tool_choice, **kwargs}
        return self.bind(**{name: value for name, value in bound.items() if value is not None and value != []})

    @override
    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        prompt = super()._convert_input(model_input)
        if isinstance(prompt, ChatPromptValue):
            return ChatPromptValue(messages=with_mime_types(list(prompt.messages)))
        return prompt

    # --- The way through the house ---

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        usage: Usage | None = None
        with raised_as_langchain():
            for event in self._client.events(self._request(messages, stop, kwargs, stream=True)):
                if type(event) is Usage:
                    usage = event
                    continue
                chunk = chunk_of(event, usage)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        usage: Usage | None = None
        with raised_as_langchain():
            async for event in self._client.aevents(self._request(messages, stop, kwargs, stream=True)):
                if type(event) is Usage:
                    usage = event
                    continue
                chunk = chunk_of(event, usage)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reducer = Reducer()
        with raised_as_langchain():
            for event in self._client.events(self._request(messages, stop, kwargs)):
                reducer.add(event)
        return _result(reducer)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reducer = Reducer()
        with raised_as_langchain():
            async for event in self._client.aevents(self._request(messages, stop, kwargs)):
                reducer.add(event)
        return _result(reducer)

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        if self._held is not None:
            self._held.close()

    async def aclose(self) -> None:
        """Close the connections that this event loop's calls opened; the next call opens new ones."""
        if self._held is not None:
            await self._held.aclose()

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, call: Mapping[str, Any], *, stream: bool = False
    ) -> Request:
        asked = {name: value for name, value in call.items() if name not in _LANGCHAIN_ONLY}
        stream = bool(asked.pop("stream", stream))
        return Request(
            messages=to_core(messages), settings=self._settings({**asked, "stop": stop or None}), stream=stream
        )

    def _settings(self, call: Mapping[str, Any]) -> Settings:
        return settings_for(self.__dict__, self.model_fields_set, call)

    @property
    def _client(self) -> Client:
        """The client for this model's connection as it is now; a changed copy of the model gets its own."""
        from qwenvl_core.client import Client  # here, so that importing this package imports no SDK

        connection = Connection(
            api=self.api,
            base_url=endpoint(self.api, region=self.region, workspace=self.workspace, base_url=self.base_url),
            api_key=self.api_key.get_secret_value() if self.api_key else "",
            timeout=self.timeout,
            stream_chunk_timeout=self.stream_chunk_timeout,
            max_retries=self.max_retries,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            default_headers=self.default_headers or {},
        )
        self._held = held = Client.of(connection, self._held)
        return held


# What LangChain passes along with a call for itself.
_LANGCHAIN_ONLY = frozenset({"ls_structured_output_format", "structured_output_format"})


def _result(reducer: Reducer) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message_of(reducer.reply()))])
