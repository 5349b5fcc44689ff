"""Define the keywords of a connection, which chat models, embeddings and rerankers share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.local_files import check_local_files
from qwenvl_core.types.keyword_hints import describe_unknown_keyword

if TYPE_CHECKING:

    class SecretKey:
        """The type of `api_key` to type checkers: a `str` may be passed or assigned, a `SecretStr` is stored.

        Type checkers take the parameter of `__init__` from `__set__` (PEP 681, "descriptor-typed field support").
        """

        def __get__(self, instance: object, owner: object) -> SecretStr | None: ...

        def __set__(self, instance: object, value: str | SecretStr | None) -> None: ...

else:
    SecretKey = SecretStr | None


class ConnectionConfig(BaseModel):
    """The validated keywords of a connection to the service.

    A class lists this base after its framework's, because the last `model_config` wins.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        defer_build=True,  # this class itself is never instantiated
        hide_input_in_errors=True,  # the input may be the key
    )

    api_key: SecretKey = Field(default=None, exclude=True, repr=False)  # type: ignore[assignment]
    """Key of the provider; by default from its environment variable: `DASHSCOPE_API_KEY` for Model Studio, valid in one
    region only."""
    region: str = Field(default_factory=lambda: os.environ.get("DASHSCOPE_REGION") or "cn-beijing")
    """Region id or alias: `cn-beijing`, `singapore`, `us`, …; by default from `DASHSCOPE_REGION`."""
    workspace: str | None = Field(default_factory=lambda: os.environ.get("DASHSCOPE_WORKSPACE") or None)
    """Workspace id, which selects the workspace's gateway; by default from `DASHSCOPE_WORKSPACE`."""
    base_url: str | None = Field(default_factory=lambda: os.environ.get("DASHSCOPE_BASE_URL") or None)
    """Overrides region and workspace; by default from `DASHSCOPE_BASE_URL`."""
    timeout: float | None = Field(default=300.0, gt=0)
    """Seconds to connect, and to wait for a response or its next bytes."""
    max_retries: int = Field(default=2, ge=0)
    """How often a failed request is repeated, if no part of the answer has arrived."""
    http_client: Any = Field(default=None, exclude=True, repr=False)
    """Your own sync HTTP client for the SDK."""
    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """Your own async HTTP client for the SDK."""
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Headers of every request."""
    upload: Literal["auto", "always", "never"] = "auto"
    """Which local media are uploaded to the vendor's temporary storage: those that do not fit inline, all, or none."""
    upload_cache: str | Path | None = None
    """Directory that keeps the URLs of uploads across processes; it holds no media and no keys."""
    local_files: str | Path | bool | None = None
    """Which local paths in messages are read. `None`: `pathlib.Path` objects and typed path fields, no strings; a
    directory: strings within it too; `True`: all strings of user messages; `False`: none."""

    _key_fields: ClassVar[frozenset[str]] = frozenset(("base_url", "model"))
    """Fields that decide which key of the environment may be sent."""
    _keyword_hints: ClassVar[Mapping[str, str]] = {}
    """For keywords that the class does not have: what to do instead, in the words of the framework."""
    _key_target: Any = PrivateAttr(default=None)

    def _read_environment_key(self) -> None:
        """Take the key of the provider from the environment, unless the caller passed one."""
        if self.api_key is None or "api_key" not in self.model_fields_set:
            key = self._find_environment_key()
            self.__dict__["api_key"] = SecretStr(key) if key else None  # not marked as set by the caller
            self.__pydantic_fields_set__.discard("api_key")
        self._key_target = self._get_key_target()

    def _update_environment_key(self) -> None:
        """Replace a key of the environment where another host or provider may not get it.

        Fields are assigned one after another, so they may contradict each other for a time: without a valid target
        there is no key, and the next call reports the contradiction.
        """
        try:
            if self._key_target != self._get_key_target():
                self._read_environment_key()
        except QwenVLInputError:
            self._key_target = None
            if "api_key" not in self.model_fields_set:
                self.__dict__["api_key"] = None

    def _find_environment_key(self) -> str | None:
        """Return the key in the environment that may be sent to this connection."""
        raise NotImplementedError

    def _get_key_target(self) -> Any:
        """Return what decides which key of the environment may be sent."""
        raise NotImplementedError

    def _resolve_upload_cache(self) -> Path | None:
        return None if self.upload_cache is None else Path(self.upload_cache).expanduser().absolute()

    @model_validator(mode="before")
    @classmethod
    def _check_keywords(cls, values: Any) -> Any:
        """Raise on an unknown keyword, with more help than pydantic's own error."""
        if isinstance(values, Mapping) and cls.model_config.get("extra") == "forbid":
            for name in values.keys() - _list_keywords(cls):
                reason = describe_unknown_keyword(name, _list_keywords(cls), cls._keyword_hints)
                raise build_keyword_error(cls, name, reason)
        return values

    @field_validator("local_files", mode="before")
    @classmethod
    def _check_local_files(cls, value: Any) -> Any:
        return check_local_files(value)

    # Pydantic validates neither assignments nor updates, so these values are converted here.

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _CONVERTERS[name](value) if name in _CONVERTERS else value)
        if name in self._key_fields:
            self._update_environment_key()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the object.

        Args:
            update: Fields and their new values, which are not validated.
            deep: Whether the values of fields are copied too.

        Returns:
            The copy, with the key of the object. A key of the environment is read again for another `base_url`.
        """
        if update:
            update = {
                name: _CONVERTERS[name](value) if name in _CONVERTERS else value for name, value in update.items()
            }
        copy = super().model_copy(update=update, deep=deep)
        if update and not self._key_fields.isdisjoint(update):
            copy._update_environment_key()
        return copy


def build_keyword_error(model: type[BaseModel], name: str, reason: str) -> ValidationError:
    """Build the error of one keyword, for a validator that gets all of them.

    Pydantic's own would show its input, which is all keywords with the key, in `errors()` and `json()`.
    """
    kind = PydanticCustomError("keyword", "{reason}", {"reason": reason})
    detail = InitErrorDetails(type=kind, loc=(name,), input=None)
    return ValidationError.from_exception_data(model.__name__, [detail], hide_input=True)


@cache
def _list_keywords(model: type[BaseModel]) -> frozenset[str]:
    """List the names of a model's fields, and their aliases."""
    names = set(model.model_fields)
    for field in model.model_fields.values():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        heads = (choice.path[0] if isinstance(choice, AliasPath) else choice for choice in (field.alias, *choices))
        names.update(head for head in heads if isinstance(head, str))
    return frozenset(names)


def _to_secret(key: Any) -> Any:
    return SecretStr(key) if isinstance(key, str) else key


_CONVERTERS: dict[str, Callable[[Any], Any]] = {"api_key": _to_secret, "local_files": check_local_files}
