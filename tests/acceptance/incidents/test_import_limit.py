"""CVE-2026-54024: an import read files of any size, until memory or disk was full.

Here the size is limited while a file is read, whatever its sender says of it, and nothing of it stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.llm import FakeLLM
from tests.services.fixtures import new_database
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.refusals import refused
from tests.services.talks import own_file, send_file, to_bytes

MEGABYTE = 1024 * 1024


@pytest.fixture
async def small(postgres: str, tmp_path: Path) -> AsyncIterator[HubServer]:
    """Yield a hub that takes files of one megabyte."""
    async with FakeLLM() as llm:
        settings = {"HUB_DATABASE_URL": await new_database(postgres), "HUB_IMPORT_LIMIT_MB": "1"}
        server = HubServer(tmp_path, **settings, **llm_settings(llm.url))
        await server.start()
        yield server
        server.close()


async def test_an_import_ends_at_its_limit_whatever_is_announced(small: HubServer) -> None:
    ada = await Client(small.url).register()
    companion = (await ada.companion())["id"]
    whole = to_bytes(own_file("x" * 1000))
    assert (await send_file(ada, whole + b"\n" * (MEGABYTE - len(whole)), companion)).status_code == 201
    announced = await send_file(ada, whole + b"\n" * (MEGABYTE - len(whole) + 1), companion)
    assert refused(announced, 413)["type"] == "/problems/too-large"
    form = await ada.http.post(
        "/api/conversations/import",
        params={"companion_id": companion},
        files={"file": ("chat.jsonl", b"x" * (MEGABYTE + 1))},
    )
    refused(form, 413)
    assert await refusal_of_what_does_not_end(small, ada, companion) == b"413"
    assert len((await ada.http.get("/api/conversations")).json()["items"]) == 1
    assert list((small.folder / "data" / "uploads" / "tmp").iterdir()) == []
    await ada.close()


async def refusal_of_what_does_not_end(hub: HubServer, client: Client, companion: str) -> bytes:
    """Send a little more than is taken, without ever saying that it is all; return the status."""
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = [f"POST /api/conversations/import?companion_id={companion} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"Authorization: Bearer {client.token}", "Content-Type: application/x-ndjson"]
        writer.write("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode())
        for _ in range(17):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        async with asyncio.timeout(20):
            return (await reader.readline()).split()[1]
    finally:
        writer.close()
