"""A URL of somebody else's answer never leads into the own network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Sequence

import httpcore2
import pytest

from hub.providers.http.addresses import is_public
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.foreign import ForeignError, ForeignFetcher
from hub.providers.http.network import AsyncioBackend
from tests.services.foreign_addresses import PRIVATE, PUBLIC_ADDRESSES, REFUSED_URLS, STRANGE_URLS

PUBLIC = "93.184.215.14"
FILE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class _Network(httpcore2.AsyncNetworkBackend):
    """Notes who is called, and connects to the fake server instead (or to nothing)."""

    def __init__(self, port: int = 0, *, deaf: Iterable[str] = ()) -> None:
        self.called: list[tuple[str, int]] = []
        self._port = port
        self._deaf = frozenset(deaf)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        del local_address, socket_options
        self.called.append((host, port))
        if not self._port or host in self._deaf:
            raise httpcore2.ConnectError("nobody there")
        return await AsyncioBackend().connect_tcp("127.0.0.1", self._port, timeout)


class _Names:
    """A name server; each question takes the next of its answers, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        assert port
        self.asked.append(host)
        if not self._answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextlib.asynccontextmanager
async def server(*pieces: bytes | float) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer every request with these pieces (numbers are seconds), then close; yields port and requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    writer.write(piece)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], heads


def answer(body: bytes = FILE, *, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


@pytest.mark.parametrize("url", [*REFUSED_URLS, *STRANGE_URLS])
async def test_an_address_that_is_no_public_web_address_is_not_asked(url: str) -> None:
    names, network = _Names([PUBLIC]), _Network()
    fetcher = ForeignFetcher(own=None, private_hosts=["nas.lan"], resolve=names, network=network)
    for asking in (fetcher.get(url), fetcher.check(url), fetcher.post(url, b"{}", [])):
        with pytest.raises(ForeignError) as caught:
            await asking
        assert caught.value.refused
        assert not caught.value.transient
    assert names.asked == []
    assert network.called == []


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a public one"])
async def test_a_name_that_leads_inside_is_not_asked(address: str, *, beside: bool) -> None:
    network = _Network()
    fetcher = ForeignFetcher(
        own=None, resolve=_Names([PUBLIC, address] if beside else [address]), network=network
    )
    url = "https://pictures.example/x.png"
    for asking in (fetcher.get(url), fetcher.check(url), fetcher.post(url, b"{}", [])):
        with pytest.raises(ForeignError) as caught:
            await asking
        assert caught.value.refused
    assert network.called == []


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


async def test_what_was_resolved_is_what_is_connected_to() -> None:
    """A name that answers otherwise the second time is not asked a second time."""
    names = _Names([PUBLIC, "2606:4700::1111"], ["127.0.0.1"])
    async with server(answer()) as (port, heads):
        network = _Network(port)
        fetcher = ForeignFetcher(own=None, resolve=names, network=network)
        assert await fetcher.get("http://Pictures.Example./a/b.png?sig=1%2F2#part") == FILE
    assert names.asked == ["pictures.example"]
    assert network.called == [(PUBLIC, 80)]
    assert heads[0].startswith(b"GET /a/b.png?sig=1%2F2 HTTP/1.1\r\nHost: pictures.example\r\n")
    assert b"authorization" not in heads[0].lower()


async def test_the_next_address_is_tried() -> None:
    async with server(answer()) as (port, heads):
        network = _Network(port, deaf=[PUBLIC])
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC, "2606:4700::1111"]), network=network)
        assert await fetcher.get("http://pictures.example:8080") == FILE
    assert network.called == [(PUBLIC, 8080), ("2606:4700::1111", 8080)]
    assert heads[0].startswith(b"GET / HTTP/1.1\r\nHost: pictures.example:8080\r\n")


