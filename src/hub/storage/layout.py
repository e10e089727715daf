"""Where files lie below the data folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

UPLOADS = "uploads"


def prepare(data_dir: Path) -> None:
    """Make the folders that are missing.

    Raises:
        OSError: the data folder cannot be written to.
    """
    for folder in ("companions", "tmp"):
        (data_dir / UPLOADS / folder).mkdir(parents=True, exist_ok=True)
    check_writable(data_dir)


def check_writable(data_dir: Path) -> None:
    """Return if files can be written.

    Raises:
        OSError: they cannot.
    """
    handle, name = tempfile.mkstemp(dir=data_dir / UPLOADS / "tmp", prefix="check-")
    os.close(handle)
    Path(name).unlink()
