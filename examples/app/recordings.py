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
NO_RECORDING = (
    "There is no recording of this. Without a key, the page knows the two bundled scans, the questions below the box "
    "and one model. For anything else, type a key under “Model and provider”, or start the page with "
    "DASHSCOPE_API_KEY set or with PROVIDER=llama.cpp."
)
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
                reply = recording["response"]
                content = reply["body"] if isinstance(reply["body"], str) else json.dumps(reply["body"])
                headers = [(name, value) for name, values in reply["headers"].items() for value in values]
                return httpx2.Response(reply["status"]["code"], headers=headers, content=_pace_lines(content))
        return httpx2.Response(400, json={"error": {"message": NO_RECORDING}})


@cache
def load_recordings() -> Any:
    """Return the cassette: where it was recorded (`provenance`), and its requests and responses (`interactions`)."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def _pace_lines(text: str) -> Iterator[bytes]:
    time.sleep(SECONDS_PER_REPLY)
    for line in text.splitlines(keepends=True):
        if line.strip():
            time.sleep(SECONDS_PER_EVENT)
        yield line.encode()


def _describe_image(uri: re.Match[str]) -> str:
    """Describe an image as recordings do, by its type and size."""
    info = sniff(base64.b64decode(uri[2]))
    return f"data:{uri[1]};{info.width}x{info.height}"
