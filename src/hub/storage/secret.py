"""The key that this hub signs with, where the operator has not set one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from hub.core.ids import new_id

_NAME = "secret_key"


def read_or_make(data_dir: Path) -> str:
    """Return the key in the data folder, made at the first call; processes that call at once agree on it.

    Raises:
        OSError: it can be neither read nor made.
    """
    path = data_dir / _NAME
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    own = data_dir / f"{_NAME}.{new_id().hex}"
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode())
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
        return path.read_text().strip()
    finally:
        os.close(descriptor)
        own.unlink()
