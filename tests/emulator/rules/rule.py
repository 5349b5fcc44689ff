"""Define a rule of the service: one reason to refuse a request, with its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError

ERROR_PAGE = "vendor, error code page"
"""Source: the vendor's page that lists each message with its cause."""

NAME_MESSAGE = "must be 1 to 64 characters of [a-zA-Z0-9_-]"


@dataclass(frozen=True)
class Rule:
    """A named rule with its source; ``check`` returns the error of a request that violates it.

    ``check`` is a pure function of the request.
    """

    name: str
    source: str
    check: Callable[[ChatRequest], ApiError | None]


def is_function_name(name: Any) -> bool:
    """Return whether a value is a valid name of a function."""
    return isinstance(name, str) and bool(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name))
