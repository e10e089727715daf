"""The system user that runs the server: ourselves, or an unprivileged one where the hub runs as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from hub.db.embedded.errors import EmbeddedPostgresError

NAME = "companion-hub"
_CREATE = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
_CREATE_WITH_SHELL = (*_CREATE, "--shell", "/usr/sbin/nologin", NAME)
_ATTEMPTS = 5  # another program may hold the lock on /etc/passwd for a moment


@dataclass(frozen=True, slots=True)
class Account:
    """``foreign`` is true where the server runs as another user than the hub (that is, below root)."""

    uid: int
    gid: int
    foreign: bool

    def give(self, path: Path) -> None:
        """Make ``path`` the server's own; a link is never followed."""
        if self.foreign:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def give_tree(self, top: Path) -> None:
        """Make ``top`` and all below it the server's own, as after a restore by root."""
        for _, folders, files, fd in os.fwalk(top):
            for name in (*folders, *files):
                os.chown(name, self.uid, self.gid, dir_fd=fd, follow_symlinks=False)
        os.chown(top, self.uid, self.gid, follow_symlinks=False)

    def may(self, status: os.stat_result, bits: int) -> bool:
        """Tell whether the mode grants ``bits`` (4 read, 2 write, 1 search or run) to this user."""
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return (status.st_mode >> shift) & bits == bits

    def reaches(self, folder: Path) -> bool:
        """Tell whether this user may search ``folder`` and all its parents."""
        return all(self.may(place.stat(), 1) for place in (folder, *folder.parents))


def server_account() -> Account:
    """Return the user for the server; as root the system user is made at the first call."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), foreign=False)
    entry = _entry() or _create()
    if entry.pw_uid == 0:
        raise EmbeddedPostgresError(f"The system user {NAME} is root itself. Give it a user id of its own.")
    return Account(entry.pw_uid, entry.pw_gid, foreign=True)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    why = "there is no useradd program"
    for _ in range(_ATTEMPTS if program else 0):
        done = subprocess.run(  # noqa: S603  # a fixed command line
            [program or "", *_CREATE_WITH_SHELL],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if entry := _entry():  # made by us, or by another hub just now
            return entry
        why = (done.stderr.strip().splitlines() or [f"useradd ended with {done.returncode}"])[-1]
        time.sleep(0.2)
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root and the system user {NAME} could not be created ({why})."
        f" Create it with `useradd {' '.join(_CREATE_WITH_SHELL)}`, or start the hub as an ordinary user."
    )
