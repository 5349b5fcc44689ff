"""What LangChain may know of a `ChatQwenVL` without asking it anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.language_models.base import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.dump import dumpd
from langchain_core.messages.base import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AliasChoices, Field, SecretStr
from typing_extensions import override

from langchain_qwenvl.content_blocks import PROVIDER
from qwenvl_core import __version__
from qwenvl_core.client.config import ModelConfig, read_environment_key
from qwenvl_core.types.settings import CALL_SETTINGS

if TYPE_CHECKING:
    from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
    from langchain_core.messages.ai import AIMessage
    from langchain_core.runnables.base import RunnableSerializable
    from langchain_core.runnables.utils import AnyConfigurableField


class QwenVLBase(BaseChatModel, ModelConfig):
    """A model's settings: serialized, compared and traced, but not yet talked to."""

    model: str = Field(default="qwen3-vl-plus", validation_alias=AliasChoices("model", "model_name"))
    """Name of the model; other integrations call it `model_name`."""
    # Not excluded, as LangChain's own list of secrets takes its place when a model is stored.
    api_key: SecretStr | None = Field(default_factory=read_environment_key)
    """Model Studio key; by default from `DASHSCOPE_API_KEY`. Keys are valid in one region only."""
    streaming: bool | None = None
    """`True` lets `invoke` report tokens to callbacks. The wire streams whenever the model thinks, whatever this is."""

    @override
    def model_post_init(self, context: Any, /) -> None:
        import langchain_qwenvl.pipeline  # here, so that an import of the adapter does without  # noqa: F401

        super().model_post_init(context)
        self._add_version("qwenvl-adapters", __version__)

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
        given = {name: getattr(self, name) for name in sorted(CALL_SETTINGS & type(self).model_fields.keys())}
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
        from langchain_qwenvl.model_profile import build_profile

        return build_profile(self._settings({}))

    # --- Token counts, offline ---

    @override
    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text is; exact with a `custom_get_token_ids`."""
        from qwenvl_core.request.token_count import text_tokens  # here, as below: few programs count

        return len(self.custom_get_token_ids(text)) if self.custom_get_token_ids else text_tokens(text)

    @override
    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """About how many input tokens a conversation is, offline; see `qwenvl_core.request.token_count`.

        Args:
            messages: The conversation. Local images and videos count by the vendor's formulas, those behind a URL as
                the most that they can be.
            tools: Tools in any form that LangChain knows.
        """
        from langchain_qwenvl.messages import convert_messages
        from qwenvl_core.request.token_count import count_tokens

        formatted = [convert_to_openai_tool(tool) for tool in tools or ()]
        return count_tokens(convert_messages(messages), self._settings({"tools": formatted}))

    # --- Serialization and copies ---

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "DASHSCOPE_API_KEY"}

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
    def configurable_fields(
        self, **kwargs: AnyConfigurableField
    ) -> RunnableSerializable[LanguageModelInput, AIMessage]:
        from langchain_qwenvl.configurable import ConfigurableModel  # here: few programs ask for it

        super().configurable_fields(**kwargs)  # unknown fields raise
        _ = self._client  # which the copies share then
        return ConfigurableModel(default=self, fields=kwargs)

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
            "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_client_cache": None},
        }

    @override
    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self.__dict__["api_key"] = read_environment_key()
