"""A rule of the service: one reason to refuse a request, and where it is written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError

ERROR_PAGE = "vendor, error code page"
"""The page that lists each message with its cause."""


@dataclass(frozen=True)
class Rule:
    """``check`` is pure: the same request is always refused, or accepted, for the same reason."""

    name: str
    source: str
    check: Callable[[ChatRequest], ApiError | None]
