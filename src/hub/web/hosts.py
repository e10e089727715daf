"""Under which names this server may be asked.

A page of somebody else's can have its own name point to this machine (DNS rebinding), and would then read
what belongs to whoever visits it. So only names that are known to be ours are answered. An address is not a
name: nobody can point it elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.web.problems import refuse

logger = get_logger(__name__)

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,255})(?::[0-9]{0,5})?")
_ASKING = (ScopeType.HTTP, ScopeType.WEBSOCKET)
_MALFORMED = "Send one well-formed Host header."
_LOOPBACK = ("localhost", ".localhost")


class Hosts:
    """ASGI middleware: refuses requests and sockets that ask for a name which is not ours."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._names, self._endings = _own_names(settings)
        self._why_not = lru_cache(maxsize=256)(self._look_at)  # clients send the same ones all the time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in _ASKING or (why := self._refusal(scope)) is None:
            await self._app(scope, receive, send)
            return
        logger.warning("host refused", hosts=[host[:100] for host in _hosts_of(scope)], kind=scope["type"])
        await refuse(
            scope,
            send,
            status=400,
            code="host_not_allowed",
            title="This server does not go by that name",
            detail=why,
        )

    def _refusal(self, scope: Scope) -> str | None:
        hosts = _hosts_of(scope)
        if not hosts and scope.get("http_version") == "1.0":  # before there were names; browsers send one
            return None
        return self._why_not(hosts[0]) if len(hosts) == 1 else _MALFORMED

    def _look_at(self, host: str) -> str | None:
        if (name := host_name(host)) is None:
            return _MALFORMED
        if is_address(name) or name in self._names or name.endswith(self._endings):
            return None
        return "If this is the right server, its operator has to add the name to HUB_ALLOWED_HOSTS."


def host_name(host: str) -> str | None:
    """Return the name or address of a Host header without its port, in lower case; None if it has none."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower().removesuffix(".") if match else None


def is_address(name: str) -> bool:
    """Tell whether this is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _hosts_of(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]


def _own_names(settings: Settings) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return whole names, and endings of names."""
    machine = socket.gethostname().lower()
    given: Iterable[str] = (
        *_LOOPBACK,
        settings.host.lower(),
        machine,
        f"{machine.partition('.')[0]}.local",  # its name in the own network (mDNS)
        *(urlsplit(origin).hostname or "" for origin in settings.allowed_origins),
        *(host.removeprefix("*") for host in settings.allowed_hosts),
    )
    names = {name.removesuffix(".") for name in given if name}
    endings = tuple(name for name in names if name.startswith("."))
    return frozenset(names), endings
