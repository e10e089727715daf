"""The route ``/api/ws``: who may come in, and which sockets are open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.errors import HubError
from hub.core.ids import new_id
from hub.domain.accounts.errors import AccountDisabledError
from hub.domain.accounts.schemas import Identity
from hub.process import Process
from hub.web.auth import identify
from hub.web.ws.session import CLOSE_NOT_SIGNED_IN, Session

SUBPROTOCOL = "companion-hub.v1"
CLOSE_NOT_ALLOWED = 4403


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

    async def close_signed_out(self, token_id: UUID) -> None:
        """Close the sockets that came in by a sign-in that has ended."""
        for session in tuple(self._sessions):
            if session.token_id == token_id:
                await session.close(CLOSE_NOT_SIGNED_IN, "signed out")


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
