"""A refusal reaches clients that are still sending, also when the connection closes behind it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.services.hub import Client

LARGE = 40 * 1024 * 1024
PIECE = b"x" * (1024 * 1024)


async def sent_whole(client: Client, head: str, size: int) -> bytes:
    """Send everything before reading anything, as simple clients do, and return the answer."""
    address = urlsplit(client.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head.encode())
        for _ in range(size // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def head(client: Client, method: str, path: str, media_type: str, size: int, *more: str) -> str:
    """Return the header of a request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {urlsplit(client.url).netloc}",
        f"Authorization: Bearer {client.token}",
        f"Content-Type: {media_type}",
        f"Content-Length: {size}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""])


@pytest.fixture
async def picture_path(client: Client) -> str:
    return f"/api/companions/{(await client.companion())['id']}/header-image"


@pytest.mark.parametrize("media_type", ["image/png", "image/svg+xml"])
async def test_a_picture_that_is_refused_at_once(client: Client, picture_path: str, media_type: str) -> None:
    request = head(client, "PUT", picture_path, media_type, LARGE, "Connection: close")
    answer = await sent_whole(client, request, LARGE)
    assert answer.startswith(b"HTTP/1.1 413 " if media_type == "image/png" else b"HTTP/1.1 415 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]


async def test_json_that_is_too_long(client: Client) -> None:
    request = head(client, "POST", "/api/companions", "application/json", LARGE, "Connection: close")
    assert (await sent_whole(client, request, LARGE)).startswith(b"HTTP/1.1 413 ")


async def test_the_answer_is_there_before_the_body_has_come(client: Client, picture_path: str) -> None:
    address = urlsplit(client.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(head(client, "PUT", picture_path, "image/png", LARGE, "Connection: close").encode())
        async with asyncio.timeout(4):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
            assert json.loads(await reader.readuntil(b"}"))["status"] == 413
    finally:
        writer.close()
