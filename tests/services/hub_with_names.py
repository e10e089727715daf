"""A hub whose name server is a file: ``python -m tests.services.hub_with_names up``.

The file that ``NAMES_FILE`` names holds JSON, the addresses of each host. It is read for every question, so
that a test may change its mind in between.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from hub.cli import main
from hub.providers.http import foreign


def known() -> dict[str, list[str]]:
    """Return what the file says."""
    return dict(json.loads(Path(os.environ["NAMES_FILE"]).read_text(encoding="utf-8")))


async def look_up(host: str, port: int) -> Sequence[str]:
    """Answer as the file says."""
    del port
    if host not in known():
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return known()[host]


if __name__ == "__main__":
    foreign.resolve_by_system = look_up
    main()
