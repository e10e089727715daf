"""Importing from the original, and comparing with it, from the first row to the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import asyncpg
from msgspec import Struct

from hub.core.errors import HubError, StartError
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.db.engine import ENGINE, UNAVAILABLE
from hub.domain.images.service import open_images
from hub.legacy import report as reports
from hub.legacy.companions import import_companions
from hub.legacy.messages import import_messages
from hub.legacy.people import import_users
from hub.legacy.pictures import AHEAD, import_pictures
from hub.legacy.report import Report
from hub.legacy.run import Run
from hub.legacy.source import open_source
from hub.legacy.uploads import Uploads
from hub.legacy.verify import verify_companions, verify_messages, verify_users
from hub.legacy.verify_pictures import verify_pictures
from hub.storage import layout

#: The advisory lock of the one import that may run ("hubl" in ASCII).
IMPORT_LOCK = 0x6875626C
#: Seconds that a database may need to notice that an import was killed.
_LOCK_SECONDS = 1.5


class Order(Struct, frozen=True, kw_only=True):
    """What is to be done: ``uploads`` holds the original's ``companions/``; ``verify`` only compares."""

    source: str
    uploads: Path | None
    verify: bool


async def carry_out(order: Order, settings: Settings, dsn: str, *, stream: TextIO) -> Report:
    """Import everything that is not here yet, or compare; our database is migrated already.

    Args:
        order: what to do.
        settings: where pictures lie, and how they are encoded.
        dsn: our database.
        stream: where progress is told.

    Raises:
        StartError: it cannot be done, or not to the end; what was imported stays.
    """
    uploads = Uploads(order.uploads)
    try:
        layout.prepare(settings.data_dir)
    except OSError as error:
        raise StartError(f"The data folder cannot be written to ({error}). Check HUB_DATA_DIR.") from None
    try:
        return await _run(order, uploads, settings, dsn, stream)
    except HubError as error:
        raise StartError(
            f"The import stopped. {error.title}. What was imported stays; run it again to go on."
        ) from None
    except UNAVAILABLE as error:
        raise StartError(
            f"The hub's database went away ({type(error).__name__}). What was imported stays; run it again"
            " to go on."
        ) from None


async def _run(order: Order, uploads: Uploads, settings: Settings, dsn: str, stream: TextIO) -> Report:
    at_once = settings.image_processes + AHEAD
    await ENGINE.open(dsn, pool_size=at_once + 2)
    try:
        async with _alone(dsn), open_source(order.source) as source, open_images(settings) as images:
            report = Report(reports.VERIFY if order.verify else reports.IMPORT)
            run = Run(source, uploads, images, Progress(stream), report)
            await (_verify if order.verify else _import)(run, at_once)
            return report
    finally:
        await ENGINE.close()


async def _import(run: Run, at_once: int) -> None:
    totals = await run.source.totals()
    with run.progress.of("users", totals.users):
        await import_users(run)
    with run.progress.of("companions", totals.companions):
        await import_companions(run)
    with run.progress.of("messages", totals.messages):
        await import_messages(run)
    with run.progress.of("pictures", totals.pictures):
        await import_pictures(run, at_once=at_once)


async def _verify(run: Run, at_once: int) -> None:
    totals = await run.source.totals()
    with run.progress.of("users", totals.users):
        await verify_users(run)
    with run.progress.of("companions", totals.companions):
        await verify_companions(run)
    with run.progress.of("messages", totals.messages):
        await verify_messages(run)
    with run.progress.of("pictures", totals.pictures):
        await verify_pictures(run, at_once=at_once)


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[None]:
    """Keep a second import out for as long as this one runs.

    Raises:
        StartError: one is running.
    """
    connection = await asyncpg.connect(dsn)
    try:
        deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", IMPORT_LOCK):
            if asyncio.get_running_loop().time() > deadline:
                raise StartError("Another import is running. Wait for its end, or end it, and try again.")
            await asyncio.sleep(0.1)
        yield
    finally:
        await connection.close()
