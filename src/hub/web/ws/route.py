"""The route ``/api/ws``: who may come in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from structlog.contextvars import bind_contextvars

from hub.core.errors import HubError
from hub.domain.accounts.schemas import Identity
from hub.process import Process
from hub.web.auth import identify
from hub.web.connections import OpenConnections
from hub.web.sockets import (
    CLOSE_COME_AGAIN,
    CLOSE_NOT_ALLOWED,
    CLOSE_NOT_SIGNED_IN,
    CLOSE_TOO_MANY,
    NotReadyError,
    TooManySocketsError,
    admit,
)
from hub.web.traffic import Traffic
from hub.web.ws.frames import CONNECT_SCOPES
from hub.web.ws.session import Session

SUBPROTOCOL = "companion-hub.v1"


@websocket("/api/ws", opt={"exclude_from_auth": True})
async def socket_route(
    socket: WebSocket[Any, Any, Any],
    process: NamedDependency[Process],
    connections: NamedDependency[OpenConnections],
    traffic: NamedDependency[Traffic],
) -> None:
    """Sign the socket in, then serve it."""
    offered = socket.scope.get("subprotocols") or []
    # Close codes reach a client only on a socket that was accepted.
    await socket.accept(subprotocols=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        identity = await admit(_identify(socket, process), traffic, scopes=CONNECT_SCOPES)
    except HubError as error:
        code, reason = _ending_of(error)
        await socket.close(code=code, reason=reason)
        return
    try:
        session = Session(socket, identity, process, traffic)
        with connections.open(session):
            await session.run()
    finally:
        traffic.leave(identity.user.id)


def _ending_of(error: HubError) -> tuple[int, str]:
    """Return the code and the reason that a socket is closed with, whose user may not come in."""
    if isinstance(error, NotReadyError):
        return CLOSE_COME_AGAIN, "not ready, come again"
    if isinstance(error, TooManySocketsError):
        return CLOSE_TOO_MANY, "too many sockets, close another one first"
    return CLOSE_NOT_ALLOWED if error.status == HTTPStatus.FORBIDDEN else CLOSE_NOT_SIGNED_IN, error.title


async def _identify(socket: WebSocket[Any, Any, Any], process: Process) -> Identity:
    ticket = socket.query_params.get("ticket")
    if isinstance(ticket, str) and ticket:
        identity = await process.accounts.redeem_ticket(ticket)
        bind_contextvars(user_id=str(identity.user.id))
        return identity
    return await identify(socket, process.accounts)
