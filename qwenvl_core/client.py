"""The one way through the house: a request goes in, events come out.

```
Request ─► policy.apply ─► wire.encode ─► transport ─► Reading (sse, wire.Decoder) ─► Event…
```
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from qwenvl_core import policy
from qwenvl_core.connection import Connection
from qwenvl_core.errors import QwenVLConnectionError, QwenVLError, QwenVLMissingKeyError
from qwenvl_core.events import Event
from qwenvl_core.models import describe
from qwenvl_core.reading import Reading
from qwenvl_core.request import Request
from qwenvl_core.wire import openai as wire


class Client:
    """Talks to one endpoint with one key; safe to share between threads, event loops and forked processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Any = None
        self._pid = 0
        self._lock = threading.Lock()

    @classmethod
    def of(cls, connection: Connection, held: Client | None) -> Client:
        """`held`, if it is for this `connection`; a new client otherwise."""
        return held if held is not None and held._connection == connection else cls(connection)

    def __deepcopy__(self, memo: Any) -> Client:
        """A copied model shares its connections until it is changed."""
        return self

    def events(self, request: Request) -> Iterator[Event]:
        """The events of the reply to `request`, as they arrive. Closing the iterator closes the connection.

        Raises:
            QwenVLError: See `qwenvl_core.errors`; with the text received so far in `partial`.
        """
        transport = self._open()
        plan = policy.apply(request, describe(request.settings.model))
        reading = Reading(wire.Decoder(), plan, chunk_timeout=self._connection.stream_chunk_timeout)
        try:
            with transport.open(wire.PATH, wire.encode(plan), wire.headers(plan), stream=plan.stream) as response:
                reading.begin(response.headers)
                for block in response.blocks:
                    yield from reading.feed(block)
                    if reading.done:
                        break
                yield from reading.close()
        except QwenVLConnectionError as error:
            reading.describe(error)
            yield from reading.hung_up(error)
        except QwenVLError as error:
            reading.describe(error)
            raise

    async def aevents(self, request: Request) -> AsyncIterator[Event]:
        """As `events`, for async."""
        transport = self._open()
        plan = policy.apply(request, describe(request.settings.model))
        reading = Reading(wire.Decoder(), plan, chunk_timeout=self._connection.stream_chunk_timeout)
        try:
            async with transport.aopen(
                wire.PATH, wire.encode(plan), wire.headers(plan), stream=plan.stream
            ) as response:
                reading.begin(response.headers)
                async for block in response.blocks:
                    for event in reading.feed(block):
                        yield event
                    if reading.done:
                        break
                for event in reading.close():
                    yield event
        except QwenVLConnectionError as error:
            reading.describe(error)
            for event in reading.hung_up(error):
                yield event
        except QwenVLError as error:
            reading.describe(error)
            raise

    def close(self) -> None:
        """Close the sync connections; the next request opens new ones."""
        if self._transport is not None:
            self._transport.close()

    async def aclose(self) -> None:
        """Close the async connections of this event loop; the next request opens new ones."""
        if self._transport is not None:
            await self._transport.aclose()

    def _open(self) -> Any:
        """The transport. A forked child builds its own: sockets can't be shared with the parent."""
        if not self._connection.api_key:
            raise QwenVLMissingKeyError("There is no API key.")
        with self._lock:
            if self._transport is None or self._pid != os.getpid():
                self._transport, self._pid = self._build(), os.getpid()
        return self._transport

    def _build(self) -> Any:
        # Here, so that importing an adapter imports no SDK.
        from qwenvl_core.transport.openai import OpenAITransport

        return OpenAITransport(self._connection)
