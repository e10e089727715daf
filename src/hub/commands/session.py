"""Commands that work with the tables: migrated first, beside a running server or alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import msgspec
from msgspec import Struct

from hub.commands.running import with_database
from hub.core.errors import HubError, InvalidRequestError, StartError
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.db.provision import Database, migrate_database
from hub.domain.accounts.service import AccountService
from hub.domain.chat.clearing import Clearing
from hub.domain.limits.service import Limits
from hub.jobs.relay import Relay
from hub.live.bus import Bus

#: Connections that a command holds at once.
_POOL_SIZE = 4


class Desk(Struct, frozen=True, kw_only=True):
    """What the operator's hand works with; ``bus`` tells the running hub what it did."""

    accounts: AccountService
    clearing: Clearing
    bus: Bus


def with_tables(run: Callable[[Settings], Awaitable[None]]) -> None:
    """Bring the schema forward and run a command with the pool open; an error ends it in one line."""
    with_database(lambda settings, database: asyncio.run(_with_tables(settings, database, run)))


def with_desk(run: Callable[[Desk], Awaitable[None]], *, otherwise: str = "Nothing was done") -> None:
    """Run a command about people, likewise; ``otherwise`` begins what is said when the hub refuses it."""

    async def at_desk(settings: Settings, database: Database) -> None:
        await _with_tables(settings, database, partial(_at_desk, run, otherwise, database.dsn))

    with_database(lambda settings, database: asyncio.run(at_desk(settings, database)))


async def _at_desk(
    run: Callable[[Desk], Awaitable[None]], otherwise: str, dsn: str, settings: Settings
) -> None:
    bus, limits = Bus(dsn), Limits(settings)
    await bus.start()
    try:
        clearing = Clearing(relay=Relay(None, cap=None), bus=bus, limits=limits)
        accounts = AccountService(token_life=timedelta(minutes=1), limits=limits)
        await run(Desk(accounts=accounts, clearing=clearing, bus=bus))
    except msgspec.ValidationError as error:
        raise StartError(f"{otherwise}: {error}.") from None
    except HubError as error:
        detail = error.errors[0].detail if isinstance(error, InvalidRequestError) else str(error)
        raise StartError(f"{otherwise}. {error.title}. {detail}") from None
    finally:
        await bus.stop()


async def _with_tables(
    settings: Settings, database: Database, run: Callable[[Settings], Awaitable[None]]
) -> None:
    await migrate_database(database)
    try:
        await ENGINE.open(database.dsn, pool_size=_POOL_SIZE)
        await run(settings)
    except HubError as error:
        raise StartError(f"It did not come to its end. {error.title}. Run it again.") from None
    except DATABASE_ERRORS as error:
        raise StartError(
            f"It did not come to its end ({type(error).__name__}: {error}). Run it again."
        ) from None
    finally:
        await ENGINE.close()
