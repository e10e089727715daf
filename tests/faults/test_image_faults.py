"""Rows and files agree, whatever happens to whoever writes or removes pictures."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hub.domain.images.collector import Collector
from hub.storage.removal import Removal
from tests.faults.failpoints import Action, Failpoints
from tests.faults.image_points import CHILD_POINTS, REMOVE_POINTS, WRITE_POINTS
from tests.faults.images import all_cases, fault_settings, run_faults, some_cases
from tests.faults.points import AFTER, BEFORE, resolve
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer, base_environment, llm_settings
from tests.services.leash import Leashed
from tests.services.picture_files import Store, names_of, new_companion, picture, send_header, set_header
from tests.services.waiting import eventually
from tests.services.world import within

_BLOCKED = "SELECT true AS found FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"


def test_every_point_of_a_picture_exists_and_is_gone_through() -> None:
    for point in (*WRITE_POINTS, *REMOVE_POINTS, *CHILD_POINTS):
        resolve(point.target)
    points = (*WRITE_POINTS, *CHILD_POINTS)
    assert set(some_cases(6 * len(points))) == set(all_cases())
    assert {case.point for case in some_cases(2 * len(points))} == {point.name for point in points}


async def test_faults_while_writing_leave_rows_and_files_in_agreement(tmp_path: Path, postgres: str) -> None:
    result = await run_faults(
        list(some_cases(20)),
        folder=tmp_path,
        database=await migrated_database(postgres),
        chance=random.Random(7),
        tell=lambda: None,
    )
    assert result.failures == []
    assert (result.rows_without_file, result.torn, result.left) == (0, 0, 0)
    assert sum(result.answers.values()) == result.cases == 20


# The collector, interrupted in the middle


class Gc:
    """A ``hub images gc --grace 0`` with failpoints, beside the hub."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.failpoints = Failpoints(folder / "failpoints")
        self.failpoints.clear()
        self._folder = folder
        self._environment = {
            **base_environment(folder),
            **store.server.settings,
            **fault_settings(folder / "failpoints"),
        }
        self.process: Leashed | None = None

    async def start(self, point: str, side: str, action: Action) -> None:
        """Start it and wait until it has met its fault."""
        self.failpoints.arm(point, side, action)
        command = [sys.executable, "-m", "tests.faults.hub", "images", "gc", "--grace", "0"]
        self.process = Leashed(command, log=self._folder / "gc.log", env=self._environment, cwd=self._folder)
        await eventually(lambda: self.failpoints.fired(point, side) is not None)

    async def go_on(self) -> int:
        """Let it go on after it was frozen, and return its exit code."""
        assert self.process is not None
        self.process.signal(signal.SIGCONT)
        return await self.ended()

    async def ended(self) -> int:
        """Return its exit code once it has ended."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, 20)

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.end()


@pytest.fixture
def gc(store: Store, tmp_path: Path) -> Iterator[Gc]:
    """Yield a command that meets a fault."""
    command = Gc(store, tmp_path)
    yield command
    command.close()


async def removed_picture(user: Client, companion: str) -> dict[str, Any]:
    """Store a picture and remove it: its files wait for the collector."""
    image = await set_header(user, companion, 1)
    assert (await user.http.delete(f"/api/images/{image['id']}")).status_code == 204
    return image


@pytest.mark.parametrize(
    ("point", "side"),
    [
        ("Removal._hide", BEFORE),
        ("Collector.remove_unreferenced.commit", BEFORE),
    ],
)
async def test_a_collector_that_was_frozen_takes_no_file_that_a_row_needs(
    store: Store, user: Client, gc: Gc, point: str, side: str
) -> None:
    """Its transaction is ended for its idleness; the same picture comes again; then it wakes up."""
    companion = await new_companion(user)
    await removed_picture(user, companion)
    await gc.start(point, side, Action.HANG)
    image = await set_header(user, companion, 1)
    assert await store.wrong() == []
    await gc.go_on()
    assert await store.wrong() == []
    assert names_of(image) <= store.names(companion)
    assert (await user.http.get(image["url"])).status_code == 200
    await store.collect()
    assert store.names(companion) == names_of(image)


@pytest.mark.parametrize(("point", "side"), [("Removal._hide", AFTER), ("Removal.drop", BEFORE)])
async def test_what_a_killed_collector_had_in_hand_is_settled_by_the_next(
    store: Store, user: Client, gc: Gc, point: str, side: str
) -> None:
    companion = await new_companion(user)
    await removed_picture(user, companion)
    await gc.start(point, side, Action.CRASH)
    assert await gc.ended() == -signal.SIGKILL
    assert [each for each in store.temporary.iterdir() if each.name.startswith("removed-")]
    await store.collect()
    assert not list(store.temporary.iterdir())
    assert not store.folder(companion).exists()


async def test_a_disk_that_refuses_keeps_files_for_the_next_time(store: Store, user: Client, gc: Gc) -> None:
    companion = await new_companion(user)
    image = await removed_picture(user, companion)
    await gc.start("Removal._hide", AFTER, Action.BROKEN)
    assert await gc.ended() == 0
    assert store.names(companion) == names_of(image)
    assert (await store.collect()).removals == 1
    assert not store.folder(companion).exists()


# Writer and collector at one file, step by step


class Held:
    """Holds a method of removals in this process until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached = threading.Event()
        self._go = threading.Event()
        original = getattr(Removal, name)

        def held(*args: object, **options: object) -> object:
            self.reached.set()
            assert self._go.wait(20)
            return original(*args, **options)

        monkeypatch.setattr(Removal, name, held)

    def let_go(self) -> None:
        """Let it go on."""
        self._go.set()


