"""Clients, requests and replies for the tests of the native API."""

from __future__ import annotations

import asyncio
from typing import Any

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.client.client import Client
from qwenvl_core.transport.connection import Connection
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.reply import Reply, ReplyAccumulator, accumulate
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from tests.support.pipeline import CallMode

KEY = "sk-emulator-0123456789abcdef"
CHAT = "/api/v1/services/aigc/multimodal-generation/generation"
TOOL = {"type": "function", "function": {"name": "crop", "parameters": {"type": "object", "properties": {}}}}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0"


def create_client(url: str, api: Api = "dashscope", **options: Any) -> Client:
    return Client(Connection(api=api, base_url=url, **{"api_key": KEY, **options}))


def make_request(*, stream: bool = True, parts: tuple[Any, ...] = (TextPart("Hi"),), **settings: Any) -> Request:
    settings = {"enable_thinking": False, **settings}
    return Request(messages=(Message("user", parts),), settings=ModelSettings(**settings), stream=stream)


def fetch_reply(client: Client, request: Request, call_mode: CallMode) -> Reply:
    """Return the accumulated reply to a request that is sent in either mode."""
    if call_mode == "sync":
        try:
            return accumulate(client.stream(request))
        finally:
            client.close()

    async def afetch() -> Reply:
        accumulator = ReplyAccumulator()
        async for event in client.astream(request):
            accumulator.add(event)
        return accumulator.build_reply()

    return asyncio.run(afetch())
