"""Keep on disk what is known of the batches of pages, so that a crash at any point pays for nothing twice.

```
cache_dir/batches/<name>.json     one batch: its pages by cache key, its ids, and what became of pages without an answer
cache_dir/batches/<name>.jsonl    its input file, until the batch is created
```
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.errors import ErrorPayload, QwenVLError, QwenVLInputError, error_from_payload
from qwenvl_core.types.batch import BatchStatus, merge_statuses

try:
    import fcntl
except ImportError:  # Windows: processes must not share a folder at the same time there
    fcntl = None  # type: ignore[assignment]


class PendingPageError(QwenVLError):
    """A page waits in a batch, so it is not requested again."""

    hint = "Call collect_batch(wait=True), then load again."


@dataclass(slots=True)
class BatchRecord:
    """What is known of one batch.

    Attributes:
        name: The name of its files.
        group: The submission that it is a part of.
        created: When it was written, in seconds since 1970.
        model: The model.
        window: The time within which it is answered.
        pages: The numbers of its pages, by cache key.
        reduced: Cache keys of the pages whose images were reduced.
        file_id: The vendor's id of the input file; empty until it is uploaded.
        batch_id: The vendor's id; empty until the batch is created.
        status: The last status.
        is_collected: Whether its results are fetched.
        outcomes: The transcription of a page that was cut off, or the error of one that failed, by cache key.
    """

    name: str
    group: str
    created: float
    model: str
    window: str
    pages: dict[str, int]
    reduced: list[str] = field(default_factory=list)
    file_id: str = ""
    batch_id: str = ""
    status: dict[str, Any] = field(default_factory=lambda: asdict(BatchStatus("validating")))
    is_collected: bool = False
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)


class BatchState:
    """The batches whose pages belong to a cache folder."""

    def __init__(self, cache_dir: str | Path) -> None:
        self.folder = Path(cache_dir).expanduser() / "batches"
        self._records: list[BatchRecord] | None = None

    @contextmanager
    def lock(self) -> Generator[None]:
        """Keep other threads and processes from submitting and collecting; a crash releases the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            self._records = None
            yield

    def read_records(self) -> list[BatchRecord]:
        """Read all records, the oldest first.

        Raises:
            QwenVLInputError: A file is damaged.
        """
        if self._records is None:
            self._records = sorted(map(_read_record, self.folder.glob("*.json")), key=lambda record: record.created)
        return self._records

    def add_record(self, path: Path, record: BatchRecord) -> None:
        """Add a batch whose input file is at `path`; the file becomes part of the state."""
        path.replace(self.get_input_path(record))
        self.save(record)
        self.read_records().append(record)

    def save(self, record: BatchRecord) -> None:
        """Write a record, so that it is whole on disk whatever happens."""
        temporary = self.folder / f".{record.name}.{uuid.uuid4().hex}"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / f"{record.name}.json")
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, record: BatchRecord) -> None:
        """Remove a record whose input file was never uploaded and is gone."""
        (self.folder / f"{record.name}.json").unlink(missing_ok=True)
        self.read_records().remove(record)

    def get_input_path(self, record: BatchRecord) -> Path:
        """Return the path of a batch's input file."""
        return self.folder / f"{record.name}.jsonl"

    def create_folder(self) -> Path:
        """Create a folder for input files that are being written; what a crash left of such files is removed."""
        known = {record.name for record in self.read_records() if not record.batch_id}
        for path in self.folder.iterdir():
            if path.name.startswith(".") and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(".") or (path.suffix == ".jsonl" and path.stem not in known):
                path.unlink(missing_ok=True)
        folder = self.folder / f".{uuid.uuid4().hex}"
        folder.mkdir()
        return folder

    def list_pending(self) -> list[BatchRecord]:
        """Return the records whose results are not fetched."""
        return [record for record in self.read_records() if not record.is_collected]

    def get_last_status(self) -> BatchStatus:
        """Return the status of the last submission."""
        records = self.read_records()
        last = [record for record in records if record.group == records[-1].group]
        return merge_statuses(BatchStatus(**record.status) for record in last)

    def find_pending(self, key: str) -> BatchRecord | None:
        """Return the batch in which a page waits."""
        return next((record for record in self.list_pending() if key in record.pages), None)

    def find_outcome(self, key: str, cached: PageTranscription | None = None) -> PageTranscription | None:
        """Return the transcription of a page that a batch cut off; `None` for a page that is not known.

        Args:
            key: The page's cache key.
            cached: Its transcription in the cache, returned if a batch gave it.

        Raises:
            PendingPageError: The page waits in a batch.
            QwenVLError: The page failed in a batch.
        """
        record = self.find_pending(key)
        if record is not None:
            raise PendingPageError(f"The page waits in batch {record.batch_id or record.name}.")
        for record in reversed(self.read_records()):
            if key in record.pages:
                return _read_outcome(record.outcomes[key]) if key in record.outcomes else cached
        return None


def describe_error(error: QwenVLError) -> dict[str, Any]:
    """Return an error as JSON, for `BatchRecord.outcomes`."""
    return {
        "error": {
            "message": error.message,
            "code": error.code,
            "status_code": error.status_code,
            "request_id": error.request_id,
        }
    }


def describe_transcription(transcription: PageTranscription) -> dict[str, Any]:
    """Return a transcription as JSON, for `BatchRecord.outcomes`."""
    return {"transcription": asdict(transcription)}


def _read_outcome(outcome: Mapping[str, Any]) -> PageTranscription:
    if "error" in outcome:
        raise error_from_payload(ErrorPayload(**outcome["error"]))
    return PageTranscription(**outcome["transcription"])


def _read_record(path: Path) -> BatchRecord:
    try:
        return BatchRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise QwenVLInputError(
            f"Damaged state file of a batch: {path} ({error}). Its pages may be paid for: nothing is submitted. "
            "Restore the file, or delete it to submit its pages again."
        ) from error


def build_record(group: str, index: int, model: str, window: str) -> BatchRecord:
    """Build the record of the next file of a submission."""
    return BatchRecord(f"{group}-{index}", group, time.time(), model, window, {})
