"""Emulate temporary storage: the upload policy of the native API, and the OSS host that takes the file."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.emulator.chat_request import RecordedRequest

POLICY_PATH = "/api/v1/uploads"
HOST_PATH = "/oss"
MAX_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """One file that a client has uploaded to temporary storage."""

    url: str
    """The oss:// URL for chat requests."""
    filename: str
    content: bytes
    fields: dict[str, str]


def build_policy(request_id: str, origin: str, number: int) -> dict[str, Any]:
    """Build the upload policy of one directory, with the keys that the vendor's SDK reads."""
    return {
        "request_id": request_id,
        "data": {
            "policy": "ZW11bGF0b3I=",
            "signature": "emulator-signature",
            "upload_dir": f"dashscope-instant/emulator/{number:04d}",
            "upload_host": f"{origin}{HOST_PATH}",
            "expire_in_seconds": 300,
            "max_file_size_mb": MAX_BYTES // (1024 * 1024),
            "capacity_limit_mb": 999_999_999,
            "oss_access_key_id": "emulator-access-key",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        },
    }


def parse_upload(request: RecordedRequest) -> Upload | None:
    """Parse the upload in a multipart form; return None if a field that OSS requires is missing."""
    content_type = request.headers.get("content-type", "")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + request.body)
    fields: dict[str, str] = {}
    filename, content = "", None
    for part in form.iter_parts() if form.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return None
        if name == "file":
            filename, content = part.get_filename() or "", payload
        elif isinstance(name, str):
            fields[name] = payload.decode()
    required = {"key", "policy", "Signature", "OSSAccessKeyId"}
    if content is None or not required <= set(fields):
        return None
    return Upload(f"oss://{fields['key']}", filename, content, fields)
