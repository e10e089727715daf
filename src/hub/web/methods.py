"""HEAD wherever there is GET, as RFC 9110 asks of every server, and Allow headers that name all methods."""

from __future__ import annotations

from typing import cast

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send


class Methods:
    """ASGI middleware: asks the application for GET in place of HEAD, and keeps the body to itself.

    The web server has the original scope, so it knows that no body will follow.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        asked = _get(scope) if is_head else scope
        has_ended = False

        async def answer(message: Message) -> None:
            nonlocal has_ended
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                if "allow" in headers:
                    headers["Allow"] = _all_methods(asked, headers["allow"])
            elif is_head:
                if has_ended:
                    return
                has_ended = True  # a stream learns from the disconnect that follows that nobody reads it
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(asked, receive, answer)
        if is_head and "path_template" in asked:
            scope["path_template"] = asked["path_template"]  # whoever counts requests has the original


def _get(scope: HTTPScope) -> HTTPScope:
    """Return the same request with GET, and for the whole: only GET knows parts (RFC 9110, 14.2)."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return cast("HTTPScope", {**scope, "method": "GET", "headers": headers})


def _all_methods(scope: HTTPScope, allowed: str) -> str:
    """Complete an Allow header; the framework's answer to OPTIONS knows one handler of a path only."""
    methods = {method.strip() for method in allowed.split(",")}
    template = scope.get("path_template")
    for route in scope["litestar_app"].routes:
        if isinstance(route, HTTPRoute) and template in (route.path, route.path_format):
            methods |= route.methods
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))
