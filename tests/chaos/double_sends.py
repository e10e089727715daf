"""The same send twenty times at once: over HTTP under one key, over sockets under one event id."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.world import World, all_of
from tests.services.hub import Client, Socket

_TIMES = 20
_CONVERSATIONS = 20
_REPLIES_SECONDS = 120.0

Answer = tuple[str, str]


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Send each message twenty times through both webs, half of them over HTTP and half over sockets."""
    count = size.of(20, 1_000)
    client = await world.client()
    companion = (await client.companion())["id"]
    conversations = [(await client.conversation(companion))["id"] for _ in range(_CONVERSATIONS)]
    clients = [world.beside(client, number % 2) for number in range(_TIMES)]
    wrong: list[str] = []
    async with AsyncExitStack() as stack, progress.of(count, f"messages, each sent {_TIMES} times"):
        sockets = [await stack.enter_async_context(each.socket()) for each in clients]
        for number in range(count):
            where, what = conversations[number % _CONVERSATIONS], f"Double {number}"
            if number % 2:
                answers = await all_of(_over_http(each, where, what) for each in clients)
            else:
                answers = await all_of(_over_socket(each, where, what) for each in sockets)
            if len(set(answers)) != 1:
                wrong.append(f"{what!r} was acknowledged as {set(answers)}")
            progress.add()
    return [*await _stored(world, conversations, count), _same(count, wrong)]


async def _over_http(client: Client, conversation_id: str, content: str) -> Answer:
    path, key = f"/api/conversations/{conversation_id}/messages", content.replace(" ", "-")
    while True:
        answer = await client.http.post(path, json={"content": content}, headers={"Idempotency-Key": key})
        if answer.status_code == 202:
            sent = answer.json()
            return sent["message"]["id"], sent["response"]["id"]
        assert answer.status_code == 409, answer.text


async def _over_socket(socket: Socket, conversation_id: str, content: str) -> Answer:
    await socket.say(conversation_id, content, event_id=content)
    added = await socket.expect("conversation.item.added")
    assert added["event_id"] == content
    return added["item"]["id"], ""


async def _stored(world: World, conversations: list[str], count: int) -> list[Finding]:
    rows = await _rows(world, conversations)
    await world.ended([str(row["response_id"]) for row in rows], within=_REPLIES_SECONDS)
    rows = await _rows(world, conversations)
    messages = Counter(row["content"] for row in rows if row["role"] == "user")
    wanted = {f"Double {number}" for number in range(count)}
    wrong = [
        f"{each!r} is stored or answered {messages[each]} times" for each in wanted if messages[each] != 1
    ]
    wrong += [f"{each!r} was never sent" for each in messages.keys() - wanted]
    done = f"{count:,} x {_TIMES} at once"
    torn = await world.disagreements()
    return [
        none_of("one key is one message and one turn", done, wrong, what="doubled or lost"),
        none_of("rows agree after double sends", done, torn, what="contradictions"),
    ]


async def _rows(world: World, conversations: list[str]) -> list[dict[str, Any]]:
    return await world.query(
        "SELECT content, role, responses.id AS response_id FROM messages"
        " JOIN responses ON request_message_id = messages.id"
        " WHERE messages.conversation_id = ANY($1::uuid[])",
        conversations,
    )


def _same(count: int, wrong: list[str]) -> Finding:
    done = f"{count:,} x {_TIMES} at once"
    return none_of("each of the same sends gets the same answer", done, wrong, what="differ")
