"""Parts of a message as they are sent on the wire."""

from __future__ import annotations

from typing import Any


def image_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **hints}


def video_part(url: str, **hints: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}, **hints}


def text_part(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}
