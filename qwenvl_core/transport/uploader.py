"""Upload media once: find the URL of an earlier upload, join one in progress, or upload.

`Uploader.upload` returns the URL of one medium, `upload_all` those of a request. Both have an async twin.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from qwenvl_core.errors import QwenVLError, QwenVLInputError
from qwenvl_core.media.uploads import Upload
from qwenvl_core.transport.connection import Connection
from qwenvl_core.transport.http_transport import HttpTransport
from qwenvl_core.transport.redaction import redact
from qwenvl_core.transport.retry import acall_with_retries, call_with_retries
from qwenvl_core.transport.shared_upload import Result, SharedUpload, copy_error
from qwenvl_core.transport.upload import aupload_media, upload_media
from qwenvl_core.transport.upload_urls import UploadUrls, compute_identity

MAX_CONCURRENCY = 8
"""How many media a call uploads at once."""

_LOG = logging.getLogger("qwenvl_core")


@dataclass(frozen=True, slots=True)
class SyncCall:
    """A sync call that uploads media in several threads.

    Attributes:
        thread: The thread of the call, whose event loop is blocked until the call returns.
        stop: Stops the uploads when it is set.
    """

    thread: int = field(default_factory=threading.get_ident)
    stop: threading.Event = field(default_factory=threading.Event)


class Uploader:
    """Uploads media over one connection, each once; safe to share between threads and event loops.

    Args:
        connection: The connection. It must have a `storage_url`.
        urls: The URLs of earlier uploads.
    """

    def __init__(self, connection: Connection, urls: UploadUrls) -> None:
        self._connection = connection
        self._storage_url = connection.storage_url or ""
        self._urls = urls
        self._in_progress: dict[str, SharedUpload] = {}
        self._lock = threading.Lock()

    def upload(self, transport: HttpTransport, upload: Upload, model: str, call: SyncCall | None = None) -> str:
        """Return the URL of a medium for requests to `model`; upload it if there is none yet.

        Args:
            transport: The transport of the requests.
            upload: The medium; see `qwenvl_core.media.uploads.create_upload`.
            model: The model.
            call: The call that the upload belongs to; by default it is the only upload of a call in this thread.

        Raises:
            QwenVLError: The upload failed; the message begins with the location of the medium.
        """
        call = call or SyncCall()
        identity = self._compute_identity(upload, model)
        with _add_location(upload):
            while True:
                url, shared, is_owner = self._join(identity, self._urls.load(identity), thread=call.thread)
                if url is not None:
                    return url
                if is_owner:
                    return self._upload_shared(transport, upload, model, identity, shared, call.stop)
                result = _raise_error(shared.wait())
                if result is not None:
                    return result
                self._leave(identity, shared)

    async def aupload(self, transport: HttpTransport, upload: Upload, model: str) -> str:
        """Return the URL of a medium asynchronously; see `upload`."""
        identity = self._compute_identity(upload, model)
        with _add_location(upload):
            while True:
                loaded = self._urls.find(identity)
                if loaded is None and self._urls.folder is not None:
                    loaded = await asyncio.to_thread(self._urls.load, identity)
                url, shared, is_owner = self._join(identity, loaded, loop=asyncio.get_running_loop())
                if url is not None:
                    return url
                if is_owner:
                    return await self._aupload_shared(transport, upload, model, identity, shared)
                result = _raise_error(await shared.await_result())
                if result is not None:
                    return result
                self._leave(identity, shared)

    def upload_all(self, transport: HttpTransport, uploads: Sequence[Upload], model: str) -> list[str]:
        """Return the URLs of media, in their order; at most `MAX_CONCURRENCY` are uploaded at once.

        Raises:
            QwenVLError: An upload failed. The others are stopped.
        """
        if len(uploads) == 1:
            return [self.upload(transport, uploads[0], model)]
        call = SyncCall()
        with ThreadPoolExecutor(MAX_CONCURRENCY, thread_name_prefix="qwenvl-upload") as pool:
            futures = [pool.submit(self.upload, transport, upload, model, call) for upload in uploads]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                failed = [future for future in futures if future in done and future.exception() is not None]
            finally:
                call.stop.set()  # all are done, or must not go on
                pool.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in failed or futures]

    async def aupload_all(self, transport: HttpTransport, uploads: Sequence[Upload], model: str) -> list[str]:
        """Return the URLs of media asynchronously; see `upload_all`."""
        if len(uploads) == 1:
            return [await self.aupload(transport, uploads[0], model)]
        slots = asyncio.Semaphore(MAX_CONCURRENCY)

        async def upload_one(upload: Upload) -> str:
            async with slots:
                return await self.aupload(transport, upload, model)

        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(upload_one(upload)) for upload in uploads]
        except BaseExceptionGroup as errors:
            failure = errors.exceptions[0]
        if failure is not None:  # outside of the handler, so that it keeps its own cause
            raise failure
        return [task.result() for task in tasks]

    def discard(self, uploads: Sequence[Upload], urls: Sequence[str], model: str) -> None:
        """Forget the URLs of uploads, which the service rejects, so that the media are uploaded once more."""
        for upload, url in zip(uploads, urls, strict=True):
            with self._lock:
                self._urls.discard(self._compute_identity(upload, model), url)

    def _compute_identity(self, upload: Upload, model: str) -> str:
        return compute_identity(
            digest=upload.digest,
            mime=upload.uri.mime,
            model=model,
            api_key=self._connection.api_key,
            storage_url=self._storage_url,
        )

    def _join(
        self, identity: str, url: str | None, *, loop: asyncio.AbstractEventLoop | None = None, thread: int = 0
    ) -> tuple[str | None, SharedUpload, bool]:
        """Find a URL, or the upload in progress to wait for, or begin a new one.

        Args:
            identity: The identity of the medium.
            url: The URL of an earlier upload, if there is one.
            loop: The event loop of an async call.
            thread: The thread of a sync call.

        Returns:
            The URL, or `None`; the upload in progress; and whether this call must do it.
        """
        new = SharedUpload(loop)
        with self._lock:
            url = url or self._urls.find(identity)  # another call may have finished since
            current = self._in_progress.get(identity)
            if url is None and current is None:
                self._in_progress[identity] = new
        if current is None or url is not None:
            return url, new, True
        is_blocked = loop is None and current.is_blocked_by(thread)
        return None, new if is_blocked else current, is_blocked

    def _leave(self, identity: str, shared: SharedUpload) -> None:
        """Remove an upload in progress, so that another call can begin its own."""
        with self._lock:
            if self._in_progress.get(identity) is shared:
                del self._in_progress[identity]

    def _upload_shared(
        self,
        transport: HttpTransport,
        upload: Upload,
        model: str,
        identity: str,
        shared: SharedUpload,
        stop: threading.Event | None,
    ) -> str:
        attempt = partial(upload_media, transport, upload, model, self._storage_url, stop)
        with self._share_result(identity, shared, upload) as remember:
            url = remember(call_with_retries(self._connection, attempt))
            self._urls.store(identity)
            return url

    async def _aupload_shared(
        self, transport: HttpTransport, upload: Upload, model: str, identity: str, shared: SharedUpload
    ) -> str:
        attempt = partial(aupload_media, transport, upload, model, self._storage_url)
        with self._share_result(identity, shared, upload) as remember:
            url = remember(await acall_with_retries(self._connection, attempt))
            if self._urls.folder is not None:
                await asyncio.to_thread(self._urls.store, identity)
            return url

    @contextmanager
    def _share_result(
        self, identity: str, shared: SharedUpload, upload: Upload
    ) -> Generator[Callable[[str], str], None, None]:
        """Yield a function that remembers the URL of an upload, and pass the result to the calls that wait for it."""
        result: Result = None
        start = time.time()

        def remember(url: str) -> str:
            nonlocal result
            result = url
            with self._lock:
                self._urls.add(identity, url, start)
            _LOG.info("Uploaded %s of %d bytes in %.1f s.", upload.kind, upload.size, time.time() - start)
            return url

        try:
            yield remember
        except QwenVLError as error:
            redact(error, self._connection.api_key)
            if not isinstance(error, QwenVLInputError):  # of this call's own file
                result = copy_error(error)
            raise
        finally:
            self._leave(identity, shared)
            shared.finish(result)


def _raise_error(result: Result) -> str | None:
    if isinstance(result, QwenVLError):
        raise result
    return result


@contextmanager
def _add_location(upload: Upload) -> Iterator[None]:
    """Add the location of the medium to an error of its upload."""
    try:
        yield
    except QwenVLInputError:
        raise
    except QwenVLError as error:
        error.message = f"{upload.location}: the upload of this {upload.kind} failed: {error.message}"
        raise
