"""Keep on disk what is known of the batches of pages, so that a crash at any point pays for nothing twice.

```
cache_dir/batches/<name>.json     one batch: its pages by cache key, its ids, and what became of pages without an answer
cache_dir/batches/<name>.jsonl    its input file, until the batch is created
```
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from qwenvl_core import errors
from qwenvl_core.documents.page_cache import PageTranscription
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.transport.batch_steps import Flow, Pause, Work
from qwenvl_core.types.batch import BatchStatus, merge_statuses

try:
    import fcntl
except ImportError:  # Windows: processes must not share a folder at the same time there
    fcntl = None  # type: ignore[assignment]


_FIRST_LOCK_PAUSE = 0.01  # seconds
_MAX_LOCK_PAUSE = 0.5  # seconds
_held_by: dict[Path, object] = {}  # the event loops, if any, of the flows of this process that hold locks


class PendingPageError(QwenVLError):
    """A page waits in a batch, so it is not requested again."""

    hint = "Call collect_batch(wait=True), then load again."


class DamagedStateError(QwenVLInputError):
    """A state file can't be read, so it is not known which pages are paid for."""


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
        requested: When its creation was requested, in seconds since 1970; 0 if it was not, or was refused.
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
    requested: float = 0
    status: dict[str, Any] = field(default_factory=lambda: asdict(BatchStatus("validating")))
    is_collected: bool = False
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)


_Types = Mapping[str, tuple[type | None, ...]]

_RECORD: _Types = {
    "name": (str,), "group": (str,), "created": (int, float), "model": (str,), "window": (str,), "pages": (dict,),
    "reduced": (list,), "file_id": (str,), "batch_id": (str,), "requested": (int, float), "status": (dict,),
    "is_collected": (bool,), "outcomes": (dict,),
}  # fmt: skip
"""The fields of a state file, and the types that JSON gives them."""
_STATUS: _Types = {"state": (str,), "total": (int,), "completed": (int,), "failed": (int,)}
_OUTCOMES: Mapping[str, _Types] = {
    "error": {
        "type": (str,), "message": (str,), "code": (str, None), "status_code": (int, None), "request_id": (str, None),
        "partial": (str,), "hint": (str,),
    },
    "transcription": {
        "text": (str,), "finish_reason": (str,), "model": (str,), "usage": (dict,), "ocr_result": (dict, None),
        "image_reduced": (bool, None),
    },
}  # fmt: skip
_ERROR_CLASSES = frozenset(
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, QwenVLError)
)


class FolderLock:
    """A lock on a folder, which other threads and processes wait for; a crash releases it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._file: BinaryIO | None = None
        self._loop = asyncio._get_running_loop()
        self._is_held = False

    def try_acquire(self) -> bool:
        """Return whether the lock is acquired."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / "lock").open("ab")
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        self._is_held = True
        _held_by[self.folder] = self._loop
        return True

    def release(self) -> None:
        """Release the lock, also for a process that was forked meanwhile and shares the open file."""
        if self._file is not None:
            if self._is_held:
                _held_by.pop(self.folder, None)
            with self._file:
                if fcntl is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)


