"""Server-sent events, line by line, with every freedom that the format allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.emulator.chat_request import Api
from tests.emulator.quirks import Quirks

BOM = b"\xef\xbb\xbf"


def dump(value: Any) -> str:
    """Compact JSON with characters as they are: U+2028 and friends stay text, not line ends."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def broken(payload: str) -> str:
    """A payload that breaks off in the middle."""
    return payload[: len(payload) // 2]


def event(api: Api, quirks: Quirks, payload: Any, *, head: Sequence[str] = ()) -> bytes:
    """One event: ``head`` lines, then the data lines, then the empty line that ends it."""
    if isinstance(payload, str):
        lines = [payload]
    elif quirks.multi_line_data:
        lines = json.dumps(payload, ensure_ascii=False, indent=1).split("\n")
    else:
        lines = [dump(payload)]
    tight = quirks.no_space_after_data
    tight = api == "native" if tight is None else tight
    field = "data:" if tight else "data: "
    comment = [": keep-alive", ""] if quirks.comments else []
    end = "\r\n" if quirks.crlf else "\r" if quirks.cr else "\n"
    return "".join(line + end for line in [*comment, *head, *(field + line for line in lines), ""]).encode()
