"""Requests to one server: over the process's connections, and not at all while the server is down."""

from __future__ import annotations

import httpcore2

from hub.providers.http.answers import TRANSPORT_ERRORS, transport_trouble
from hub.providers.http.breaker import Breaker
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool

CONNECT_SECONDS = 5.0
_NEVER_ANSWERED = (httpcore2.NetworkError, httpcore2.RemoteProtocolError)


class HttpClient:
    """Asks one server. The pool is its opener's to close; the breaker is this server's alone."""

    def __init__(self, endpoint: Endpoint, pool: Pool, breaker: Breaker | None = None) -> None:
        self._endpoint = endpoint
        self._pool = pool
        self._breaker = breaker or Breaker()

    async def send(
        self, method: str, path: str, body: bytes = b"", *, patience: float, looking: bool = False
    ) -> httpcore2.Response:
        """Send one request; returns the answer with its body unread, to be closed with ``aclose``.

        On a kept connection that the server was just closing it is sent again.

        Args:
            method: the method.
            path: the path below the endpoint's address.
            body: JSON, or nothing.
            patience: seconds of silence, also before the first byte.
            looking: ask a server that is known to be down too, and count nothing against it; for who wants to
                know whether it still is.

        Raises:
            ServerDownError: the server could not be reached just before; nothing was sent.
            TRANSPORT_ERRORS: of ``hub.providers.http.answers``, which holds this one too.
        """
        if not looking:
            self._breaker.enter()
        try:
            response = await self._send(method, path, body, patience)
        except TRANSPORT_ERRORS as error:
            if _did_not_reach(error) and not looking:
                self._breaker.missed()
            raise
        self._breaker.answered()
        return response

    async def _send(self, method: str, path: str, body: bytes, patience: float) -> httpcore2.Response:
        limits = {"connect": CONNECT_SECONDS, "read": patience, "write": patience, "pool": patience}
        while True:
            journey = _Journey(self._breaker)
            request = httpcore2.Request(
                method,
                self._endpoint.url(path),
                headers=self._endpoint.headers(len(body)),
                content=body,
                extensions={"timeout": limits, "trace": journey.note},
            )
            try:
                return await self._pool.handle_async_request(request)
            except _NEVER_ANSWERED:
                # Each round takes one kept connection out of the pool, so this ends.
                if journey.connecting or journey.answered:
                    raise


def _did_not_reach(error: Exception) -> bool:
    """Silence is none of these, nor is a server that is there and cannot prove who it is."""
    trouble, _ = transport_trouble(error, answering=False)
    return trouble == "unreachable" or isinstance(error, httpcore2.ConnectTimeout)


class _Journey:
    """What became of one request: llama.cpp closes connections that it promised to keep."""

    def __init__(self, breaker: Breaker) -> None:
        self.connecting = False
        self.answered = False
        self._breaker = breaker

    async def note(self, event: str, _info: object) -> None:
        """Take a trace event of httpcore2."""
        if event == "connection.connect_tcp.started":
            self.connecting = True
        elif event == "connection.connect_tcp.complete":
            self._breaker.connected()
        elif event == "http11.receive_response_headers.complete":
            self.answered = True
