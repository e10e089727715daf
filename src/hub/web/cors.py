"""Web pages of other origins that the operator allows: their browsers are told that they may read answers."""

from __future__ import annotations

from collections.abc import Collection

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_TAKEN = (
    "Authorization, Content-Type, x-api-key, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID,"
    " X-Request-ID, Range"
)
_SHOWN = (
    "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID, Idempotency-Replayed,"
    " Content-Range"
)
#: Seconds for which a browser need not ask again; none keeps it longer than two hours.
_MAX_AGE = "7200"


class Cors:
    """ASGI middleware around the whole application, so that refusals and streams are covered as well."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP or not self._origins:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        is_allowed = origin in self._origins

        async def send_with_leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableScopeHeaders.from_message(message)
                answer["Vary"] = f"{varies}, Origin" if (varies := answer.get("vary")) else "Origin"
                if is_allowed:
                    _allow(answer, origin)
                    answer["Access-Control-Expose-Headers"] = _SHOWN
            await send(message)

        if is_allowed and _is_preflight(scope, headers):
            await _answer_preflight(origin, send)
        else:
            await self._app(scope, receive, send_with_leave)


def _is_preflight(scope: HTTPScope, headers: dict[bytes, bytes]) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


async def _answer_preflight(origin: str, send: Send) -> None:
    answer = MutableScopeHeaders()
    _allow(answer, origin)
    answer["Access-Control-Allow-Methods"] = _METHODS
    answer["Access-Control-Allow-Headers"] = _TAKEN
    answer["Access-Control-Max-Age"] = _MAX_AGE
    answer["Vary"] = "Origin"
    await send({"type": "http.response.start", "status": 204, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _allow(answer: MutableScopeHeaders, origin: str) -> None:
    answer["Access-Control-Allow-Origin"] = origin
    answer["Access-Control-Allow-Credentials"] = "true"
