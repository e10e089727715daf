"""CVE-2026-54024: an import read files of any size, until memory or disk was full.

Beside the test of incidents of limits: here the sender does not say how much there is, and never ends.
"""

from __future__ import annotations

import asyncio

from tests.acceptance.incidents.conftest import IMPORT_LIMIT_MB
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store
from tests.services.talks import own_file, send_file, to_bytes

MEGABYTE = 1024 * 1024


async def test_cve_2026_54024_an_import_ends_at_its_limit_while_it_is_sent(
    guest: Client, guarded: HubServer
) -> None:
    companion = (await guest.companion())["id"]
    whole = to_bytes(own_file("x" * 1000))
    most = whole + b"\n" * (IMPORT_LIMIT_MB * MEGABYTE - len(whole))
    assert (await send_file(guest, most, companion)).status_code == 201
    assert (await send_file(guest, most + b"\n", companion)).status_code == 413
    assert await status_of_what_does_not_end(guarded, guest, companion) == b"413"
    assert len((await guest.http.get("/api/conversations")).json()["items"]) == 1
    assert list(Store(guarded).temporary.iterdir()) == []


async def status_of_what_does_not_end(hub: HubServer, client: Client, companion: str) -> bytes:
    """Send a little more than is taken, without ever saying that it is all; return the status."""
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = [f"POST /api/conversations/import?companion_id={companion} HTTP/1.1", f"Host: {host}:{port}"]
        lines += [f"Authorization: Bearer {client.token}", "Content-Type: application/x-ndjson"]
        writer.write("\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode())
        for _ in range(IMPORT_LIMIT_MB * 16 + 1):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        async with asyncio.timeout(20):
            return (await reader.readline()).split()[1]
    finally:
        writer.close()
