"""Replies that go on: from the very text that is there, whatever breaks in between."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, chunk, error, line, reply, stream
from tests.integration.conftest import Answers, last_said, prompt
from tests.services.edits import Editor
from tests.services.hub import Client, HubServer
from tests.services.refusals import refused
from tests.services.world import query

#: The words in which the model is asked for more; the fake model knows the request by them.
ASKED = "[Your last message stopped too early."


class Going(Answers):
    """Scripts for requests to go on, by the text that they go on from."""

    def choose(self, body: dict[str, object]) -> Script:
        if not last_said(body).startswith(ASKED):
            return super().choose(body)
        text = next(content for role, content in reversed(prompt(body)) if role == "assistant")
        scripts = self._scripts.get(text)
        return scripts.popleft() if scripts else reply(" and so on.")


@pytest.fixture
def going(llm: FakeLLM, answers: Answers) -> Going:
    """Return what the shared hub's model says to which message, and behind which text."""
    assert answers is not None  # it puts back what was there
    scripted = Going()
    llm.default = scripted.choose
    return scripted


async def test_it_goes_on_where_the_message_stopped(client: Client, going: Going, llm: FakeLLM) -> None:
    going.give("Tell me", reply("Once upon a"))
    going.give("Once upon a", reply("time there was moss."))
    talk = await Editor.of(client, "Hello", "Tell me")
    before = (await talk.messages())[3]
    response = await talk.done("continue")
    assert (response["status"], response["kind"]) == ("completed", "continue")
    assert response["output_text"] == "Once upon a time there was moss."
    after = (await talk.messages())[3]
    changed = {"content": response["output_text"], "response_id": response["id"]}
    assert after == {**before, **changed, "alternative": 2, "alternatives": 2}
    assert (await talk.alternatives(before["id"]))[0]["content"] == "Once upon a"
    asked = prompt(llm.chats[-1].body)
    assert asked[-3:-1] == [("user", "Tell me"), ("assistant", "Once upon a")]
    assert asked[-1][0] == "user"
    assert asked[-1][1].startswith(ASKED)
    assert len(await talk.messages()) == 4, "what the model is asked in is nobody's message"


async def test_the_greeting_and_an_edited_text_are_continued(client: Client, going: Going) -> None:
    talk = await Editor.of(client, greeting="Welcome to")
    going.give("Welcome to", reply("the garden."))
    assert (await talk.done("continue"))["output_text"] == "Welcome to the garden."
    message = (await talk.messages())[0]
    await talk.edited(message["id"], "Welcome to the ")
    going.give("Welcome to the ", reply(" greenhouse."))
    assert (await talk.done("continue"))["output_text"] == "Welcome to the greenhouse."
    assert len(await talk.alternatives(message["id"])) == 3
    refused(await talk.ask("regenerate"), 409)


async def test_what_a_client_builds_begins_with_the_old_text(client: Client, going: Going) -> None:
    go_on = asyncio.Event()
    going.give("Tell me", reply("Es war einmal 🫖"))
    going.give("Es war einmal 🫖", reply([" ein", " Moos."], between={1: go_on}))
    talk = await Editor.of(client, "Tell me")
    async with client.socket() as socket, client.socket() as late:
        await socket.subscribe(talk.id, after=2)
        response = await talk.asked("continue")
        await socket.reads("einmal 🫖 ein")
        assert (await client.response(response["id"]))["output_text"].startswith("Es war einmal 🫖")
        await late.subscribe(talk.id, after=2)
        await late.reads("einmal 🫖 ein")
        go_on.set()
        for each in (socket, late):
            ended = await each.finished()
            assert each.texts[response["id"]] == ended["output_text"] == "Es war einmal 🫖 ein Moos."
            started = each.seen("response.in_progress")[0]["response"]
            assert started["output_text"].startswith("Es war einmal 🫖")
            deltas = each.seen("response.output_text.delta")
            assert all(frame["offset"] >= len("Es war einmal 🫖") for frame in deltas)
            assert each.frames[-2]["item"] == (await talk.messages())[1]


async def test_a_stream_that_breaks_begins_again_behind_the_old_text(client: Client, going: Going) -> None:
    broken = stream(line(chunk(" time there")), 0.05, End.CLOSE)
    going.give("Tell me", reply("Once upon a"))
    going.give("Once upon a", broken, reply(" day it rained."))
    talk = await Editor.of(client, "Tell me")
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        response = await talk.asked("continue")
        ended = await socket.finished()
        assert (ended["status"], ended["attempt"]) == ("completed", 2)
        assert socket.texts[response["id"]] == ended["output_text"] == "Once upon a day it rained."
        assert socket.frames[-2]["item"]["content"] == ended["output_text"]
    assert (await talk.texts())[1] == "Once upon a day it rained."
    assert len(await talk.alternatives((await talk.messages())[1]["id"])) == 2


async def test_a_cancelled_one_keeps_what_it_said_to_itself_and_is_tried_again(
    client: Client, going: Going
) -> None:
    going.give("Tell me", reply("Once upon a"))
    half = reply([" time", " there"], between={1: End.HANG})
    going.give("Once upon a", half, error(400, "no"), reply(" day it rained."))
    talk = await Editor.of(client, "Tell me")
    before = await talk.messages()
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        response_id = (await talk.asked("continue"))["id"]
        await socket.reads("Once upon a time")
        await client.http.post(f"/api/responses/{response_id}/cancel")
        assert (await socket.finished())["output_text"] == "Once upon a time"
        assert await talk.messages() == before
        for text in ("Once upon a", "Once upon a day it rained."):
            answer = await client.http.post(f"/api/responses/{response_id}/retry")
            assert (answer.status_code, answer.json()["kind"]) == (202, "continue")
            assert (await socket.finished())["output_text"] == text == socket.texts[response_id]
    assert (await talk.texts())[1] == "Once upon a day it rained."


async def test_nothing_more_to_say_is_a_failure(client: Client, going: Going) -> None:
    going.give("Tell me", reply("The end."))
    going.give("The end.", reply(" \n "))
    talk = await Editor.of(client, "Tell me")
    response = await talk.done("continue")
    assert response["status"] == "failed"
    assert response["error"]["code"] == "llm_empty_reply"
    assert await talk.texts() == ["Tell me", "The end."]


async def test_a_worker_that_fell_silent_leaves_it_to_the_next(
    client: Client, going: Going, hub: HubServer
) -> None:
    """Its lease ends in the middle; whoever takes it up goes on from the old text, not from its words."""
    go_on = asyncio.Event()
    going.give("Tell me", reply("Once upon a"))
    going.give(
        "Once upon a", reply([" time", " there"], between={1: End.HANG}), reply(" day.", first=[go_on])
    )
    talk = await Editor.of(client, "Tell me")
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        response_id = (await talk.asked("continue"))["id"]
        await socket.reads("Once upon a time")
        await query(
            hub.settings["HUB_DATABASE_URL"],
            "UPDATE jobs SET lease_until = now() - interval '1 hour' WHERE subject_id = $1",
            UUID(response_id),
        )
        go_on.set()
        ended = await socket.finished()
    assert (ended["status"], ended["output_text"]) == ("completed", "Once upon a day.")
    assert socket.texts[response_id] == "Once upon a day." == (await talk.texts())[1]
