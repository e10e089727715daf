"""The key that this hub signs with, where the operator has not set one."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from hub.core.errors import StartError
from hub.core.ids import new_id

_NAME = "secret_key"
#: Characters that a key has at the least.
_LEAST = 32


def key_file(data_dir: Path) -> Path:
    """Return where the key lies."""
    return data_dir / _NAME


def read_or_make(data_dir: Path) -> str:
    """Return the key in the data folder, made at the first call; processes that call at once agree on it.

    Raises:
        StartError: it can be neither read nor made, or is none.
    """
    path = key_file(data_dir)
    try:
        key = _read_or_make(data_dir, path)
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or type(error).__name__
        raise StartError(
            f"The key in {path} can be neither read nor made ({words}). Make it readable, or set"
            " HUB_SECRET_KEY."
        ) from None
    if len(key) < _LEAST:  # whoever guesses it can sign links
        raise StartError(f"The key in {path} is too short. Delete the file: a new one is made.")
    return key


def _read_or_make(data_dir: Path, path: Path) -> str:
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
