"""Keep the page to the browser of this machine."""

import re
from pathlib import Path

import gradio as gr
from gradio import processing_utils, utils
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from qwenvl_core.errors import QwenVLInputError

HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
FETCH = re.compile(r"/file[=/]+https?:", re.IGNORECASE)
"""Gradio's route that fetches the URL in its path, which any web page could request as a picture."""


class Guard:
    """Refuse requests that come from another web page or under another host name.

    Any page in the browser can send requests to the loopback, and so have the key of the environment sent to a base URL
    of its choice; one under a name of its own that resolves to 127.0.0.1 could also read the replies.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 403."""
        app = self._app
        if scope["type"] != "lifespan":
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            own = f"http://{host}"
            if not HOST.fullmatch(host) or headers.get("origin", own) != own or FETCH.search(scope["path"]):
                app = PlainTextResponse("Refused: open the page at its own address.", 403)
        await app(scope, receive, send)


async def refuse_download(url: str, cache_dir: str) -> str:
    """Refuse a URL in place of a file: Gradio would fetch what a crafted request names, without a limit."""
    raise gr.Error("Unsupported upload: a URL. Upload the file itself.")


processing_utils.async_ssrf_protected_download = refuse_download


def check_upload(path: str) -> Path:
    """Return the path of a file that Gradio itself stored; no other path that a client sends is read.

    Raises:
        QwenVLInputError: The path is not that of an upload.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(Path(utils.get_upload_folder()).resolve()) or not file.is_file():
        raise QwenVLInputError("Unsupported path: it is not that of an upload. Upload the file itself.")
    return file
