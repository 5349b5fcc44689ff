"""Fork while a lock is held."""

from __future__ import annotations

import os
import pickle
from copy import deepcopy

import pytest

from qwenvl_core.types.fork_lock import ForkSafeLock, _renew_locks


def test_renewed_lock_is_free() -> None:
    lock = ForkSafeLock()
    lock.__enter__()
    _renew_locks()
    assert lock._lock.acquire(blocking=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_lock_held_during_a_fork_is_free_in_the_child() -> None:
    lock = ForkSafeLock()
    with lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if lock._lock.acquire(blocking=False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_copy_and_pickle_of_held_lock_are_free() -> None:
    lock = ForkSafeLock()
    with lock:
        for copied in (deepcopy(lock), pickle.loads(pickle.dumps(lock))):
            assert copied._lock.acquire(blocking=False)
