"""Send requests with `service_tier="batch"` to Batch Chat, which answers within an hour at half the price.

The request is an ordinary chat at another host, whose reply is not streamed. Source: the vendor's page "Batch Chat".
"""

from __future__ import annotations

from dataclasses import replace

from qwenvl_core.catalog.endpoints import BATCH_REGIONS
from qwenvl_core.catalog.facts import ModelFacts
from qwenvl_core.catalog.models import CATALOGUE
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import MODEL_STUDIO
from qwenvl_core.errors import QwenVLError, QwenVLInputError, QwenVLTimeoutError
from qwenvl_core.transport.connection import Connection
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings

_TIER = 'service_tier="batch"'
_TIMEOUT_HINT = (
    "Batch Chat did not reach the request in time, and nothing was billed. It was not repeated: send it again later, "
    "raise timeout=, or leave out service_tier=."
)
_IGNORED_WORKSPACE = "DASHSCOPE_WORKSPACE ignored: Batch Chat has no workspace gateways"


def apply_tier(request: Request, connection: Connection) -> Request:
    """Set the timeout of a request to Batch Chat; return other requests as they are.

    Raises:
        QwenVLInputError: The connection or the model has no Batch Chat.
    """
    settings, batch = request.settings, connection.batch_chat
    if settings.service_tier is None:
        return request
    _check_connection(settings, connection)
    _check_model(settings, describe_at(settings.model, settings.provider))
    timeout = batch.timeout if settings.timeout is None else settings.timeout
    notes = (_IGNORED_WORKSPACE,) if batch.workspace == "environment" else ()
    return replace(
        request,
        settings=replace(settings, timeout=timeout),
        adjustments=(*request.adjustments, *notes),
    )


def build_url(path: str, settings: ModelSettings, connection: Connection) -> str:
    """Return the URL of a chat request: a path, or the whole URL at the host of Batch Chat."""
    if settings.service_tier is None:
        return path
    return f"{connection.batch_chat.url}{path}"


def is_final(error: QwenVLError, settings: ModelSettings) -> bool:
    """Return whether a request must not be repeated: it has waited in the queue of Batch Chat for its whole timeout."""
    return settings.service_tier is not None and isinstance(error, QwenVLTimeoutError)


def add_timeout_hint(error: QwenVLError, settings: ModelSettings) -> None:
    """Replace the hint of an error that ends the wait for Batch Chat."""
    if is_final(error, settings):
        error.hint = _TIMEOUT_HINT


def _check_connection(settings: ModelSettings, connection: Connection) -> None:
    batch = connection.batch_chat
    if connection.api != "openai":
        raise QwenVLInputError(f'{_TIER} is not possible with api="{connection.api}". Use api="openai".')
    if settings.provider != MODEL_STUDIO.name:
        raise QwenVLInputError(
            f"{_TIER} is not possible at provider={settings.provider!r}: Batch Chat is a service of Model Studio. "
            "Leave it out."
        )
    if batch.workspace == "caller":
        raise QwenVLInputError(
            f"{_TIER} is not possible with workspace=: Batch Chat has no workspace gateways. Leave out one of them."
        )
    if batch.url is None:
        raise QwenVLInputError(
            f"{_TIER} is not possible in region {batch.region!r}. Batch Chat exists in {', '.join(BATCH_REGIONS)}: use "
            "region= with a key of that region, or leave service_tier= out."
        )


def _check_model(settings: ModelSettings, facts: ModelFacts) -> None:
    if facts.batch_chat or facts.assumed:
        return
    models = ", ".join(row.name for row in CATALOGUE if row.batch_chat)
    raise QwenVLInputError(
        f"{_TIER} is not possible with model {settings.model!r}. Models of Batch Chat: {models}. Use one of them, or "
        "leave service_tier= out."
    )
