"""Backups: made while people write, restored and compared; and how long one takes against the guide's way.

The guide's script is ``pg_dump | gzip`` of a database that holds the pictures as base64, and ``tar -czf`` of
uploads, which have nothing in them then. ``backup`` makes few backups and keeps few pictures as base64,
scaled; ``backup-full`` does everything.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct

from bench.report import Figure
from bench.storage import BASE64_TABLE, IMAGES, SAMPLE, data_url, filled, pg_dump, settle, sources_in
from bench.world import World
from hub.core.ids import new_id
from hub.db.engine import ENGINE
from hub.domain.images.collector import Collector
from tests.services.hub import Client, HubServer
from tests.services.picture_files import new_companion, set_header
from tests.services.world import Done, run_hub

GOAL = 0.015
BACKUPS, FEW_BACKUPS = 20, 4
#: Backups that are timed before the other way and again after it; people who write while others are made.
TIMED = 3
WRITERS = 4
#: Seconds that they write before each backup.
_AHEAD = 1.0

_ARCHIVE = "hub.tar.zst"
#: What a moment of the database cannot have, whatever goes on.
_INCONSISTENT = """
SELECT (SELECT count(*) FROM conversations JOIN LATERAL (
        SELECT max(position) AS last FROM messages WHERE conversation_id = conversations.id) AS found ON true
    WHERE last > last_position)
+ (SELECT count(*) FROM responses WHERE status = 'completed'
    AND NOT EXISTS (SELECT FROM messages WHERE response_id = responses.id))
