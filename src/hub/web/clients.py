"""Where a request comes from: the address that is counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address

from litestar.types import Scope

from hub.core.logging import get_logger
from hub.web.proxies import Address, Proxies, parse_address

logger = get_logger(__name__)

#: What is counted of an IPv6 address, in bits: one customer of a provider has at least so many of them.
_IPV6_BITS = 64
_UNKNOWN = "unknown"
#: What proxies add to a request that they pass on, and how more of it begins.
_FORWARDING = frozenset({b"forwarded", b"via", b"true-client-ip", b"x-client-ip", b"x-real-ip"})
_FORWARDING_TOO = (b"x-forwarded-", b"cf-", b"x-envoy-")


class Clients:
    """Finds clients' addresses; ``trusted`` are the proxies, by address or network, that are believed.

    Anybody can write ``X-Forwarded-For``. What a trusted proxy has put at its end is true, and so is what
    stands before an entry that is a trusted proxy itself.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._proxies = Proxies(trusted)
        self._has_warned = False

    def address_of(self, scope: Scope) -> str:
        """Return the client's address: IPv4 as it is, IPv6 as its network of 64 bits."""
        address = self._find(scope)
        return _counted(address) if address is not None else _UNKNOWN

    def is_of_this_machine(self, scope: Scope) -> bool:
        """Tell whether the client itself is on this machine: not where a proxy may stand between.

        A proxy on this machine that is not trusted, or does not tell for whom it asks, asks for anybody. One
        on another machine never asks for somebody here: what it calls loopback is its own.
        """
        peer = _peer_of(scope)
        if peer is None or not peer.is_loopback:
            return False
        if not any(name in _FORWARDING or name.startswith(_FORWARDING_TOO) for name, _ in scope["headers"]):
            return True
        told = [parse_address(each) for each in self._forwarded(scope)]
        return self._proxies.trusts(peer) and bool(told) and all(each and each.is_loopback for each in told)

    def _find(self, scope: Scope) -> Address | None:
        address = _peer_of(scope)
        if address is None:
            return None
        for entry in reversed(self._forwarded(scope)):
            if not self._proxies.trusts(address):
                break
            if (before := parse_address(entry)) is None:
                break
            address = before
        return address

    def _forwarded(self, scope: Scope) -> list[str]:
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if lines and not self._proxies and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "X-Forwarded-For ignored; if a reverse proxy sends it, name the proxy in HUB_TRUSTED_PROXIES"
            )
        return ",".join(lines).split(",") if lines else []


def _peer_of(scope: Scope) -> Address | None:
    peer = scope["client"]
    return parse_address(peer[0]) if peer else None


def _counted(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_BITS), strict=False))
