"""Whether the hub is well: every part is asked, all at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

from msgspec import Struct

import hub
from hub.core.errors import HubError
from hub.db import migrate
from hub.db.engine import ENGINE
from hub.process import Process
from hub.storage.layout import check_writable

Status = Literal["pass", "warn", "fail"]

#: Seconds that one check may take.
CHECK_TIMEOUT = 3.0


class Health(Struct, frozen=True, kw_only=True):
    """How the hub is, and each of its parts."""

    status: Status
    version: str
    checks: dict[str, Status]


async def examine(process: Process) -> Health:
    """Check every part, for at most ``CHECK_TIMEOUT`` seconds."""
    return summary(await check(process))


def summary(checks: dict[str, Status]) -> Health:
    """Say how the whole is: as its worst part."""
    failed = "fail" in checks.values()
    status: Status = "fail" if failed else "warn" if "warn" in checks.values() else "pass"
    return Health(status=status, version=hub.__version__, checks=checks)


async def check(process: Process) -> dict[str, Status]:
    """Return how each part is, by its name; "fail" only for those that are needed."""
    database, broker, migrations, storage, room, llm, images = await asyncio.gather(
        _try(_database(), "fail"),
        _try(_broker(process), "fail"),
        _try(_migrations(), "fail"),
        _try(asyncio.to_thread(check_writable, process.settings.data_dir), "fail"),
        _try(process.images.files.require_room(), "warn"),
        _try(_language_model(process), "warn"),
        _try(process.image_server.check(), "warn"),
    )
    return {
        "database": database,
        "broker": broker,
        "migrations": migrations,
        "storage": room if storage == "pass" else storage,
        "llm": llm,
        "images": images,
    }


async def _try(check: Awaitable[object], otherwise: Status) -> Status:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check
    except Exception:  # noqa: BLE001 - whatever it is, the part is not well
        return otherwise
    return "pass"


async def _database() -> None:
    async with ENGINE.connection() as connection:
        await connection.fetchval("SELECT 1")


async def _migrations() -> None:
    async with ENGINE.connection() as connection:
        applied = await migrate.applied(connection)
    if set(migrate.known()) - set(applied):
        raise HubError("The database lacks migrations.")


async def _language_model(process: Process) -> None:
    if process.language_model is not None:
        await process.language_model.check()


async def _broker(process: Process) -> None:
    if process.publisher is not None:
        await process.publisher.check()
