"""Asking an address that somebody else names, without being sent into the own network.

A provider's answer, or a user's webhook, may name any URL. It is asked only if it names a public host: the
name is resolved once, every address it has is checked, and exactly those are connected to, so that a name
that changes its mind in between (rebinding) gains nothing. Redirects are not followed, proxies of the
environment not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import httpcore2
from msgspec import Struct

from hub.providers.http.addresses import is_public
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import AsyncioBackend

MAX_BYTES = 64 * 1024 * 1024
SECONDS = 60.0
_CONNECT_SECONDS = 5.0
_LONGEST_URL = 8192  # signed addresses are long
_MAX_ADDRESSES = 16
_OK, _SERVER_ERROR = 200, 500
_TRY_AGAIN = frozenset({408, 425, 429})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024  # below are mail, shells and the like, and no web server but on 80 and 443
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # a last label like this makes resolvers read an IPv4 address
_LONGEST_NAME = 253
_OWN_NETWORK = (".localhost", ".localdomain", ".local", ".internal", ".home.arpa")
_AGENT = (b"User-Agent", b"companion-hub")
_TRANSPORT_ERRORS = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
T = TypeVar("T")


class ForeignError(Exception):
    """The address was not asked, or gave nothing. Its text holds no part of the URL.

    ``refused``: the address itself is not acceptable. ``transient``: asking again may help.
    """

    def __init__(self, text: str, *, refused: bool = False, transient: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        self.transient = transient


class Target(Struct, frozen=True, kw_only=True):
    """An address taken apart: ``host`` is a lower-case name, or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    path: str  # with its query

    @property
    def origin(self) -> tuple[str, str, int]:
        """What makes two addresses the same server."""
        return self.scheme, self.host, self.port

    @property
    def name(self) -> str:
        """The host, as URLs write it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """Host and port, as URLs write them."""
        return f"{self.name}:{self.port}"


class Answer(Struct, frozen=True, kw_only=True):
    """How a server answered, without what it said; names of headers are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]


def parse(url: str) -> Target:
    """Take an address apart, strictly; raises ``ForeignError`` for anything that parsers disagree about."""
    # Plain ASCII only: names in other alphabets come as xn--, and digits in disguise not at all.
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        raise ForeignError("no plain URL", refused=True)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ForeignError("no URL", refused=True) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ForeignError("neither http nor https", refused=True)
    if "@" in parts.netloc:
        raise ForeignError("it holds a user name", refused=True)
    host = _checked_host(host.removesuffix("."), bracketed="[" in parts.netloc)
    if port == 0:
        raise ForeignError("no port", refused=True)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port or _DEFAULT_PORTS[parts.scheme], path=path)


def _checked_host(host: str, *, bracketed: bool) -> str:
    """Return the host in its one normal form, or raise ``ForeignError``."""
    try:
        if bracketed:
            address = IPv6Address(host)
            if address.scope_id is not None:
                raise ForeignError("it names a zone", refused=True)
            return str(address)
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            return str(IPv4Address(host))  # four decimal numbers: no short, octal or hexadecimal forms
    except ValueError:
        raise ForeignError("no IP address", refused=True) from None
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise ForeignError("no host name", refused=True)
    return host


def _origin_of(own: Endpoint) -> tuple[str, str, int]:
    url = own.url("/")
    scheme, host = url.scheme.decode(), url.host.decode().removesuffix(".")
    with contextlib.suppress(ValueError):
        host = str(ip_address(host))
    return scheme, host, url.port or _DEFAULT_PORTS[scheme]


def _host_header(target: Target) -> tuple[bytes, bytes]:
    is_default = target.port == _DEFAULT_PORTS[target.scheme]
    return b"Host", (target.name if is_default else target.authority).encode("ascii")


def _get(target: Target, own: Endpoint | None) -> httpcore2.Request:
    headers = [
        _host_header(target),
        (b"Accept", b"image/png, image/jpeg, image/webp, */*;q=0.1"),
        (b"Accept-Encoding", b"identity"),
        _AGENT,
    ]
    if own is not None:
        headers += [(key, value) for key, value in own.headers(0) if key == b"Authorization"]
    return _request("GET", target, headers)


def _post(target: Target, content: bytes, headers: Iterable[tuple[bytes, bytes]]) -> httpcore2.Request:
    length = (b"Content-Length", str(len(content)).encode())
    return _request(
        "POST", target, [_host_header(target), (b"Accept", b"*/*"), _AGENT, length, *headers], content
    )


