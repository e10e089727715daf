"""The cookie that keeps a browser signed in: a sign-in's token where no script can read it.

Over https its name begins with ``__Host-``: no other host, not even a subdomain, can set such a one. Whoever
signs a browser in by it calls :func:`~hub.web.origins.require_own_page` first.
"""

from __future__ import annotations

import math

from litestar.datastructures import Cookie

from hub.core.clock import utc_now
from hub.core.settings import Settings
from hub.domain.accounts.schemas import SignIn
from hub.web.origins import Connection, came_by_https

#: Its name, without what goes before it over https.
COOKIE_NAME = "hub_session"


def session_cookie(sign_in: SignIn, connection: Connection, settings: Settings) -> Cookie:
    """Return the cookie that keeps a browser signed in for as long as the sign-in lasts."""
    seconds = math.ceil((sign_in.expires_at - utc_now()).total_seconds())
    return _cookie(connection, settings, sign_in.access_token, seconds)


def forgotten(connection: Connection, settings: Settings) -> list[Cookie]:
    """Return what has a browser forget the cookie that it sent, if it did."""
    if token_in_cookie(connection, settings) is None:
        return []
    return [_cookie(connection, settings, "", 0)]


def token_in_cookie(connection: Connection, settings: Settings) -> str | None:
    """Return the token that a browser keeps for this server."""
    return connection.cookies.get(_name(connection, settings)) or None


def _cookie(connection: Connection, settings: Settings, value: str, seconds: int) -> Cookie:
    return Cookie(
        key=_name(connection, settings),
        value=value,
        max_age=seconds,
        path="/",
        secure=came_by_https(connection, settings),
        httponly=True,
        samesite="lax",
    )


def _name(connection: Connection, settings: Settings) -> str:
    return f"__Host-{COOKIE_NAME}" if came_by_https(connection, settings) else COOKIE_NAME
