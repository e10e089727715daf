"""The WebSocket: what is told to whom, in which order, and how a client goes on after an absence."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from tests.fakes.llm_script import reply
from tests.integration.conftest import Answers
from tests.services.hub import Client, Socket

ENDS = ("response.completed", "response.failed", "response.cancelled")
PIECES = [f"word{number} " for number in range(30)] + ["end ☕"]


def about(socket: Socket, response_id: str) -> list[str]:
    """Return the types of the frames about one response, deltas once."""
    kinds: list[str] = []
    for frame in socket.frames:
        known = frame.get("response_id") or frame.get("response", {}).get("id")
        if known == response_id and kinds[-1:] != [frame["type"]]:
            kinds.append(frame["type"])
    return kinds


async def quiet(socket: Socket) -> None:
    """Check that nothing more comes: what is asked last is answered next."""
    await socket.send(type="response.cancel", response_id="018f0000-0000-7000-8000-000000000000")
    assert (await socket.receive())["type"] == "error"


async def test_the_first_frame_tells_of_the_session(client: Client) -> None:
    async with client.socket() as socket:
        [created] = socket.frames
        assert set(created) == {"type", "session"}
        assert set(created["session"]) == {"id", "user_id"}
        assert created["session"]["user_id"] == client.user["id"]
        assert UUID(created["session"]["id"]).version == 7
        await quiet(socket)


async def test_frames_of_a_turn_come_in_order(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        subscribed = await socket.subscribe(conversation["id"])
        assert subscribed == {
            "type": "conversation.subscribed",
            "conversation_id": conversation["id"],
            "last_position": 0,
            "revision": 0,
        }
        event_id = await socket.say(conversation["id"], "Hello")
        response = await socket.finished()
        await quiet(socket)
    kinds = about(socket, response["id"])
    assert [kind for kind in kinds if kind not in ("response.queued", "response.output_text.delta")] == [
        "response.in_progress",
        "response.output_text.done",
        "response.completed",
    ]
    assert kinds[-2:] == ["response.output_text.done", "response.completed"]
    assert "response.queued" not in kinds[1:]
    user, assistant = socket.seen("conversation.item.added")
    assert user["event_id"] == event_id
    assert "event_id" not in assistant
    assert [user["item"], assistant["item"]] == await client.messages(conversation["id"])
    assert response == await client.response(response["id"])
    assert all(
        frame["conversation_id"] == conversation["id"]
        for frame in socket.frames
        if frame["type"] not in ("session.created", "error")
    )


async def test_every_socket_on_a_conversation_is_told_the_same(client: Client) -> None:
    conversation = await client.conversation()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(client.socket()) for _ in range(4)]
        for socket in sockets:
            await socket.subscribe(conversation["id"])
        event_id = await sockets[0].say(conversation["id"], "Hello")
        finished = await asyncio.gather(*(socket.finished() for socket in sockets))
    assert all(response == finished[0] for response in finished)
    for socket in sockets:
        user, assistant = socket.seen("conversation.item.added")
        assert user.get("event_id") == (event_id if socket is sockets[0] else None)
        assert assistant["item"]["content"] == socket.texts[finished[0]["id"]]


async def test_whoever_is_not_subscribed_is_told_only_of_its_own_message(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket, client.socket() as watching:
        await watching.subscribe(conversation["id"])
        event_id = await socket.say(conversation["id"], "Hello")
        await watching.finished()
        added = await socket.receive()
        assert (added["type"], added["event_id"]) == ("conversation.item.added", event_id)
        assert added["item"]["content"] == "Hello"
        await quiet(socket)


async def test_after_unsubscribing_nothing_more_is_told(client: Client, answers: Answers) -> None:
    conversation = await client.conversation()
    go_on = asyncio.Event()
    answers.give("Tell me all", reply(PIECES, between={5: go_on}))
    async with client.socket() as socket, client.socket() as watching:
        await socket.subscribe(conversation["id"])
        await watching.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Tell me all")
        await socket.reads("word4")
        await socket.send(type="conversation.unsubscribe", conversation_id=conversation["id"])
        await socket.send(type="response.cancel", response_id="018f0000-0000-7000-8000-000000000000")
        await socket.expect("error")
        go_on.set()
        await watching.finished()
        await quiet(socket)
        await socket.send(type="conversation.unsubscribe", conversation_id=conversation["id"])  # no harm
        await quiet(socket)


@pytest.mark.parametrize(
    ("after", "missing"), [(None, [1, 2, 3, 4, 5]), (0, [1, 2, 3, 4, 5]), (3, [4, 5]), (5, []), (99, [])]
)
async def test_a_subscriber_is_sent_the_messages_it_lacks(
    client: Client, after: int | None, missing: list[int]
) -> None:
    conversation = await client.conversation()
    async with client.socket() as writer, client.socket() as socket:
        for number in range(1, 6):
            await writer.say(conversation["id"], f"Number {number}", response=None)
            await writer.expect("conversation.item.added")
        fields = {} if after is None else {"after": after}
        assert (await socket.subscribe(conversation["id"], **fields))["last_position"] == 5
        got = [await socket.receive() for _ in missing]
        assert [frame["item"]["position"] for frame in got] == missing
        assert all("event_id" not in frame for frame in got)
        await quiet(socket)
        await socket.say(conversation["id"], "One more", response=None)
        assert (await socket.receive())["item"]["position"] == 6


async def test_beyond_two_hundred_a_subscriber_reads_them_itself(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as writer:
        for number in range(202):
            await writer.say(conversation["id"], f"Number {number}", response=None)
        for _ in range(202):
            await writer.expect("conversation.item.added")
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"], after=1)
        resync = await socket.receive()
        assert resync == {
            "type": "companion_hub.resync",
            "conversation_id": conversation["id"],
            "last_position": 202,
            "revision": 0,
        }
        await quiet(socket)
        await socket.say(conversation["id"], "Now?", response=None)
        assert (await socket.receive())["item"]["position"] == 203
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"], after=3)
        items = [(await socket.receive())["item"]["position"] for _ in range(200)]
        assert items == list(range(4, 204))
        await quiet(socket)


async def test_who_comes_late_is_told_what_is_written_so_far(client: Client, answers: Answers) -> None:
    conversation = await client.conversation()
    go_on = asyncio.Event()
    answers.give("Slowly, please", reply(PIECES, between={10: go_on}))
    async with client.socket() as first, client.socket() as late:
        await first.subscribe(conversation["id"])
        await first.say(conversation["id"], "Slowly, please")
        await first.reads("word9")
        await late.subscribe(conversation["id"], after=1)
        joined = await late.receive()
        assert joined["type"] == "response.in_progress"
        go_on.set()
        ended = await asyncio.gather(first.finished(), late.finished())
    text = (await client.messages(conversation["id"]))[-1]["content"]
    assert text == "".join(PIECES)
    assert first.texts == late.texts == {ended[0]["id"]: text}


async def test_subscribing_again_and_again_breaks_no_text(client: Client, answers: Answers) -> None:
    conversation = await client.conversation()
    pieces = [f"w{number} " for number in range(40)]
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        for turn in range(6):
            answers.give("Talk on", reply(pieces, delay=0.002))
            await socket.say(conversation["id"], "Talk on")
            stored = asyncio.create_task(_reply_stored(socket, after=2 * turn + 1))
            while not stored.done():
                for _ in range(3):
                    await socket.send(
                        type="conversation.subscribe", conversation_id=conversation["id"], after=2 * turn + 1
                    )
                await asyncio.wait({stored}, timeout=0.02)
            assert stored.result() == "".join(pieces).strip()


async def _reply_stored(socket: Socket, *, after: int) -> str:
    """Wait for the reply's message; `receive` checks that every delta fits."""
    while True:
        item = (await socket.expect("conversation.item.added"))["item"]
        if item["position"] > after and item["role"] == "assistant":
            return str(item["content"])


