"""Routes that tell whether the hub is well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

from litestar import Controller, Response, get
from litestar.openapi import ResponseSpec
from msgspec import Struct

import hub
from hub.core.errors import HubError
from hub.db import migrate
from hub.db.engine import ENGINE
from hub.process import Process
from hub.storage.layout import check_writable
from hub.web.api.dependencies import ProcessDependency

Status = Literal["pass", "warn", "fail"]

#: Seconds that one check may take.
CHECK_TIMEOUT = 3.0


class Health(Struct, frozen=True, kw_only=True):
    """How the hub is, and each of its parts."""

    status: Status
    version: str
    checks: dict[str, Status]


class Alive(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["pass"] = "pass"


_UNWELL = {503: ResponseSpec(Health, description="A part that is needed fails.", generate_examples=False)}


class HealthController(Controller):
    """For load balancers, monitors and people who wonder."""

    path = "/api/health"
    tags = ("Operators",)
    opt = {"exclude_from_auth": True, "refuses_nothing": True}  # noqa: RUF012 - the framework declares it so

    @get(operation_id="getHealth", summary="How is the hub?", responses=_UNWELL)
    async def health(self, process: ProcessDependency) -> Response[Health]:
        """Check every part; 503 when one that is needed fails."""
        return _answer(await _check(process))

    @get("/live", operation_id="getLive", summary="Does the process answer?")
    async def live(self) -> Alive:
        """Answer without looking at anything."""
        return Alive()

    @get("/ready", operation_id="getReady", summary="Can the hub take requests?", responses=_UNWELL)
    async def ready(self, process: ProcessDependency) -> Response[Health]:
        """Check what requests need; 503 when something of it is missing, or while shutting down."""
        checks = await _check(process)
        if process.is_stopping:
            checks["process"] = "fail"
        return _answer(checks)


def _answer(checks: dict[str, Status]) -> Response[Health]:
    failed = "fail" in checks.values()
    status: Status = "fail" if failed else "warn" if "warn" in checks.values() else "pass"
    health = Health(status=status, version=hub.__version__, checks=checks)
    return Response(health, status_code=503 if failed else 200)


async def _check(process: Process) -> dict[str, Status]:
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