@pytest.mark.parametrize("url", ["http://93.184.215.14/x", "http://[2606:4700::1111]/x"])
async def test_a_public_address_needs_no_name(url: str) -> None:
    names = _Names()
    async with server(answer()) as (port, _):
        assert await ForeignFetcher(own=None, resolve=names, network=_Network(port)).get(url) == FILE
    assert names.asked == []


@pytest.mark.parametrize("location", ["http://127.0.0.1/", "http://pictures.example/other"])
async def test_redirects_are_not_followed(location: str) -> None:
    async with server(answer(b"", status="302 Found", more=f"Location: {location}\r\n")) as (port, heads):
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC]), network=_Network(port))
        with pytest.raises(ForeignError, match="HTTP 302"):
            await fetcher.get("http://pictures.example/x")
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("status", "transient"),
    [("403 Forbidden", False), ("404 Not Found", False), ("429 Slow", True), ("500 Oh", True)],
)
async def test_an_answer_without_a_file(status: str, *, transient: bool) -> None:
    async with server(answer(b"no", status=status)) as (port, _):
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC]), network=_Network(port))
        with pytest.raises(ForeignError) as caught:
            await fetcher.get("http://pictures.example/x?secret=canary")
    assert caught.value.transient is transient
    assert not caught.value.refused
    assert "canary" not in str(caught.value)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_DRIP: list[bytes | float] = [b"1\r\nx\r\n", 0.05]
BROKEN: dict[str, tuple[list[bytes | float], str]] = {
    "says that it is too large": ([answer(b"x", length=2000)], "too large"),
    "is too large": ([CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n", 60.0], "too large"),
    "is cut": ([answer(b"x" * 10, length=20)], "connection failed"),
    "is compressed": ([answer(b"x", more="Content-Encoding: gzip\r\n")], "compressed"),
    "is no HTTP": ([b"\x15\x03\x01 hello\r\n\r\n"], "connection failed"),
    "is never answered": ([60.0], "too long"),
    "drips": ([CHUNKED, *_DRIP * 100], "too long"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_bytes_and_seconds_are_bounded(case: str) -> None:
    pieces, words = BROKEN[case]
    seconds = 0.2 if words == "too long" else 10
    async with server(*pieces) as (port, _):
        fetcher = ForeignFetcher(
            own=None, resolve=_Names([PUBLIC]), network=_Network(port), seconds=seconds, max_bytes=1000
        )
        with pytest.raises(ForeignError, match=words):
            await fetcher.get("http://pictures.example/x")


@pytest.mark.parametrize("names", [_Names(), _Names([])], ids=["unknown", "empty"])
async def test_a_name_that_is_not_known(names: _Names) -> None:
    with pytest.raises(ForeignError) as caught:
        await ForeignFetcher(own=None, resolve=names, network=_Network()).get("http://pictures.example/x")
    assert caught.value.transient


async def test_the_operators_own_server_may_be_inside_and_gets_its_key() -> None:
    async with server(answer()) as (port, heads):
        own = Endpoint.parse(f"http://127.0.0.1:{port}/v1", "canary", whose="the")
        assert await ForeignFetcher(own=own).get(f"http://127.0.0.1:{port}/files/x.png") == FILE
    assert b"Authorization: Bearer canary" in heads[0]


async def test_a_name_of_the_own_network_is_allowed_if_the_operator_named_it() -> None:
    async with server(answer()) as (port, _):
        network = _Network(port)
        own = Endpoint.parse("http://LocalAI:8080/v1", None, whose="the")
        fetcher = ForeignFetcher(own=own, resolve=_Names(), network=network)
        assert await fetcher.get("http://localai:8080/x") == FILE
    assert network.called == [("localai", 8080)]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:7861/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1:7860/x",
        "http://127.0.0.2:7860/x",
        "http://localhost:7860/x",
        "http://x@127.0.0.1:7860/x",
        "http://127.1:7860/x",
    ],
)
async def test_only_the_very_origin_of_the_own_server_is_allowed(url: str) -> None:
    network = _Network()
    own = Endpoint.parse("http://127.0.0.1:7860/v1", "canary", whose="the")
    with pytest.raises(ForeignError) as caught:
        await ForeignFetcher(own=own, network=network).get(url)
    assert caught.value.refused
    assert network.called == []


async def test_the_key_stays_with_the_own_server() -> None:
    async with server(answer()) as (port, heads):
        own = Endpoint.parse("http://127.0.0.1:7860/v1", "canary", whose="the")
        fetcher = ForeignFetcher(own=own, resolve=_Names([PUBLIC]), network=_Network(port))
        assert await fetcher.get("http://pictures.example/x") == FILE
    assert b"canary" not in heads[0]


async def test_what_is_posted_arrives_and_the_answer_is_not_read() -> None:
    async with server(answer(b"x", status="418 Teapot", length=10**9, more="Retry-After: 7\r\n"), 60.0) as (
        port,
        heads,
    ):
        network = _Network(port)
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC], ["127.0.0.1"]), network=network)
        said = await fetcher.post("http://hooks.example/x?a=1", b"{}", [(b"X-A", b"1")])
    assert (said.status, (b"retry-after", b"7") in said.headers) == (418, True)
    head = heads[0].decode()
    assert head.startswith("POST /x?a=1 HTTP/1.1\r\nHost: hooks.example\r\n")
    assert "\r\nContent-Length: 2\r\n" in head
    assert "\r\nX-A: 1\r\n" in head
    assert "authorization" not in head.lower()
    assert network.called == [(PUBLIC, 80)]


