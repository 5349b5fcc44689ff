"""Define the fields of `QwenVL`, and how a model is copied and serialized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field
from typing_extensions import override

from qwenvl_core.client.config import ModelConfig
from qwenvl_core.types.keyword_hints import CALL_KEYWORDS, TOOL_KEYWORDS


class QwenVLBase(FunctionCallingLLM, ModelConfig):
    """Define the settings of a model; `llm.QwenVL` adds the calls."""

    context_window: int | None = Field(default=None, gt=0)
    """Maximum of input and output together, in tokens; by default the catalog's number."""
    num_output: int | None = Field(default=None, gt=0)
    """Maximum length of an answer to expect, in tokens; by default `max_tokens`, `max_completion_tokens` or the
    catalog's number."""
    is_function_calling_model: bool | None = None
    """Whether agents may pass tools; by default the catalog's value."""

    _keyword_hints: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            TOOL_KEYWORDS,
            "It belongs to a call, not to the model: pass it to chat() or stream_chat(), or pass the tools to an agent "
            "or to chat_with_tools().",
        ),
        **dict.fromkeys(
            CALL_KEYWORDS,
            "It belongs to a call, not to the model: pass it to chat(), stream_chat() or complete().",
        ),
    }

    @override
    def model_post_init(self, context: Any, /) -> None:
        import llama_index_qwenvl.pipeline  # noqa: F401  # imported now, so that the first call does not block an event loop

        super().model_post_init(context)

    @override
    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the model's keywords without the key, for `from_dict`.

        `enable_thinking` is included only if the caller set it: for a model that is not in the catalog, an explicit
        value is sent and a default is not.

        Args:
            kwargs: Keywords of LlamaIndex's method.

        Returns:
            The keywords; `QwenVL.from_dict` takes them.
        """
        values: dict[str, Any] = super().to_dict(**kwargs)
        if "enable_thinking" not in self.model_fields_set:
            values.pop("enable_thinking", None)
        return values

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        """Copy the model; the caller's HTTP clients and rate limiter cannot be copied and are shared."""
        memo = {} if memo is None else memo
        for shared in (self.http_client, self.http_async_client, self.rate_limiter):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the key and the connections."""
        copy = self.model_copy()
        copy._client_cache = None
        for name in ("api_key", "http_client", "http_async_client"):
            del copy.__dict__[name]
        return super(QwenVLBase, copy).__getstate__()

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        """Construct the model again with the key of this environment."""
        self.__init__(**state["__dict__"])  # type: ignore[misc]
        # Whether a keyword such as `enable_thinking` was set explicitly decides what is sent.
        object.__setattr__(self, "__pydantic_fields_set__", state["__pydantic_fields_set__"] - {"api_key"})
