"""The keywords of `ChatQwenVL`, and what LangChain may know of a model without asking it anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.dump import dumpd
from langchain_core.messages.base import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.utils import from_env, secret_from_env
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr
from typing_extensions import override

from langchain_qwenvl.blocks import PROVIDER
from langchain_qwenvl.messages import to_core
from langchain_qwenvl.profiles import profile_of
from qwenvl_core import __version__
from qwenvl_core.connection import Connection
from qwenvl_core.endpoints import Api, endpoint
from qwenvl_core.settings import NAMES, Settings, settings_for

if TYPE_CHECKING:
    from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented

    from qwenvl_core.client import Client

_KEY_VARIABLE = "DASHSCOPE_API_KEY"


class QwenVLBase(BaseChatModel):
    """A model's settings: validated, serialized, compared and traced, but not yet talked to."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        validate_assignment=False,
        hide_input_in_errors=True,  # the input may be the key
    )

    model: str = Field(default="qwen3-vl-plus")
    """Name of the model."""

    # The connection.
    api_key: SecretStr | None = Field(default_factory=secret_from_env(_KEY_VARIABLE, default=None))
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
    media_policy: Literal["error", "fit"] = "error"
    """What happens to a local image that the service would refuse or shrink: `"fit"` converts and scales it."""
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

    @override
    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self._add_version("qwenvl-adapters", __version__)
        self._base_url()  # a region that does not exist is an error now, not at the first call

    def _settings(self, call: Mapping[str, Any]) -> Settings:
        """What shapes a request: this model's settings, and what the call says over them."""
        return settings_for(self.__dict__, self.model_fields_set, call)

    def _base_url(self) -> str:
        return endpoint(self.api, region=self.region, workspace=self.workspace, base_url=self.base_url)

    def _connection(self) -> Connection:
        return Connection(
            api=self.api,
            base_url=self._base_url(),
            api_key=self.api_key.get_secret_value() if self.api_key else "",
            timeout=self.timeout,
            stream_chunk_timeout=self.stream_chunk_timeout,
            max_retries=self.max_retries,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            default_headers=self.default_headers or {},
        )

    # --- Names, traces, profile ---

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
        own = [self.stop] if isinstance(self.stop, str) else self.stop
        params = super()._get_ls_params(stop=stop or own, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self._settings({}))

    # --- Token counts, offline ---

    @override
    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text is; exact with a `custom_get_token_ids`."""
        from qwenvl_core.counting import text_tokens  # here, as below: few programs count

        return len(self.custom_get_token_ids(text)) if self.custom_get_token_ids else text_tokens(text)

    @override
    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """About how many input tokens a conversation is, offline; see `qwenvl_core.counting`.

        Args:
            messages: The conversation. Local images and videos count by the vendor's formulas, those behind a URL as
                the most that they can be.
            tools: Tools in any form that LangChain knows.
        """
        from qwenvl_core.counting import count_tokens

        formatted = [convert_to_openai_tool(tool) for tool in tools or ()]
        return count_tokens(to_core(messages), self._settings({"tools": formatted}))

    # --- Serialization and copies ---

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": _KEY_VARIABLE}

    @override
    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """As LangChain does it, but for what would be another model elsewhere.

        Whose word `enable_thinking` is stays known, since unknown models are told the user's only; and an endpoint is
        not taken from the environment that the model is revived in.
        """
        json = super().to_json()
        if json["type"] == "constructor":
            for name in ("workspace", "base_url"):
                json["kwargs"].setdefault(name, None)
            if "enable_thinking" not in self.model_fields_set:
                json["kwargs"].pop("enable_thinking", None)
        return json

    @property
    @override
    def _serialized(self) -> dict[str, Any]:
        """Anew for each call. LangChain keeps the first: a changed copy would share the original's cached answers."""
        return cast("dict[str, Any]", dumpd(self))

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with the profile of what it has become; one that the user gave stays."""
        copy = super().model_copy(update=update, deep=deep)
        if update and "profile" not in update and self.profile == self._resolve_model_profile():
            copy.profile = copy._resolve_model_profile()
        return copy

    @override
    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy has its own settings, and shares the caller's HTTP clients: they can't be copied."""
        memo = {} if memo is None else memo
        memo |= {id(client): client for client in (self.http_client, self.http_async_client)}
        return super().__deepcopy__(memo)

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
        self.__dict__["api_key"] = secret_from_env(_KEY_VARIABLE, default=None)()