class BatchState:
    """The batches whose pages belong to a cache folder."""

    def __init__(self, cache_dir: str | Path) -> None:
        self.folder = Path(cache_dir).expanduser() / "batches"
        self._records: list[BatchRecord] | None = None

    def acquire_lock(self) -> Flow[FolderLock]:
        """Keep other threads and processes from submitting and collecting until the lock is released; read the records.

        Raises:
            QwenVLInputError: A file is damaged.
        """
        lock = FolderLock(self.folder)
        try:
            pause = _FIRST_LOCK_PAUSE
            while not (yield Work(lock.try_acquire)):
                yield Pause(pause, _held_by.get(lock.folder))
                pause = min(pause * 2, _MAX_LOCK_PAUSE)
            self._records = None
            yield Work(self.read_records)
        except BaseException:
            lock.release()
            raise
        return lock

    def read_records(self) -> list[BatchRecord]:
        """Read all records, the oldest first.

        Raises:
            QwenVLInputError: A file is damaged.
        """
        if self._records is None:
            records = map(_read_record, self._list_files())
            self._records = sorted(records, key=lambda record: (record.created, record.name))
        return self._records

    def _list_files(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return []
        except OSError as error:
            if not self.folder.parent.is_dir():  # nothing can be kept in such a cache, so no batch waits in it
                return []
            raise _build_damage_error(self.folder, error) from error

    def add_record(self, path: Path, record: BatchRecord) -> None:
        """Add a batch whose input file is at `path`; the file becomes part of the state."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(self.get_input_path(record))
        self.save(record)
        self.read_records().append(record)

    def save(self, record: BatchRecord) -> None:
        """Write a record, so that it is whole on disk whatever happens."""
        temporary = self.folder / f".{record.name}.{uuid.uuid4().hex}"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.folder / f"{record.name}.json")
        finally:
            temporary.unlink(missing_ok=True)

    def add_way_out(self, error: QwenVLError, record: BatchRecord) -> None:
        """Add to the hint of an error how to give up the batch that it concerns."""
        cost = "they may be billed once more" if record.batch_id else "none of them was billed"
        error.hint = (
            f"{error.hint} Its pages wait for it: call collect_batch() again later. To give it up, delete "
            f"{self.folder / record.name}.json and call submit_batch() again, which submits them anew: {cost}."
        )

    def remove(self, record: BatchRecord) -> None:
        """Remove a record whose input file was never uploaded and is gone."""
        (self.folder / f"{record.name}.json").unlink(missing_ok=True)
        self.read_records().remove(record)

    def get_input_path(self, record: BatchRecord) -> Path:
        """Return the path of a batch's input file."""
        return self.folder / f"{record.name}.jsonl"

    def has_whole_input(self, record: BatchRecord) -> bool:
        """Return whether the input file of a batch is there, with all of its lines."""
        count, last = 0, b""
        try:
            with self.get_input_path(record).open("rb") as file:
                while data := file.read(1024**2):
                    count, last = count + data.count(b"\n"), data
        except OSError:
            return False
        return count == len(record.pages) and last.endswith(b"\n")

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

    def is_answered(self, key: str) -> bool:
        """Return whether a batch that was collected has the page."""
        return any(record.is_collected and key in record.pages for record in self.read_records())

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
            "type": next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == errors.__name__),
            "message": error.message,
            "code": error.code,
            "status_code": error.status_code,
            "request_id": error.request_id,
            "partial": error.partial,
            "hint": error.hint,
        }
    }


def describe_transcription(transcription: PageTranscription) -> dict[str, Any]:
    """Return a transcription as JSON, for `BatchRecord.outcomes`."""
    return {"transcription": asdict(transcription)}


def _read_outcome(outcome: Mapping[str, Any]) -> PageTranscription:
    if "error" in outcome:
        values = dict(outcome["error"])
        raise getattr(errors, values.pop("type"))(**values)
    return PageTranscription(**outcome["transcription"])


def _read_record(path: Path) -> BatchRecord:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        _check_shape(values, path.stem)
        return BatchRecord(**values)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _build_damage_error(path, error) from error


def _build_damage_error(path: Path, error: Exception) -> DamagedStateError:
    return DamagedStateError(
        f"Damaged state of batches: {path} ({error}). Its pages may be paid for, so nothing is submitted. "
        "Restore it, or delete it to submit its pages again."
    )


def _check_shape(values: Any, name: str) -> None:
    """Check the fields of a record and their types: one without its ids would be submitted again.

    Raises:
        TypeError: A field is missing, is not known, or has another type.
    """
    _check_fields("the file", values, _RECORD)
    if values["name"] != name:
        raise TypeError(f"it is that of {values['name']!r}")
    _check_fields("status", values["status"], _STATUS)
    if not values["pages"] or not all(type(number) is int for number in values["pages"].values()):
        raise TypeError("pages: no page numbers")
    for key, outcome in values["outcomes"].items():
        kinds = list(outcome) if isinstance(outcome, dict) else []
        if len(kinds) != 1 or kinds[0] not in _OUTCOMES:
            raise TypeError(f"outcomes: {key!r} has neither a transcription nor an error")
        _check_fields(f"the {kinds[0]} of {key!r}", outcome[kinds[0]], _OUTCOMES[kinds[0]])
        if "error" in outcome and outcome["error"]["type"] not in _ERROR_CLASSES:
            raise TypeError(f"outcomes: the error of {key!r} has an unknown type")


def _check_fields(place: str, values: Any, types: _Types) -> None:
    if not isinstance(values, dict) or set(values) != set(types):
        raise TypeError(f"{place}: other fields than this version writes")
    for name, allowed in types.items():
        if (None if values[name] is None else type(values[name])) not in allowed:
            raise TypeError(f"{place}: {name} has another type")


def build_record(group: str, index: int, model: str, window: str) -> BatchRecord:
    """Build the record of the next file of a submission."""
    return BatchRecord(f"{group}-{index}", group, time.time(), model, window, {})
