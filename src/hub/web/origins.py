"""From which web page a request comes, where that matters: when it is a browser that says who is asking.

A browser sends its cookies along whichever page makes it ask. So what a cookie signs in, and what would set
one, has to come from a page of this server, or of an origin that the operator allows.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection

from hub.core.errors import HubError
from hub.core.settings import Settings
from hub.web.hosts import host_name, is_address
from hub.web.proxies import Proxies, parse_address

Connection = ASGIConnection[Any, Any, Any, Any]

_OWN_SITES = ("same-origin", "none")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class OriginNotAllowedError(HubError):
    """A page of somewhere else asks, in the name of its visitor."""

    status = 403
    code = "origin_not_allowed"
    title = "This web page may not ask for that"

    def __init__(self) -> None:
        super().__init__(
            "With a cookie, only this server's own pages may. Send a token instead, or have the operator add"
            " the page's origin to HUB_ALLOWED_ORIGINS."
        )


def require_own_page(connection: Connection, settings: Settings, *, or_no_page: bool = False) -> None:
    """Return if the request comes from a page of this server or of an allowed origin.

    Args:
        connection: the request or socket.
        settings: name the origins that are allowed.
        or_no_page: whether one that no browser sends will do too.

    Raises:
        OriginNotAllowedError: it comes from elsewhere, or does not tell where from.
    """
    origin = connection.headers.get("origin", "")
    site = connection.headers.get("sec-fetch-site", "")
    if origin and origin != "null":
        allowed = origin in settings.allowed_origins or _is_own(origin, connection, settings)
    elif origin or site:  # a page that sends no referrer has the origin null
        allowed = site in _OWN_SITES
    else:
        allowed = or_no_page
    if not allowed:
        raise OriginNotAllowedError


def came_by_https(connection: Connection, settings: Settings) -> bool:
    """Tell whether a browser has asked by https: as the server sees it, or as a trusted proxy says.

    Where neither says so, a server in production that is asked by its name is taken to be behind https.
    """
    if connection.scope["scheme"] in ("https", "wss"):
        return True
    if (told := _told_by_proxy(connection, settings)) is not None:
        return told in ("https", "wss")
    name = host_name(connection.headers.get("host", "")) or "localhost"
    is_local = name == "localhost" or name.endswith(".localhost") or is_address(name)
    return settings.env == "production" and not is_local


def _told_by_proxy(connection: Connection, settings: Settings) -> str | None:
    peer, told = connection.scope["client"], connection.headers.get("x-forwarded-proto")
    address = parse_address(peer[0]) if peer is not None else None
    if told is None or address is None or not Proxies(settings.trusted_proxies).trusts(address):
        return None
    return told.rpartition(",")[2].strip().lower()


def _is_own(origin: str, connection: Connection, settings: Settings) -> bool:
    try:
        scheme, netloc = urlsplit(origin)[:2]
    except ValueError:
        return False
    if scheme not in _DEFAULT_PORTS or (scheme == "http" and came_by_https(connection, settings)):
        return False
    port = f":{_DEFAULT_PORTS[scheme]}"
    host = connection.headers.get("host", "").lower()
    return netloc != "" and netloc.removesuffix(port) == host.removesuffix(port)
