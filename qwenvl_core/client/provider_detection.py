"""Detect the provider at a base URL: `provider="auto"` reads the list of the server's models, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from qwenvl_core.catalog.providers import LLAMA_CPP, VLLM
from qwenvl_core.errors import QwenVLError
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.types.fork_lock import ForkSafeLock
from qwenvl_core.types.request import Request

_OWNERS = {"vllm": VLLM.name, "llamacpp": LLAMA_CPP.name}
"""Values of `owned_by` that only one server writes. Source: replies of vLLM 0.32 and llama.cpp b11549."""
_REQUEST = HttpRequest("GET", "/models")


@dataclass(frozen=True, slots=True)
class Detection:
    """What a list of models tells of the server.

    Attributes:
        provider: Name of the provider's row; `None` where the list does not tell.
        context_window: Largest input and output together, in tokens; `None` where the list does not tell.
    """

    provider: str | None = None
    context_window: int | None = None


def parse_models(data: bytes, model: str) -> Detection:
    """Parse the reply to `GET /models`; a reply of another shape tells nothing.

    Args:
        data: The body of the reply.
        model: The model of the request: its entry is read, or that of a server with one model.
    """
    try:
        entries = [entry for entry in json.loads(data)["data"] if isinstance(entry, Mapping)]
    except (ValueError, RecursionError, TypeError, KeyError):
        return Detection()
    own = [entry for entry in entries if entry.get("id") == model] or entries[:1]
    if not own or (len(entries) > 1 and own[0].get("id") != model):
        return Detection(_read_owner(entries[0]) if entries else None)
    return Detection(_read_owner(own[0]), _read_window(own[0]))


def _read_owner(entry: Mapping[str, Any]) -> str | None:
    owner = entry.get("owned_by")
    return _OWNERS.get(owner) if isinstance(owner, str) else None


def _read_window(entry: Mapping[str, Any]) -> int | None:
    meta = entry.get("meta")
    counts = (entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    return next((count for count in counts if type(count) is int and count > 0), None)


class ProviderDetector:
    """Ask a server once, at the first call, and write requests in the dialect that it speaks.

    Whatever goes wrong, the guess from base URL and model is used.
    """

    def __init__(self, connection: Connection) -> None:
        self._is_pending = connection.detects_provider
        self._lock = ForkSafeLock()
        self._tasks: WeakKeyDictionary[Any, asyncio.Task[None]] = WeakKeyDictionary()
        self.result = Detection()

    def apply(self, request: Request, transport: Any) -> Request:
        """Return the request for the provider that was detected."""
        if self._is_pending:
            with self._lock:
                if self._is_pending:
                    self._fetch(request.settings.model, transport)
        return self._replace_provider(request)

    async def aapply(self, request: Request, transport: Any) -> Request:
        """Return the request for the provider that was detected; calls of one event loop share the question."""
        if self._is_pending:
            loop = asyncio.get_running_loop()
            task = self._tasks.get(loop)
            if task is None:
                task = self._tasks[loop] = loop.create_task(self._afetch(request.settings.model, transport))
            await asyncio.shield(task)
        return self._replace_provider(request)

    def _fetch(self, model: str, transport: Any) -> None:
        with suppress(QwenVLError), transport.open(_REQUEST) as response:
            self.result = parse_models(b"".join(response.data), model)
        self._is_pending = False

    async def _afetch(self, model: str, transport: Any) -> None:
        with suppress(QwenVLError):
            async with transport.aopen(_REQUEST) as response:
                self.result = parse_models(b"".join([data async for data in response.data]), model)
        self._is_pending = False

    def _replace_provider(self, request: Request) -> Request:
        if self.result.provider is None:
            return request
        return replace(request, settings=replace(request.settings, provider=self.result.provider))
