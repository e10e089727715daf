"""Requests that do not come to an end: heads and bodies have their size and their time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from litestar import Litestar, post

from hub.core.errors import HubError
from hub.web import protocols, requests
from hub.web.problems import handle_hub_error
from hub.web.requests import HubRequest
from tests.integration.test_slow_readers import serving
from tests.services.hub import Client, HubServer
from tests.services.pictures import memory_of
from tests.services.waiting import eventually

HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
MEGABYTE = b"x" * (1024 * 1024)


async def nobody(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI
    """Be an application that is not to be asked."""
    raise AssertionError("the application was asked")


async def answer_to(port: int, *pieces: bytes, within: float = 10) -> tuple[int, dict[str, Any]]:
    """Send this and then nothing; return the status and the problem that come back before the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(within):
            answer = await reader.read()
    finally:
        writer.close()
    if not answer:
        return 0, {}
    head, _, body = answer.partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert f"x-request-id: {problem['request_id']}" in head.decode().lower()
    return int(head.split()[1]), problem


async def send_on(writer: asyncio.StreamWriter, size: int) -> None:
    """Send so many megabytes, as far as they are taken."""
    for _ in range(size):
        writer.write(MEGABYTE)
        await writer.drain()


@pytest.mark.parametrize("piece", [b"P", b"POST /", HEAD, HEAD + b"X-Long: " + b"x" * 30_000])
async def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(protocols, "HEAD_TIMEOUT", 0.2)
    async with serving(nobody) as port:
        status, problem = await answer_to(port, piece)
        assert (status, problem["type"]) == (408, "/problems/request-timeout")


async def test_a_connection_on_which_nothing_comes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "HEAD_TIMEOUT", 0.2)
    async with serving(nobody) as port:
        assert await answer_to(port) == (0, {})


@pytest.mark.parametrize(
    "line", [b"X-Long: ", b"X-%d: short\r\n" * 9_000, b"/" * 70_000], ids=["one", "many", "more"]
)
async def test_a_head_that_is_too_large_is_refused_while_it_comes(line: bytes) -> None:
    async with serving(nobody) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + line)
        with pytest.raises(ConnectionError):
            await send_on(writer, 64)
        writer.close()


async def test_a_head_that_is_too_large_is_told_so() -> None:
    async with serving(nobody) as port:
        status, problem = await answer_to(port, HEAD + b"X-Long: " + b"x" * protocols.HEAD_LIMIT)
        assert (status, problem["type"]) == (431, "/problems/headers-too-large")


async def test_a_connection_goes_on_after_a_slow_head() -> None:
    async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(hello) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            for piece in (b"GET / HT", b"TP/1.1\r\nHo", b"st: x\r\n", b"\r\n"):
                writer.write(piece)
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.close()


@post("/")
async def take(request: HubRequest) -> int:
    return len(await request.body())


async def test_a_body_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT", 0.2)
    app: Any = Litestar(
        [take],
        request_class=HubRequest,
        exception_handlers={HubError: handle_hub_error},
        logging_config=None,
    )
    async with serving(app) as port:
        for framing in (b"Content-Length: 9\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + framing)
            async with asyncio.timeout(10):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400")
            writer.close()


async def endless(size: int) -> AsyncIterator[bytes]:
    """Yield a body without a length."""
    for _ in range(size):
        yield MEGABYTE


@pytest.mark.parametrize("path", ["/api/companions", "/api/auth/login", "/setup"])
async def test_what_is_too_much_is_not_kept(client: Client, hub: HubServer, path: str) -> None:
    await client.http.get("/api/me")
    before = memory_of(hub.pid, "VmHWM")
    answer = await client.http.post(
        path, content=endless(64), headers={"Content-Type": "application/json", "Connection": "close"}
    )
    assert answer.status_code == 413
    assert memory_of(hub.pid, "VmHWM") - before < 16


async def test_a_refusal_before_the_application_is_logged_by_its_id(hub: HubServer) -> None:
    port = urlsplit(hub.url).port
    assert port
    status, problem = await answer_to(port, b"NONSENSE\r\n\r\n")
    assert status == 400
    await eventually(lambda: f"request_id={problem['request_id']}" in hub.output)
