"""Clients of both APIs of the emulator, for the tests of uploads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qwenvl_core.catalog.endpoints import Api
from qwenvl_core.client.client import Client
from tests.core.transport.native import create_client
from tests.emulator import Emulator, RecordedRequest

_CHATS = {
    "openai": "/compatible-mode/v1/chat/completions",
    "dashscope": "/api/v1/services/aigc/multimodal-generation/generation",
}


@dataclass(frozen=True)
class ServiceApi:
    """One API of an emulator."""

    emulator: Emulator
    api: Api

    @property
    def url(self) -> str:
        return self.emulator.compat_url if self.api == "openai" else self.emulator.native_url

    @property
    def chat(self) -> str:
        """Path of chat requests."""
        return _CHATS[self.api]

    @property
    def chats(self) -> list[RecordedRequest]:
        """The chat requests so far."""
        return [request for request in self.emulator.requests if request.path == self.chat]

    @property
    def sent_parts(self) -> list[dict[str, Any]]:
        """The parts of the first message of the last request, in the form of the native API."""
        body = self.chats[-1].json
        parts = (body["input"] if self.api == "dashscope" else body)["messages"][0]["content"]
        return [{"text": parts}] if isinstance(parts, str) else [_to_native(part) for part in parts]

    def create_client(self, **options: Any) -> Client:
        return create_client(self.url, self.api, **options)


def make_service(emulator: Emulator, api: Api) -> ServiceApi:
    return ServiceApi(emulator, api)


def _to_native(part: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind is None:
        return part
    names = {"image_url": "image", "video_url": "video"}
    value = part[kind]["url"] if kind in names else part[kind]
    return {names.get(kind, kind): value, **{name: item for name, item in part.items() if name not in ("type", kind)}}
