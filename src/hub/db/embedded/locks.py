"""The lock that says for certain whether a database is in use.

``flock`` belongs to an open file, not to a process: a child that inherits the file keeps the lock. The hub
takes it before it makes or starts the database, and the server and all its children inherit it. So it is
free exactly when none of them lives, also after a kill -9 and when process numbers have been reused.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hub.db.embedded.layout import OPEN_OWN_FILE


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
