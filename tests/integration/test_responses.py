"""Responses: looked at, cancelled, tried again; told of on the socket all the while."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, error, reply, stream
from tests.integration.conftest import Answers
from tests.services.hub import Client, HubServer, Socket
from tests.services.refusals import refused
from tests.services.world import query


def held(text: str, until: asyncio.Event | End) -> Script:
    """Return a reply that says its first words and then waits."""
    return reply([text, " and more"], between={1: until})


async def written(client: Client, response_id: str, text: str) -> None:
    """Wait until a response has stored this much."""
    deadline = time.monotonic() + 10
    while not (await client.response(response_id))["output_text"].startswith(text):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def cancel(client: Client, response_id: str) -> dict[str, Any]:
    answer = await client.http.post(f"/api/responses/{response_id}/cancel")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def retry(client: Client, response_id: str) -> dict[str, Any]:
    answer = await client.http.post(f"/api/responses/{response_id}/retry")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_a_response_shows_what_is_written_so_far(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Slowly", held("The beginning", go_on))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Slowly"))["response"]["id"]
    await written(client, response_id, "The beginning")
    response = await client.response(response_id)
    assert (response["status"], response["attempt"]) == ("in_progress", 1)
    assert (response["message_id"], response["completed_at"], response["error"]) == (None, None, None)
    go_on.set()
    ended = await client.ended(response_id)
    assert (ended["status"], ended["output_text"]) == ("completed", "The beginning and more")
    assert ended["completed_at"] >= ended["created_at"]


async def test_cancelling_keeps_the_text_and_leaves_the_model(
    client: Client, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Stop me", held("Half of it", End.HANG))
    conversation = await client.conversation()
    gone = llm.disconnects
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Stop me")
        response_id = await socket.reads("Half of it")
        response = await cancel(client, response_id)
        assert (response["status"], response["message_id"]) == ("cancelled", None)
        assert response["completed_at"]
        told = await socket.finished()
        await llm.wait_for_disconnects(gone + 1, within=2)
        assert told["status"] == "cancelled"
        assert told["output_text"] == "Half of it" == socket.texts[response_id]
        await socket.say(conversation["id"], "Go on")
        assert (await socket.finished())["status"] == "completed"
    assert (await client.response(response_id))["output_text"] == "Half of it"
    roles = [message["role"] for message in await client.messages(conversation["id"])]
    assert roles == ["user", "user", "assistant"]


async def test_cancelling_over_the_socket(client: Client, answers: Answers) -> None:
    answers.give("Stop me", held("Half of it", End.HANG))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Stop me")
        response_id = await socket.reads("Half of it")
        await socket.send(type="response.cancel", response_id=response_id)
        assert (await socket.finished())["status"] == "cancelled"
        await socket.send(type="response.cancel", response_id=response_id)  # it has ended: no harm, no word
        await socket.send(type="nothing")
        assert (await socket.receive())["type"] == "error"


async def test_the_text_told_before_a_cancel_is_kept(client: Client, answers: Answers) -> None:
    pieces = [f"w{number} " for number in range(200)]
    answers.give("On and on", reply(pieces, delay=0.01))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "On and on")
        response_id = await socket.reads("w30")
        seen = socket.texts[response_id]
        await cancel(client, response_id)
        told = await socket.finished()
    assert told["output_text"].startswith(seen)
    assert "".join(pieces).startswith(told["output_text"])


async def test_cancelling_what_has_ended_changes_nothing(client: Client) -> None:
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Hello"))["response"]["id"]
    ended = await client.ended(response_id)
    assert await cancel(client, response_id) == ended
    assert await client.response(response_id) == ended


async def test_cancelling_what_still_waits_lets_the_next_go_on(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("one", held("First", go_on))
    conversation = await client.conversation()
    ids = [
        (await client.send(conversation["id"], text))["response"]["id"] for text in ("one", "two", "three")
    ]
    assert (await cancel(client, ids[1]))["status"] == "cancelled"
    go_on.set()
    assert [(await client.ended(each))["status"] for each in ids] == ["completed", "cancelled", "completed"]


async def test_of_many_cancels_and_an_end_one_wins(client: Client) -> None:
    conversation = await client.conversation()
    for _ in range(10):
        response_id = (await client.send(conversation["id"], "Hello"))["response"]["id"]
        outcomes = await asyncio.gather(*(cancel(client, response_id) for _ in range(4)))
        ended = await client.ended(response_id)
        assert ended["status"] in ("cancelled", "completed")
        assert {each["status"] for each in outcomes} <= {ended["status"], "in_progress"}
        assert (ended["message_id"] is not None) == (ended["status"] == "completed")


async def test_a_cancelled_response_is_tried_again(client: Client, answers: Answers) -> None:
    answers.give("Twice", held("Half of it", End.HANG), reply("All of it"))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Twice")
        first = await socket.reads("Half of it")
        await cancel(client, first)
        await socket.finished()
        again = await retry(client, first)
        assert again["status"] in ("queued", "in_progress")
        ended = await socket.finished()
    assert (ended["id"], ended["status"], ended["output_text"]) == (again["id"], "completed", "All of it")
    assert ended["attempt"] == 2
    assert [message["content"] for message in await client.messages(conversation["id"])] == [
        "Twice",
        "All of it",
    ]


async def test_a_response_that_was_cancelled_while_it_waited_is_tried_for_the_first_time(
    client: Client, answers: Answers
) -> None:
    go_on = asyncio.Event()
    answers.give("First", held("Slowly", go_on))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "First")
        await socket.reads("Slowly")
        waiting = (await client.send(conversation["id"], "Second"))["response"]
        assert (await cancel(client, waiting["id"]))["attempt"] == 1
        await socket.expect("response.cancelled")
        await retry(client, waiting["id"])
        go_on.set()
        assert (await socket.finished())["status"] == "completed"
        ended = await socket.finished()
    assert (ended["id"], ended["status"], ended["attempt"]) == (waiting["id"], "completed", 1)


async def test_a_cancel_whose_word_is_lost_still_leaves_the_model(
    client: Client, answers: Answers, hub: HubServer, llm: FakeLLM
) -> None:
    answers.give("Unheard", held("Half of it", End.HANG))
    conversation = await client.conversation()
    gone = llm.disconnects
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Unheard")
        response_id = UUID(await socket.reads("Half of it"))
        await query(  # nobody is told of it
            hub.settings["HUB_DATABASE_URL"],
            "WITH response AS (UPDATE responses SET status = 'cancelled', completed_at = now(),"
            " output_text = '' WHERE id = $1 RETURNING job_id)"
            " UPDATE jobs SET status = 'cancelled', completed_at = now() FROM response WHERE id = job_id",
            response_id,
        )
        await llm.wait_for_disconnects(gone + 1, within=2)
        told = await socket.finished()
    assert (told["status"], told["output_text"]) == ("cancelled", "Half of it")


async def test_a_failed_response_is_tried_again(client: Client, answers: Answers) -> None:
    answers.give("Twice", error(400, "no"), reply("Better now"))
    conversation = await client.conversation()
    first = (await client.send(conversation["id"], "Twice"))["response"]["id"]
    failed = await client.ended(first)
    assert failed["status"] == "failed"
    assert set(failed["error"]) == {"code", "message"}
    again = await retry(client, first)
    assert (again["error"], again["completed_at"], again["output_text"]) == (None, None, "")
    assert (await client.ended(again["id"]))["output_text"] == "Better now"


async def test_what_has_succeeded_or_still_runs_is_not_tried_again(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Slowly", held("Well", go_on))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Slowly"))["response"]["id"]
    refused(await client.http.post(f"/api/responses/{response_id}/retry"), 409)
    go_on.set()
    ended = await client.ended(response_id)
    refused(await client.http.post(f"/api/responses/{response_id}/retry"), 409)
    assert await client.response(response_id) == ended
    assert len(await client.messages(conversation["id"])) == 2


async def test_of_many_retries_one_is_taken(client: Client, answers: Answers) -> None:
    answers.give("Twice", stream(b"data: [DONE]\n\n"), error(400, "no"))
    answers.give("Again", error(400, "no"))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Again"))["response"]["id"]
    assert (await client.ended(response_id))["status"] == "failed"
    tries = await asyncio.gather(*(client.http.post(f"/api/responses/{response_id}/retry") for _ in range(8)))
    assert {answer.status_code for answer in tries} == {202, 409}
    assert sum(answer.status_code == 202 for answer in tries) == 1
    assert (await client.ended(response_id))["status"] == "completed"
    assert len(await client.messages(conversation["id"])) == 2


async def test_each_end_of_a_response_that_is_cancelled_twice_is_told(
    client: Client, answers: Answers
) -> None:
    go_on = asyncio.Event()
    answers.give("one", held("First", go_on))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await client.send(conversation["id"], "one")
        waiting = (await client.send(conversation["id"], "two"))["response"]["id"]
        for _ in range(2):
            await _told(socket, "response.queued", waiting)
            await cancel(client, waiting)
            await _told(socket, "response.cancelled", waiting)
            await retry(client, waiting)
        await _told(socket, "response.queued", waiting)
        go_on.set()
        await _told(socket, "response.completed", waiting)


async def _told(socket: Socket, kind: str, response_id: str) -> None:
    while (await socket.expect(kind, within=5))["response"]["id"] != response_id:
        pass


@pytest.mark.parametrize("what", ["conversations", "companions"])
async def test_deleting_ends_what_is_under_way(
    client: Client, answers: Answers, llm: FakeLLM, what: str
) -> None:
    answers.give("Never mind", held("Half of it", End.HANG))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Never mind"))["response"]["id"]
    await written(client, response_id, "Half")
    gone = llm.disconnects
    identifier = conversation["id" if what == "conversations" else "companion_id"]
    assert (await client.http.delete(f"/api/{what}/{identifier}")).status_code == 204
    await llm.wait_for_disconnects(gone + 1, within=2)
    refused(await client.http.get(f"/api/responses/{response_id}"), 404)
    another = await client.conversation()
    sent = await client.send(another["id"], "Still there?")
    assert (await client.ended(sent["response"]["id"]))["status"] == "completed"
