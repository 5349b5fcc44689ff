"""Emulate temporary storage: the upload policies of the native API, and the OSS host that receives the files.

Source: the vendor's page "Upload local files to get temporary URLs": a policy is valid for 300 seconds, a file for 48
hours, for the account and the model of its policy. The errors of the host are OSS's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.emulator.chat_request import RecordedRequest

POLICY_PATH = "/api/v1/uploads"
HOST_PATH = "/oss"
MAX_BYTES = 1024 * 1024 * 1024
POLICY_SECONDS = 300
FILE_SECONDS = 48 * 3600
_REQUIRED = {"key", "policy", "Signature", "OSSAccessKeyId"}


@dataclass(frozen=True)
class Upload:
    """One file that a client has uploaded to temporary storage."""

    url: str
    """The oss:// URL for chat requests."""
    filename: str
    content: bytes
    fields: dict[str, str]
    model: str
    """The model that the policy was issued for."""
    authorization: str
    """The header with the key that the policy was issued for."""
    time: float
    """The storage's time of the upload."""


@dataclass(frozen=True)
class _Policy:
    directory: str
    model: str
    authorization: str
    time: float


class Storage:
    """The policies and the files of one emulator."""

    def __init__(self) -> None:
        self.files: list[Upload] = []
        self.stale_policies = 0
        """How many of the next uploads are refused as if their policies had expired."""
        self._policies: dict[str, _Policy] = {}
        self._skipped_seconds = 0.0

    @property
    def now(self) -> float:
        """The storage's clock, in seconds."""
        return time.time() + self._skipped_seconds

    def skip(self, seconds: float) -> None:
        """Let time pass, for policies and files."""
        self._skipped_seconds += seconds

    def reset(self) -> None:
        """Forget all policies and files."""
        self.files.clear()
        self._policies.clear()
        self.stale_policies, self._skipped_seconds = 0, 0.0

    def issue_policy(self, request: RecordedRequest, request_id: str, origin: str, number: int) -> dict[str, Any]:
        """Issue the policy of one directory, with the keys that the vendor's SDK reads."""
        model = parse_qs(urlsplit(request.path).query).get("model", [""])[0]
        policy = f"ZW11bGF0b3I{number:04d}"
        directory = f"dashscope-instant/emulator/{number:04d}"
        self._policies[policy] = _Policy(directory, model, request.headers.get("authorization", ""), self.now)
        return build_policy(request_id, origin, policy, directory)

    def receive(self, request: RecordedRequest) -> tuple[int, bytes]:
        """Keep the file of a form; return the status and the body of the response."""
        form = list(_parse_form(request))
        fields = {name: value.decode() for name, _, value in form if name != "file"}
        if not form or form[-1][0] != "file" or not set(fields) >= _REQUIRED:
            return _render_error(403, "AccessDenied", "The form has no file, or lacks a field in front of it.")
        policy = self._policies.get(fields["policy"])
        if policy is None or fields["Signature"] != _sign(fields["policy"]):
            return _render_error(403, "SignatureDoesNotMatch", "The signature does not match that of the policy.")
        if self.stale_policies or self.now - policy.time > POLICY_SECONDS:
            self.stale_policies = max(self.stale_policies - 1, 0)
            return _render_error(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
        if not fields["key"].startswith(f"{policy.directory}/"):
            return _render_error(403, "AccessDenied", "Invalid according to Policy: Policy Condition failed: key.")
        _, filename, content = form[-1]
        if len(content) > MAX_BYTES:
            return _render_error(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        url = f"oss://{fields['key']}"
        if any(upload.url == url for upload in self.files):
            return _render_error(409, "FileAlreadyExists", "The object you specified already exists.")
        self.files.append(Upload(url, filename, content, fields, policy.model, policy.authorization, self.now))
        return 200, b""

    def find_readable(self, authorization: str) -> dict[str, Upload]:
        """Return the files that an account can read now, by their URLs."""
        return {
            upload.url: upload
            for upload in self.files
            if upload.authorization == authorization and self.now - upload.time < FILE_SECONDS
        }


def build_policy(request_id: str, origin: str, policy: str, directory: str) -> dict[str, Any]:
    """Build the reply to a request for a policy."""
    return {
        "request_id": request_id,
        "data": {
            "policy": policy,
            "signature": _sign(policy),
            "upload_dir": directory,
            "upload_host": f"{origin}{HOST_PATH}",
            "expire_in_seconds": POLICY_SECONDS,
            "max_file_size_mb": MAX_BYTES // (1024 * 1024),
            "capacity_limit_mb": 999_999_999,
            "oss_access_key_id": "emulator-access-key",
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        },
    }


def _sign(policy: str) -> str:
    return f"signature-of-{policy}"


def _render_error(status: int, code: str, message: str) -> tuple[int, bytes]:
    text = f"<Error>\n  <Code>{code}</Code>\n  <Message>{message}</Message>\n  <RequestId>0A1B2C</RequestId>\n</Error>"
    return status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _parse_form(request: RecordedRequest) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, file name and content of each part of a multipart form."""
    content_type = request.headers.get("content-type", "")
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + request.body)
    for part in form.iter_parts() if form.is_multipart() else ():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield str(part.get_param("name", header="content-disposition")), part.get_filename() or "", payload
