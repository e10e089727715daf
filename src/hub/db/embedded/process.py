"""Starting the programs of PostgreSQL: as the right user, in their own session, gone when the hub is gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hub.db.embedded.account import Account
from hub.db.embedded.errors import EmbeddedPostgresError

HERE = "/proc/self/cwd"
"""The working folder, as an absolute path that needs no rights on the folders above it.

The server's user may be unable to walk to the data folder (say below a home of mode 0700). The hub enters
the folder with its own rights, the child inherits it, and this link of the kernel leads there.
"""

_LAUNCH = Path(__file__).with_name("launch.py")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}  # no PG* variable of the operator's
_LEVEL = re.compile(r"\b(?:error|fatal|panic):\s+(.*)", re.IGNORECASE)
_NOT_NOW = "the database system is "  # starting up, shutting down: what our own knocking is told


def launch(
    command: Sequence[str | Path],
    *,
    account: Account,
    folder: Path,
    lock_fd: int,
    death_signal: signal.Signals,
    output: int,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``folder`` as ``account``; it holds ``lock_fd`` for its whole life.

    The kernel sends ``death_signal`` when the *thread* that calls this ends: call it from the main thread.
    A session of its own keeps Ctrl-C on the terminal away from it.
    """
    words = (account.uid, account.gid, int(death_signal), os.getpid(), *command)
    return subprocess.Popen(  # noqa: S603  # a list of words, no shell
        [
            sys.executable,
            "-I",
            "-S",
            str(_LAUNCH),
            *(os.fspath(w) if isinstance(w, Path) else str(w) for w in words),
        ],
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=(lock_fd,),
        start_new_session=True,
    )


def run(
    command: Sequence[str | Path],
    *,
    account: Account,
    folder: Path,
    lock_fd: int,
    script: str = "",
    doing: str,
) -> None:
    """Run ``command`` to its end, with ``script`` as its input.

    Raises:
        EmbeddedPostgresError: It failed; the sentence starts with ``doing`` and ends with what it said.
    """
    process = launch(
        command,
        account=account,
        folder=folder,
        lock_fd=lock_fd,
        death_signal=signal.SIGKILL,
        output=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    with process:
        try:
            said = process.communicate(script.encode())[0].decode(errors="replace")
        except BaseException:
            process.kill()
            raise
    # A single-user server reports a failed statement and still ends with 0.
    if process.returncode != 0 or _LEVEL.search(said):
        raise EmbeddedPostgresError(f"{doing} failed: {last_words(said, folder)}")


def last_words(text: str, folder: Path) -> str:
    """Return the line of a program's output that tells most, with ``folder`` in place of the link to it.

    That is the first error, which the others follow from; without an error the last line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [match.group(1) for line in lines if (match := _LEVEL.search(line))]
    causes = [error for error in errors if not error.startswith(_NOT_NOW)]
    line = causes[0] if causes else (lines or ["it said nothing"])[-1]
    return line.replace(HERE, str(folder)).rstrip(".")


def tail(file: IO[bytes], start: int, limit: int = 16_384) -> str:
    """Return what an open file holds from byte ``start`` on, at most the last ``limit`` bytes."""
    file.seek(max(start, file.seek(0, os.SEEK_END) - limit))
    return file.read().decode(errors="replace")
