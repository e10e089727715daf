"""Uploads as clients send them, good and broken: forms, and connections of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.services.hub import Client

BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def part(content: bytes, *, name: str = "file", file_name: str | None = "a.png", more: bytes = b"") -> bytes:
    """Return one part of a form; ``more`` are further header lines."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if file_name is not None:
        disposition += f'; filename="{file_name}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\n".encode() + more + b"\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def in_pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    """Yield the content piece by piece: a body that is sent so has no Content-Length."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(0)


@asynccontextmanager
async def connection(
    client: Client, path: str, *lines: str, method: str = "PUT"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Begin a request on a connection of its own, with these header lines beside the token."""
    address = urlsplit(client.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        head = (
            f"{method} {path} HTTP/1.1",
            f"Host: {address.netloc}",
            f"Authorization: Bearer {client.token}",
        )
        writer.write("\r\n".join((*head, *lines, "", "")).encode())
        yield reader, writer
    finally:
        writer.close()
