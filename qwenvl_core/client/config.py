"""The keywords that both chat models take, and the client that they make of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from qwenvl_core.catalog.endpoints import Api, endpoint
from qwenvl_core.transport.connection import Connection
from qwenvl_core.types.settings import ModelSettings, resolve_settings

if TYPE_CHECKING:
    from qwenvl_core.client.client import Client

_PRIVATE_CONFIG = threading.Lock()  # threads that share a model share its one client


class ModelConfig(BaseModel):
    """What a user may set, validated. A chat model has this base after its framework's, since the last config wins."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        defer_build=True,  # nothing is made of this class itself
        hide_input_in_errors=True,  # the input may be the key
    )

    model: str = "qwen3-vl-plus"
    """Name of the model."""

    # The connection.
    api_key: SecretStr | None = Field(default_factory=lambda: read_environment_key(), exclude=True, repr=False)
    """Model Studio key; by default from `DASHSCOPE_API_KEY`. Keys are valid in one region only."""
    region: str = Field(default_factory=lambda: os.environ.get("DASHSCOPE_REGION") or "cn-beijing")
    """Region id or alias: `cn-beijing`, `singapore`, `us`, …; by default from `DASHSCOPE_REGION`."""
    workspace: str | None = Field(default_factory=lambda: os.environ.get("DASHSCOPE_WORKSPACE") or None)
    """Workspace id: selects its gateway; by default from `DASHSCOPE_WORKSPACE`."""
    base_url: str | None = Field(default_factory=lambda: os.environ.get("DASHSCOPE_BASE_URL") or None)
    """Overrides region and workspace; by default from `DASHSCOPE_BASE_URL`."""
    api: Api = "openai"
    """Which of the service's APIs: `"openai"` (OpenAI-compatible) or `"dashscope"` (native)."""
    timeout: float | None = Field(default=300.0, gt=0)
    """Seconds to connect, and to wait for a response or its next bytes."""
    stream_chunk_timeout: float | None = Field(default=120.0, gt=0)
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
    """Default for every image and video, in pixels; its own value wins."""
    max_pixels: int | None = None
    """Default for every image and video, in pixels; its own value wins."""
    fps: float | None = None
    """Default for every video, in frames per second; its own value wins."""
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

    _client_cache: Client | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """What calls need of our own code is imported now, off the event loops that they may be made on.

        A region that does not exist is an error now, not at the first call.
        """
        import qwenvl_core.client.client  # noqa: F401

        super().model_post_init(context)
        self._base_url()

    # Neither is validated, and a key must not lie open.

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _secret(value) if name == "api_key" else value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's."""
        if update and "api_key" in update:
            update = {**update, "api_key": _secret(update["api_key"])}
        return super().model_copy(update=update, deep=deep)

    def _settings(self, call: Mapping[str, Any]) -> ModelSettings:
        """What shapes a request: this model's settings, and what the call says over them."""
        return resolve_settings(self.__dict__, self.model_fields_set, call)

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

    @property
    def _client(self) -> Client:
        """The client for this model's connection as it is now; a changed copy of the model gets its own."""
        from qwenvl_core.client.client import Client

        with _PRIVATE_CONFIG:
            self._client_cache = client = Client.reuse_or_create(self._connection(), self._client_cache)
        return client

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        if self._client_cache is not None:
            self._client_cache.close()

    async def aclose(self) -> None:
        """Close the connections that this event loop's calls opened; the next call opens new ones."""
        if self._client_cache is not None:
            await self._client_cache.aclose()


def _secret(key: Any) -> Any:
    return SecretStr(key) if isinstance(key, str) else key


def read_environment_key() -> SecretStr | None:
    """The key in `DASHSCOPE_API_KEY`."""
    key = os.environ.get("DASHSCOPE_API_KEY")
    return SecretStr(key) if key else None
