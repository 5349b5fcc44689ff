"""Define the parts of the chat model that send no requests: fields, traces, token counts, serialization, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from langchain_core.language_models.base import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.dump import dumpd
from langchain_core.messages.base import BaseMessage
from pydantic import AliasChoices, Field
from typing_extensions import override

from langchain_qwenvl.content_blocks import PROVIDER
from qwenvl_core import __version__
from qwenvl_core.client.config import ModelConfig
from qwenvl_core.client.connection_config import SecretKey
from qwenvl_core.client.lazy_import import lazy_module
from qwenvl_core.types.keyword_hints import CALL_KEYWORDS, TOOL_KEYWORDS
from qwenvl_core.types.settings import CALL_SETTINGS, TRANSPORT_SETTINGS

if TYPE_CHECKING:
    from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
    from langchain_core.messages.ai import AIMessage
    from langchain_core.runnables.base import RunnableSerializable
    from langchain_core.runnables.utils import AnyConfigurableField

    from langchain_qwenvl import configurable, exceptions, model_profile, pipeline, responses
    from langchain_qwenvl import messages as message_conversion
    from langchain_qwenvl import tools as tools_module
    from qwenvl_core.request import token_count
else:
    configurable = lazy_module("langchain_qwenvl.configurable")
    exceptions = lazy_module("langchain_qwenvl.exceptions")
    message_conversion = lazy_module("langchain_qwenvl.messages")
    model_profile = lazy_module("langchain_qwenvl.model_profile")
    pipeline = lazy_module("langchain_qwenvl.pipeline")
    responses = lazy_module("langchain_qwenvl.responses")
    tools_module = lazy_module("langchain_qwenvl.tools")
    token_count = lazy_module("qwenvl_core.request.token_count")


class QwenVLBase(BaseChatModel, ModelConfig):
    """Define the fields of the chat model, and the methods of LangChain that send no request."""

    model: str = Field(default="qwen3-vl-plus", validation_alias=AliasChoices("model", "model_name"))
    """Name of the model; other integrations call it `model_name`."""
    # Not excluded from dumps: LangChain replaces the fields in `lc_secrets` when it serializes a model.
    api_key: SecretKey = Field(default=None)  # type: ignore[assignment]
    """Key of the provider; by default from its environment variable: `DASHSCOPE_API_KEY` for Model Studio, valid in one
    region only."""
    streaming: bool | None = None
    """Whether `invoke` reports tokens to callbacks. On the wire, every reply of a thinking model is streamed anyway."""

    _keyword_hints: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            TOOL_KEYWORDS,
            "It belongs to a call, not to the model: use bind_tools(), or pass it to invoke() or stream().",
        ),
        **dict.fromkeys(
            CALL_KEYWORDS, "It belongs to a call, not to the model: use bind(), or pass it to invoke() or stream()."
        ),
    }

    @override
    def model_post_init(self, context: Any, /) -> None:
        _ = pipeline.stream  # loads the module now, so that the import does not block an event loop in the first call
        super().model_post_init(context)
        self._add_version("qwenvl-adapters", __version__)

    # --- Names, traces, profile ---

    @property
    @override
    def _llm_type(self) -> str:
        return "qwenvl-chat"

    if TYPE_CHECKING:
        # Type checkers ignore `validation_alias`, so the alias is declared as a field for the signature of `__init__`.
        model_name: str = ""
    else:

        @property
        def model_name(self) -> str:
            """Return the name of the model."""
            return self.model

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        setting_names = (CALL_SETTINGS - TRANSPORT_SETTINGS) & type(self).model_fields.keys()
        settings = {name: getattr(self, name) for name in sorted(setting_names)}
        names = ("api", "region", "workspace", "base_url", "provider")
        endpoint = {name: getattr(self, name) for name in names}
        return {name: value for name, value in (endpoint | settings).items() if value is not None}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        model_stop = [self.stop] if isinstance(self.stop, str) else self.stop
        params = super()._get_ls_params(stop=stop or model_stop, **kwargs)
        params["ls_provider"] = PROVIDER
        return params

    @override
    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return responses.combine_llm_outputs(llm_outputs, self.model)

    @override
    def _resolve_model_profile(self) -> ModelProfile | None:
        return model_profile.build_profile(self._settings({}), self._detected_context_window)

    def _update_profile(self) -> None:
        """Take the context window that `provider="auto"` has read into the profile, unless the user set the profile."""
        if self._detected_context_window is None:
            return
        guessed = replace(self._settings({}), provider=self._provider_row.name)
        if self.profile == model_profile.build_profile(guessed):
            self.profile = self._resolve_model_profile()

    # --- Token counts, offline ---

    @override
    def get_num_tokens(self, text: str) -> int:
        """Count the tokens of a text offline.

        The number is exact with `custom_get_token_ids`, and for models up to Qwen3-VL with the extra `dashscope`;
        otherwise it is an estimate.

        Args:
            text: The text.

        Returns:
            The number of tokens.

        Example:
            ```python
            print(llm.get_num_tokens("What was paid?") > 0)  # True
            ```
        """
        if self.custom_get_token_ids:
            return len(self.custom_get_token_ids(text))
        return token_count.count_text_tokens(text, self.model)

    @override
    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Count the input tokens of a conversation offline.

        Text is exact for models up to Qwen3-VL with the extra `dashscope`, otherwise an estimate; see
        `qwenvl_core.request.token_count`.

        Args:
            messages: The conversation. Local images and videos are counted by the vendor's formulas, those at a
                URL with the maximum that the model's limits allow.
            tools: Tools in any form that LangChain accepts.

        Returns:
            The number of tokens.

        Raises:
            QwenVLInputError: A message can't be sent, or an image can't be read.

        Example:
            ```python
            from langchain_core.messages import HumanMessage

            image = {"type": "image", "url": Path("receipt.png")}
            print(llm.get_num_tokens_from_messages([HumanMessage([image])]) > 100)  # True
            ```
        """
        with exceptions.map_core_errors():
            settings = self._settings({"tools": [tools_module.to_openai_tool(tool) for tool in tools or ()]})
            return token_count.count_tokens(
                message_conversion.convert_messages(messages),
                settings,
                local_files=self.local_files,
                has_storage=self._has_storage,
            )

    # --- Serialization and copies ---

    @classmethod
    @override
    def is_lc_serializable(cls) -> bool:
        return True

    @property
    @override
    def lc_secrets(self) -> dict[str, str]:
        # A key that is read from the environment when the model is revived must be one of this provider.
        return {"api_key": self._provider_row.key_variable or "QWENVL_API_KEY"}

    @override
    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Serialize the model so that it is the same when it is revived elsewhere.

        `enable_thinking` is omitted unless the user set it, since for a model that is not in the catalog only an
        explicit value is sent. `workspace` and `base_url` are included when they are `None`, so that they are not read
        from the environment in which the model is revived.

        Returns:
            LangChain's JSON form of the model, without the key.
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
        """Serialize anew for each call: LangChain caches the first value, also for changed copies.

        These would then get the answers of the original model from LangChain's cache.
        """
        return cast("dict[str, Any]", dumpd(self))

    @override
    def configurable_fields(
        self, **kwargs: AnyConfigurableField
    ) -> RunnableSerializable[LanguageModelInput, AIMessage]:
        super().configurable_fields(**kwargs)  # raises on unknown fields
        _ = self._client  # creates the client now, so that the copies share it
        return configurable.ConfigurableModel(default=self, fields=kwargs)

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model; the profile follows the changed settings, unless the user set it.

        Args:
            update: Fields and their new values, which are not validated.
            deep: Whether the values of fields are copied too.

        Returns:
            The copy. It has the key of the model, and its connections where the connection is the same.
        """
        copy = super().model_copy(update=update, deep=deep)
        if update and "profile" not in update and self.profile == self._resolve_model_profile():
            copy.profile = copy._resolve_model_profile()
        return copy

    @override
    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the settings, and share the caller's HTTP clients, which cannot be copied."""
        memo = {} if memo is None else memo
        memo |= {id(client): client for client in (self.http_client, self.http_async_client)}
        return super().__deepcopy__(memo)

    @override
    def __getstate__(self) -> dict[Any, Any]:
        """Omit the API key and the connections."""
        state = super().__getstate__()
        return {
            **state,
            "__dict__": {**state["__dict__"], "api_key": None},
            "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_client_cache": None},
        }

    @override
    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self._read_environment_key()
