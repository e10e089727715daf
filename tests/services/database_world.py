"""What tests of the embedded PostgreSQL do from outside: run it, look at its processes, connect to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from hub.db.embedded import EmbeddedPostgres

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
PROCESS = Path(__file__).with_name("database_process.py")
NOBODY = 65534
DEADLINE = 15.0


class Report(TypedDict, total=False):
    """What ``database_process.py`` prints."""

    dsn: str
    owned: bool
    answer: int
    imported: bool
    error: str


@contextmanager
def open_folder() -> Iterator[Path]:
    """Lend a folder that every local user may enter: only the database's own modes protect it."""
    folder = Path(tempfile.mkdtemp(prefix="hub-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(data_dir: Path) -> Iterator[tuple[EmbeddedPostgres, str]]:
    database = EmbeddedPostgres(data_dir, durable=False)
    dsn = database.start()
    try:
        yield database, dsn
    finally:
        database.stop()


@contextmanager
def process(
    data_dir: Path, uid: int = -1, hidden: str = "-", site: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run the database in a process of its own; it is stopped, or killed if it does not stop."""
    source = str(Path(__file__).parents[2] / "src")
    child = subprocess.Popen(
        [sys.executable, "-P", str(PROCESS), str(data_dir), str(uid), hidden],  # -P: hub.py stands beside it
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, (site, source, os.environ.get("PYTHONPATH"))))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            yield child
            if child.stdin and not child.stdin.closed:
                child.stdin.close()
            child.wait(DEADLINE)
        finally:
            child.kill()


@contextmanager
def program_of(uid: int) -> Iterator[int]:
    """Run a program that has nothing to do with the database as ``uid``; yield its process number."""
    with subprocess.Popen(["sleep", "60"], user=uid) as program:
        try:
            yield program.pid
        finally:
            program.kill()


def report(child: subprocess.Popen[str]) -> Report:
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the process ended without a word"
    found: Report = json.loads(line)
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


async def query(dsn: str, sql: str, **options: str) -> str:
    connection = await asyncpg.connect(dsn, **options)
    try:
        return str(await connection.fetchval(sql))
    finally:
        await connection.close()


def socket_folder(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0])


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def family(pid: int) -> list[int]:
    """The server and its children."""
    children = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                entry.name.isdigit()
                and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid
            ):
                children.append(int(entry.name))
    return [pid, *children]


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    states = {place: place.stat() for place in (path, *path.parents)}
    return {place: (state.st_mode, state.st_uid, state.st_gid) for place, state in states.items()}


def connect_as(uid: int, address: Path) -> str:
    """Try the socket as another user, in a process of its own; return "connected" or the error's name."""
    program = (
        "import os, socket, sys\n"
        "uid = int(sys.argv[1])\n"
        "os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[2]); print('connected')\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(uid), str(address)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
