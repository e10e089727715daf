"""One id, one log line and one count for each request."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.metrics import note_request

logger = get_logger(__name__)

_API = ("/api/", "/v1/")
_UNLESS_SAID = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")


class Access:
    """ASGI middleware: binds ``request_id`` to the logs, sends it back, and logs how the request went.

    It stands around the whole application, so that what the application itself refuses is seen too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        status, began = 0, 0.0

        async def send_with_id(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], time.perf_counter()
                message["headers"] = _completed(
                    message["headers"], request_id, is_api=scope["path"].startswith(_API)
                )
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            ended = time.perf_counter()
            template = scope.get("path_template")  # what was refused before has none
            note_request(scope["method"], template, status, (began or ended) - started)
            logger.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round((ended - started) * 1000, 1),
            )


def _completed(
    headers: Iterable[tuple[bytes, bytes]], request_id: str, *, is_api: bool
) -> list[tuple[bytes, bytes]]:
    """Add the request's id, and what no answer of the API is good for, where it does not say so itself."""
    completed = list(headers)
    said = {name.lower() for name, _ in completed}
    added = ((b"x-request-id", request_id.encode()), *(_UNLESS_SAID if is_api else ()))
    return completed + [each for each in added if each[0] not in said]


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.match(value):
            return value.decode()
    return new_id().hex
