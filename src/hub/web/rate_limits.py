"""What a client is told of its limits with each answer: ``RateLimit-Policy`` and ``RateLimit``.

After the IETF's draft "RateLimit header fields for HTTP": a policy has a quota and a window in seconds, and
its standing says how many remain and in how many seconds the window is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hub.domain.limits.standing import Standing, noting


class RateLimits:
    """ASGI middleware: adds the headers to the answers of requests in which something was counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        with noting() as noted:

            async def send_with_limits(message: Message) -> None:
                if noted and message["type"] == "http.response.start":
                    # What failed has undone what it counted in its transaction.
                    failed = message["status"] >= HTTPStatus.BAD_REQUEST
                    standings = [each for each in noted.values() if each.is_settled or not failed]
                    _add(MutableScopeHeaders.from_message(message), standings)
                await send(message)

            await self._app(scope, receive, send_with_limits)


def _add(headers: MutableScopeHeaders, standings: Iterable[Standing]) -> None:
    policies, remaining = [], []
    for each in standings:
        policies.append(f'"{each.action}";q={each.rule.limit};w={each.rule.seconds}')
        remaining.append(f'"{each.action}";r={each.remaining};t={each.reset}')
    if policies:
        headers["RateLimit-Policy"] = ", ".join(policies)
        headers["RateLimit"] = ", ".join(remaining)
