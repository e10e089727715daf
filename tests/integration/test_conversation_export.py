"""Taking conversations along as files."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import unquote
from uuid import UUID

import pytest

from tests.services.hub import Client, HubServer
from tests.services.talks import bring, own_file, taken
from tests.services.world import query

FILL = """
WITH grown AS (UPDATE conversations SET last_position = last_position + $2 WHERE id = $1 RETURNING id)
INSERT INTO messages (id, conversation_id, position, role, content)
SELECT gen_random_uuid(), id, 1 + n, 'user', repeat('x', $3) FROM grown, generate_series(1, $2) n
"""


async def test_every_message_is_on_a_line_and_the_last_line_counts_them(client: Client) -> None:
    companion = await client.companion(greeting="Hello, you!", appearance="green eyes")
    body = {"companion_id": companion["id"], "title": "About moss"}
    conversation = (await client.http.post("/api/conversations", json=body)).json()
    sent = await client.send(conversation["id"], 'Two\nlines, "quotes" and ☘')
    await client.ended(sent["response"]["id"])
    first, *lines, last = await taken(client, conversation["id"])
    told = ("name", "description", "appearance", "user_appearance", "default_outfit", "greeting")
    assert first == {
        "type": "conversation",
        "format": "companion-hub.conversation",
        "version": 1,
        "title": "About moss",
        "companion": {name: companion[name] for name in told},
        "created_at": conversation["created_at"],
    }
    fields = ("position", "role", "content", "created_at")
    messages = await client.messages(conversation["id"])
    assert lines == [{"type": "message", **{name: each[name] for name in fields}} for each in messages]
    assert last == {"type": "end", "messages": 3}


async def test_a_picture_is_told_of_by_its_hash_and_recipe(client: Client) -> None:
    conversation = await client.conversation()
    sent = await client.send_for_image(conversation["id"], "Show me the moss")
    response = await client.ended(sent["response"]["id"])
    await client.done((await client.response(response["id"]))["image_job_id"])
    [message] = [each for each in await client.messages(conversation["id"]) if each["image"]]
    [line] = [each for each in await taken(client, conversation["id"]) if "image" in each]
    assert line["image"] == {name: message["image"][name] for name in ("sha256", "url", "recipe")}
    # Brought along to the same companion, the message has its picture again.
    talk = await bring(client, await taken(client, conversation["id"]), conversation["companion_id"])
    pictures = [each["image"] for each in await client.messages(talk["id"])]
    assert message["image"] in pictures
    # With another companion there is none, and nothing is fetched.
    talk = await bring(client, await taken(client, conversation["id"]))
    assert [each["image"] for each in await client.messages(talk["id"])] == [None, None]


async def test_an_empty_conversation_has_two_lines(client: Client) -> None:
    conversation = await client.conversation()
    assert [line["type"] for line in await taken(client, conversation["id"])] == ["conversation", "end"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("About moss", "Mira - About moss"),
        ("", "Mira"),
        ('../../etc/passwd"; \r\nX: y', "Mira - .. .. etc passwd X y"),
        ("Über Moos ☘ 苔", "Mira - Über Moos 苔"),
        ("x" * 200, "Mira - " + "x" * 73),
        ("...", "Mira -"),
    ],
)
async def test_the_file_has_a_name_that_is_safe_everywhere(client: Client, title: str, name: str) -> None:
    companion = await client.companion()
    body = {"companion_id": companion["id"], "title": title}
    conversation = (await client.http.post("/api/conversations", json=body)).json()
    answer = await client.http.get(f"/api/conversations/{conversation['id']}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    kind, plain, full = answer.headers["content-disposition"].split("; ")
    assert kind == "attachment"
    assert full.startswith("filename*=UTF-8''")
    assert unquote(full.removeprefix("filename*=UTF-8''")) == f"{name}.jsonl"
    assert plain.startswith('filename="Mira')
    assert plain.endswith('.jsonl"')
    assert plain.isascii()
    assert plain.count('"') == 2


async def test_what_is_said_meanwhile_is_not_in_it(client: Client, hub: HubServer) -> None:
    talk = await bring(client, own_file("The first"))
    await query(hub.settings["HUB_DATABASE_URL"], FILL, UUID(talk["id"]), 3000, 10)
    path = f"/api/conversations/{talk['id']}/export"
    async with client.http.stream("GET", path) as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["type"] == "conversation"
        await client.send(talk["id"], "Said while it is exported")
        rest = [json.loads(line) async for line in lines]
    assert [each.get("position") for each in rest[:-1]] == list(range(1, 3002))
    assert rest[-1] == {"type": "end", "messages": 3001}


async def test_a_file_that_a_deletion_has_cut_has_no_last_line(client: Client, hub: HubServer) -> None:
    """So much that it cannot all be on its way to the reader when the messages go."""
    talk = await bring(client, own_file("The first"))
    await query(hub.settings["HUB_DATABASE_URL"], FILL, UUID(talk["id"]), 400, 50_000)
    wipe = f"/api/companions/{talk['companion_id']}/wipe"
    async with client.http.stream("GET", f"/api/conversations/{talk['id']}/export") as answer:
        pieces = answer.aiter_bytes(4096)
        kept = await anext(pieces)
        assert (await client.http.post(wipe)).status_code == 200
        kept += b"".join([piece async for piece in pieces])
    lines = [json.loads(line) for line in kept.splitlines()]
    assert lines[-1]["type"] == "message"
    assert len(lines) < 402


async def test_an_export_ends_with_the_sign_in(client: Client, hub: HubServer) -> None:
    talk = await bring(client, own_file("The first"))
    await query(hub.settings["HUB_DATABASE_URL"], FILL, UUID(talk["id"]), 400, 50_000)
    async with client.http.stream("GET", f"/api/conversations/{talk['id']}/export") as answer:
        pieces = answer.aiter_bytes(4096)
        kept = await anext(pieces)
        assert (await client.http.post("/api/auth/logout")).status_code == 204
        kept += b"".join([piece async for piece in pieces])
    assert json.loads(kept.splitlines()[-1])["type"] == "message", "the file is cut"


async def test_exports_at_once_leave_connections_for_others(client: Client, hub: HubServer) -> None:
    """Readers that take their time hold no connection of the pool."""
    talk = await bring(client, own_file("The first"))
    await query(hub.settings["HUB_DATABASE_URL"], FILL, UUID(talk["id"]), 400, 50_000)
    path, headers = f"/api/conversations/{talk['id']}/export", {"Authorization": f"Bearer {client.token}"}
    begun = await asyncio.gather(*(slow_reader(hub, path, headers) for _ in range(30)))
    try:
        async with asyncio.timeout(10):
            assert (await client.http.get("/api/me")).status_code == 200
    finally:
        for writer in begun:
            writer.close()


async def slow_reader(hub: HubServer, path: str, headers: dict[str, str]) -> asyncio.StreamWriter:
    """Ask for something, read its beginning, and then no more."""
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    assert b" 200 " in await reader.readline()
    return writer
