"""A WebSocket for listening, over the process's own connections: same trust, same key, no redirects."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator

import httpcore2
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import WebSocketURI

from hub.providers.http.answers import TRANSPORT_ERRORS
from hub.providers.http.endpoint import Endpoint

#: What listening may raise: no connection, no WebSocket, or one that ended against the rules.
SOCKET_ERRORS = (*TRANSPORT_ERRORS, WebSocketException)

_READ_BYTES = 64 * 1024
_SWITCHED = 101
_QUIET = logging.getLogger("websockets.client")


@contextlib.asynccontextmanager
async def open_socket(
    pool: httpcore2.AsyncConnectionPool, endpoint: Endpoint, path: str, *, patience: float, max_bytes: int
) -> AsyncGenerator[AsyncGenerator[str | bytes, None], None]:
    """Open a socket at ``path``; gives its messages, until the server ends them.

    ``patience`` in seconds is for the opening; afterwards silence may last. ``max_bytes`` is for a message.
    Raises ``SOCKET_ERRORS``.
    """
    url = endpoint.url(path)
    host = url.host.decode("ascii")
    uri = WebSocketURI(
        url.scheme == b"https", host, url.port or 0, url.target.decode("ascii"), "", None, None
    )
    protocol = ClientProtocol(uri, max_size=max_bytes, logger=_QUIET)
    response = await _upgrade(pool, endpoint, url, protocol, patience)
    try:
        stream = _accepted(protocol, response)
        async with contextlib.aclosing(_messages(protocol, stream)) as messages:
            yield messages
    finally:
        await response.aclose()


async def _upgrade(
    pool: httpcore2.AsyncConnectionPool,
    endpoint: Endpoint,
    url: httpcore2.URL,
    protocol: ClientProtocol,
    patience: float,
) -> httpcore2.Response:
    wishes = protocol.connect()
    headers = endpoint.headers(0)
    for name, value in wishes.headers.raw_items():
        if name.lower() in ("upgrade", "connection") or name.lower().startswith("sec-websocket-"):
            headers.append((name.encode("ascii"), value.encode("ascii")))
    protocol.send_request(wishes)
    protocol.data_to_send()  # the pool writes it
    limits = {"connect": patience, "read": patience, "write": patience, "pool": patience}
    request = httpcore2.Request("GET", url, headers=headers, extensions={"timeout": limits})
    return await pool.handle_async_request(request)


def _accepted(protocol: ClientProtocol, response: httpcore2.Response) -> httpcore2.AsyncNetworkStream:
    """Check the server's answer; raises ``WebSocketException`` for one that opens no socket."""
    head = [b"HTTP/1.1 %d OK" % response.status]
    head += [b"%b: %b" % header for header in response.headers] if response.status == _SWITCHED else []
    protocol.receive_data(b"\r\n".join(head) + b"\r\n\r\n")
    if response.status != _SWITCHED:
        protocol.receive_eof()
    if protocol.handshake_exc is not None or protocol.state is not OPEN:
        raise protocol.handshake_exc or WebSocketException
    protocol.events_received()  # the answer itself
    stream: object = response.extensions["network_stream"]
    if not isinstance(stream, httpcore2.AsyncNetworkStream):
        raise WebSocketException
    return stream


async def _messages(
    protocol: ClientProtocol, stream: httpcore2.AsyncNetworkStream
) -> AsyncGenerator[str | bytes, None]:
    text = False
    parts: list[bytes] = []
    while protocol.state is OPEN:
        data = await stream.read(_READ_BYTES)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        for frame in _frames(protocol):
            if frame.opcode is not Opcode.CONT:
                text = frame.opcode is Opcode.TEXT
                parts.clear()
            parts.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(parts)
                yield whole.decode("utf-8", "replace") if text else whole
        for answer in protocol.data_to_send():  # pongs
            if answer:
                await stream.write(answer)


def _frames(protocol: ClientProtocol) -> Iterator[Frame]:
    for event in protocol.events_received():
        if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            yield event
