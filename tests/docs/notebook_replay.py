"""Answer the requests of a notebook's kernel from a cassette: its first and its last cell, which no reader sees."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from pytest_socket import socket_allow_hosts

from tests.support.vcr_config import replayed

_open_cassette = ExitStack()


def start_replay(name: str) -> None:
    """Answer the requests of this process from a cassette, and refuse connections to other hosts."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    cassette = _open_cassette.enter_context(replayed(name))
    _open_cassette.callback(_require_all_played, cassette)


def finish_replay() -> None:
    """Check that all requests of the cassette came."""
    _open_cassette.close()


def _require_all_played(cassette: Any) -> None:
    assert cassette.all_played, f"{cassette.play_count} of {len(cassette)} requests of the cassette came."
