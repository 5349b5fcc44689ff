"""Define a rule of the service: one reason to refuse a request, with its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError

ERROR_PAGE = "vendor, error code page"
"""Source: the vendor's page that lists each message with its cause."""


@dataclass(frozen=True)
class Rule:
    """A named rule with its source; ``check`` returns the error of a request that violates it.

    ``check`` is a pure function of the request.
    """

    name: str
    source: str
    check: Callable[[ChatRequest], ApiError | None]
