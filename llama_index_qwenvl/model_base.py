"""What LlamaIndex may do with a `QwenVL` without asking it anything: copy it and store it."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field
from typing_extensions import override

from qwenvl_core.client.config import ModelConfig


class QwenVLBase(FunctionCallingLLM, ModelConfig):
    """A model's settings: copied and stored, but not yet talked to."""

    context_window: int | None = Field(default=None, gt=0)
    """Input and output together, in tokens; by default the catalogue's number."""
    num_output: int | None = Field(default=None, gt=0)
    """Longest answer to expect, in tokens; by default `max_tokens` or the catalogue's number."""
    is_function_calling_model: bool | None = None
    """Whether agents may give it tools; by default the catalogue's word."""

    @override
    def model_post_init(self, context: Any, /) -> None:
        import llama_index_qwenvl.pipeline  # here, so that an import of the adapter does without  # noqa: F401

        super().model_post_init(context)

    @override
    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """This model's keywords but the key, for `from_dict`.

        `enable_thinking` is among them only if it was given: for a model that the catalogue does not know, a default
        is not sent and a caller's word is.
        """
        values: dict[str, Any] = super().to_dict(**kwargs)
        if "enable_thinking" not in self.model_fields_set:
            values.pop("enable_thinking", None)
        return values

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
        """A copy shares what is the caller's and can't be copied: HTTP clients and the rate limiter."""
        memo = {} if memo is None else memo
        for shared in (self.http_client, self.http_async_client, self.rate_limiter):
            memo[id(shared)] = shared
        return super().__deepcopy__(memo)

    @override
    def __getstate__(self) -> dict[str, Any]:
        """A pickle carries neither the key nor connections."""
        bare = self.model_copy()
        bare._client_cache = None
        for name in ("api_key", "http_client", "http_async_client"):
            del bare.__dict__[name]
        return super(QwenVLBase, bare).__getstate__()

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        """Built anew, with the key of this environment."""
        self.__init__(**state["__dict__"])  # type: ignore[misc]
        # That nobody gave a keyword, such as `enable_thinking`, means something.
        object.__setattr__(self, "__pydantic_fields_set__", state["__pydantic_fields_set__"])
