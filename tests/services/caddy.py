"""A real Caddy on loopback that runs the project's Caddyfile in front of a hub."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.services.hub import PROJECT
from tests.services.leash import Leashed
from tests.services.ports import free_ports
from tests.services.programs import program
from tests.services.waiting import eventually

CADDYFILE = PROJECT / "deploy" / "caddy" / "Caddyfile"


@asynccontextmanager
async def running_caddy(folder: Path, *hubs: str) -> AsyncIterator[str]:
    """Run Caddy in front of these hubs and yield its address, which is plain HTTP."""
    caddy, (port,) = program("caddy"), free_ports(1)
    upstreams = " ".join(urlsplit(hub).netloc for hub in hubs)
    environment = {"HOME": str(folder), "SITE": f"http://127.0.0.1:{port}", "UPSTREAMS": upstreams}
    file = folder / "caddy.json"
    file.write_text(_adapted(caddy, environment), encoding="utf-8")
    running = Leashed([caddy, "run", "--config", str(file)], log=folder / "caddy.log", env=environment)
    try:
        await eventually(lambda: _answers(port))
        yield environment["SITE"]
    finally:
        running.end()


def _adapted(caddy: str, environment: dict[str, str]) -> str:
    command = [caddy, "adapt", "--config", str(CADDYFILE)]
    adapted = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    # Its own interface has a port that other Caddys of this machine have, too.
    return json.dumps(json.loads(adapted) | {"admin": {"disabled": True}})


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
