"""The names that the hub goes by: its own and those of HUB_ALLOWED_HOSTS, for requests and sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

import pytest
import websockets
from httpx2 import AsyncClient

from tests.services.hub import Client, HubServer
from tests.services.refusals import refused
from tests.services.waiting import eventually

MACHINE = socket.gethostname()
OWN = (
    "127.0.0.1",
    "127.0.0.1:9",
    "192.168.1.7:8000",
    "[::1]:8000",
    "[2001:db8::7]",
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "hub.localhost:8000",
    MACHINE,
    f"{MACHINE.partition('.')[0]}.local:8000",
    "chat.example",
    "Chat.Example:443",
    "pages.example",
    "a.family.example",
    "a.b.family.example:8000",
)
FOREIGN = (
    "evil.example",
    "evil.example:8000",
    "chat.example.evil.example",
    "notchat.example",
    "family.example",
    "notfamily.example",
    "localhost.evil.example",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "2130706433",
    "0x7f.1",
    "127.1",
    "x",
)
MALFORMED = (
    "",
    " ",
    "a b",
    "chat.example/x",
    "user@chat.example",
    "chat.example:x",
    "chat.example:80:80",
    "[::1",
    "::1",
    "[chat.example]",
    "caf\xe9.example",
    "x" * 300,
    "chat.example, evil.example",
)


async def ask(hub: HubServer, *lines: str, version: str = "1.1") -> tuple[int, bytes]:
    """Ask with these header lines; return the status and the body."""
    where = urlsplit(hub.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        head = "".join(f"{line}\r\n" for line in ("Connection: close", *lines))
        writer.write(f"GET /api/health/live HTTP/{version}\r\n{head}\r\n".encode("latin-1"))
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("host", OWN)
async def test_own_names_and_addresses_are_answered(hub: HubServer, host: str) -> None:
    assert (await ask(hub, f"Host: {host}"))[0] == 200


@pytest.mark.parametrize("host", [*FOREIGN, *MALFORMED])
async def test_other_names_are_refused(hub: HubServer, host: str) -> None:
    status, body = await ask(hub, f"Host: {host}")
    assert status == 400
    problem = json.loads(body)
    assert problem["type"] == "/problems/host-not-allowed"
    assert ("HUB_ALLOWED_HOSTS" in problem["detail"]) == (host in FOREIGN)
    assert problem["request_id"]


async def test_several_names_are_refused_and_none_is_for_old_clients_only(hub: HubServer) -> None:
    assert (await ask(hub, "Host: localhost", "Host: evil.example"))[0] == 400
    assert (await ask(hub))[0] == 400
    assert (await ask(hub, version="1.0"))[0] == 200


async def test_a_refusal_is_logged_with_its_request_id(hub: HubServer) -> None:
    async with AsyncClient(base_url=hub.url) as http:
        headers = {"Host": "evil.example", "X-Request-ID": "asked-by-another-name"}
        refused(await http.get("/api/me", headers=headers), 400)
    await eventually(lambda: "asked-by-another-name" in hub.output and "host refused" in hub.output)


async def test_a_body_sent_to_another_name_is_not_read_by_the_application(client: Client) -> None:
    body = {"name": "Mira", "description": "A calm botanist who loves moss."}
    refused(await client.http.post("/api/companions", json=body, headers={"Host": "evil.example"}), 400)
    assert (await client.http.get("/api/companions")).json()["items"] == []


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/openapi.json", "/setup?token=x", "/nothing"])
async def test_whatever_is_asked_for_is_refused(client: Client, path: str) -> None:
    refused(await client.http.get(path, headers={"Host": "evil.example"}), 400)


async def test_a_socket_is_not_opened_under_another_name(client: Client) -> None:
    where = urlsplit(client.url)
    headers = {"Authorization": f"Bearer {client.token}"}
    for name, status in (("evil.example", 400), ("chat.example", 101)):
        connecting = websockets.connect(
            f"ws://{name}:{where.port}/api/ws", host=where.hostname, additional_headers=headers
        )
        if status == 101:
            async with connecting as connection:
                assert json.loads(await connection.recv())["type"] == "session.created"
            continue
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await connecting
        assert refusal.value.response.status_code == status
        assert json.loads(refusal.value.response.body or b"")["type"] == "/problems/host-not-allowed"