+ (SELECT count(*) FROM messages WHERE role = 'assistant' AND response_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM responses WHERE id = response_id))
"""


async def measure(world: World) -> list[Figure]:
    """Measure with few backups under load and a sample as base64."""
    return [*await _under_load(world, FEW_BACKUPS), *await _against_the_guide(world, SAMPLE)]


async def measure_in_full(world: World) -> list[Figure]:
    """Measure everything; this takes some ten minutes and 6 GB of disk."""
    return [*await _under_load(world, BACKUPS), *await _against_the_guide(world, IMAGES)]


# Beside a hub in use


class Tally(Struct):
    """What was found in restored backups, and what went on meanwhile."""

    images: int = 0
    files: int = 0
    messages: int = 0
    faults: int = 0
    differences: int = 0
    inconsistent: int = 0
    collected: int = 0
    held_off: int = 0
    writes: int = 0


async def _under_load(world: World, count: int) -> list[Figure]:
    tally, seconds = Tally(), []
    with world.llm(tokens=30) as llm:
        async with world.hub_up(llm, HUB_IMAGE_GRACE="0") as hub, _load(hub, tally) as go:
            for _ in range(count):
                archive = world.folder() / "hub.tar.zst"
                go.set()
                await asyncio.sleep(_AHEAD)
                started = time.perf_counter()
                done = await run_hub(hub.folder, "backup", str(archive), "--json", **hub.settings)
                seconds.append(time.perf_counter() - started)
                go.clear()
                tally.faults += done.code
                await _restore(world, hub, archive, json.loads(done.out), tally)
    wrong = tally.faults + tally.differences + tally.inconsistent
    return [
        Figure(
            name=f"{count} backups under load, restored: files missing or damaged, rows that do not agree",
            value=wrong,
            shown=str(wrong),
            goal=0,
            goal_shown="0",
            details=(
                f"restored {tally.images:,} pictures ({tally.files:,} files), {tally.messages:,} messages",
                f"a backup took {statistics.median(seconds):.1f} s (median)",
                f"meanwhile {tally.writes:,} uploads, turns, wipes and deletions",
                f"{tally.collected:,} pictures collected without grace; held off {tally.held_off:,} times",
            ),
        )
    ]


async def _restore(
    world: World, hub: HubServer, archive: Path, told: dict[str, object], tally: Tally
) -> None:
    folder, dsn = world.folder(), await world.database()
    place = {**hub.settings, "HUB_DATA_DIR": str(folder / "data"), "HUB_DATABASE_URL": dsn}
    _require(await run_hub(folder, "restore", str(archive), **place))
    verified = await run_hub(folder, "images", "verify", "--json", **place)
    found = json.loads(verified.out)
    tally.images += found["images"]
    tally.files += found["files"]
    tally.faults += len(found["faults"])
    connection = await asyncpg.connect(dsn)
    try:
        for table, count in dict(told["counts"]).items():  # type: ignore[call-overload]
            rows = await connection.fetchval(f"SELECT count(*) FROM {table}")
            tally.differences += rows != count
        tally.messages += await connection.fetchval("SELECT count(*) FROM messages")
        tally.inconsistent += await connection.fetchval(_INCONSISTENT)
    finally:
        await connection.close()


def _require(done: Done) -> None:
    if done.code:
        raise RuntimeError(done.output)


@asynccontextmanager
async def _load(hub: HubServer, tally: Tally) -> AsyncIterator[asyncio.Event]:
    """Have people write and a collector collect for as long as the event is set."""
    go = asyncio.Event()
    people = [await Client(hub.url).register() for _ in range(WRITERS)]
    await ENGINE.open(hub.settings["HUB_DATABASE_URL"], pool_size=4)
    tasks = [asyncio.create_task(_write(each, number, tally, go)) for number, each in enumerate(people)]
    tasks.append(asyncio.create_task(_collect(hub, tally, go)))
    try:
        yield go
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ENGINE.close()
        for each in people:
            await each.close()


async def _write(person: Client, number: int, tally: Tally, go: asyncio.Event) -> None:
    """Make companions, give them pictures one after the other, talk, paint, wipe, delete."""
    while True:
        number += WRITERS
        companion = await new_companion(person)
        talk = (await person.conversation(companion))["id"]
        for change in range(4):
            await go.wait()
            await set_header(person, companion, number * 10 + change)
            turn = await person.send_for_image(talk, f"Number {change}?")
            if change % 2:
                await person.ended(turn["response"]["id"])
        if number % 3 == 0:
            await person.http.post(f"/api/companions/{companion}/wipe")
        if number % 2:
            await person.http.delete(f"/api/companions/{companion}")
        tally.writes += 10


async def _collect(hub: HubServer, tally: Tally, go: asyncio.Event) -> None:
    collector = Collector(Path(hub.settings["HUB_DATA_DIR"]))
    while await go.wait():
        count = await collector.collect(100, grace=0)
        await collector.sweep_strays(100, grace=0)
        tally.collected += count
        async with ENGINE.connection() as connection:
            waits = await connection.fetchval("SELECT EXISTS (SELECT FROM image_removals)")
        tally.held_off += waits and not count
        await asyncio.sleep(0.02)


# Against the guide's way


async def _against_the_guide(world: World, distinct: int) -> list[Figure]:
    sources = await sources_in(world.folder(), distinct)
    data, dsn = await filled(world, sources)
    place = (data.parent, dsn)
    ours = await _timed(*place)
    theirs = await _theirs(world, sources)
    ours += await _timed(*place)  # before and after, since other work on the machine comes and goes
    size = (place[0] / _ARCHIVE).stat().st_size
    how = f"{IMAGES:,} different pictures on both sides"
    if distinct < IMAGES:
        how = f"{distinct} as base64, scaled; {IMAGES - distinct} of ours differ from others by some bytes"
    ratio = statistics.median(ours) / theirs
    return [
        Figure(
            name=f"hub backup of {IMAGES:,} pictures, against the guide's script",
            value=ratio,
            shown=f"{ratio:.4f}x",
            goal=GOAL,
            goal_shown=f"<= {GOAL:g}x",
            details=(
                f"{statistics.median(ours):.2f} s, start and reading back included, against {theirs:.0f} s",
                f"{len(ours)} runs of ours: {min(ours):.2f} to {max(ours):.2f} s; {size / 1e6:.0f} MB",
                how,
            ),
        )
    ]


async def _timed(folder: Path, dsn: str) -> list[float]:
    """Return what some backups took, from the command to its end."""
    taken = []
    for _ in range(TIMED):
        started = time.perf_counter()
        done = await run_hub(folder, "backup", _ARCHIVE, "--json", HUB_DATABASE_URL=dsn)
        taken.append(time.perf_counter() - started)
        _require(done)
        if json.loads(done.out)["counts"]["images"] != IMAGES:
            raise RuntimeError(done.out)
    return taken


async def _theirs(world: World, sources: Sequence[Path]) -> float:
    """Return the seconds that the guide's script takes, or would take for all pictures."""
    dsn, target = await world.database(), world.folder()
    (target / "public" / "uploads").mkdir(parents=True)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(BASE64_TABLE)
        empty = await asyncio.to_thread(_script, dsn, target)
        for source in sources:
            content = await asyncio.to_thread(data_url, source)
            await connection.execute("INSERT INTO pictures VALUES ($1, $2)", new_id(), content)
    finally:
        await connection.close()
    await settle(dsn)
    whole = await asyncio.to_thread(_script, dsn, target)
    return empty + (whole - empty) * IMAGES / len(sources)


def _script(dsn: str, folder: Path) -> float:
    """Run what the guide has in its script, with our database's address."""
    dump = shlex.join([pg_dump(), dsn])
    script = f"{dump} | gzip > db.sql.gz && tar -czf uploads.tar.gz public/uploads/"
    started = time.perf_counter()
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return time.perf_counter() - started
