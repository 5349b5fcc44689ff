"""Define the keywords of both chat models, and create the client that they configure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, model_validator

from qwenvl_core.catalog.endpoints import Api, find_batch_url, resolve_endpoint
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.provider_guess import NO_KEY, describe_missing_key, find_environment_key, resolve_provider
from qwenvl_core.catalog.providers import AUTO
from qwenvl_core.client.connection_config import ConnectionConfig, build_keyword_error
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.connection import BatchChat, Connection
from qwenvl_core.types.fork_lock import ForkSafeLock
from qwenvl_core.types.settings import (
    RENAMED_SETTINGS,
    ForcedOutput,
    ModelSettings,
    ServiceTier,
    check_renamed,
    resolve_settings,
)

if TYPE_CHECKING:
    from qwenvl_core.client.client import Client

_client_lock = ForkSafeLock()  # so that threads that share a model share one client


class ModelConfig(ConnectionConfig):
    """The validated keywords of a chat model.

    A chat model lists this base after its framework's, because the last `model_config` wins.
    """

    model: str = "qwen3-vl-plus"
    """Name of the model."""

    # The connection.
    api: Api = "openai"
    """The service's API: `"openai"` (OpenAI-compatible) or `"dashscope"` (native)."""
    provider: str | None = None
    """Who answers at `base_url`: `"vllm"`, `"llama.cpp"`, `"openrouter"`, …; `"auto"` asks the server once. By default
    guessed from `base_url` and `model`, and any OpenAI-compatible server where they do not tell."""
    stream_chunk_timeout: float | None = Field(default=120.0, gt=0)
    """Seconds between two chunks of a stream."""

    # The request. `None` is never sent.
    enable_thinking: bool = True
    """Whether a hybrid model thinks before it answers."""
    thinking_budget: int | None = Field(default=None, gt=0)
    """Maximum length of the thinking, in tokens."""
    reasoning_effort: str | None = None
    """How much the model thinks, for models that take it: `"low"` to `"xhigh"`; `"none"` switches thinking off."""
    preserve_thinking: bool | None = None
    """Whether earlier reasoning is sent back; by default to the models that expect it."""
    fold_system_prompt: bool = False
    """Whether system messages move into the first user message, as the vendor advises for plain chats."""
    forced_output: ForcedOutput = "think_first"
    """What a forced tool or JSON does to a model that thinks: `"think_first"` asks for it, and forces it in a second
    request without thinking if the reply lacks it; `"no_thinking"` does not think; `"ask"` asks for it, or raises."""
    output_retries: int = Field(default=1, ge=0)
    """How often a reply that holds nothing usable (no text, no whole tool call) is requested again."""
    vl_high_resolution_images: bool | None = None
    """Whether an image may have up to 16,384 tokens; `max_pixels` is ignored then."""
    min_pixels: int | None = None
    """Default for every image and video, in pixels; a part's own value wins."""
    max_pixels: int | None = None
    """Default for every image and video, in pixels; a part's own value wins."""
    fps: float | None = None
    """Default for every video, in frames per second; a part's own value wins."""
    media_policy: Literal["check", "fit"] = "check"
    """What happens to local media that the service would refuse or shrink: `"fit"` converts and scales images, and
    sends the frames of videos."""
    temperature: float | None = None
    """Sampling temperature, from 0 to below 2."""
    top_p: float | None = None
    """Nucleus sampling, above 0 up to 1."""
    top_k: int | None = None
    """How many of the likeliest tokens are sampled from."""
    max_tokens: int | None = None
    """Maximum length of the answer, in tokens."""
    max_completion_tokens: int | None = None
    """Maximum length of the thinking and the answer together, in tokens; OpenAI-compatible API only."""
    stop: list[str] | str | None = None
    """Texts that end the answer."""
    seed: int | None = None
    """Seed of the sampling."""
    presence_penalty: float | None = None
    """From -2 to 2."""
    repetition_penalty: float | None = None
    """Above 0; 1 means no penalty."""
    logprobs: bool | None = None
    """Whether the log probabilities of the answer's tokens are returned."""
    top_logprobs: int | None = None
    """How many alternatives to each token are returned with `logprobs`."""
    service_tier: ServiceTier | None = None
    """`"batch"`: Batch Chat, at half the price; a reply may take up to an hour (`timeout`)."""
    ocr_options: Mapping[str, Any] | None = None
    """Task of an OCR model (native API): `task`, `task_config`, and `enable_rotate` for all images."""
    extra_body: Mapping[str, Any] | None = None
    """Merged into the request body last."""

    _client_cache: Client | None = PrivateAttr(default=None)
    _key_fields: ClassVar[frozenset[str]] = frozenset(("base_url", "provider", "api", "model"))

    @model_validator(mode="before")
    @classmethod
    def _check_renamed_keywords(cls, values: Any) -> Any:
        """Raise on the former name of a keyword."""
        if isinstance(values, Mapping):
            for name in RENAMED_SETTINGS.keys() & values.keys():
                try:
                    check_renamed(name)
                except QwenVLInputError as error:
                    raise build_keyword_error(cls, name, str(error)) from None
        return values

    def model_post_init(self, context: Any, /) -> None:
        """Create the client now, not on the event loop of the first call, and check the region and base URL."""
        super().model_post_init(context)
        self._read_environment_key()
        _ = self._client  # now, so that copies share it, with its connections and the URLs of its uploads

    def _find_environment_key(self) -> str | None:
        return find_environment_key(self.provider, api=self.api, base_url=self.base_url, model=self.model)

    def _get_key_target(self) -> tuple[Any, ...]:
        """Return what decides which key of the environment may be sent."""
        return self.provider, self.api, self.base_url, self._provider_row.name

    def _settings(self, call: Mapping[str, Any]) -> ModelSettings:
        """Resolve the settings of a request: this model's, overridden by those of the call."""
        settings = resolve_settings(self.__dict__, self.model_fields_set, call)
        detected = self._client.detected_provider if self.provider == AUTO else None
        provider = detected or self._resolve_provider(settings.model).name
        return settings if provider == settings.provider else replace(settings, provider=provider)

    def _resolve_provider(self, model: str) -> Provider:
        return resolve_provider(self.provider, api=self.api, base_url=self.base_url, model=model)

    @property
    def _provider_row(self) -> Provider:
        """The provider for this object's own model."""
        return self._resolve_provider(self.model)

    def _base_url(self) -> str:
        return resolve_endpoint(
            self.api,
            region=self.region,
            workspace=self.workspace,
            base_url=self.base_url,
            is_model_studio=self._provider_row.is_model_studio,
        )

    def _get_key(self) -> str:
        """Return the key to send."""
        self._update_environment_key()  # the fields may have been changed in ways that are not observed here
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        return "" if self._provider_row.key_variable else NO_KEY

    def _connection(self) -> Connection:
        provider = self._provider_row
        return Connection(
            api=self.api,
            base_url=self._base_url(),
            api_key=self._get_key(),
            provider=provider,
            detects_provider=self.provider == AUTO and self.base_url is not None,
            missing_key_hint=describe_missing_key(provider, name=self.provider, base_url=self.base_url),
            timeout=self.timeout,
            stream_chunk_timeout=self.stream_chunk_timeout,
            max_retries=self.max_retries,
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            default_headers=self.default_headers or {},
            upload_cache=self._resolve_upload_cache(),
            batch_chat=self._resolve_batch_chat(),
        )

    def _resolve_batch_chat(self) -> BatchChat:
        workspace: Any = None
        if self.workspace:
            workspace = "caller" if "workspace" in self.model_fields_set else "environment"
        url = find_batch_url(self.region, self._base_url() if self.base_url else None)
        timeout = {"timeout": self.timeout} if "timeout" in self.model_fields_set else {}
        return BatchChat(url=url, region=self.region, workspace=workspace, **timeout)

    @property
    def _has_storage(self) -> bool:
        """Whether the server has temporary storage for uploads."""
        return self._connection().storage_url is not None

    @property
    def _client(self) -> Client:
        """Return the client for this model's current connection; a changed copy of the model gets its own."""
        from qwenvl_core.client.client import Client

        with _client_lock:
            self._client_cache = client = Client.reuse_or_create(self._connection(), self._client_cache)
        return client

    @property
    def _detected_context_window(self) -> int | None:
        """The context window that the server reported to `provider="auto"`, in tokens."""
        return self._client.detected_context_window if self.provider == AUTO else None

    def close(self) -> None:
        """Close the connections of sync calls; the next call opens new ones."""
        if self._client_cache is not None:
            self._client_cache.close()

    async def aclose(self) -> None:
        """Close the connections that async calls of this event loop opened; the next call opens new ones."""
        if self._client_cache is not None:
            await self._client_cache.aclose()
