"""The address and the key of a server, checked once and kept out of every text."""

from __future__ import annotations

import base64
from typing import Self
from urllib.parse import urlsplit

import httpcore2

from hub.core import tracing


class Endpoint:
    """Makes the URL and the headers of each request."""

    def __init__(
        self, *, scheme: str, host: str, port: int | None, path: str, query: str, authorization: str
    ) -> None:
        self._scheme = scheme.encode()
        self._host = host.encode("ascii")
        self._host_name = host
        self._port = port
        self._path = path
        self._query = query
        named = f"[{host}]" if ":" in host else host
        self._name = (f"{named}:{port}" if port is not None else named).encode("ascii")
        self._authorization = authorization.encode("ascii")

    @classmethod
    def parse(cls, base_url: str, key: str | None, *, whose: str, basic: bool = False) -> Self:
        """Check both; raises ``ValueError`` with a sentence that never holds the key.

        ``whose`` names the server in it: f"{whose}". ``basic``: a key with a colon is a user's name and
        password, for HTTP's Basic authentication; any other is a bearer's.
        """
        key = (key or "").strip()
        if not (key.isascii() and (key + "x").isprintable()):
            raise ValueError(f"{whose} key holds characters that no HTTP header can carry")
        try:
            parts = urlsplit(base_url.strip())
            host = (parts.hostname or "").encode("idna").decode()
            port = parts.port
        except ValueError:  # UnicodeError is one too
            raise ValueError(f"{whose} address is no URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError(f"{whose} address has to start with http:// or https:// and a host")
        if parts.username or parts.password:
            raise ValueError(f"{whose} address holds a password: put it into the key instead")
        path = parts.path.rstrip("/")
        if not (path + parts.query).isascii() or not (path + parts.query).isprintable() or " " in path:
            raise ValueError(f"{whose} address holds characters that have to be percent-encoded")
        authorization = f"Bearer {key}" if key else ""
        if basic and ":" in key:
            authorization = f"Basic {base64.b64encode(key.encode('ascii')).decode()}"
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port,
            path=path,
            query=parts.query,
            authorization=authorization,
        )

    def url(self, path: str) -> httpcore2.URL:
        """Return the URL of ``path``, which may have a query of its own, below the base address."""
        query = f"{'&' if '?' in path else '?'}{self._query}" if self._query else ""
        target = f"{self._path}{path}{query}".encode("ascii")
        return httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)

    def headers(self, length: int) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request with a body of ``length`` bytes."""
        headers = [
            (b"Host", self._name),
            (b"Accept", b"text/event-stream, application/json"),
            (b"Accept-Encoding", b"identity"),  # compression would hold tokens back
            (b"User-Agent", b"companion-hub"),
        ]
        if length:
            headers += [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % length)]
        if self._authorization:
            headers.append((b"Authorization", self._authorization))
        if (traceparent := tracing.traceparent_for(self._host_name)) is not None:
            headers.append((b"traceparent", traceparent.encode("ascii")))
        return headers
