"""What a process of the hub holds open, whichever part it plays: database, bus, relay, and the services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.domain.accounts.service import AccountService
from hub.domain.chat.service import ChatService
from hub.jobs.messages import JobPublisher
from hub.jobs.relay import Relay
from hub.live.bus import Bus


class Process:
    """The open parts of one process; made by :func:`open_process`."""

    def __init__(self, settings: Settings, *, publisher: JobPublisher, bus: Bus, relay: Relay) -> None:
        self.settings = settings
        self.publisher = publisher
        self.bus = bus
        self.relay = relay
        self.accounts = AccountService(token_life=timedelta(days=settings.token_days))
        self.chat = ChatService(relay=relay, bus=bus, message_max_length=settings.message_max_length)


@asynccontextmanager
async def open_process(settings: Settings, *, dsn: str, publisher: JobPublisher) -> AsyncIterator[Process]:
    """Open what a process needs on the running event loop, and close it in reverse order.

    Args:
        settings: the checked settings.
        dsn: the database, migrated.
        publisher: rings for jobs; closed by its owner.
    """
    async with AsyncExitStack() as stack:
        await ENGINE.open(dsn, pool_size=settings.database_pool_size)
        stack.push_async_callback(ENGINE.close)
        bus = Bus(dsn)
        stack.push_async_callback(bus.stop)
        await bus.start()
        relay = Relay(publisher)
        relay.start()
        stack.push_async_callback(relay.stop)
        yield Process(settings, publisher=publisher, bus=bus, relay=relay)
