"""Encode an upload to the vendor's temporary storage: a request for its policy, then one with the file.

```
GET {base_url}/uploads?action=getPolicy&model=qwen3-vl-plus
{"request_id": "…", "data": {"upload_host": "https://…", "upload_dir": "dashscope-instant/…", "policy": "…",
  "signature": "…", "oss_access_key_id": "…", "x_oss_object_acl": "private", "x_oss_forbid_overwrite": "true", …}}

POST {upload_host}        multipart/form-data: the fields of `Form`, then `file`; without the API key
200
403  <Error><Code>AccessDenied</Code><Message>Invalid according to Policy: Policy expired.</Message>…</Error>
```

The file is then available as `oss://{upload_dir}/{name}`, for 48 hours, to the same account and model. The vendor
intends it for development and tests, and offers it in Beijing and Singapore only.

Sources: the vendor's page "Upload local files to get temporary URLs"; the dashscope SDK (names of the form's fields).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from qwenvl_core.errors import QwenVLAPIError, QwenVLError

PATH = "/uploads"

_VENDOR_DOMAIN = ".aliyuncs.com"  # of the vendor's storage in all regions
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")  # names of the same machine


class Form(NamedTuple):
    """The form of an upload: its target URL, the fields before the file, and the URL of the uploaded file."""

    host: str
    fields: dict[str, str]
    url: str


def build_query(model: str) -> dict[str, str]:
    """Build the query of a policy request, for files that are sent to `model`."""
    return {"action": "getPolicy", "model": model}


def build_form(payload: Any, *, endpoint: str, name: str, mime: str) -> Form:
    """Build the upload form from the reply to a policy request.

    Args:
        payload: The parsed reply.
        endpoint: The base URL that the reply came from.
        name: The file's name in the storage.
        mime: The file's MIME type.

    Raises:
        QwenVLAPIError: The reply has an unknown shape, or the upload host is neither the vendor's nor the endpoint's.
    """
    try:
        policy: Mapping[str, Any] = payload["data"]
        key = f"{policy['upload_dir']}/{name}"
        fields = {
            "OSSAccessKeyId": policy["oss_access_key_id"],
            "Signature": policy["signature"],
            "policy": policy["policy"],
            "key": key,
            "x-oss-object-acl": policy["x_oss_object_acl"],
            "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
            "success_action_status": "200",
            "x-oss-content-type": mime,
        }
        form = Form(policy["upload_host"], fields, f"oss://{key}")
        is_trusted = _is_trusted_host(form.host, endpoint)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise QwenVLAPIError(f"The reply to an upload request has an unknown shape ({error!r}).") from error
    if not is_trusted:
        raise QwenVLAPIError(
            f"The upload host in the reply is not the vendor's: {form.host[:200]}. Nothing was uploaded.",
            status_code=200,
        )
    return form


def is_expired(error: QwenVLError) -> bool:
    """Return whether the storage rejected a policy because it is too old."""
    return error.status_code == 403 and "policy expired" in error.message.lower()


_UNREADABLE_URL = (
    "unable to download the media resource",
    "failed to download multimodal content",
    "the provided url does not appear to be valid",
)
"""Messages of the service about a URL that it can't read, as that of an upload that it does not have any more."""


def is_url_rejected(error: QwenVLError) -> bool:
    """Return whether the service could not read a URL of a chat request."""
    message = error.message.lower()
    return error.status_code in (None, 200, 400) and any(text in message for text in _UNREADABLE_URL)


def _is_trusted_host(host: str, endpoint: str) -> bool:
    """Return whether media may be sent to a host: the vendor's or the endpoint's own, and over TLS if requests are."""
    target, origin = urlsplit(host), urlsplit(endpoint)
    is_same_host = target.hostname == origin.hostname or {target.hostname, origin.hostname}.issubset(_LOOPBACK_HOSTS)
    is_known = is_same_host or f".{target.hostname}".endswith(_VENDOR_DOMAIN)
    return is_known and target.scheme in ("https", origin.scheme)
