"""Render server-sent events in every form that the format allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.emulator.chat_request import Api
from tests.emulator.quirks import Quirks

BOM = b"\xef\xbb\xbf"


def to_json(value: Any) -> str:
    """Render compact JSON without escapes, so that U+2028 and similar characters stay unescaped in the text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def truncate(payload: str) -> str:
    """Return the first half of a payload."""
    return payload[: len(payload) // 2]


def render_event(api: Api, quirks: Quirks, payload: Any, *, head: Sequence[str] = ()) -> bytes:
    """Render one event: ``head`` lines, data lines and the empty line that ends it."""
    if isinstance(payload, str):
        lines = [payload]
    elif quirks.multi_line_data:
        lines = json.dumps(payload, ensure_ascii=False, indent=1).split("\n")
    else:
        lines = [to_json(payload)]
    is_compact = quirks.no_space_after_data
    is_compact = api == "native" if is_compact is None else is_compact
    field = "data:" if is_compact else "data: "
    comment = [": keep-alive", ""] if quirks.comments else []
    end = "\r\n" if quirks.crlf else "\r" if quirks.cr else "\n"
    return "".join(line + end for line in [*comment, *head, *(field + line for line in lines), ""]).encode()
