"""Define the steps of batch work: what a flow yields, and `transport.batch_io` performs, sync or async.

A flow is a generator that does no I/O itself. It receives the result of each step at its `yield`; what a step raises,
also a cancellation, is raised there too, so that a flow releases what it holds before its caller goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from qwenvl_core.transport.connection import HttpRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whose reply is JSON; the result is the parsed reply.

    Attributes:
        build: Builds the request; it receives the open `file`.
        file: The file that is sent.
        is_repeated: Whether the request is repeated after a transient error.
    """

    build: Callable[[BinaryIO | None], HttpRequest]
    file: Path | None = None
    is_repeated: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for some seconds.

    Attributes:
        seconds: How long.
        loop: The event loop whose work is waited for, which a sync call inside it would stop.
    """

    seconds: float
    loop: object = None


@dataclass(frozen=True, slots=True)
class Work:
    """Call a function that reads or writes the disk or computes for long; the result is what it returns.

    Async programs call it in a thread. A cancellation waits until it returns, since a thread can't be stopped.
    """

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class ReadLines:
    """Stream the lines of a file of the service to a function, which is called as that of `Work`.

    Attributes:
        file_id: The file.
        consume: Called with each line.
    """

    file_id: str
    consume: Callable[[bytes], object]


Step = Call | Pause | Work | ReadLines
Flow = Generator[Step, Any, T]


def write_all(write_next: Callable[[], bool], close: Callable[[], object]) -> Flow[None]:
    """Write line by line, so that a cancellation waits for one at most, and close the files in any case.

    Args:
        write_next: Writes the next line; returns whether there was one.
        close: Closes the files.
    """
    try:
        while (yield Work(write_next)):
            pass
    finally:
        yield Work(close)
