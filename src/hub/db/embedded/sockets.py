"""The folder of the socket: closed to other users, and short enough for a socket's address."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hub.db.embedded.account import Account
from hub.db.embedded.errors import EmbeddedPostgresError
from hub.db.embedded.layout import Layout, read_private, write_private
from hub.db.embedded.probe import socket_path

_LIMIT = 107  # bytes, of sun_path in unix(7) without its closing NUL
_PREFIX = "companion-hub-"
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class SocketFolder:
    """``path`` is for clients; ``setting`` is the same folder for the server, who stands in ``data``."""

    path: Path
    setting: str
    temporary: bool


def make(layout: Layout, account: Account) -> SocketFolder:
    """Make the folder for a server that is about to start; what an earlier one left is removed.

    A temporary folder gets the name that it had the last time, so that clients find the server again.
    """
    if _fits(layout.run):
        _remove_recorded(layout, account)
        layout.run.mkdir(mode=_PRIVATE, exist_ok=True)
        layout.run.chmod(_PRIVATE)
        account.give(layout.run)
        _remove_sockets(layout.run)
        return SocketFolder(layout.run, "../run", temporary=False)
    folder = _make_again(layout, account) or _make_temporary(account)
    write_private(layout.socket_record, f"{folder}\n{_identity(layout)}")
    return SocketFolder(folder, f'"{str(folder).replace(chr(34), 2 * chr(34))}"', temporary=True)


def current(layout: Layout, account: Account) -> Path:
    """Return the folder that the running server, if any, listens in."""
    return _recorded(layout, account) or layout.run


def discard(folder: SocketFolder) -> None:
    """Remove a temporary folder whose server has ended; never raises."""
    if not folder.temporary:
        return
    try:
        _remove_sockets(folder.path)
        folder.path.rmdir()
    except OSError:
        return  # the next start tries again


def _fits(folder: Path) -> bool:
    """Tell whether clients can name a socket in ``folder``: by length, as UTF-8, without a list's comma."""
    try:
        return len(str(socket_path(folder)).encode()) <= _LIMIT and "," not in str(folder)
    except UnicodeEncodeError:  # bytes that are no UTF-8 would not survive a DSN
        return False


def _make_temporary(account: Account) -> Path:
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108  # mkdtemp is safe there
        place = Path(base)
        if place.is_dir() and _fits(place / f"{_PREFIX}12345678") and account.reaches(place.resolve()):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # mode 0700
            account.give(folder)
            return folder
    raise EmbeddedPostgresError(
        "The data folder's path is too long for a socket and no temporary folder can be used instead."
        " Choose a data folder with a shorter path, or set TMPDIR."
    )


def _make_again(layout: Layout, account: Account) -> Path | None:
    """Return the recorded folder, made anew where it is gone; None when somebody else has taken its name."""
    folder = _named(layout)
    if folder is None or not _fits(folder):
        return None
    try:
        folder.mkdir(mode=_PRIVATE)
        account.give(folder)
    except FileExistsError:
        if _recorded(layout, account) is None:
            return None
        _remove_sockets(folder)
    except OSError:
        return None
    return folder


def _named(layout: Layout) -> Path | None:
    """Return the path that the record names, if it was written for this database."""
    name, _, identity = read_private(layout.socket_record).partition("\n")
    folder = Path(name)
    return folder if folder.name.startswith(_PREFIX) and identity == _identity(layout) else None


def _recorded(layout: Layout, account: Account) -> Path | None:
    """Return the recorded temporary folder if it is still the one that was made for this database."""
    folder = _named(layout)
    if folder is None:
        return None
    try:
        status = folder.lstat()
    except OSError:
        return None
    private = status.st_mode == stat.S_IFDIR | _PRIVATE and status.st_uid == account.uid
    return folder if private else None


def _remove_recorded(layout: Layout, account: Account) -> None:
    """Remove the temporary folder of a server that was killed."""
    folder = _recorded(layout, account)
    layout.socket_record.unlink(missing_ok=True)
    if folder is not None:
        discard(SocketFolder(folder, "", temporary=True))


def _identity(layout: Layout) -> str:
    """Tell this database's folder from a copy of it, whose record names the socket of the original."""
    status = layout.root.stat()
    return f"{status.st_dev}:{status.st_ino}"


def _remove_sockets(folder: Path) -> None:
    """Remove the socket and its lock file, and nothing else, without following links."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        name = socket_path(folder).name
        for stale in (name, f"{name}.lock"):
            try:
                os.unlink(stale, dir_fd=fd)
            except FileNotFoundError:
                continue
    finally:
        os.close(fd)
