"""Answer requests from `cassettes/app.yaml` instead of a model, at a pace at which one can watch."""

import base64
import json
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import yaml

from qwenvl_core.media.sniffing import sniff

FILE = Path(__file__).parents[2] / "cassettes" / "app.yaml"
NO_RECORDING = "no_recording"
"""Code of the error that a request without a recording gets."""
SECONDS_PER_REPLY, SECONDS_PER_EVENT = 0.4, 0.02
_DATA_URI = re.compile(r"data:([\w/.+-]+);base64,([A-Za-z0-9+/=]+)")


class RecordedReplies(httpx2.BaseTransport):
    """A transport that gives the recorded reply to each recorded request, each once and in their order."""

    def __init__(self) -> None:
        self._unused = list(load_recordings()["interactions"])

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the first reply to a request of the same body that is not used yet."""
        body = json.loads(_DATA_URI.sub(_describe_image, request.read().decode()))
        for index, recording in enumerate(self._unused):
            if recording["request"]["body"] == body:
                del self._unused[index]
                return _build_response(recording["response"])
        return httpx2.Response(400, json={"error": {"code": NO_RECORDING, "message": "There is no recording of it."}})


class _PacedStream(httpx2.SyncByteStream):
    """The body of a streamed reply, event by event."""

    def __init__(self, body: str) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        for line in self._body.splitlines(keepends=True):
            if line.strip():
                time.sleep(SECONDS_PER_EVENT)
            yield line.encode()


@cache
def load_recordings() -> Any:
    """Return the cassette: where it was recorded (`provenance`), and its requests and responses (`interactions`)."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def _build_response(response: Any) -> httpx2.Response:
    headers = [(name, value) for name, values in response["headers"].items() for value in values]
    body = response["body"]
    time.sleep(SECONDS_PER_REPLY)
    stream = _PacedStream(body if isinstance(body, str) else json.dumps(body))
    return httpx2.Response(response["status"]["code"], headers=headers, stream=stream)


def _describe_image(uri: re.Match[str]) -> str:
    """Describe an image as recordings do, by its type and size."""
    info = sniff(base64.b64decode(uri[2]))
    return f"data:{uri[1]};{info.width}x{info.height}"
