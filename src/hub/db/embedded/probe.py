"""Is the server ready? Asked as ``pg_isready`` asks: begin a connection, look at the first answer."""

from __future__ import annotations

import socket
import struct
from enum import Enum
from pathlib import Path

PORT = 5432
"""No TCP port: PostgreSQL makes it a part of the socket's name."""

_TIMEOUT = 2.0  # seconds; an idle server answers in a millisecond
_PROTOCOL = 3 << 16
_AUTHENTICATION = b"R"
_ERROR = b"E"


class State(Enum):
    """What stands at the socket's address."""

    ABSENT = "nobody answers"
    BUSY = "starting, recovering or stopping"
    READY = "accepting connections"


def socket_path(folder: Path) -> Path:
    """Return the address of the server whose socket lives in ``folder``."""
    return folder / f".s.PGSQL.{PORT}"


def probe(folder: Path) -> State:
    """Knock once at the socket in ``folder``; never raises, takes at most a few seconds."""
    words = b"user\0hub\0database\0hub\0\0"
    greeting = struct.pack("!ii", 8 + len(words), _PROTOCOL) + words
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_TIMEOUT)
        try:
            client.connect(str(socket_path(folder)))
            client.sendall(greeting)
            answer = client.recv(1024)
        except TimeoutError:
            return State.BUSY
        except OSError:
            return State.ABSENT
    if answer.startswith(_AUTHENTICATION):
        return State.READY
    # "too many clients" (53300) and the like still mean that it serves; 57P03 means: not now.
    return State.READY if answer.startswith(_ERROR) and b"C57P03" not in answer else State.BUSY
