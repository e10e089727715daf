"""An import from the original that is killed again and again, some of its pictures damaged."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.world import World
from tests.services.fixtures import new_database
from tests.services.legacy import Original, data_url, original, photo
from tests.services.world import begin_hub, nothing_left, query, run_hub

_PATIENCE = 300.0
_THINGS = ("users", "companions", "messages", "pictures")
#: Of the kills, those that come at any moment from the start on; the others come when so much is done.
_EARLY = 0.15
_COMPANIONS_A_USER = 2
_PICTURES_A_COMPANION = 24  # in its messages, beside its header


@dataclass
class Case:
    """The source and the hub; ``damaged`` are the ids of rows whose picture cannot be read."""

    source: Original
    dsn: str
    folder: Path
    uploads: Path
    damaged: set[str] = field(default_factory=set)
    pictures: int = 0
    messages: int = 0

    @property
    def command(self) -> tuple[str, ...]:
        """What is run."""
        return ("import-legacy", "--source", self.source.dsn, "--uploads", str(self.uploads), "--json")

    async def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run to the end and return the exit code and the report."""
        done = await run_hub(self.folder, *self.command, *words, HUB_DATABASE_URL=self.dsn)
        assert done.out, done.err
        return done.code, json.loads(done.out)

    @property
    def whole(self) -> int:
        """How many things there are to import, a companion and its conversation counting twice."""
        companions = self.pictures - self.messages // 2
        users = (companions + 1) // _COMPANIONS_A_USER
        return users + 2 * companions + self.messages + self.pictures - len(self.damaged)

    async def rows(self) -> int:
        """Return how many of them are there."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await rows_in(connection)
        finally:
            await connection.close()

    async def count(self, sql: str) -> int:
        """Return one number of the hub's database."""
        return int((await query(self.dsn, sql))[0]["count"])


@dataclass(frozen=True)
class Ends:
    """The source's checksum before, and what the runs that were not killed said: exit code and report."""

    before: str
    last: tuple[int, dict[str, Any]]
    verified: tuple[int, dict[str, Any]]
    again: tuple[int, dict[str, Any]]


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Kill the import at random points, then let it end, and compare both sides."""
    total, damaged, kills = size.of(40, 1000), size.of(4, 20), size.of(6, 200)
    async with _case(world) as case:
        await _fill(case, total, damaged, world.random)
        before, done = await case.source.checksum(), 0
        async with progress.of(case.whole, "rows and pictures", lambda: f"{done} kills"):
            for left in range(kills, 0, -1):
                await _kill(case, world.random, left=left)
                done += 1
                progress.done = await case.rows()
            last = await case.run()
        ends = Ends(before, last, await case.run("--verify"), await case.run())
        await nothing_left(case.folder, within=10)
        return await _findings(case, f"kill -9 at {kills} points", ends)


@asynccontextmanager
async def _case(world: World) -> AsyncIterator[Case]:
    with tempfile.TemporaryDirectory(prefix="hub-import-") as folder:
        async with original(await new_database(world.postgres.dsn)) as source:
            place = Path(folder)
            yield Case(source, await new_database(world.postgres.dsn), place, place / "old")


async def _fill(case: Case, total: int, damaged: int, random: Random) -> None:
    """Make so many pictures, a quarter of the headers' in files, the others written down as base64."""
    bad = set(random.sample(range(total), damaged))
    user = companion = ""
    for number in range(total):
        place = number % (_PICTURES_A_COMPANION + 1)
        content = photo(number + 1, 160, 120)
        text = _spoiled(content, number) if number in bad else data_url(content)
        if place == 0:
            if number // (_PICTURES_A_COMPANION + 1) % _COMPANIONS_A_USER == 0:
                user = await case.source.user()
            in_file = number % 4 == 0 and number not in bad
            companion = row = await _header(case, user, content, text, is_file=in_file)
        else:
            case.messages += 2
            row = (await case.source.talk(companion, text))[1]
        case.pictures += 1
        if number in bad:
            case.damaged.add(row)


async def _header(case: Case, user: str, content: bytes, text: str, *, is_file: bool) -> str:
    if not is_file:
        return await case.source.companion(user, headerImageLegacy=text)
    companion = await case.source.companion(user)
    address = f"companions/{companion}/headers/picture.jpg"
    (case.uploads / address).parent.mkdir(parents=True)
    (case.uploads / address).write_bytes(content)
    await case.source.execute(
        'UPDATE "Companion" SET "headerImageUrl" = $2 WHERE id = $1', companion, f"/uploads/{address}"
    )
    return companion


