"""Messages that are edited and taken out: what is stored, what the model knows, and what others are told."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from hub.core.etags import tag_of_body
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, reply
from tests.integration.conftest import Answers, last_said, prompt
from tests.services.edits import Editor, told_of
from tests.services.hub import Client, HubServer
from tests.services.refusals import pointers, refused
from tests.services.world import query


async def test_an_edited_message_is_what_the_model_knows_from_then_on(client: Client, llm: FakeLLM) -> None:
    talk = await Editor.of(client, "I have a cat")
    before = (await talk.messages())[0]
    edited = await talk.edited(before["id"], "I have a tortoise")
    assert edited == {**before, "content": "I have a tortoise", "edited_at": edited["edited_at"]}
    assert edited["edited_at"] > before["created_at"]
    assert await talk.message(before["id"]) == edited == (await talk.messages())[0]
    await talk.says("What do I have?")
    asked = next(each.body for each in reversed(llm.chats) if last_said(each.body) == "What do I have?")
    assert ("user", "I have a tortoise") in prompt(asked)
    assert not any("cat" in content for role, content in prompt(asked) if role == "user")


async def test_the_companions_own_words_are_edited_too(client: Client, llm: FakeLLM) -> None:
    talk = await Editor.of(client, "Hello")
    message = (await talk.messages())[1]
    edited = await talk.edited(message["id"], "Hello, you.")
    assert (edited["alternative"], edited["alternatives"]) == (1, 1)
    assert (await client.response(message["response_id"]))["output_text"] == message["content"]
    await talk.says("And now?")
    asked = next(each.body for each in reversed(llm.chats) if last_said(each.body) == "And now?")
    assert ("assistant", "Hello, you.") in prompt(asked)


async def test_what_is_no_message_is_refused_and_changes_nothing(client: Client) -> None:
    talk = await Editor.of(client, "Hello")
    message = (await talk.messages())[0]
    for content in ("", " \n", "a\0b", "x" * 4001):
        problem = refused(await talk.edit(message["id"], content), 400)
        assert pointers(problem) == {"/content"}
    path = f"/api/messages/{message['id']}"
    refused(await client.http.patch(path, json={"content": "Hi", "position": 1}), 400)
    refused(await client.http.patch(path, json={}), 400)
    assert await talk.message(message["id"]) == message


async def test_of_a_long_reply_a_word_may_be_edited(client: Client, answers: Answers) -> None:
    answers.give("Tell me everything", reply(["x" * 3000, "y" * 3000]))
    talk = await Editor.of(client, "Tell me everything")
    message = (await talk.messages())[1]
    shorter = "z" + message["content"][1:]
    assert (await talk.edited(message["id"], shorter))["content"] == shorter
    refused(await talk.edit(message["id"], shorter + "z"), 400)


async def test_an_edit_of_what_has_changed_meanwhile_is_refused(client: Client) -> None:
    talk = await Editor.of(client, "Hello")
    message_id = (await talk.messages())[0]["id"]
    tag = tag_of_body((await client.http.get(f"/api/messages/{message_id}")).content)
    many = [talk.edit(message_id, f"Version {number}", **{"If-Match": tag}) for number in range(6)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*many))
    assert statuses == [200] + [412] * 5
    refused(await talk.edit(message_id, "Late", **{"If-Match": tag}), 412)
    assert (await talk.edit(message_id, "Last", **{"If-Match": "*"})).status_code == 200


async def test_followers_are_told_and_those_who_were_away_too(client: Client) -> None:
    talk = await Editor.of(client, "One", "Two")
    first, second, third, _ = await talk.messages()
    async with client.socket() as socket:
        subscribed = await socket.subscribe(talk.id, after=4)
        edited = await talk.edited(first["id"], "Uno")
        frame = await told_of(socket, first["id"])
        assert frame["item"] == edited
        assert frame["revision"] == subscribed["revision"] + 1
    await talk.edited(third["id"], "Due")
    second = await talk.edited(second["id"], "You said uno")
    third = await talk.edited(third["id"], "Due!")
    async with client.socket() as cut:  # before it is told of anything
        revision = (await cut.subscribe(talk.id, after=4, revision=frame["revision"]))["revision"]
    async with client.socket() as again:
        await again.subscribe(talk.id, after=4, revision=revision)
        told = [await again.expect("companion_hub.item.updated") for _ in range(2)]
        assert [each["item"] for each in told] == [second, third]  # each as it is now, once
        assert told[-1]["revision"] == frame["revision"] + 3
        await again.say(talk.id, "Three")
        assert (await again.finished())["status"] == "completed"
        assert len(again.seen("companion_hub.item.updated")) == 2
    async with client.socket() as later:  # who has nothing is sent everything as it is
        await later.subscribe(talk.id)
        items = [(await later.expect("conversation.item.added"))["item"] for _ in range(6)]
        assert [item["content"] for item in items][:3] == ["Uno", "You said uno", "Due!"]
        assert later.seen("companion_hub.item.updated") == []


async def test_an_edit_during_the_reply_costs_neither(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Slowly", reply(["The beginning", " and the end"], between={1: go_on}))
    talk = await Editor.of(client)
    async with client.socket() as socket:
        await socket.subscribe(talk.id)
        await socket.say(talk.id, "Slowly")
        response_id = await socket.reads("The beginning")
        asked = (await talk.messages())[0]
        await talk.edited(asked["id"], "Very slowly")
        await told_of(socket, asked["id"])
        go_on.set()
        assert (await socket.finished())["id"] == response_id
        assert socket.texts[response_id] == "The beginning and the end"
    assert await talk.texts() == ["Very slowly", "The beginning and the end"]


async def test_a_message_is_taken_out_of_the_middle(client: Client, llm: FakeLLM) -> None:
    talk = await Editor.of(client, "One", "Two", "Three")
    messages = await talk.messages()
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=6)
        await talk.delete(messages[2]["id"])
        assert (await socket.expect("companion_hub.resync"))["last_position"] == 6
        await socket.say(talk.id, "Four")
        assert (await socket.finished())["status"] == "completed"
        positions = [frame["item"]["position"] for frame in socket.seen("conversation.item.added")]
        assert positions == [7, 8]
    assert [each["position"] for each in await talk.messages()] == [1, 2, 4, 5, 6, 7, 8]
    refused(await client.http.get(f"/api/messages/{messages[2]['id']}"), 404)
    refused(await client.http.delete(f"/api/messages/{messages[2]['id']}"), 404)
    # What answered it stays as it is, and can be looked at.
    kept = await talk.message(messages[3]["id"])
    assert kept == messages[3]
    assert (await client.response(kept["response_id"]))["message_id"] == kept["id"]
    asked = next(each.body for each in reversed(llm.chats) if last_said(each.body) == "Four")
    said = [content for role, content in prompt(asked) if role == "user"]
    assert said == ["One", "Three", "Four"]
    assert ("assistant", messages[3]["content"]) in prompt(asked)


async def test_everything_behind_a_message_is_taken_out_and_no_position_comes_twice(client: Client) -> None:
    talk = await Editor.of(client, "One", "Two", "Three")
    messages = await talk.messages()
    await talk.delete(messages[2]["id"], following=True)
    assert await talk.messages() == messages[:2]
    for gone in messages[3::2]:
        refused(await client.http.get(f"/api/responses/{gone['response_id']}"), 404)
    conversation = (await client.http.get(f"/api/conversations/{talk.id}")).json()
    assert conversation["last_position"] == 6
    async with client.socket() as socket:
        assert (await socket.subscribe(talk.id, after=2))["last_position"] == 6
        await socket.say(talk.id, "Four")
        assert (await socket.finished())["status"] == "completed"
    assert [each["position"] for each in await talk.messages()] == [1, 2, 7, 8]


async def test_who_was_away_while_messages_went_has_to_read_anew(client: Client) -> None:
    talk = await Editor.of(client, "One", "Two")
    async with client.socket() as socket:
        revision = (await socket.subscribe(talk.id, after=4))["revision"]
    await talk.delete((await talk.messages())[1]["id"])
    async with client.socket() as cut:  # before it is told to
        subscribed = await cut.subscribe(talk.id, after=4, revision=revision)
    async with client.socket() as again:
        await again.subscribe(talk.id, after=4, revision=subscribed["revision"])
        resync = await again.expect("companion_hub.resync")
        assert resync["revision"] > revision
        assert resync["last_position"] == 4
    async with client.socket() as later:
        await later.subscribe(talk.id, after=4, revision=resync["revision"])
        await later.send(type="nothing")
        assert (await later.receive())["type"] == "error"  # there was nothing to tell of


@pytest.mark.parametrize("what", ["alone", "with what follows"])
async def test_a_reply_under_way_goes_with_its_message(
    client: Client, answers: Answers, llm: FakeLLM, what: str
) -> None:
    answers.give("Never mind", reply(["Half of it", " and more"], between={1: End.HANG}))
    talk = await Editor.of(client, "Hello")
    gone = llm.disconnects
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        await socket.say(talk.id, "Never mind")
        response_id = await socket.reads("Half of it")
        await talk.delete((await talk.messages())[2]["id"], following=what != "alone")
        await socket.expect("companion_hub.resync")
        await llm.wait_for_disconnects(gone + 1, within=2)
        refused(await client.http.get(f"/api/responses/{response_id}"), 404)
        await socket.say(talk.id, "Still there?")  # the lane is free
        assert (await socket.finished())["status"] == "completed"
        assert socket.seen("response.cancelled") == []
    assert [each["position"] for each in await talk.messages()] == [1, 2, 4, 5]


async def test_a_reply_that_ends_while_its_message_goes_is_whole_or_gone(client: Client) -> None:
    for _ in range(8):
        talk = await Editor.of(client)
        sent = await client.send(talk.id, "Hello")
        await talk.delete(sent["message"]["id"], following=True)
        messages = await talk.messages()
        assert messages == []
        refused(await client.http.get(f"/api/responses/{sent['response']['id']}"), 404)


async def test_deleting_the_reply_leaves_a_message_that_can_be_answered(client: Client) -> None:
    key = {"Idempotency-Key": "the-send"}
    talk = await Editor.of(client)
    sent = await client.send(talk.id, "Hello", **key)
    first = await client.ended(sent["response"]["id"])
    await talk.delete(first["message_id"])
    again = await client.send(talk.id, "Hello", **key)  # nothing is stored twice, and the reply is gone
    assert again["message"]["id"] == sent["message"]["id"]
    assert again["response"] is None
    response = await talk.done("reply")
    assert response["status"] == "completed"
    assert response["id"] != first["id"]
    assert [each["position"] for each in await talk.messages()] == [1, 3]


async def test_many_edits_and_deletions_at_once_leave_what_is_whole(client: Client, hub: HubServer) -> None:
    talk = await Editor.of(client, "One", "Two", "Three")
    messages = await talk.messages()
    async with client.socket() as socket:
        revision = (await socket.subscribe(talk.id, after=6))["revision"]
    edits = [talk.edit(each["id"], f"Edit {number}") for each in messages for number in range(3)]
    deletions = [client.http.delete(f"/api/messages/{each['id']}") for each in messages[::3]]
    sending = asyncio.create_task(client.send(talk.id, "Four"))
    statuses = [answer.status_code for answer in await asyncio.gather(*edits, *deletions)]
    assert set(statuses[: len(edits)]) <= {200, 404}
    assert statuses[len(edits) :] == [204, 204]
    edited = statuses.count(200)
    await client.ended((await sending)["response"]["id"])
    rows = await query(
        hub.settings["HUB_DATABASE_URL"],
        "SELECT revision, last_position FROM conversations WHERE id = $1",
        UUID(talk.id),
    )
    assert rows == [{"revision": revision + edited + 2, "last_position": 8}]
    assert [each["position"] for each in await talk.messages()] == [2, 3, 5, 6, 7, 8]


async def test_a_message_of_another_is_not_there(client: Client, other: Client) -> None:
    talk = await Editor.of(client, "Mine")
    message = (await talk.messages())[0]
    foreign = Editor(other, talk.id)
    refused(await foreign.edit(message["id"], "Yours"), 404)
    refused(await other.http.delete(f"/api/messages/{message['id']}"), 404)
    refused(await foreign.ask("regenerate"), 404)
    assert await talk.message(message["id"]) == message
