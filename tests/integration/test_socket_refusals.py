"""The WebSocket: who comes in, what is refused, and with which code it closes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.refusals import refused

NOWHERE = "018f0000-0000-7000-8000-000000000000"
ITEM = {"type": "message", "role": "user", "content": "Hello"}


def create(in_conversation: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "conversation.item.create",
        "event_id": "e1",
        "conversation_id": in_conversation,
        "item": ITEM,
        **fields,
    }


@asynccontextmanager
async def connect(hub: HubServer, query: str = "", **headers: str) -> AsyncIterator[ClientConnection]:
    address = hub.url.replace("http", "ws", 1) + "/api/ws" + query
    async with websockets.connect(address, additional_headers=headers) as connection:
        yield connection


async def close_code(connection: ClientConnection, *, within: float = 5.0) -> int | None:
    async with asyncio.timeout(within):
        await connection.wait_closed()
    return connection.close_code


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("", {"Authorization": "Bearer chub_nonsense"}),
        ("", {"Authorization": "Basic dXNlcjpwYXNz"}),
        ("", {"X-API-Key": "chub_nonsense"}),
        ("?ticket=", {}),
        ("?ticket=nonsense", {}),
        ("?ticket=%00", {}),
        ("?ticket=%ff%fe", {}),
        ("?ticket=" + "x" * 5000, {}),
        ("?token=x", {}),
    ],
)
async def test_nobody_comes_in_unknown(hub: HubServer, query: str, headers: dict[str, str]) -> None:
    async with connect(hub, query, **headers) as connection:
        assert await close_code(connection) == 4401


async def test_a_ticket_lets_one_socket_in(client: Client, hub: HubServer) -> None:
    answer = await client.http.post("/api/ws-tickets")
    assert answer.status_code == 201
    assert set(answer.json()) == {"ticket", "expires_at"}
    ticket = answer.json()["ticket"]
    refused(await client.http.get("/api/me", headers={"Authorization": f"Bearer {ticket}"}), 401)
    async with connect(hub, f"?ticket={ticket}") as first, connect(hub, f"?ticket={ticket}") as second:
        assert json.loads(await first.recv())["session"]["user_id"] == client.user["id"]
        assert await close_code(second) == 4401
        await first.ping()


async def test_of_many_with_one_ticket_one_comes_in(client: Client, hub: HubServer) -> None:
    ticket = (await client.http.post("/api/ws-tickets")).json()["ticket"]

    async def enters() -> bool:
        async with connect(hub, f"?ticket={ticket}") as connection:
            try:
                return bool(json.loads(await connection.recv())["session"])
            except websockets.ConnectionClosed:
                return False

    assert sum(await asyncio.gather(*(enters() for _ in range(8)))) == 1


async def test_an_old_ticket_is_none(client: Client, hub: HubServer) -> None:
    ticket = (await client.http.post("/api/ws-tickets")).json()["ticket"]
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        await database.execute(
            "UPDATE tokens SET expires_at = now() - interval '1 second'"
            " WHERE user_id = $1 AND kind = 'ticket'",
            UUID(client.user["id"]),
        )
    finally:
        await database.close()
    async with connect(hub, f"?ticket={ticket}") as connection:
        assert await close_code(connection) == 4401


async def test_a_token_is_no_ticket_and_a_ticket_ends_with_its_sign_in(hub: HubServer) -> None:
    user = await Client(hub.url).register()
    async with connect(hub, f"?ticket={user.token}") as connection:
        assert await close_code(connection) == 4401
    ticket = (await user.http.post("/api/ws-tickets")).json()["ticket"]
    assert (await user.http.post("/api/auth/logout")).status_code == 204
    async with connect(hub, f"?ticket={ticket}") as connection:
        assert await close_code(connection) == 4401
    await user.close()


async def test_the_subprotocol_is_taken_when_it_is_offered(client: Client) -> None:
    async with client.socket(subprotocols=["other", "companion-hub.v1"]) as socket:
        assert socket.connection.subprotocol == "companion-hub.v1"
    async with client.socket() as socket:
        assert socket.connection.subprotocol is None


async def test_logging_out_closes_the_sockets_of_that_sign_in_only(client: Client, hub: HubServer) -> None:
    body = {"login": client.user["username"], "password": PASSWORD}
    token = (await client.http.post("/api/auth/login", json=body)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    ticket = (await client.http.post("/api/ws-tickets", headers=headers)).json()["ticket"]
    async with (
        client.socket() as stays,
        connect(hub, **headers) as by_header,
        connect(hub, f"?ticket={ticket}") as by_ticket,
    ):
        for connection in (by_header, by_ticket):
            await connection.recv()
        assert (await client.http.post("/api/auth/logout", headers=headers)).status_code == 204
        for connection in (by_header, by_ticket):
            assert await close_code(connection) == 4401
        await (await stays.connection.ping())


async def test_a_new_password_closes_the_sockets_of_all_other_sign_ins(client: Client) -> None:
    other = Client(client.url)
    body = {"login": client.user["username"], "password": PASSWORD}
    other.use((await other.http.post("/api/auth/login", json=body)).json()["access_token"])
    async with client.socket() as stays, other.socket() as goes:
        change = {"current_password": PASSWORD, "new_password": "a fine new one"}
        assert (await client.http.post("/api/me/password", json=change)).status_code == 204
        assert await close_code(goes.connection) == 4401
        await (await stays.connection.ping())
    await other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET disabled_at = now() WHERE id = $1",
        "DELETE FROM tokens WHERE user_id = $1",  # as when the word of a sign-out gets lost
    ],
)
async def test_a_socket_ends_with_its_account_or_sign_in_though_nothing_tells_of_it(
    client: Client, other: Client, hub: HubServer, statement: str
) -> None:
    async with client.socket() as goes, other.socket() as stays:
        database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
        try:
            await database.execute(statement, UUID(client.user["id"]))
        finally:
            await database.close()
        assert await close_code(goes.connection) == 4401
        await (await stays.connection.ping())


async def test_a_socket_ends_when_its_sign_in_expires(client: Client, hub: HubServer) -> None:
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        await database.execute(
            "UPDATE tokens SET expires_at = now() + interval '1 second' WHERE user_id = $1",
            UUID(client.user["id"]),
        )
    finally:
        await database.close()
    async with client.socket() as socket:
        assert await close_code(socket.connection) == 4401


@pytest.mark.parametrize("frame", [b"\x00\x01", b"{}", b""])
async def test_a_binary_frame_closes(client: Client, frame: bytes) -> None:
    async with client.socket() as socket:
        await socket.connection.send(frame)
        assert await close_code(socket.connection) == 4400


async def test_a_frame_that_is_too_big_closes(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.connection.send(json.dumps(create(conversation["id"], event_id="x" * 70_000)))
        assert await close_code(socket.connection) == 1009
    assert await client.messages(conversation["id"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nonsense",
        "{",
        "null",
        "[]",
        '"text"',
        "1",
        "{}",
        '{"type": null}',
        '{"type": 5}',
        '{"type": ""}',
        '{"type": "nothing"}',
        '{"type": "session.created"}',
        '{"type": "conversation.subscribe"}',
        '{"type": "conversation.subscribe", "conversation_id": 5}',
        '{"type": "conversation.subscribe", "conversation_id": "x"}',
        f'{{"type": "conversation.subscribe", "conversation_id": "{NOWHERE}"}}',
        f'{{"type": "conversation.subscribe", "conversation_id": "{NOWHERE}", "after": -1}}',
        f'{{"type": "conversation.subscribe", "conversation_id": "{NOWHERE}", "after": "1"}}',
        f'{{"type": "conversation.subscribe", "conversation_id": "{NOWHERE}", "after": 1e30}}',
        f'{{"type": "conversation.subscribe", "conversation_id": "{NOWHERE}", "surprise": 1}}',
        '{"type": "conversation.unsubscribe"}',
        '{"type": "conversation.item.create"}',
        '{"type": "response.cancel"}',
        '{"type": "response.cancel", "response_id": null}',
        f'{{"type": "response.cancel", "response_id": "{NOWHERE}"}}',
        '{"type": "response.cancel", "response_id": "\\ud800"}',
        '{"type": "x", "type": "y"}',
        "[" * 20_000,
        '{"a":' * 10_000,
    ],
)
async def test_a_frame_that_cannot_be_obeyed_is_refused_and_the_socket_stays(
    client: Client, text: str
) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.connection.send(text)
        refusal = await socket.receive()
        assert refusal["type"] == "error"
        assert set(refusal) == {"type", "error"}
        assert set(refusal["error"]) == {"code", "message"}
        assert refusal["error"]["code"]
        assert len(refusal["error"]["message"]) > 10
        assert (await socket.subscribe(conversation["id"]))["last_position"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"conversation_id": NOWHERE},
        {"conversation_id": "x"},
        {"item": None},
        {"item": {}},
        {"item": "Hello"},
        {"item": {**ITEM, "type": "image"}},
        {"item": {**ITEM, "role": "assistant"}},
        {"item": {**ITEM, "role": "system"}},
        {"item": {**ITEM, "surprise": 1}},
        {"item": {**ITEM, "content": ""}},
        {"item": {**ITEM, "content": " \n"}},
        {"item": {**ITEM, "content": "x" * 4001}},
        {"item": {**ITEM, "content": "🫖" * 4001}},
        {"item": {**ITEM, "content": "a\0b"}},
        {"item": {**ITEM, "content": None}},
        {"item": {**ITEM, "content": ["Hello"]}},
        {"response": "yes"},
        {"response": {"generate_image": "yes"}},
        {"response": {"surprise": 1}},
        {"surprise": 1},
    ],
)
async def test_a_message_that_cannot_be_is_refused_by_its_event_id(
    client: Client, fields: dict[str, Any]
) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.send(**create(conversation["id"], **fields))
        refusal = await socket.receive()
        assert refusal["type"] == "error", refusal
        assert refusal["error"]["event_id"] == "e1"
        assert "regex" not in refusal["error"]["message"]
        await socket.say(conversation["id"], "Now it is right", response=None)
        added = await socket.receive()
        assert added["item"]["content"] == "Now it is right"
    assert len(await client.messages(conversation["id"])) == 1


@pytest.mark.parametrize("event_id", ["", "x" * 201, "a\0b", 5, None, ["e"]])
async def test_an_event_id_that_cannot_be_is_refused(client: Client, event_id: Any) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.send(**create(conversation["id"], event_id=event_id))
        assert (await socket.receive())["type"] == "error"
    assert await client.messages(conversation["id"]) == []


async def test_the_largest_message_fits_a_frame_however_it_is_written(client: Client) -> None:
    conversation = await client.conversation()
    content = "🫖" * 4000  # escaped: 48,000 bytes
    async with client.socket() as socket:
        await socket.send(**create(conversation["id"], item={**ITEM, "content": content}, response=None))
        assert (await socket.receive())["item"]["content"] == content


async def test_many_bad_frames_do_not_tire_it(client: Client) -> None:
    async with client.socket() as socket:
        for _ in range(300):
            await socket.connection.send("nonsense")
        for _ in range(300):
            assert (await socket.receive())["type"] == "error"
        await (await socket.connection.ping())
