"""Turn chat requests into the lines of batch files.

A line has the body that the chat would send, less what only streams have; the same code builds both. Its media are
inline or the caller's URLs: an upload would need a header, which a line does not have.

Source: the vendor's page "OpenAI compatible - Batch".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from qwenvl_core.catalog.models import CATALOGUE
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import MODEL_STUDIO
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.connection import Connection, HttpRequest
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire import batches
from qwenvl_core.wire.json_body import Body, SyncBody, encode_body

_CONNECTION_SETTINGS = ("extra_headers", "extra_query")


def adapt_request(request: Request, connection: Connection) -> Request:
    """Return a chat request with the settings that it has in a batch file.

    Raises:
        QwenVLInputError: The connection or the model has no batch files, or a setting is not possible in them.
    """
    settings = request.settings
    if connection.api != "openai":
        raise QwenVLInputError(f'Batch files are not possible with api="{connection.api}". Use api="openai".')
    if settings.provider != MODEL_STUDIO.name:
        raise QwenVLInputError(
            f"Batch files are not possible at provider={settings.provider!r}: they are a service of Model Studio. "
            "Send the requests one by one."
        )
    _check_model(settings)
    for name in _CONNECTION_SETTINGS:
        if getattr(settings, name):
            raise QwenVLInputError(
                f"{name}= is not possible in a batch file, whose lines have bodies only. Leave it out."
            )
    return replace(request, settings=replace(settings, service_tier="batch", upload="never"), stream=False)


def build_body(http_request: HttpRequest) -> dict[str, Any]:
    """Return the body of a chat request as a line of a batch file has it.

    Raises:
        QwenVLInputError: It needs a header.
    """
    if http_request.headers:
        raise QwenVLInputError(
            "oss:// URLs are not possible in a batch file: the service reads them with a header, which a line does not "
            "have. Pass a public URL, or the local file itself."
        )
    return batches.drop_stream_fields(http_request.body)


def encode_line(custom_id: str, body: dict[str, Any]) -> Body | bytes:
    """Encode a line of a batch file, without its line end.

    Raises:
        QwenVLInputError: The body holds what JSON can't represent.
    """
    return encode_body(batches.wrap_body(custom_id, body), SyncBody)


def is_too_long(line: Body | bytes) -> bool:
    """Return whether the service refuses a line for its length."""
    return len(line) > batches.MAX_LINE_BYTES


def get_excess(line: Body | bytes) -> int:
    """Return by how many bytes a line is too long."""
    return len(line) - batches.MAX_LINE_BYTES


def check_length(line: Body | bytes) -> None:
    """Check the length of a line.

    Raises:
        QwenVLInputError: It is too long.
    """
    if is_too_long(line):
        raise QwenVLInputError(
            f"The line of a batch file would have {len(line):,} bytes; at most {batches.MAX_LINE_BYTES:,} are allowed. "
            "Pass media as public URLs, shrink them, or send this request alone."
        )


@dataclass(slots=True)
class BatchFileWriter:
    """Write lines to as many files as their number and size demand.

    Attributes:
        folder: Where the files are created.
        paths: The files.
        counts: The number of lines of each file.
    """

    folder: Path
    paths: list[Path] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    _size: int = 0
    _file: BinaryIO | None = None

    def write(self, line: Body | bytes) -> int:
        """Write a line; return the index of its file."""
        size = len(line) + 1
        is_full = bool(self.counts) and (
            self.counts[-1] >= batches.MAX_FILE_LINES or self._size + size > batches.MAX_FILE_BYTES
        )
        if self._file is None or is_full:
            self._begin_file()
        assert self._file is not None
        blocks: Iterable[bytes] = (line,) if isinstance(line, bytes) else line.blocks()
        self._file.writelines((*blocks, b"\n"))
        self._size += size
        self.counts[-1] += 1
        return len(self.paths) - 1

    def close(self) -> None:
        """Close the last file."""
        if self._file is not None:
            self._file.close()

    def _begin_file(self) -> None:
        self.close()
        path = self.folder / f"batch-{len(self.paths)}.jsonl"
        self._file = path.open("wb")
        self.paths.append(path)
        self.counts.append(0)
        self._size = 0


def _check_model(settings: ModelSettings) -> None:
    facts = describe_at(settings.model, settings.provider)
    if facts.stream_only or not (facts.batch_files or facts.assumed):
        models = ", ".join(row.name for row in CATALOGUE if row.batch_files)
        raise QwenVLInputError(
            f"Batch files are not possible with model {settings.model!r}. Models of batch files: {models}. Use one of "
            "them, or send the requests one by one."
        )