def _spoiled(content: bytes, number: int) -> str:
    """Return a picture as only accidents write it, a different one each time."""
    cut = data_url(content[: len(content) // 3])
    ways = [
        cut,
        data_url(b"\xff\xd8\xff" + bytes(500)),
        "data:image/png;base64,",
        "not a picture!",
        cut + "?",
    ]
    return ways[number % len(ways)]


async def _kill(case: Case, random: Random, *, left: int) -> None:
    """Start the import and kill it: when a share of the rest is done, so that ``left`` kills see it all.

    Some are killed at any moment from the start on instead.
    """
    is_early = random.random() < _EARLY
    goal = await case.rows() + (case.whole - await case.rows()) / left * random.uniform(0.2, 1.2)
    process = await begin_hub(case.folder, *case.command, HUB_DATABASE_URL=case.dsn)
    try:
        if not is_early:
            await _wait_for(case, goal, process)
        await asyncio.sleep(random.uniform(0, 1.2 if is_early else 0.02))
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(30):
            await process.communicate()


async def _wait_for(case: Case, goal: float, process: asyncio.subprocess.Process) -> None:
    """Wait until more than so many rows are there, or the import has ended."""
    deadline = time.monotonic() + _PATIENCE
    connection = await asyncpg.connect(case.dsn)
    try:
        while process.returncode is None and await rows_in(connection) <= goal:
            assert time.monotonic() < deadline, "the import does not get on"
            await asyncio.sleep(0.003)
    finally:
        await connection.close()


async def rows_in(connection: asyncpg.Connection) -> int:
    """Return how many things were imported into a hub's database, which may have no tables yet."""
    if await connection.fetchval("SELECT to_regclass('legacy_imports')") is None:
        return 0
    return int(await connection.fetchval("SELECT count(*) FROM legacy_imports"))


async def _findings(case: Case, killed: str, ends: Ends) -> list[Finding]:
    whole = case.pictures - len(case.damaged)
    done = f"{killed}, {case.pictures:,} pictures, {len(case.damaged)} damaged"
    reported = [_failed(report) == case.damaged for _, report in (ends.last, ends.again)]
    pictures = ends.verified[1]["pictures"]
    found = f"{pictures['verified']} verified, {len(_failed(ends.last[1]))} reported"
    is_same = await case.source.checksum() == ends.before
    codes = [ends.last[0], ends.verified[0], ends.again[0]]
    return [
        Finding(
            promise="an import goes on where it was killed",
            done=done,
            found=found,
            goal=f"{whole} verified, {len(case.damaged)} reported",
            met=pictures["verified"] == whole and all(reported) and codes == [0, 0, 0],
            details=(f"exit codes {codes}",),
        ),
        none_of("nothing is imported twice", done, await _doubled(case, whole), what="kinds of rows"),
        none_of(
            "a finished import does nothing again", "run once more", _imported(ends.again[1]), what="things"
        ),
        Finding(
            promise="the original is left as it is",
            done=done,
            found="the same checksum" if is_same else "another checksum",
            goal="the same checksum",
            met=is_same,
        ),
    ]


def _failed(report: dict[str, Any]) -> set[str]:
    return {each["id"] for each in report["remarks"] if each["column"] == "failed"}


def _imported(report: dict[str, Any]) -> list[str]:
    return [f"{thing}: {report[thing]['imported']}" for thing in _THINGS if report[thing]["imported"]]


async def _doubled(case: Case, whole: int) -> list[str]:
    """Return where there are more or fewer rows than there must be."""
    expected = {
        "SELECT count(*) FROM images": whole,
        "SELECT count(*) FROM messages": case.messages,
        "SELECT count(*) FROM companions": case.pictures - case.messages // 2,
        "SELECT count(*) FROM conversations": case.pictures - case.messages // 2,
        "SELECT count(*) FROM messages WHERE image_id IS NOT NULL": await case.count(
            "SELECT count(*) FROM images WHERE kind = 'generated'"
        ),
        "SELECT count(*) FROM conversations JOIN messages ON conversation_id = conversations.id"
        " WHERE position > last_position": 0,
    }
    found = {sql: await case.count(sql) for sql in expected}
    return [f"{sql}: {found[sql]}, not {number}" for sql, number in expected.items() if found[sql] != number]
