"""Replies that are written anew: in place, beside what was there, and only where the talk ends that way."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, error, reply
from tests.integration.conftest import Answers, last_said, prompt
from tests.services.edits import Editor, told_of
from tests.services.hub import Client, HubServer, Socket
from tests.services.refusals import refused
from tests.services.world import query


async def test_another_reply_takes_the_place_of_the_last(
    client: Client, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Sing", reply("La la."), reply("Do re mi."), reply("Hm hm."))
    talk = await Editor.of(client, "Hello", "Sing")
    before = (await talk.messages())[3]
    response = await talk.done("regenerate")
    assert (response["status"], response["kind"], response["attempt"]) == ("completed", "regenerate", 1)
    assert response["message_id"] == before["id"]
    messages = await talk.messages()
    assert len(messages) == 4
    after = messages[3]
    changed = {"content": "Do re mi.", "response_id": response["id"], "alternative": 2, "alternatives": 2}
    assert after == {**before, **changed}
    first, second = await talk.alternatives(before["id"])
    assert (first["content"], first["response_id"]) == ("La la.", before["response_id"])
    assert (second["content"], second["response_id"]) == ("Do re mi.", response["id"])
    assert [(each["number"], each["chosen"]) for each in (first, second)] == [(1, False), (2, True)]
    assert first["created_at"] == before["created_at"] < second["created_at"]
    # The model was not told of what is replaced.
    asked = [prompt(each.body)[1:] for each in llm.chats if last_said(each.body) == "Sing"]
    assert asked[-1] == asked[-2]
    assert ("assistant", "La la.") not in asked[-1]
    await talk.done("regenerate")
    assert [each["content"] for each in await talk.alternatives(before["id"])] == [
        "La la.",
        "Do re mi.",
        "Hm hm.",
    ]


async def test_the_chosen_one_is_what_the_talk_goes_on_from(
    client: Client, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Sing", reply("La la."), reply("Do re mi."))
    talk = await Editor.of(client, "Sing")
    message_id = (await talk.done("regenerate"))["message_id"]
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        chosen = await talk.choose(message_id, 1)
        assert (chosen["content"], chosen["alternative"], chosen["alternatives"]) == ("La la.", 1, 2)
        assert (await told_of(socket, message_id))["item"] == chosen
        assert await talk.choose(message_id, 1) == chosen  # nothing new, nobody is told
        await socket.say(talk.id, "Go on")
        await socket.finished()
        assert len(socket.seen("companion_hub.item.updated")) == 1
    asked = next(each.body for each in reversed(llm.chats) if last_said(each.body) == "Go on")
    assert prompt(asked)[2] == ("assistant", "La la.")
    for number in ("0", "3", "2147483648", "99999999999999999999"):
        path = f"/api/messages/{message_id}/alternatives/{number}/choose"
        refused(await client.http.post(path), 404)
    # Earlier messages may be chosen among as well.
    assert (await talk.choose(message_id, 2))["content"] == "Do re mi."


async def test_an_edit_changes_the_alternative_that_is_shown(client: Client, answers: Answers) -> None:
    answers.give("Sing", reply("La la."), reply("Do re mi."))
    talk = await Editor.of(client, "Sing")
    message_id = (await talk.done("regenerate"))["message_id"]
    await talk.edited(message_id, "Do re mi fa.")
    await talk.choose(message_id, 1)
    await talk.edited(message_id, "La la la.")
    assert [each["content"] for each in await talk.alternatives(message_id)] == ["La la la.", "Do re mi fa."]
    assert (await talk.choose(message_id, 2))["content"] == "Do re mi fa."


async def test_a_message_without_alternatives_has_one(client: Client) -> None:
    talk = await Editor.of(client, "Hello", greeting="Welcome!")
    for message in await talk.messages():
        one = {name: message[name] for name in ("content", "response_id", "image", "created_at")}
        assert await talk.alternatives(message["id"]) == [{"number": 1, "chosen": True, **one}]
        assert await talk.choose(message["id"], 1) == message
        refused(await client.http.post(f"/api/messages/{message['id']}/alternatives/2/choose"), 404)


async def test_alternatives_come_in_pages(client: Client) -> None:
    talk = await Editor.of(client, "Sing")
    for _ in range(3):
        message_id = (await talk.done("regenerate"))["message_id"]
    path, cursor, numbers = f"/api/messages/{message_id}/alternatives", None, []
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.http.get(path, params=params)).json()
        numbers.append([each["number"] for each in page["items"]])
        if (cursor := page["next_cursor"]) is None:
            break
    assert numbers == [[1, 2], [3, 4]]


async def test_it_streams_like_any_response(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Sing", reply("La la."), reply(["Do re", " mi."], between={1: go_on}))
    talk = await Editor.of(client, "Sing")
    async with client.socket() as socket, client.socket() as late:
        await socket.subscribe(talk.id, after=2)
        response = await talk.asked("regenerate")
        await socket.reads("Do re")
        await late.subscribe(talk.id, after=2)
        assert await late.reads("Do re") == response["id"]
        assert (await talk.texts())[1] == "La la."
        go_on.set()
        for each in (socket, late):
            assert (await each.finished())["id"] == response["id"]
            kinds = [frame["type"] for frame in each.frames]
            assert kinds[-3:] == [
                "response.output_text.done",
                "companion_hub.item.updated",
                "response.completed",
            ]
            assert each.frames[-2]["item"] == (await talk.messages())[1]
            assert each.texts[response["id"]] == "Do re mi."
            assert each.seen("conversation.item.added") == []
            started = each.seen("response.in_progress")
            assert [frame["response"]["kind"] for frame in started] == ["regenerate"]


async def test_one_that_came_and_went_between_two_looks_is_told_of(client: Client) -> None:
    talk = await Editor.of(client, "Sing")
    async with client.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        for _ in range(5):
            response = await talk.asked("regenerate")
            ended = await socket.finished()
            assert ended["id"] == response["id"]
            assert socket.frames[-2]["type"] == "companion_hub.item.updated"
            assert socket.texts[response["id"]] == ended["output_text"]
        assert len(socket.seen("companion_hub.item.updated")) == 5


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
async def test_one_that_does_not_end_well_leaves_the_message(
    client: Client, answers: Answers, end: str
) -> None:
    bad = error(400, "no") if end == "fails" else reply(["Do re", " mi."], between={1: End.HANG})
    answers.give("Sing", reply("La la."), bad, reply("Do re mi."))
    talk = await Editor.of(client, "Sing")
    before = (await talk.messages())[1]
    response = await talk.asked("regenerate")
    if end == "is cancelled":
        await talk.writes(response["id"], "Do re")
        answer = await client.http.post(f"/api/responses/{response['id']}/cancel")
        assert (answer.json()["status"], answer.json()["output_text"]) == ("cancelled", "Do re")
    ended = await client.ended(response["id"])
    assert ended["status"] == ("failed" if end == "fails" else "cancelled")
    assert ended["message_id"] is None
    assert (await talk.messages())[1] == before
    answer = await client.http.post(f"/api/responses/{response['id']}/retry")
    assert answer.status_code == 202
    assert answer.json()["kind"] == "regenerate"
    await client.ended(response["id"])
    assert await talk.texts() == ["Sing", "Do re mi."]
    assert len(await talk.alternatives(before["id"])) == 2


async def test_what_the_talk_has_gone_on_from_is_not_tried_again(client: Client, answers: Answers) -> None:
    answers.give("Sing", reply("La la."), error(400, "no"))
    talk = await Editor.of(client, "Sing")
    response = await talk.done("regenerate")
    await talk.says("Never mind")
    problem = refused(await client.http.post(f"/api/responses/{response['id']}/retry"), 409)
    assert problem["type"] == "/problems/response-outdated"
    assert (await talk.texts())[1] == "La la."


async def test_only_one_response_is_under_way(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Sing", reply("La la."), reply(["Do re", " mi."], between={1: go_on}))
    talk = await Editor.of(client, "Sing")
    tries = await asyncio.gather(*(talk.ask("regenerate") for _ in range(6)))
    assert sorted(answer.status_code for answer in tries) == [202] + [409] * 5
    for answer in tries:
        if answer.status_code == 409:
            assert refused(answer, 409)["type"] == "/problems/response-under-way"
    for kind in ("reply", "continue"):
        refused(await talk.ask(kind), 409)
    go_on.set()
    await client.ended(next(each.json()["id"] for each in tries if each.status_code == 202))
    assert await talk.texts() == ["Sing", "Do re mi."]


async def test_the_same_key_asks_once(client: Client) -> None:
    talk = await Editor.of(client, "Sing")
    key = "again"
    tries = await asyncio.gather(*(talk.ask("regenerate", key=key) for _ in range(6)))
    assert {answer.status_code for answer in tries} == {202}
    assert len({answer.json()["id"] for answer in tries}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in tries) == 1
    await client.ended(tries[0].json()["id"])
    assert len(await talk.alternatives((await talk.messages())[1]["id"])) == 2
    assert (await talk.asked("regenerate", key=key))["status"] == "completed"
    for kind, image in (("continue", False), ("regenerate", True)):
        refused(await talk.ask(kind, image=image, key=key), 422)
    path = f"/api/conversations/{talk.id}/messages"
    refused(await client.http.post(path, json={"content": "Sing"}, headers={"Idempotency-Key": key}), 422)


async def test_only_an_answer_at_the_end_is_written_anew(client: Client) -> None:
    talk = await Editor.of(client, greeting="Welcome!")
    assert refused(await talk.ask("regenerate"), 409)["type"] == "/problems/nothing-to-regenerate"
    assert refused(await talk.ask("reply"), 409)["type"] == "/problems/nothing-to-answer"
    async with client.socket() as socket:
        await socket.say(talk.id, "Only listen", response=None)
        await socket.expect("conversation.item.added")
    refused(await talk.ask("regenerate"), 409)
    assert refused(await talk.ask("continue"), 409)["type"] == "/problems/nothing-to-continue"
    assert (await talk.done("reply"))["status"] == "completed"
    assert len(await talk.messages()) == 3
    refused(await talk.ask("reply"), 409)
    assert (await talk.done("regenerate"))["status"] == "completed"
    empty = await Editor.of(client)
    for kind in ("reply", "regenerate", "continue"):
        refused(await empty.ask(kind), 409)
    refused(await empty.ask("sing"), 400)


async def test_a_reply_that_failed_is_asked_for_again(client: Client, answers: Answers) -> None:
    answers.give("Sing", error(400, "no"), reply("La la."))
    talk = await Editor.of(client, "Sing")
    failed = await client.ended((await talk.asked("reply"))["id"])
    assert (failed["status"], failed["attempt"], failed["output_text"]) == ("completed", 2, "La la.")
    assert await talk.texts() == ["Sing", "La la."]


async def test_a_talk_from_elsewhere_is_written_anew_and_answered(client: Client, hub: HubServer) -> None:
    talk = await Editor.of(client, "One", "Two")
    second = (await talk.messages())[3]
    await query(  # as an import leaves it: no response wrote it
        hub.settings["HUB_DATABASE_URL"],
        "WITH message AS (UPDATE messages SET response_id = NULL WHERE conversation_id = $1 RETURNING id)"
        " DELETE FROM responses WHERE conversation_id = $1",
        UUID(talk.id),
    )
    refused(await talk.ask("reply"), 409)
    response = await talk.done("regenerate")
    assert response["message_id"] == second["id"]
    first, chosen = await talk.alternatives(second["id"])
    assert (first["response_id"], chosen["response_id"]) == (None, response["id"])
    await talk.choose(second["id"], 1)
    refused(await talk.ask("reply"), 409)


async def test_an_edit_and_a_choice_while_it_is_written_are_kept(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Sing", reply("La la."), reply("Do re."), reply(["Hm", " hm."], between={1: go_on}))
    talk = await Editor.of(client, "Sing")
    message_id = (await talk.done("regenerate"))["message_id"]
    response = await talk.asked("regenerate")
    await talk.writes(response["id"], "Hm")
    await talk.edited(message_id, "Do re mi.")
    await talk.choose(message_id, 1)
    await talk.edited(message_id, "La la la.")
    go_on.set()
    await client.ended(response["id"])
    found = [(each["content"], each["chosen"]) for each in await talk.alternatives(message_id)]
    assert found == [("La la la.", False), ("Do re mi.", False), ("Hm hm.", True)]
    assert await talk.texts() == ["Sing", "Hm hm."]


async def test_the_message_goes_while_it_is_written_anew(
    client: Client, answers: Answers, llm: FakeLLM
) -> None:
    answers.give("Sing", reply("La la."), reply(["Do re", " mi."], between={1: End.HANG}))
    talk = await Editor.of(client, "Sing")
    response = await talk.asked("regenerate")
    await talk.writes(response["id"], "Do re")
    gone = llm.disconnects
    await talk.delete((await talk.messages())[1]["id"])
    await llm.wait_for_disconnects(gone + 1, within=2)
    refused(await client.http.get(f"/api/responses/{response['id']}"), 404)
    assert await talk.texts() == ["Sing"]
    answers.give("Sing", reply("Mi re do."))
    assert (await talk.done("reply"))["output_text"] == "Mi re do."


async def test_of_a_cancel_and_an_end_one_wins(client: Client) -> None:
    talk = await Editor.of(client, "Sing")
    number = 1
    for _ in range(8):
        response = await talk.asked("regenerate")
        await client.http.post(f"/api/responses/{response['id']}/cancel")
        ended = await client.ended(response["id"])
        assert ended["status"] in ("completed", "cancelled")
        number += ended["status"] == "completed"
        message = (await talk.messages())[1]
        assert (message["alternatives"], message["alternative"]) == (number, number)
        assert (message["response_id"] == response["id"]) == (ended["status"] == "completed")


async def _asks(socket: Socket, conversation_id: str, kind: str, event_id: str) -> None:
    await socket.send(
        type="response.create", conversation_id=conversation_id, event_id=event_id, response={"kind": kind}
    )


async def test_over_the_socket_the_same_event_asks_once(client: Client) -> None:
    talk = await Editor.of(client, "Sing")
    async with client.socket() as socket:
        await _asks(socket, talk.id, "regenerate", "e1")  # not subscribed: only that it was taken is told
        queued = await socket.expect("response.queued")
        assert (queued["event_id"], queued["response"]["kind"]) == ("e1", "regenerate")
        await client.ended(queued["response"]["id"])
        await _asks(socket, talk.id, "regenerate", "e1")
        assert (await socket.expect("response.queued")) == queued
        await _asks(socket, talk.id, "continue", "e1")
        refusal = (await socket.expect("error"))["error"]
        assert (refusal["code"], refusal["event_id"]) == ("idempotency_key_reused", "e1")
        await socket.subscribe(talk.id, after=2)
        await _asks(socket, talk.id, "regenerate", "e2")
        assert (await socket.finished())["kind"] == "regenerate"
        await _asks(socket, talk.id, "reply", "e3")
        assert (await socket.expect("error"))["error"]["code"] == "nothing_to_answer"
        await _asks(socket, talk.id, "sing", "e4")
        assert (await socket.expect("error"))["error"]["code"] == "invalid_frame"
    assert len(await talk.alternatives((await talk.messages())[1]["id"])) == 3


async def test_event_streams_tell_of_it_too(client: Client, answers: Answers) -> None:
    go_on = asyncio.Event()
    answers.give("Sing", reply("La la."), reply(["Do re", " mi."], between={1: go_on}))
    talk = await Editor.of(client, "Sing")
    response = await talk.asked("regenerate")
    async with client.http.stream("GET", f"/api/responses/{response['id']}/events") as stream:
        lines = []
        async for line in stream.aiter_lines():
            lines.append(line)
            if "Do re" in line:
                go_on.set()
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert kinds[-2:] == ["response.output_text.done", "response.completed"]
