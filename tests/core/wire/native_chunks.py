"""Build chunks of the native API and read them into events."""

from __future__ import annotations

import json
from typing import Any

from qwenvl_core.catalog.models import describe
from qwenvl_core.request import policy
from qwenvl_core.types.events import Event, Finish
from qwenvl_core.types.media import UrlSource
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire import dashscope as wire
from tests.support.pipeline import read_reply

USER = Message("user", (TextPart("Hi"),))
FOUR = tuple(UrlSource(f"https://e.com/{n}.jpg") for n in range(4))


def event(payload: Any, *, kind: str = "result", status: int = 200, number: int = 1) -> bytes:
    body = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{body}\n\n".encode()


def chunk(message: dict[str, Any], finish: str | None = "null", **extra_fields: Any) -> bytes:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return event({"output": {"choices": [choice]}, "request_id": "r-1", **extra_fields})


def read(
    body: bytes, *, cut: int = 0, stream: bool = True, headers: dict[str, str] | None = None, model: str = "qwen-x"
) -> list[Event]:
    prepared = policy.prepare(
        Request(messages=(USER,), settings=ModelSettings(model=model), stream=stream), describe(model)
    )
    step = cut or len(body)
    blocks = [body[start : start + step] for start in range(0, len(body), step)]
    return read_reply(wire.Decoder(), prepared, blocks, headers or {})


WHOLE = Finish("stop", "qwen-x", "r-1", "r-1")