async def test_a_redirect_of_a_post_is_an_answer_and_not_followed() -> None:
    async with server(answer(b"", status="307 Moved", more="Location: http://127.0.0.1/\r\n")) as (
        port,
        heads,
    ):
        network = _Network(port)
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC]), network=network)
        assert (await fetcher.post("http://hooks.example/", b"{}", [])).status == 307
    assert (len(heads), network.called) == (1, [(PUBLIC, 80)])


async def test_a_receiver_that_says_nothing_is_given_up() -> None:
    async with server(60.0) as (port, _):
        fetcher = ForeignFetcher(own=None, resolve=_Names([PUBLIC]), network=_Network(port), seconds=0.1)
        with pytest.raises(ForeignError, match="too long") as caught:
            await fetcher.post("http://hooks.example/", b"{}", [])
    assert caught.value.transient


@pytest.mark.parametrize(
    ("allowed", "url", "fits"),
    [
        ("nas.lan", "http://nas.lan/", True),
        ("nas.lan", "http://NAS.lan.:22/x", True),
        ("nas.lan:8080", "http://nas.lan:8080/", True),
        ("nas.lan:80", "http://nas.lan/", True),
        ("nas.lan:8080", "http://nas.lan/", False),
        ("nas.lan", "http://x.nas.lan/", False),
        ("10.0.0.5", "http://10.0.0.5:9000/", True),
        ("10.0.0.5", "http://10.0.0.50/", False),
        ("[::1]:8080", "http://[0:0::1]:8080/", True),
        ("[::1]", "http://[::1]/", True),
        ("[::1]:8080", "http://[::1]/", False),
        ("127.0.0.1", "http://localhost/", False),
    ],
)
async def test_the_operator_may_allow_hosts_inside(allowed: str, url: str, *, fits: bool) -> None:
    """By that name, and by that port if one is named."""
    async with server(answer(b"")) as (port, _):
        network = _Network(port)
        fetcher = ForeignFetcher(
            own=None, private_hosts=[allowed], resolve=_Names(["10.0.0.5"]), network=network
        )
        if fits:
            assert (await fetcher.post(url, b"{}", [])).status == 200
        else:
            with pytest.raises(ForeignError) as caught:
                await fetcher.post(url, b"{}", [])
            assert caught.value.refused
    assert bool(network.called) == fits
