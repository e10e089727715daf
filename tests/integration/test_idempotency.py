"""Sending the same thing again, by key over HTTP and by event id over the socket, changes nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from tests.fakes.llm import FakeLLM
from tests.integration.conftest import last_said
from tests.services.hub import Client, HubServer
from tests.services.refusals import refused
from tests.services.world import query


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_the_same_key_and_body_give_the_same_answer(client: Client) -> None:
    conversation = await client.conversation()
    path = f"/api/conversations/{conversation['id']}/messages"
    first = await client.http.post(path, json={"content": "Hello"}, headers=key("k1"))
    await client.ended(first.json()["response"]["id"])
    for body in ({"content": "Hello"}, {"content": "Hello", "generate_image": False}):
        again = await client.http.post(path, json=body, headers=key("k1"))
        assert again.status_code == 202
        assert again.json()["message"] == first.json()["message"]
        assert again.json()["response"]["id"] == first.json()["response"]["id"]
        assert again.headers["location"] == first.headers["location"]
    assert len(await client.messages(conversation["id"])) == 2


async def test_the_same_key_with_another_body_is_refused(client: Client) -> None:
    conversation, another = await client.conversation(), await client.conversation()
    await client.send(conversation["id"], "Hello", **key("k1"))
    for target, body in (
        (conversation, {"content": "Hello!"}),
        (conversation, {"content": "Hello", "generate_image": True}),
        (another, {"content": "Hello"}),
    ):
        path = f"/api/conversations/{target['id']}/messages"
        problem = refused(await client.http.post(path, json=body, headers=key("k1")), 422)
        assert problem["type"] == "/problems/idempotency-key-reused"
    assert await client.messages(another["id"]) == []
    sent = await client.send(conversation["id"], "Hello", **key("k2"))
    assert sent["message"]["position"] > 1


async def test_without_a_key_every_message_is_one(client: Client) -> None:
    conversation = await client.conversation()
    ids = {(await client.send(conversation["id"], "Hello"))["message"]["id"] for _ in range(3)}
    assert len(ids) == 3


async def test_a_refused_message_leaves_its_key_free(client: Client) -> None:
    conversation = await client.conversation()
    path = f"/api/conversations/{conversation['id']}/messages"
    refused(await client.http.post(path, json={"content": "x" * 4001}, headers=key("k1")), 400)
    refused(await client.http.post(f"{path}x", json={"content": "x"}, headers=key("k1")), 404)
    assert (await client.send(conversation["id"], "Hello", **key("k1")))["message"]["position"] == 1


async def test_a_day_later_a_key_is_new_again(client: Client, hub: HubServer) -> None:
    """Whether or not it has been cleaned away by then; and not a minute earlier."""
    conversation = await client.conversation()
    sent = [await client.send(conversation["id"], "Hello", **key("daily"))]
    database = hub.settings["HUB_DATABASE_URL"]
    for age in ("23 hours 59 minutes", "1 minute"):
        await query(
            database,
            "UPDATE idempotency_keys SET expires_at = expires_at - $2::text::interval WHERE user_id = $1",
            UUID(client.user["id"]),
            age,
        )
        sent.append(await client.send(conversation["id"], "Hello", **key("daily")))
    ids = [each["message"]["id"] for each in sent]
    assert ids[0] == ids[1] != ids[2]
    assert (await client.send(conversation["id"], "Hello", **key("daily")))["message"]["id"] == ids[2]


@pytest.mark.parametrize("value", ["x", "!~", "x" * 200, "ABC-123_/+=:;,.?"])
async def test_every_visible_key_is_taken(client: Client, value: str) -> None:
    conversation = await client.conversation()
    first = await client.send(conversation["id"], "Hello", **key(value))
    again = await client.send(conversation["id"], "Hello", **key(value))
    assert first["message"] == again["message"]


async def test_twenty_at_once_make_one_message_and_one_turn(client: Client, llm: FakeLLM) -> None:
    conversation = await client.conversation()
    content = f"Only once, {client.user['username']}"
    sent = await asyncio.gather(*(client.send(conversation["id"], content, **key("once")) for _ in range(20)))
    assert len({each["message"]["id"] for each in sent}) == 1
    assert len({each["response"]["id"] for each in sent}) == 1
    await client.ended(sent[0]["response"]["id"])
    assert [message["role"] for message in await client.messages(conversation["id"])] == ["user", "assistant"]
    assert sum(last_said(each.body) == content for each in llm.requests if each.method == "POST") == 1


async def test_twenty_frames_at_once_make_one_message_and_one_turn(client: Client, llm: FakeLLM) -> None:
    conversation = await client.conversation()
    content = f"Only once by socket, {client.user['username']}"
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(client.socket()) for _ in range(4)]
        for _ in range(5):
            for socket in sockets:
                await socket.say(conversation["id"], content, event_id="once")
        added = [await socket.expect("conversation.item.added") for socket in sockets for _ in range(5)]
        assert len({frame["item"]["id"] for frame in added}) == 1
        assert {frame["event_id"] for frame in added} == {"once"}
        await sockets[0].subscribe(conversation["id"])
        async with asyncio.timeout(10):
            while len(await client.messages(conversation["id"])) < 2:
                await sockets[0].receive()
    assert [message["role"] for message in await client.messages(conversation["id"])] == ["user", "assistant"]
    assert sum(last_said(each.body) == content for each in llm.requests if each.method == "POST") == 1


async def test_an_event_id_with_another_body_is_refused_by_name(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Hello", event_id="e1", response=None)
        first = await socket.expect("conversation.item.added")
        await socket.say(conversation["id"], "Hello", event_id="e1", response=None)
        again = await socket.receive()
        assert again == first
        for content, fields in (("Bye", {"response": None}), ("Hello", {})):
            await socket.say(conversation["id"], content, event_id="e1", **fields)
            refusal = await socket.receive()
            assert refusal["type"] == "error"
            assert refusal["error"]["event_id"] == "e1"
    assert len(await client.messages(conversation["id"])) == 1


async def test_an_event_id_is_known_on_another_connection(client: Client) -> None:
    conversation = await client.conversation()
    items = []
    for _ in range(2):
        async with client.socket() as socket:
            await socket.say(conversation["id"], "Hello", event_id="e1", response=None)
            items.append(await socket.expect("conversation.item.added"))
    assert items[0] == items[1]


async def test_keys_and_event_ids_do_not_meet(client: Client) -> None:
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Hello", **key("same"))
    async with client.socket() as socket:
        await socket.say(conversation["id"], "Hello", event_id="same", response=None)
        added = await socket.expect("conversation.item.added")
    assert added["item"]["id"] != sent["message"]["id"]
