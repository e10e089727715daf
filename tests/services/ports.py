"""Ports for servers that cannot choose one themselves."""

from __future__ import annotations

import contextlib
import random
import socket


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that nobody listens on.

    They lie below those that the system gives to outgoing connections, which one of could take them before
    whoever is to listen there has started.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports += [port] if port not in ports else []
    return ports
