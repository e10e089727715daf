"""The web server around the application: its port, its protocol, its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from hub.core.errors import StartError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.process import Process
from hub.web.app import create_app
from hub.web.metrics import PATH, metrics_port
from hub.web.protocols import HttpProtocol, SocketProtocol

logger = get_logger(__name__)

#: Seconds that open requests get to end.
REQUEST_GRACE = 2
#: Bytes that one WebSocket frame may have, at least.
FRAME_LIMIT = 65_536


def listen(settings: Settings) -> socket.socket:
    """Take the web's port at once, so that a taken one is known before anything else has started."""
    return _listen(settings.host, settings.port, names=("HUB_HOST", "HUB_PORT"))


def listen_for_metrics(settings: Settings) -> socket.socket | None:
    """Take the port of its own that a worker may have for its numbers, likewise."""
    if not settings.metrics_port:
        return None
    names = ("HUB_METRICS_HOST", "HUB_METRICS_PORT")
    return _listen(settings.metrics_host, settings.metrics_port, names=names)


def _listen(host: str, port: int, *, names: tuple[str, str]) -> socket.socket:
    where = f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"{where} is no address of this machine ({error}). Check {names[0]}.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken. Stop what uses it, or set {names[1]}."
            ) from None
        raise StartError(
            f"{where} cannot be used ({error.strerror}). Check {names[0]} and {names[1]}."
        ) from None
    listener.listen(2048)
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address that browsers use."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


@asynccontextmanager
async def serving(process: Process, listener: socket.socket) -> AsyncIterator[None]:
    """Answer requests until the context ends; open ones then get ``REQUEST_GRACE`` seconds."""
    config = uvicorn.Config(
        create_app(process),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,  # what a client says of its address is not believed
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_max_size=max(FRAME_LIMIT, process.settings.message_max_length * 12 + 4096),
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=REQUEST_GRACE,
    )
    async with _running(config, listener, name="web server"):
        yield


@asynccontextmanager
async def serving_metrics(settings: Settings, listener: socket.socket) -> AsyncIterator[None]:
    """Tell a worker's numbers at a port of its own until the context ends."""
    config = uvicorn.Config(
        metrics_port(settings),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        http=HttpProtocol,
        ws="none",
        timeout_graceful_shutdown=REQUEST_GRACE,
    )
    async with _running(config, listener, name="metrics server"):
        logger.info("metrics are told", address=f"{address_of(listener)}{PATH}")
        yield


@asynccontextmanager
async def _running(config: uvicorn.Config, listener: socket.socket, *, name: str) -> AsyncIterator[None]:
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=name)
    while not server.started:
        if task.done():
            raise StartError(f"The {name} did not start: {task.exception()}")
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