async def test_an_upload_waits_for_a_collector_that_has_looked(
    store: Store, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    companion = await new_companion(user)
    await removed_picture(user, companion)
    held = Held(monkeypatch, "take")
    collecting = asyncio.create_task(Collector(store.data_dir).collect(10, grace=0))
    await asyncio.to_thread(held.reached.wait, 20)
    sending = asyncio.create_task(set_header(user, companion, 1))

    async def look() -> bool | None:
        return sending.done() or bool(await store.database(_BLOCKED)) or None

    await within(20, look)
    held.let_go()
    image, _ = await asyncio.gather(sending, collecting)
    assert await store.wrong() == []
    assert store.names(companion) == names_of(image)


async def test_an_upload_whose_file_is_taken_the_moment_it_is_placed_puts_it_there_again(
    store: Store, user: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    companion = await new_companion(user)
    main = store.main_file(companion, (await removed_picture(user, companion))["sha256"])
    before = main.stat().st_ino
    held = Held(monkeypatch, "_hide")
    collecting = asyncio.create_task(Collector(store.data_dir).collect(10, grace=0))
    await asyncio.to_thread(held.reached.wait, 20)
    sending = asyncio.create_task(set_header(user, companion, 1))
    await eventually(lambda: main.stat().st_ino != before)

    async def look() -> bool | None:
        return bool(await store.database(_BLOCKED)) or None

    await within(20, look)
    held.let_go()
    image, _ = await asyncio.gather(sending, collecting)
    assert await store.wrong() == []
    assert store.names(companion) == names_of(image)


# A disk that is really full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small disk, where that is allowed at all")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_is_really_full_refuses_pictures_and_loses_none(
    small_disk: Path, tmp_path: Path, postgres: str
) -> None:
    server = HubServer(
        tmp_path / "hub",
        "web",
        HUB_DATABASE_URL=await migrated_database(postgres),
        HUB_DATA_DIR=str(small_disk),
        HUB_FREE_SPACE_FLOOR_MB="0",
        **llm_settings("http://127.0.0.1:1/v1"),
    )
    store = Store(server)
    await server.start()
    user = await Client(server.url).register()
    try:
        companion = await new_companion(user)
        image = await set_header(user, companion, 1)
        filler = small_disk / "filler"
        for free in range(4):  # blocks of 4 kB: for nothing, for what is sent, for a part of what it becomes
            fill(filler, leave=free * 4096)
            answer = await send_header(user, companion, picture(2 + free))
            if answer.status_code == 200:
                break
            assert answer.status_code == 507, answer.text
            assert answer.json()["type"].endswith("no-room")
            assert list(store.temporary.iterdir()) == []
            assert store.torn() == []
            assert (await user.http.get(image["url"])).status_code == 200
        assert free >= 2, "there was room after all"
        filler.unlink()
        await set_header(user, companion, 9)
        assert store.torn() == []
    finally:
        await user.close()
        server.close()


def fill(filler: Path, *, leave: int) -> None:
    """Fill a disk up, but for so many bytes."""
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    size = 0
    with suppress(OSError):
        while True:
            size += os.write(descriptor, b"x" * 4096)
    os.ftruncate(descriptor, size - leave)
    os.close(descriptor)
