"""What a process of the hub holds open, whichever part it plays: database, bus, relay, and the services."""

from __future__ import annotations

import os
import socket
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
from hub.providers.llm.protocol import LanguageModel


class Process:
    """The open parts of one process; made by :func:`open_process`.

    ``language_model`` is None in a process that does not talk to one; ``is_stopping`` is set once it takes
    no more work.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        publisher: JobPublisher | None,
        bus: Bus,
        relay: Relay,
        language_model: LanguageModel | None,
    ) -> None:
        self.settings = settings
        self.publisher = publisher
        self.bus = bus
        self.relay = relay
        self.language_model = language_model
        self.is_stopping = False
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self.accounts = AccountService(token_life=timedelta(days=settings.token_days))
        self.chat = ChatService(relay=relay, bus=bus, message_max_length=settings.message_max_length)


@asynccontextmanager
async def open_process(
    settings: Settings, *, dsn: str, publisher: JobPublisher | None, language_model: LanguageModel | None
) -> AsyncIterator[Process]:
    """Open what a process needs on the running event loop, and close it in reverse order.

    Args:
        settings: the checked settings.
        dsn: the database, migrated.
        publisher: rings for jobs; closed by its owner. None leaves that to the workers.
        language_model: for a process that talks to one; closed by its owner.
    """
    async with AsyncExitStack() as stack:
        await ENGINE.open(dsn, pool_size=settings.database_pool_size)
        stack.push_async_callback(ENGINE.close)
        bus = Bus(dsn)
        stack.push_async_callback(bus.stop)
        await bus.start()
        relay = Relay(publisher, cap=settings.turn_cap)
        relay.start()
        stack.push_async_callback(relay.stop)
        yield Process(settings, publisher=publisher, bus=bus, relay=relay, language_model=language_model)
