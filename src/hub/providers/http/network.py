"""Sockets for the HTTP pool, straight on asyncio.

httpcore2's own backend goes through anyio, which registers the socket with the selector and arms a
timeout anew for every read: 60 µs of CPU for each token of each stream. This one keeps reading, and
one lazy timer for each connection watches the silence.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore2

_HIGH_WATER = 256 * 1024  # bytes held for a reader that is behind; then the server is made to wait
_MAX_CONNECTIONS = 512
_IDLE_SECONDS = 30.0  # an idle connection is kept so long; one that the server closed is noticed before


class AsyncioStream(httpcore2.AsyncNetworkStream):
    """One connection. ``read`` serves one reader at a time, as HTTP/1.1 does."""

    def __init__(self, protocol: _Protocol, trust: _Trust) -> None:
        self._protocol = protocol
        self._trust = trust

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's
        """Return what has arrived, b"" at the end of the stream; ``timeout`` in seconds of silence."""
        return await self._protocol.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's
        """Send ``buffer``, waiting while the other side does not take it."""
        await self._protocol.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close at once; what is unsent is dropped."""
        self._protocol.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's
    ) -> httpcore2.AsyncNetworkStream:
        """Wrap the connection in TLS; the pool's context is not used, since it trusts nobody."""
        del ssl_context
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                transport = await loop.start_tls(
                    self._protocol.transport,
                    self._protocol,
                    await self._trust.context(),
                    server_hostname=server_hostname,
                )
        except TimeoutError:
            self._protocol.close()
            raise httpcore2.ConnectTimeout("TLS handshake") from None
        except (OSError, ssl.SSLError) as error:
            self._protocol.close()
            raise httpcore2.ConnectError("TLS handshake") from error
        if transport is None:
            raise httpcore2.ConnectError("the connection was closed during the TLS handshake")
        self._protocol.transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        """Answer what the pool asks: the TLS object, and whether an idle connection has news (its end)."""
        if info == "ssl_object":
            return self._protocol.transport.get_extra_info("ssl_object")
        if info == "is_readable":
            return self._protocol.has_news()
        return None


class _Protocol(asyncio.Protocol):
    """The receiving half: a buffer, one waiting reader, one timer."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = bytearray()
        self._eof = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False  # we told the transport to stop reading
        self._blocked = False  # the transport told us to stop writing
        self._give_up_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER and not self._full:
            self._full = True
            self.transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self._eof = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._eof = True
        self._error = exc
        if self._timer is not None:
            self._timer.cancel()
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        _wake(self._writer)

    # What the stream calls.

    async def read(self, max_bytes: int, patience: float | None) -> bytes:
        if not self._buffer and not self._eof:
            self._watch(math.inf if patience is None else patience)
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if not self._buffer:
            if self._error is not None:
                raise httpcore2.ReadError("the connection was lost") from self._error
            return b""
        if len(self._buffer) <= max_bytes:
            data = bytes(self._buffer)
            self._buffer.clear()
        else:
            data = bytes(self._buffer[:max_bytes])
            del self._buffer[:max_bytes]
        if self._full and len(self._buffer) < _HIGH_WATER // 2:
            self._full = False
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes, patience: float | None) -> None:
        if self.transport.is_closing():
            raise httpcore2.WriteError("the connection was lost")
        self.transport.write(data)
        if not self._blocked:
            return
        self._writer = self._loop.create_future()
        try:
            async with asyncio.timeout(patience):
                await self._writer
        except TimeoutError:
            raise httpcore2.WriteTimeout("the server does not take the request") from None
        finally:
            self._writer = None
        if self._blocked:
            raise httpcore2.WriteError("the connection was lost")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.transport.abort()  # also for TLS: a polite goodbye would let the server go on for a while

    def has_news(self) -> bool:
        return bool(self._buffer) or self._eof or self.transport.is_closing()

    def _watch(self, patience: float) -> None:
        """Set the deadline; a timer that is already armed for an earlier one moves itself on."""
        self._give_up_at = self._loop.time() + patience
        if self._give_up_at < math.inf and (self._timer is None or self._timer.when() > self._give_up_at):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._give_up_at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._reader is None or self._reader.done():
            return
        if self._loop.time() >= self._give_up_at:
            self._reader.set_exception(httpcore2.ReadTimeout("silence"))
        elif self._give_up_at < math.inf:
            self._timer = self._loop.call_at(self._give_up_at, self._look)


class _Trust:
    """The certificates to trust: the system's, or ``SSL_CERT_FILE``'s; read once, at the first https.

    Reading them takes 15-30 ms and 2 MB, which a hub without https need not spend, and no stream should
    wait for.
    """

    def __init__(self) -> None:
        self._reading = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """Return them; raises ``OSError`` where they cannot be read."""
        async with self._reading:
            if self._context is None:
                context = await asyncio.to_thread(httpcore2.default_ssl_context)
                context.set_alpn_protocols(["http/1.1"])
                self._context = context
        return self._context


class AsyncioBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for ``httpcore2.AsyncConnectionPool``."""

    def __init__(self) -> None:
        self._trust = _Trust()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers."""
        del local_address, socket_options  # the pool is made without them
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):
            connecting = loop.create_connection(
                lambda: _Protocol(loop), host, port, happy_eyeballs_delay=0.25
            )
        else:
            # One address needs no race, which loses a socket now and then if it is cancelled. uvloop knows
            # no race: it tries a name's addresses one after the other.
            connecting = loop.create_connection(lambda: _Protocol(loop), host, port)
        try:
            async with asyncio.timeout(timeout):
                _, protocol = await connecting
        except TimeoutError:
            raise httpcore2.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError("no connection") from error
        return AsyncioStream(protocol, self._trust)


#: The connections of one process, to whichever servers.
Pool = httpcore2.AsyncConnectionPool


def open_pool() -> Pool:
    """Make the connections of one process: HTTP/1.1, http and https, no proxy, kept alive.

    To be used from one event loop; close it there with ``aclose``.
    """
    return Pool(
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # else the pool reads one for each connection
        max_connections=_MAX_CONNECTIONS,
        max_keepalive_connections=_MAX_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=AsyncioBackend(),
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
