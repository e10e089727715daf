"""The route ``/api/ws``: who may come in, and which sockets are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.errors import HubError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.accounts.errors import AccountDisabledError
from hub.domain.accounts.schemas import Identity
from hub.domain.accounts.service import AccountService
from hub.process import Process
from hub.web.auth import identify
from hub.web.ws.session import CLOSE_NOT_SIGNED_IN, Session

logger = get_logger(__name__)

SUBPROTOCOL = "companion-hub.v1"
CLOSE_COME_AGAIN = 1012
CLOSE_NOT_ALLOWED = 4403
#: Seconds between two looks at the sign-ins of open sockets, which are to close within 5 of their end.
LOOK_EVERY = 3.0


class OpenSessions:
    """The sockets of this process, so that they can be closed when their sign-in ends."""

    def __init__(self) -> None:
        self._sessions: set[Session] = set()

    def add(self, session: Session) -> None:
        """Note a socket."""
        self._sessions.add(session)

    def discard(self, session: Session) -> None:
        """Forget a socket."""
        self._sessions.discard(session)

    async def close_signed_out(self, token_ids: set[UUID]) -> None:
        """Close the sockets that came in by sign-ins that have ended."""
        ended = [session for session in self._sessions if session.token_id in token_ids]
        closing = (session.close(CLOSE_NOT_SIGNED_IN, "signed out") for session in ended)
        await asyncio.gather(*closing, return_exceptions=True)  # one that will not close keeps no other open

    @asynccontextmanager
    async def watched(self, accounts: AccountService) -> AsyncIterator[None]:
        """Look now and then whether the sign-ins still stand: the word of their end may get lost."""
        watcher = asyncio.create_task(self._watch_forever(accounts), name="sign-in watcher")
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch_forever(self, accounts: AccountService) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if token_ids := {session.token_id for session in self._sessions}:
                    await self.close_signed_out(await accounts.ended(token_ids))
            except DATABASE_ERRORS as error:
                logger.debug("sign-ins wait for the database", reason=type(error).__name__)


@websocket("/api/ws", opt={"exclude_from_auth": True})
async def socket_route(
    socket: WebSocket[Any, Any, Any],
    process: NamedDependency[Process],
    open_sessions: NamedDependency[OpenSessions],
) -> None:
    """Sign the socket in, then serve it."""
    clear_contextvars()
    bind_contextvars(request_id=new_id().hex)
    offered = socket.scope.get("subprotocols") or []
    # Close codes reach a client only on a socket that was accepted.
    await socket.accept(subprotocols=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        identity = await _identify(socket, process)
    except HubError as error:
        code = CLOSE_NOT_ALLOWED if isinstance(error, AccountDisabledError) else CLOSE_NOT_SIGNED_IN
        await socket.close(code=code, reason=error.title)
        return
    except UNAVAILABLE as error:
        logger.warning("database unavailable for a socket", reason=type(error).__name__)
        await socket.close(code=CLOSE_COME_AGAIN, reason="not ready, come again")
        return
    session = Session(socket, identity, process)
    open_sessions.add(session)
    try:
        await session.run()
    finally:
        open_sessions.discard(session)


async def _identify(socket: WebSocket[Any, Any, Any], process: Process) -> Identity:
    ticket = socket.query_params.get("ticket")
    if isinstance(ticket, str) and ticket:
        identity = await process.accounts.redeem_ticket(ticket)
        bind_contextvars(user_id=str(identity.user.id))
        return identity
    return await identify(socket, process.accounts)
