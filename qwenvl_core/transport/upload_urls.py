"""Keep the URLs of uploads, so that each medium is uploaded once.

The service keeps an upload for 48 hours. A URL is used for 47, so that a long request still finds its media. In a
directory, each URL is a JSON file, `{"url": "oss://…", "uploaded_at": 1764290000.0}`, whose name is a digest: there are
no media in it and no key.

Source: the vendor's page "Upload local files to get temporary URLs".
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import uuid
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from qwenvl_core.errors import QwenVLInputError

REUSE_SECONDS = 47 * 3600.0
"""Seconds for which a URL is used after its upload began."""

_FILE_NAME = re.compile(r"[0-9a-f]{64}\.json")
_LOG = logging.getLogger("qwenvl_core")


class _Entry(NamedTuple):
    """An upload's URL, and the time at which the upload began, in seconds since the epoch."""

    url: str
    uploaded_at: float

    @property
    def is_fresh(self) -> bool:
        """Whether the service still has the upload. A time in the future is a clock that was wrong."""
        return 0 <= time.time() - self.uploaded_at < REUSE_SECONDS


def compute_identity(*, digest: str, mime: str, model: str, api_key: str, storage_url: str) -> str:
    """Compute the identity of an upload: the same content, for the same model, account and server.

    Args:
        digest: Digest of the content.
        mime: MIME type of the content.
        model: The model that the upload is for; the service binds uploads to it.
        api_key: The key of the account; it can't be derived from the identity.
        storage_url: The endpoint that grants the upload.
    """
    values = json.dumps([digest, mime, model, api_key, storage_url])
    return hashlib.sha256(values.encode()).hexdigest()


class UploadUrls:
    """The URLs of uploads by their identity, in memory and, if there is a folder, on disk.

    Threads and processes may share a folder, because files are replaced atomically. `add` and `discard` change the
    memory; the caller lets one thread at a time call them.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: dict[str, _Entry] = {}
        self._is_folder_ready = folder is None

    def find(self, identity: str) -> str | None:
        """Return the URL in memory; `None` if there is none that is fresh."""
        entry = self._entries.get(identity)
        return entry.url if entry is not None and entry.is_fresh else None

    def load(self, identity: str) -> str | None:
        """Return the URL in memory, or else on disk; `None` if there is none that is fresh.

        Raises:
            QwenVLInputError: The folder can't be used.
        """
        url = self.find(identity)
        if url is not None or self.folder is None:
            return url
        self._prepare_folder(self.folder)
        entry = _read_entry(self.folder / f"{identity}.json")
        if entry is None or not entry.is_fresh:
            return None
        self._entries[identity] = entry
        return entry.url

    def add(self, identity: str, url: str, uploaded_at: float) -> None:
        """Remember a URL in memory; `store` writes it to disk."""
        self._discard_expired()
        self._entries.pop(identity, None)  # the newest is the last
        self._entries[identity] = _Entry(url, uploaded_at)

    def store(self, identity: str) -> None:
        """Write a URL of the memory to disk. A full disk is logged: it costs an upload, not an answer."""
        entry = self._entries.get(identity)
        if self.folder is None or entry is None:
            return
        temporary = self.folder / f".{identity}.{uuid.uuid4().hex}"
        try:
            temporary.write_text(json.dumps(entry._asdict()), encoding="utf-8")
            temporary.replace(self.folder / f"{identity}.json")
        except OSError as error:
            _LOG.warning("The URL of an upload can't be kept in upload_cache=: %s.", error.strerror or error)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def discard(self, identity: str, url: str) -> None:
        """Forget a URL that the service rejects, unless another one has replaced it."""
        entry = self._entries.get(identity)
        if entry is not None and entry.url == url:
            self._entries.pop(identity, None)
        if self.folder is not None:
            file = self.folder / f"{identity}.json"
            stored = _read_entry(file)
            if stored is not None and stored.url == url:
                with suppress(OSError):
                    file.unlink(missing_ok=True)

    def _discard_expired(self) -> None:
        """Drop expired URLs from the memory, which has them nearly in the order of their uploads."""
        for identity, entry in list(islice(self._entries.items(), 2)):  # two for each new one, so that they get fewer
            if not entry.is_fresh:
                self._entries.pop(identity, None)

    def _prepare_folder(self, folder: Path) -> None:
        """Create the folder and remove expired URLs from it, once."""
        if self._is_folder_ready:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
            for file in folder.iterdir():
                if _FILE_NAME.fullmatch(file.name) and time.time() - file.stat().st_mtime > REUSE_SECONDS:
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise QwenVLInputError(
                f"upload_cache={str(folder)!r} can't be used: {error.strerror or error}. "
                "Pass a directory that can be written, or None."
            ) from error
        self._is_folder_ready = True


def _read_entry(file: Path) -> _Entry | None:
    """Read a URL; `None` if there is no such file, or it is damaged."""
    try:
        stored: Any = json.loads(file.read_text(encoding="utf-8"))
        entry = _Entry(str(stored["url"]), float(stored["uploaded_at"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return entry if entry.url.startswith("oss://") else None
