"""Where the embedded database keeps its files; every path is below ``<data folder>/postgres``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

OPEN_OWN_FILE = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags for a file of ours: a link in its place is refused, children do not inherit it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one data folder.

    ``root`` belongs to the user who runs the hub, ``data`` and ``run`` to the user who runs the server.
    """

    root: Path

    @classmethod
    def below(cls, data_dir: Path) -> Layout:
        return cls(Path(os.path.abspath(data_dir)) / "postgres")  # noqa: PTH100  # resolve() needs a folder that exists and may loop

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def partial(self) -> Path:
        """A database that is being made; renamed to ``data`` once it is whole."""
        return self.root / "data.partial"

    @property
    def run(self) -> Path:
        """The usual folder of the socket."""
        return self.root / "run"

    @property
    def password(self) -> Path:
        return self.root / "password"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def server_lock(self) -> Path:
        """Held from before the server's start until the last of its processes has ended."""
        return self.root / "server.lock"

    @property
    def socket_record(self) -> Path:
        """Names the socket's folder when ``run`` is too long for a socket address."""
        return self.root / "socket-folder"


def write_private(path: Path, text: str) -> None:
    """Write ``path`` so that only its owner reads it and a crash leaves the old or the new text."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, OPEN_OWN_FILE | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_private(path: Path) -> str:
    """Read a file that ``write_private`` wrote; empty when there is none."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as file:
            return file.read()
    except FileNotFoundError:
        return ""
