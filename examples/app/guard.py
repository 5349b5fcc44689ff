"""Keep the page to the browser of this machine."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Lets the browser load from this server only. Gradio's own scripts need both exceptions."""


FETCHES = re.compile(r"/proxy=|/file[=/]+https?:", re.IGNORECASE)
"""Gradio's routes that look up or fetch the URL in their path."""


class Guard:
    """Refuse requests that come from another web page or under another host name, and forbid foreign resources.

    Any page in the browser can send requests to the loopback; one under a name of its own that resolves to 127.0.0.1
    could also read the replies.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 403."""
        headers = Headers(scope=scope) if scope["type"] in ("http", "websocket") else Headers()
        host = headers.get("host", HOSTS[0])
        is_foreign = host.rpartition(":")[0] not in HOSTS and host not in HOSTS
        is_fetch = FETCHES.search(scope.get("path", ""))
        if is_foreign or is_fetch or headers.get("origin", f"http://{host}") != f"http://{host}":
            await PlainTextResponse("Refused: open the page at its own address.", 403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self._app(scope, receive, send_with_policy)
