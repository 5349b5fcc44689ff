r"""Encode requests to the files of the OpenAI-compatible API, and decode the replies.

```
POST {base_url}/files                      multipart/form-data: purpose=batch, then `file`
{"id": "file-batch-…", "bytes": 437, "created_at": 1776423919, "filename": "….jsonl", "object": "file",
 "purpose": "batch", "status": "processed", "status_details": null}

GET {base_url}/files/{id}/content          the bytes of the file
```

Sources: the vendor's page "OpenAI compatible - Batch"; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from qwenvl_core.errors import QwenVLAPIError

PATH = "/files"
FIELDS = {"purpose": "batch"}
"""The fields of the upload's form, before the file."""
NAME = "batch.jsonl"
"""The name of every file: what a file of the caller is called is not sent."""
MIME = "application/jsonl"


def build_content_path(file_id: str) -> str:
    """Build the path of a file's bytes."""
    return f"{PATH}/{quote(file_id, safe='')}/content"


def read_file_id(payload: Any) -> str:
    """Read the id of an uploaded file.

    Raises:
        QwenVLAPIError: The reply has none.
    """
    file_id = payload.get("id") if isinstance(payload, dict) else None
    if not isinstance(file_id, str) or not file_id:
        raise QwenVLAPIError("The reply to the upload of a batch file has no id.", status_code=200)
    return file_id


class LineDecoder:
    """Split the bytes of a JSONL file into lines while they arrive. Lines end at LF only."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete with `data`, without those of white space."""
        first, *others = data.split(b"\n")
        self._rest.append(first)
        for part in others:
            yield from self.flush()
            self._rest = [part]

    def flush(self) -> Iterator[bytes]:
        """Yield what follows the last line end, if it is not white space."""
        line, self._rest = b"".join(self._rest), []
        if line.strip():
            yield line
