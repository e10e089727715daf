"""Talking with a companion: what is sent, streamed and stored is the same text everywhere."""

from __future__ import annotations

from tests.fakes.llm import FakeLLM
from tests.services.hub import Client


async def test_a_message_over_the_socket_streams_a_reply_that_equals_the_stored_message(
    client: Client,
) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        assert (await socket.subscribe(conversation["id"]))["last_position"] == 0
        event_id = await socket.say(conversation["id"], "Hello there")
        response = await socket.finished()
    assert response["status"] == "completed"
    stored = await client.messages(conversation["id"])
    assert [message["role"] for message in stored] == ["user", "assistant"]
    assert stored[1]["content"] == socket.texts[response["id"]] == response["output_text"]
    assert stored[1]["response_id"] == response["id"]
    added = socket.seen("conversation.item.added")
    assert [frame["item"]["position"] for frame in added] == [1, 2]
    assert added[0]["event_id"] == event_id


async def test_the_prompt_holds_the_users_message_once(client: Client, llm: FakeLLM) -> None:
    conversation = await client.conversation()
    first = await client.send(conversation["id"], "The first thing I say")
    await client.ended(first["response"]["id"])
    second = await client.send(conversation["id"], "The second thing I say")
    await client.ended(second["response"]["id"])
    messages = llm.requests[-1].body["messages"]
    assert isinstance(messages, list)
    said = [message["content"] for message in messages if message["role"] == "user"]
    assert said == ["The first thing I say", "The second thing I say"]
    assert messages[0]["role"] == "system"
    assert "botanist" in messages[0]["content"]
