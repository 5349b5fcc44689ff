"""The vendor's temporary storage: asking for leave to upload, and the upload itself.

```
GET {base_url}/uploads?action=getPolicy&model=qwen3-vl-plus
{"request_id": "…", "data": {"upload_host": "https://…", "upload_dir": "dashscope-instant/…", "policy": "…",
  "signature": "…", "oss_access_key_id": "…", "x_oss_object_acl": "private", "x_oss_forbid_overwrite": "true", …}}

POST {upload_host}        multipart/form-data: the fields of `Form`, then `file`; no key of the vendor's API goes there
200
```

The medium is then `oss://{upload_dir}/{name}`, for 48 hours, for the same account and model. The vendor means it for
development and tests, and offers it in Beijing and Singapore only.

Sources: the vendor's page "Upload local files to get temporary URLs"; the dashscope SDK (names of the form's fields).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from qwenvl_core.errors import QwenVLAPIError

PATH = "/uploads"

_VENDOR = ".aliyuncs.com"  # where the vendor's storage is, in all regions
_LOOPBACK = ("localhost", "127.0.0.1", "::1")  # one machine, whichever name it goes by


class Form(NamedTuple):
    """An upload: where it goes, the fields in front of the file, and the medium's URL afterwards."""

    host: str
    fields: dict[str, str]
    url: str


def query(model: str) -> dict[str, str]:
    """What asks for leave to upload a medium for `model`."""
    return {"action": "getPolicy", "model": model}


def form(document: Any, *, endpoint: str, name: str, mime: str) -> Form:
    """The upload that a reply to `query` allows.

    Args:
        document: The reply.
        endpoint: The base URL that it came from.
        name: What the file is to be called.
        mime: What it is.

    Raises:
        QwenVLAPIError: The reply has another shape, or names a host that is neither the vendor's nor the endpoint's.
    """
    try:
        leave: Mapping[str, Any] = document["data"]
        key = f"{leave['upload_dir']}/{name}"
        fields = {
            "OSSAccessKeyId": leave["oss_access_key_id"],
            "Signature": leave["signature"],
            "policy": leave["policy"],
            "key": key,
            "x-oss-object-acl": leave["x_oss_object_acl"],
            "x-oss-forbid-overwrite": leave["x_oss_forbid_overwrite"],
            "success_action_status": "200",
            "x-oss-content-type": mime,
        }
        form = Form(leave["upload_host"], fields, f"oss://{key}")
        if not _may_receive(form.host, endpoint):
            raise QwenVLAPIError(
                f"The service names {form.host[:200]} as the place for an upload: it is not the vendor's.",
                status_code=200,
            )
        return form
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise QwenVLAPIError(f"The reply to a request for an upload has an unknown shape ({error!r}).") from error


def _may_receive(host: str, endpoint: str) -> bool:
    """Whether a medium may go to a host: the vendor's or the endpoint's own, and encrypted if requests are."""
    there, here = urlsplit(host), urlsplit(endpoint)
    own = there.hostname == here.hostname or {there.hostname, here.hostname}.issubset(_LOOPBACK)
    known = own or f".{there.hostname}".endswith(_VENDOR)
    return known and there.scheme in ("https", here.scheme)
