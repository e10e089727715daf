"""A client as lean as can be, so that the figures are the servers': HTTP and WebSocket, blocking."""

from __future__ import annotations

import base64
import itertools
import os
import socket
from typing import Self
from urllib.parse import urlsplit

_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
_MASKED = 0x80
_TIMEOUT = 30.0


def post_request(url: str, path: str, body: bytes, token: str = "") -> bytes:
    """Return a whole POST request with a JSON body."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def upgrade_request(url: str, path: str, token: str = "") -> bytes:
    """Return the request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def client_frame(payload: bytes, kind: int = _TEXT) -> bytes:
    """Return a WebSocket frame of up to 65,535 bytes, masked as clients must."""
    mask = os.urandom(4)
    size = len(payload)
    head = bytes((kind, _MASKED | size)) if size < 126 else bytes((kind, _MASKED | 126)) + size.to_bytes(2)
    masked = bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(mask), strict=False))
    return head + mask + masked


class FrameReader:
    """Takes the bytes of a WebSocket behind its handshake and gives the payloads of whole text frames.

    ``owed`` are the frames that answer the server's pings; whoever sends takes them from there.
    """

    def __init__(self) -> None:
        self.owed: list[bytes] = []
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the texts that these bytes complete; servers' frames are not masked."""
        buffer = self._buffer + data
        payloads, start = [], 0
        while len(buffer) - start >= 2:
            size, body = buffer[start + 1] & 0x7F, start + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, body = int.from_bytes(buffer[body : body + width]), body + width
            if len(buffer) < body + size:
                break
            payload = buffer[body : body + size]
            if buffer[start] == _PING:
                self.owed.append(client_frame(payload, _PONG))
            else:
                payloads.append(payload)
            start = body + size
        self._buffer = buffer[start:]
        return payloads


class Http:
    """One kept HTTP connection: requests are sent and answers read apart from each other."""

    def __init__(self, url: str) -> None:
        self._socket = _connect(url)

    def send(self, request: bytes) -> None:
        """Send a whole request."""
        self._socket.sendall(request)

    def answer(self) -> tuple[int, bytes]:
        """Read one answer that has a Content-Length: its status and body."""
        head, body = _head(self._socket)
        lines = head.lower().split(b"\r\n")
        sizes = [line.partition(b":")[2] for line in lines if line.startswith(b"content-length:")]
        while len(body) < int(sizes[0]):
            body += self._socket.recv(65_536)
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WebSocket:
    """One WebSocket to read frames from, as soon as they are there."""

    def __init__(self, url: str, path: str, token: str = "") -> None:
        self._socket = _connect(url)
        self._socket.sendall(upgrade_request(url, path, token))
        head, rest = _head(self._socket)
        if b" 101 " not in head:
            raise RuntimeError(f"no WebSocket: {head!r}")
        self._reader = FrameReader()
        self._frames = self._reader.feed(rest)

    def send(self, text: bytes) -> None:
        """Send a text frame."""
        self._socket.sendall(client_frame(text))

    def receive(self) -> bytes:
        """Return the next frame's payload."""
        while not self._frames:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionError("the server closed the WebSocket")
            self._frames = self._reader.feed(data)
            while self._reader.owed:
                self._socket.sendall(self._reader.owed.pop())
        return self._frames.pop(0)

    def receive_until(self, words: bytes) -> bytes:
        """Return the next text that holds these bytes, dropping those before it."""
        while words not in (text := self.receive()):
            pass
        return text

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    connected = socket.create_connection((parts.hostname, parts.port), timeout=_TIMEOUT)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _head(source: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        received = source.recv(65_536)
        if not received:
            raise ConnectionError("the server closed the connection")
        data += received
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest
