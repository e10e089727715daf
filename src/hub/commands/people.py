"""What commands about people share: the hub's own services, finding somebody, showing when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec import Struct

from hub.commands.running import with_database
from hub.commands.session import in_tables
from hub.core.errors import HubError, InvalidRequestError, StartError
from hub.core.settings import Settings
from hub.db.provision import Database
from hub.domain.accounts import queries
from hub.domain.accounts.schemas import User
from hub.domain.accounts.service import AccountService
from hub.domain.chat.clearing import Clearing
from hub.domain.limits.service import Limits
from hub.jobs.relay import Relay
from hub.live.bus import Bus


class Desk(Struct, frozen=True, kw_only=True):
    """What the operator's hand works with; ``bus`` tells the running hub what it did."""

    accounts: AccountService
    clearing: Clearing
    bus: Bus


def with_desk(run: Callable[[Desk], Awaitable[None]], *, otherwise: str = "Nothing was done") -> None:
    """Run a command about people, likewise; ``otherwise`` begins what is said when the hub refuses it."""

    async def at_desk(settings: Settings, database: Database) -> None:
        await in_tables(settings, database, partial(_at_desk, run, otherwise, database.dsn))

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


async def find_user(login: str) -> User:
    """Return who has a username or an email address.

    Raises:
        StartError: nobody has.
    """
    found = await queries.by_login(login)
    if found is None:
        raise StartError(f"Nobody here is called {login!r}: hub admin list --all shows who is there.")
    return found[0]


def day(moment: datetime | None) -> str:
    """Return a day, or a dash."""
    return f"{moment:%Y-%m-%d}" if moment else "-"
