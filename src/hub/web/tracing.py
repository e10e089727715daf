"""Traces of what clients ask: a step for each request, and for each frame of a socket.

Only worth importing where something is traced; until then nothing of it runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from http import HTTPStatus

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import Struct
from structlog.contextvars import get_contextvars

from hub.core import tracing
from hub.web.proxies import Proxies, parse_address

#: What is asked all the time, by those who watch and by every page: nobody wants to see it.
_UNTRACED = ("/api/health", "/metrics", "/assets/", "/docs")


class Traced:
    """ASGI middleware: the step of a request, which all that it asks for goes on from.

    A ``traceparent`` is believed when a trusted proxy sends it. Anybody else's is only linked: it could put
    steps into traces of others, and have all be kept that is sampled.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._proxies = Proxies(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP or scope["path"].startswith(_UNTRACED):
            await self._app(scope, receive, send)
            return
        given = _traceparent(scope)
        believed = given is not None and self._trusts(scope)
        with tracing.root(
            scope["method"],
            kind="server",
            facts={"http.request.method": scope["method"]},
            parent=given if believed else None,
            link=None if believed else given,
        ) as step:

            async def send_and_look(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _tell_status(step, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_and_look)
            finally:
                _tell_route(step, scope, scope["method"])

    def _trusts(self, scope: Scope) -> bool:
        peer = scope["client"]
        address = parse_address(peer[0]) if peer else None
        return address is not None and self._proxies.trusts(address)


def _traceparent(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"traceparent"]
    return given[0].decode("latin-1") if len(given) == 1 else None


def _tell_status(step: tracing.Span, status: int) -> None:
    step.tell({"http.response.status_code": status})
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        step.fail(str(status))


def _tell_route(step: tracing.Span, scope: Scope, method: str) -> None:
    """Name the route, never the path, which holds ids; and the request, as logs do."""
    route = scope.get("path_template")
    if route:
        step.name(f"{method} {route}")
        step.tell({"http.route": route})
    step.tell({"hub.request.id": str(get_contextvars().get("request_id", ""))})


def frame_traced(frame: Struct) -> AbstractContextManager[tracing.Span]:
    """Begin the step of a frame that a client sent; it is named by the frame's type."""
    if not tracing.is_on():
        return tracing.NOTHING
    facts: tracing.Facts = {"hub.request.id": str(get_contextvars().get("request_id", ""))}
    return tracing.root(str(frame.__struct_config__.tag), kind="server", facts=facts)