def _request(
    method: str, target: Target, headers: list[tuple[bytes, bytes]], content: bytes | None = None
) -> httpcore2.Request:
    return httpcore2.Request(
        method,
        httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
        headers=headers,
        content=content,
        extensions={"timeout": {"connect": _CONNECT_SECONDS}},
    )


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name as the operating system finds them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class ForeignFetcher:
    """Asks other people's servers. To be used from one event loop.

    ``own`` is the server that the operator named: an address there (the same scheme, host and port) may be
    private, and is asked with the server's key. ``private_hosts`` are others that the operator allows to be
    private, each as ``host`` or ``host:port``, in lower case. Name lookups go through ``resolve``,
    connections through ``network``.
    """

    def __init__(
        self,
        *,
        own: Endpoint | None,
        private_hosts: Collection[str] = (),
        resolve: Resolve | None = None,
        network: httpcore2.AsyncNetworkBackend | None = None,
        seconds: float = SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._own = own
        self._own_origin = _origin_of(own) if own is not None else None
        self._private_hosts = frozenset(private_hosts)
        self._resolve = resolve or resolve_by_system
        self._network = network or AsyncioBackend()
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._no_trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the network has its own

    async def get(self, url: str) -> bytes:
        """Return what is there, whole; raises ``ForeignError``."""
        target = parse(url)
        return await self._exchange(target, lambda own: _get(target, own), self._file)

    async def post(self, url: str, content: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Answer:
        """Send something and return how it was answered, whatever the status; raises ``ForeignError``.

        What the answer holds is not read, and no key is sent.
        """
        target = parse(url)

        async def head(response: httpcore2.Response) -> Answer:
            found = [(name.lower(), value) for name, value in response.headers]
            return Answer(status=response.status, headers=found)

        return await self._exchange(target, lambda _: _post(target, content, headers), head)

    async def check(self, url: str) -> None:
        """Return if an address might be asked; raises ``ForeignError``, transient where that may change."""
        target = parse(url)
        try:
            async with asyncio.timeout(self._seconds):
                await self._addresses(target)
        except TimeoutError:
            raise _took_too_long() from None

    def may_be_private(self, target: Target) -> bool:
        """Tell whether the operator allows this host to be private."""
        return not self._private_hosts.isdisjoint((target.name, target.authority))

    async def _exchange(
        self,
        target: Target,
        request: Callable[[Endpoint | None], httpcore2.Request],
        read: Callable[[httpcore2.Response], Awaitable[T]],
    ) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                if target.origin == self._own_origin:
                    return await self._fetch(request(self._own), self._network, read)
                network = _Pinned(self._network, await self._addresses(target))
                return await self._fetch(request(None), network, read)
        except (TimeoutError, httpcore2.TimeoutException):
            raise _took_too_long() from None
        except _TRANSPORT_ERRORS as error:
            raise ForeignError(f"the connection failed: {type(error).__name__}", transient=True) from None

    async def _addresses(self, target: Target) -> Sequence[str]:
        """Return every address of the host, if all of them are public or may be private."""
        anywhere = self.may_be_private(target)
        if not anywhere and target.port not in _DEFAULT_PORTS.values() and target.port < _FIRST_FREE_PORT:
            raise ForeignError("no web server's port", refused=True)
        found = await self._look_up(target, anywhere=anywhere)
        if not found:
            raise ForeignError("its name has no address", transient=True)
        if not anywhere and not all(is_public(address) for address in found):
            raise ForeignError("it is not on the public internet", refused=True)
        return found[:_MAX_ADDRESSES]

    async def _look_up(self, target: Target, *, anywhere: bool) -> Sequence[str]:
        with contextlib.suppress(ValueError):
            return [str(ip_address(target.host))]
        if not anywhere and ("." not in target.host or target.host.endswith(_OWN_NETWORK)):
            raise ForeignError("a name of the own network", refused=True)
        try:
            return await self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise ForeignError("its name is not known", transient=True) from None

    async def _fetch(
        self,
        request: httpcore2.Request,
        network: httpcore2.AsyncNetworkBackend,
        read: Callable[[httpcore2.Response], Awaitable[T]],
    ) -> T:
        async with httpcore2.AsyncConnectionPool(ssl_context=self._no_trust, network_backend=network) as pool:
            response = await pool.handle_async_request(request)
            try:
                return await read(response)
            finally:
                await response.aclose()

    async def _file(self, response: httpcore2.Response) -> bytes:
        self._look_at(response)
        return await self._read(response)

    def _look_at(self, response: httpcore2.Response) -> None:
        """Refuse an answer that is no file, or too large, before it is read."""
        if response.status != _OK:
            transient = response.status >= _SERVER_ERROR or response.status in _TRY_AGAIN
            raise ForeignError(f"HTTP {response.status}", transient=transient)
        headers = {name.lower(): value for name, value in response.headers}
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise ForeignError("it is compressed, which was not asked for")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            raise ForeignError("it is too large")

    async def _read(self, response: httpcore2.Response) -> bytes:
        content = bytearray()
        async with contextlib.aclosing(response.aiter_stream()) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > self._max_bytes:
                    raise ForeignError("it is too large")
        return bytes(content)


def _took_too_long() -> ForeignError:
    return ForeignError("it took too long", transient=True)


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that were checked, whatever host it is told (that one is for TLS)."""

    def __init__(self, network: httpcore2.AsyncNetworkBackend, addresses: Sequence[str]) -> None:
        self._network = network
        self._addresses = addresses

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first of them that answers."""
        del host, local_address, socket_options
        last: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last
