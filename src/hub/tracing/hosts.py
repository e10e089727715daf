"""Which servers are told of a trace."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Literal

_OWN_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def may_tell(host: str, policy: Literal["local", "all", "off"]) -> bool:
    """Tell whether requests to a host may carry a traceparent.

    Args:
        host: a name or an address, without a port.
        policy: "local" tells those of the own network, as far as their name or address says so: private
            addresses, names without a dot (as containers have), and endings that the internet does not have.
    """
    return policy == "all" or (policy == "local" and _is_own(host.lower().removesuffix(".")))


def _is_own(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_OWN_ENDINGS)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address  # IPv4 that is written as IPv6
    return address.is_private or address.is_loopback or address.is_link_local
