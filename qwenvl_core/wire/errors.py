r"""Parse the errors of servers, in all shapes in which they are sent.

```
HTTP 401  {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}, "request_id": "…"}
HTTP 401  {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": "…"}
HTTP 400  data: {"error": {"code": "data_inspection_failed", …}}        (a body with one event)
HTTP 200  event:error\n:HTTP_STATUS/400\ndata:{"code": "InvalidParameter", …}   (inside a stream)
HTTP 403  <Error><Code>AccessDenied</Code><Message>…</Message><RequestId>…</RequestId></Error>   (the storage)
HTTP 4xx  {"error": "text"}, {"detail": …}, {"object": "error", "message": …, "code": 400}   (vLLM, transformers)
```

Sources: the vendor's page "Error codes"; recorded replies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from qwenvl_core.wire.error_classes import ErrorPayload
from qwenvl_core.wire.sse import DONE, SSEDecoder

_MAX_QUOTE = 500
_MAX_SEARCHED = 100_000  # characters that are searched for base64; an error page may have any length
_STATUS = re.compile(r"[45]\d\d")
_STATUS_PREFIX = re.compile(r"<([45]\d\d)> ")  # "<400> InternalError.Algo.InvalidParameter: …"
_XML_FIELD = re.compile(r"<(Code|Message|RequestId)>([^<]{1,500})</\1>")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{100,}={0,2}")  # some servers echo the media of the request


def is_error_payload(payload: Mapping[str, Any]) -> bool:
    """Return whether a JSON payload inside a 200 reply reports an error."""
    if payload.get("choices"):
        return bool(payload.get("error"))
    return bool(
        payload.get("error") or payload.get("code") or payload.get("detail") or payload.get("object") == "error"
    )


def parse_error_payload(payload: Any, *, status_code: int | None = None, request_id: str | None = None) -> ErrorPayload:
    """Parse the error in a JSON payload of any of the known shapes.

    Args:
        payload: The JSON value.
        status_code: The HTTP status. Below 400 or `None`, the status stated in the payload takes precedence.
        request_id: The request id of the response's headers, used if the payload has none.
    """
    outer = payload if isinstance(payload, Mapping) else {}
    error = outer.get("error", outer.get("detail", outer if outer else payload))
    fields = error if isinstance(error, Mapping) else {}
    code = fields.get("code", outer.get("code")) or fields.get("type") or outer.get("type")
    message = fields.get("message", outer.get("message"))
    if not isinstance(message, str):
        message = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, default=str)
    prefix = _STATUS_PREFIX.match(message)
    stated_status = int(prefix[1]) if prefix else None
    if _STATUS.fullmatch(str(code)):  # vLLM repeats the HTTP status as the code
        stated_status, code = int(str(code)), fields.get("type") or code
    return ErrorPayload(
        message=_quote(message),
        code=None if code is None else _quote(str(code)),
        status_code=status_code if status_code and status_code >= 400 else stated_status or status_code,
        request_id=_get_string(outer.get("request_id")) or _get_string(fields.get("request_id")) or request_id,
    )


def parse_error_body(body: str, *, status_code: int, request_id: str | None = None) -> ErrorPayload:
    """Parse the error in the body of an HTTP error: JSON, one `data:` event, HTML, text or nothing."""
    text = body.removeprefix("\ufeff").strip()
    try:
        payload = _parse_first_event(text) if text.startswith(("data:", "id:", "event:", ":")) else json.loads(text)
    except (ValueError, RecursionError):
        fields = dict(_XML_FIELD.findall(text[:_MAX_SEARCHED]))
        if "Code" in fields and "Message" in fields:
            code, message = _quote(fields["Code"]), _quote(fields["Message"])
            return ErrorPayload(message, code, status_code, fields.get("RequestId", request_id))
        quote = "an HTML page" if text[:15].lower().startswith(("<!doctype", "<html")) else _quote(text)
        message = f"HTTP {status_code}" + (f": {quote}" if quote else " with an empty body")
        return ErrorPayload(message=message, status_code=status_code, request_id=request_id)
    return parse_error_payload(payload, status_code=status_code, request_id=request_id)


def _parse_first_event(text: str) -> Any:
    decoder = SSEDecoder()
    for _, payload in chain(decoder.decode(text.encode(errors="replace")), decoder.flush()):
        if payload is not DONE:
            return payload
    raise ValueError("no event")


def _get_string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _quote(text: str) -> str:
    """Shorten a text for an error message, with base64 replaced by an ellipsis."""
    return _BASE64.sub("…", text[:_MAX_SEARCHED])[:_MAX_QUOTE]
