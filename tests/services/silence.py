"""Ports of loopback where nobody answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

_CALLERS = 4


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port whose packets the kernel drops, as a firewall may: its queue of callers is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(_CALLERS):
            caller = stack.enter_context(socket.socket())
            caller.settimeout(0)
            with suppress(BlockingIOError):
                caller.connect(("127.0.0.1", port))
        yield port


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield a port that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port
