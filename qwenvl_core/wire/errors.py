r"""A server's failure, read from any of its carriers.

```
HTTP 401  {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}, "request_id": "…"}
HTTP 401  {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "…"}
HTTP 400  data: {"error": {"code": "data_inspection_failed", …}}        (a body that is one event)
HTTP 200  event:error\n:HTTP_STATUS/400\ndata:{"code": "InvalidParameter", …}   (inside a stream)
HTTP 4xx  {"error": "text"}, {"detail": …}, {"object": "error", "message": …, "code": 400}   (vLLM, transformers)
```

Source: the vendor's page "Error codes"; recorded replies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from qwenvl_core.errors import ErrorPayload
from qwenvl_core.wire.sse import DONE, SSEDecoder

_LONGEST_QUOTE = 500
_LONGEST_READ = 100_000  # characters of what is quoted from; a page may be of any length
_STATUS = re.compile(r"[45]\d\d")
_MARKED = re.compile(r"<([45]\d\d)> ")  # "<400> InternalError.Algo.InvalidParameter: …"
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{100,}={0,2}")  # base64: some servers echo the request


def is_failure(payload: Mapping[str, Any]) -> bool:
    """Whether a JSON payload inside a 200 reply says that the request failed."""
    if payload.get("choices"):
        return bool(payload.get("error"))
    return bool(
        payload.get("error") or payload.get("code") or payload.get("detail") or payload.get("object") == "error"
    )


def from_payload(payload: Any, *, status_code: int | None = None, request_id: str | None = None) -> ErrorPayload:
    """The failure that a JSON payload tells of, whichever of the known shapes it has."""
    outer = payload if isinstance(payload, Mapping) else {}
    inner = outer.get("error", outer.get("detail", outer if outer else payload))
    told = inner if isinstance(inner, Mapping) else {}
    code = told.get("code", outer.get("code")) or told.get("type") or outer.get("type")
    message = told.get("message", outer.get("message"))
    if not isinstance(message, str):
        message = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, default=str)
    marked = _MARKED.match(message)
    named = int(marked[1]) if marked else None
    if _STATUS.fullmatch(str(code)):  # vLLM repeats the HTTP status as the code
        named, code = int(str(code)), told.get("type") or code
    return ErrorPayload(
        message=_quote(message),
        code=None if code is None else _quote(str(code)),
        status_code=status_code if status_code and status_code >= 400 else named or status_code,
        request_id=_text(outer.get("request_id")) or _text(told.get("request_id")) or request_id,
    )


def from_body(body: str, *, status_code: int, request_id: str | None = None) -> ErrorPayload:
    """The failure that an HTTP error's body tells of: JSON, one `data:` event, HTML, text or nothing."""
    text = body.removeprefix("\ufeff").strip()
    try:
        payload = _first_event(text) if text.startswith(("data:", "id:", "event:", ":")) else json.loads(text)
    except (ValueError, RecursionError):
        quote = "an HTML page" if text[:15].lower().startswith(("<!doctype", "<html")) else _quote(text)
        message = f"HTTP {status_code}" + (f": {quote}" if quote else " with an empty body")
        return ErrorPayload(message=message, status_code=status_code, request_id=request_id)
    return from_payload(payload, status_code=status_code, request_id=request_id)


def _first_event(text: str) -> Any:
    stream = SSEDecoder()
    for _, payload in chain(stream.decode(text.encode(errors="replace")), stream.flush()):
        if payload is not DONE:
            return payload
    raise ValueError("no event")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _quote(text: str) -> str:
    return _ENCODED.sub("…", text[:_LONGEST_READ])[:_LONGEST_QUOTE]
