"""The database's files: made once and whole, checked before every start."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from hub.db.embedded import process
from hub.db.embedded.account import Account
from hub.db.embedded.errors import EmbeddedPostgresError
from hub.db.embedded.layout import Layout, read_private, write_private
from hub.db.embedded.programs import MAJOR, Programs, for_initdb

ROLE = "hub"
DATABASE = "hub"

# The superuser `postgres` gets no password, so nobody can log in as it.
_INITDB = (
    "--pgdata=" + process.HERE,
    "--username=postgres",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth-local=scram-sha-256",
    "--auth-host=reject",
    "--data-checksums",
    "--no-instructions",
)
_SINGLE_USER = ("--single", "-D", process.HERE, "-c", "log_min_error_statement=panic", "template1")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The files of one database and what is needed to work on them; the caller holds the server's lock."""

    layout: Layout
    account: Account
    programs: Programs
    lock_fd: int
    durable: bool

    def prepare(self) -> str:
        """Make the database if there is none, check it otherwise; return the password of ``hub``."""
        shutil.rmtree(self.layout.partial, ignore_errors=True)  # an interrupted first start
        if not self.layout.data.exists() or not any(self.layout.data.iterdir()):
            return self._create()
        self._check_version()
        self._own()
        # Only a server that no longer lives wrote it: we hold the lock. PostgreSQL itself would refuse to
        # start when a stranger of the same user has that process number by now.
        (self.layout.data / "postmaster.pid").unlink(missing_ok=True)
        return read_private(self.layout.password) or self._set_password()

    def _create(self) -> str:
        """Make the database beside its place, then rename it, so that a half-made one is never used."""
        partial = self.layout.partial
        partial.mkdir(mode=0o700)
        self.account.give(partial)
        with for_initdb(self.programs) as programs:
            unsafe = () if self.durable else ("--no-sync",)
            self._run((programs.initdb, *_INITDB, *unsafe), partial, "Making the embedded database")
        password = secrets.token_urlsafe(32)
        script = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}' IN ROLE pg_monitor\n"
        self._single_user(f"{script}CREATE DATABASE {DATABASE} OWNER {ROLE}\n", partial)
        write_private(self.layout.password, password)
        partial.rename(self.layout.data)
        return password

    def _set_password(self) -> str:
        """Give ``hub`` a new password, for when the file with the old one was lost."""
        password = secrets.token_urlsafe(32)
        self._single_user(f"ALTER ROLE {ROLE} PASSWORD '{password}'\n", self.layout.data)
        write_private(self.layout.password, password)
        return password

    def _check_version(self) -> None:
        version = read_private(self.layout.data / "PG_VERSION").strip()[:20]
        lost = [name for name in ("PG_VERSION", "base", "global") if not (self.layout.data / name).exists()]
        if lost or not version:
            raise EmbeddedPostgresError(
                f"The database folder {self.layout.data} is damaged: it has no {(lost or ['version'])[0]}."
                " Restore the data folder from a backup, or move it away to begin anew."
            )
        if version != MAJOR:
            raise EmbeddedPostgresError(
                f"The database folder {self.layout.data} belongs to PostgreSQL {version}, the hub brings"
                f" PostgreSQL {MAJOR}. Use the hub's version that made it, dump the data there and load it"
                " into a new data folder."
            )

    def _own(self) -> None:
        """Mend the owner and mode of our own folder, as after a copy made by root."""
        if self.account.foreign and self.layout.data.stat().st_uid != self.account.uid:
            self.account.give_tree(self.layout.data)
        self.layout.data.chmod(0o700)

    def _single_user(self, script: str, folder: Path) -> None:
        unsafe = () if self.durable else ("-F",)
        command = (self.programs.postgres, *_SINGLE_USER[:1], *unsafe, *_SINGLE_USER[1:])
        self._run(command, folder, "Setting up the embedded database", script)

    def _run(self, command: tuple[str | Path, ...], folder: Path, doing: str, script: str = "") -> None:
        process.run(
            command, account=self.account, folder=folder, lock_fd=self.lock_fd, script=script, doing=doing
        )
