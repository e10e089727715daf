"""The route ``/api/ws``: who may come in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.errors import HubError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.domain.accounts.schemas import Identity
from hub.process import Process
from hub.web.auth import identify, require_scope
from hub.web.connections import OpenConnections
from hub.web.ws.frames import CONNECT_SCOPES
from hub.web.ws.session import CLOSE_NOT_SIGNED_IN, CLOSE_TOO_MANY, Session
from hub.web.ws.traffic import Traffic

logger = get_logger(__name__)

SUBPROTOCOL = "companion-hub.v1"
CLOSE_COME_AGAIN = 1012
CLOSE_NOT_ALLOWED = 4403


@websocket("/api/ws", opt={"exclude_from_auth": True})
async def socket_route(
    socket: WebSocket[Any, Any, Any],
    process: NamedDependency[Process],
    connections: NamedDependency[OpenConnections],
    traffic: NamedDependency[Traffic],
) -> None:
    """Sign the socket in, then serve it."""
    clear_contextvars()
    bind_contextvars(request_id=new_id().hex)
    offered = socket.scope.get("subprotocols") or []
    # Close codes reach a client only on a socket that was accepted.
    await socket.accept(subprotocols=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        identity = await _identify(socket, process)
        require_scope(identity, CONNECT_SCOPES)
    except HubError as error:
        code = CLOSE_NOT_ALLOWED if error.status == HTTPStatus.FORBIDDEN else CLOSE_NOT_SIGNED_IN
        await socket.close(code=code, reason=error.title)
        return
    except UNAVAILABLE as error:
        logger.warning("database unavailable for a socket", reason=type(error).__name__)
        await socket.close(code=CLOSE_COME_AGAIN, reason="not ready, come again")
        return
    if not traffic.enter(identity.user.id):
        logger.info("socket closed, too many sockets")
        await socket.close(code=CLOSE_TOO_MANY, reason="too many sockets, close another one first")
        return
    try:
        session = Session(socket, identity, process, traffic)
        with connections.open(session):
            await session.run()
    finally:
        traffic.leave(identity.user.id)


async def _identify(socket: WebSocket[Any, Any, Any], process: Process) -> Identity:
    ticket = socket.query_params.get("ticket")
    if isinstance(ticket, str) and ticket:
        identity = await process.accounts.redeem_ticket(ticket)
        bind_contextvars(user_id=str(identity.user.id))
        return identity
    return await identify(socket, process.accounts)
