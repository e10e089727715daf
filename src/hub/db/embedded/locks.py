"""File locks between hub processes, and between the hub and its server.

``flock`` belongs to an open file, not to a process: a child that inherits the file keeps the lock. So the
server's lock tells for certain whether any process of the database still lives, also after a kill -9 and
when its old process number has been given to somebody else.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.db.embedded.errors import EmbeddedPostgresError
from hub.db.embedded.layout import OPEN_OWN_FILE

_POLL_SECONDS = 0.01


def try_lock(path: Path) -> int | None:
    """Lock ``path`` and return its descriptor, or None when somebody else holds it."""
    fd = os.open(path, OPEN_OWN_FILE | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def holding(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock on ``path``; wait for it at most ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while (fd := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"Another hub process has been starting the database in {path.parent} for over"
                f" {timeout:.0f} s. Wait for it or end it, then start again."
            )
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # also for a copy of fd that a forked child may hold
        os.close(fd)
