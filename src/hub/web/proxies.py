"""Reverse proxies that the operator trusts: what they say of a client is believed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+")


class Proxies:
    """The proxies that are believed; ``trusted`` names them by address or network."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(each) for each in trusted]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, address: Address) -> bool:
        """Tell whether this is the address of one."""
        return any(address in network for network in self._networks)


def parse_address(text: str) -> Address | None:
    """Read an address, with a port or without; IPv4 that is written as IPv6 is IPv4."""
    text = text.strip()
    if (found := _WITH_PORT.fullmatch(text)) is not None:
        text = found[1] or found[2] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