async def test_a_client_that_comes_and_goes_ends_with_the_whole_text(
    client: Client, answers: Answers
) -> None:
    conversation = await client.conversation()
    answers.give("Talk on", reply([f"w{n} ☕" for n in range(80)], delay=0.01))
    response_id = (await client.send(conversation["id"], "Talk on"))["response"]["id"]
    content: str | None = None
    visits = 0
    while content is None:
        visits += 1
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"], after=1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02 + visits % 5 * 0.02):
                    content = await _reply_stored(socket, after=1)
            if content is not None:
                assert socket.texts.get(response_id, content) == content
    assert visits > 3
    assert content == (await client.messages(conversation["id"]))[-1]["content"]


async def test_a_message_without_a_wish_for_a_reply_gets_none(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Just so you know", response=None)
        await socket.expect("conversation.item.added")
        await quiet(socket)
    assert len(await client.messages(conversation["id"])) == 1


@pytest.mark.parametrize("options", [{}, {"generate_image": False}])
async def test_response_options_ask_for_a_reply(client: Client, options: dict[str, bool]) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Hello", response=options)
        assert (await socket.finished())["status"] == "completed"


async def test_messages_over_http_are_told_on_the_socket(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        sent = await client.send(conversation["id"], "Hello over HTTP")
        added = await socket.expect("conversation.item.added")
        assert added["item"] == sent["message"]
        assert (await socket.finished())["id"] == sent["response"]["id"]
