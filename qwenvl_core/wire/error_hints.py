"""Choose the hint of an error for the provider that answered; the hints of the error classes are Model Studio's."""

from __future__ import annotations

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.errors import (
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLContentFilterError,
    QwenVLError,
    QwenVLModelNotFoundError,
    QwenVLNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
)

_HINTS: dict[type[QwenVLError], str] = {
    QwenVLPermissionDeniedError: "Check that this key may use the model at {name}.",
    QwenVLArrearageError: "Check the balance of the account at {name}. Retrying does not help.",
    QwenVLNotFoundError: "Check base_url=, which for most servers ends in /v1, and the model's name.",
    QwenVLModelNotFoundError: "Check the model's name: GET /models below base_url lists those of the server.",
    QwenVLQuotaExceededError: "A quota of the account at {name} is used up; retrying does not help.",
    QwenVLContentFilterError: "A content filter of {name} rejected it. Change the input; retrying does not help.",
}
_KEY = "Check the key: pass api_key= or set the environment variable {variable}."
_NO_KEY = "The server requires a key. Pass api_key=, and the provider= that answers where that is another one."


def choose_hint(error: QwenVLError, provider: Provider) -> str | None:
    """Return the hint for an error of another provider than Model Studio; `None` to keep the error's own."""
    cls = type(error)
    if provider.is_model_studio or error.hint != cls.hint:  # a hint of its own is more specific
        return None
    if cls is QwenVLAuthenticationError:
        return _KEY.format(variable=provider.key_variable) if provider.key_variable else _NO_KEY
    hint = _HINTS.get(cls)
    return None if hint is None else hint.format(name=provider.name)
