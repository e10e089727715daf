"""The defects of the original in talking, each shown to be absent from outside.

| no. | the original | the test |
|---|---|---|
| 1 | the browser has a reply stored: a closed tab loses it, two calls store it twice | test_01... |
| 2 | the prompt says the user's message twice | test_02... |
| 4 | a stream that is joined again, or tried again, says its text from the beginning once more | test_04... |
| 5 | checks of lengths are there, and nobody calls them | test_05... |
| 11 | asking for the health leads to the sign-in | test_11... |
| 12 | two messages at once mix, and overwrite the scene of each other | the three of test_12... |
| 13 | a reply cannot be stopped, had anew or edited, and programs cannot use it | two of test_13... |
| 13 | what was said can neither be searched nor taken along | the last of test_13... |

The others are in ``test_original_defects_of_pictures.py``, and 8 in ``test_original_defects_of_wipes.py``.
"""

from __future__ import annotations

import asyncio
import json
from itertools import groupby
from typing import Any

import httpx2

from tests.acceptance.original_defects.conftest import MESSAGE_LENGTH, TEXT, Analyses, scene_of
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, chunk, line, reply, stream
from tests.integration.conftest import Answers, last_said, prompt
from tests.services.edits import Editor
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.refusals import pointers, refused
from tests.services.waiting import eventually
from tests.services.world import exactly_one_reply, within


async def test_01_the_reply_is_stored_though_the_tab_is_closed_and_once(
    ada: Client, replies: Answers, go: asyncio.Event
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("I close the tab", reply(TEXT, between={3: go}))
    async with ada.socket() as tab:
        await tab.subscribe(conversation)
        event_id = await tab.say(conversation, "I close the tab")
        response_id = await tab.reads("Moss is patient")
        tab.connection.transport.abort()
    go.set()
    response = await ada.ended(response_id)
    assert await exactly_one_reply(ada, conversation, response) == TEXT
    # Whatever a client says once more, there is nothing that stores a reply a second time.
    async with ada.socket() as again:
        await again.subscribe(conversation, after=2)
        await again.say(conversation, "I close the tab", event_id=event_id)
        assert (await again.expect("conversation.item.added"))["item"]["position"] == 1
    refused(await ada.http.post(f"/api/responses/{response_id}/retry"), 409)
    path = f"/api/conversations/{conversation}/messages"
    refused(await ada.http.post(path, json={"role": "assistant", "content": TEXT}), 400)
    assert await exactly_one_reply(ada, conversation, await ada.response(response_id)) == TEXT


async def test_02_the_prompt_holds_the_users_message_once(ada: Client, model: FakeLLM) -> None:
    conversation = (await ada.conversation())["id"]
    said = ["Do you like ferns?", "And what of lichen?"]
    for each in said:
        sent = await ada.send(conversation, each)
        await ada.ended(sent["response"]["id"])
    chats, analyses = (
        [each for each in asked if said[1] in json.dumps(each.body)]
        for asked in (model.chats, model.analyses)
    )
    assert chats, "the reply is asked for"
    assert analyses, "and the scene"
    for request in (*chats, *analyses):
        parts = [content for _, content in prompt(request.body)]
        own_words = [part.replace(f"“{said[0]}”", "").replace(f"“{said[1]}”", "") for part in parts]
        assert [sum(part.count(text) for part in own_words) for text in said] == [1, 1], parts
    assert last_said(chats[0].body) == said[1]


async def test_04_a_stream_that_is_joined_again_goes_on_where_it_was(
    ada: Client, replies: Answers, go: asyncio.Event
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("My train enters a tunnel", reply(TEXT, between={5: go}))
    async with ada.socket() as before:
        await before.subscribe(conversation)
        await before.say(conversation, "My train enters a tunnel")
        response_id = await before.reads("Moss is patient ☕, and")

    async def saved() -> bool | None:
        return (await ada.response(response_id))["output_text"] == before.texts[response_id] or None

    await within(10, saved)
    async with ada.socket() as after:
        await after.subscribe(conversation, after=1)
        joined = (await after.expect("response.in_progress"))["response"]["output_text"]
        assert joined == before.texts[response_id] == TEXT[: len(joined)]
        go.set()
        assert (await after.finished())["output_text"] == TEXT
    told = "".join(each["delta"] for each in after.seen("response.output_text.delta"))
    assert joined + told == TEXT
    # A reader of events names the offset that it has come to.
    headers = {"Last-Event-ID": "7"}
    events = (await ada.http.get(f"/api/responses/{response_id}/events", headers=headers)).text
    data = [json.loads(each[6:]) for each in events.splitlines() if each.startswith("data: ")]
    assert "".join(each.get("delta", "") for each in data) == TEXT[7:]


async def test_04_a_reply_that_is_tried_again_takes_the_place_of_its_beginning(
    ada: Client, replies: Answers
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("Stumble", stream(line(chunk("Moss is pat")), 0.2, End.RESET), reply(TEXT))
    async with ada.socket() as socket:
        await socket.subscribe(conversation)
        await socket.say(conversation, "Stumble")
        response = await socket.finished()
    began = [each["response"] for each in socket.seen("response.in_progress")]
    assert [(each["attempt"], each["output_text"]) for each in began] == [(1, ""), (2, "")]
    deltas = socket.seen("response.output_text.delta")
    assert deltas[0]["delta"] == "Moss is pat", "the first attempt was seen"
    assert socket.texts[response["id"]] == TEXT
    assert await exactly_one_reply(ada, conversation, response) == TEXT


async def test_05_lengths_are_checked_wherever_something_is_written(ada: Client) -> None:
    companion = (await ada.companion())["id"]
    conversation = (await ada.conversation(companion))["id"]
    account = {"username": "someone_else", "email": "someone@example.org", "password": PASSWORD}
    mira = {"name": "Mira", "description": "A calm botanist."}
    places: list[tuple[str, str, dict[str, Any], list[dict[str, Any]]]] = [
        ("POST", "/api/auth/register", account, [{"username": each} for each in ("ab", "a" * 21, "Ann B")]),
        ("POST", "/api/auth/register", account, [{"password": "1234567"}, {"password": "p" * 129}]),
        ("POST", "/api/companions", mira, [{"name": ""}, {"name": " "}, {"name": "n" * 101}]),
        ("POST", "/api/companions", mira, [{"description": "too short"}, {"description": "d" * 8001}]),
        ("PATCH", f"/api/companions/{companion}", {}, [{"name": "n" * 101}, {"description": "short"}]),
        ("POST", f"/api/conversations/{conversation}/messages", {}, _wrong("content", MESSAGE_LENGTH)),
        ("POST", f"/api/companions/{companion}/images", {}, [{"prompt": "p" * 2001}, {"width": 2049}]),
    ]
    for method, path, right, wrongs in places:
        for wrong in wrongs:
            problem = refused(await ada.http.request(method, path, json={**right, **wrong}), 400)
            assert pointers(problem) == {f"/{next(iter(wrong))}"}
    async with ada.socket() as socket:
        for wrong in _wrong("content", MESSAGE_LENGTH):
            event_id = await socket.say(conversation, wrong["content"])
            assert (await socket.expect("error"))["error"]["event_id"] == event_id
    assert await ada.messages(conversation) == []
    assert len((await ada.http.get("/api/companions")).json()["items"]) == 1
    just_right = await ada.send(conversation, "m" * MESSAGE_LENGTH)
    assert (await ada.ended(just_right["response"]["id"]))["status"] == "completed"


def _wrong(field: str, most: int) -> list[dict[str, Any]]:
    return [{field: text} for text in ("", " \n", "m" * (most + 1))]


async def test_11_the_health_is_told_without_a_sign_in(house: HubServer) -> None:
    async with httpx2.AsyncClient(base_url=house.url, follow_redirects=False) as nobody:
        refused(await nobody.get("/api/me"), 401)
        for path in ("/api/health", "/api/health/live", "/api/health/ready"):
            answer = await nobody.get(path)
            assert (answer.status_code, answer.json()["status"]) == (200, "pass"), answer.text
            assert not {"location", "www-authenticate", "set-cookie"} & set(answer.headers)
        checks = (await nobody.get("/api/health")).json()["checks"]
    assert set(checks) == {"database", "broker", "migrations", "storage", "llm", "images"}


async def test_12_two_messages_at_once_are_answered_one_after_the_other(
    ada: Client, model: FakeLLM, replies: Answers, go: asyncio.Event
) -> None:
    conversation = (await ada.conversation())["id"]
    said = {"First of two": f"One. {TEXT}", "Second of two": f"Two. {TEXT}"}
    for question, text in said.items():
        replies.give(question, reply(text, between={4: go}))
    async with ada.socket() as one, ada.socket() as two:
        await asyncio.gather(one.subscribe(conversation), two.subscribe(conversation))
        for socket, question in zip((one, two), said, strict=True):
            await socket.say(conversation, question)
        await two.expect("response.output_text.delta")

        async def both() -> list[dict[str, Any]] | None:
            stored = await ada.messages(conversation)
            return stored if len(stored) == 2 else None

        stored = await within(20, both)
        assert len([each for each in model.chats if last_said(each.body) in said]) == 1
        go.set()
        for socket in (one, two):
            ended = [await socket.finished(), await socket.finished()]
            assert [each["output_text"] for each in ended] == [said[each["content"]] for each in stored]
            assert [socket.texts[each["id"]] for each in ended] == [each["output_text"] for each in ended]
            told = [each["response_id"] for each in socket.seen("response.output_text.delta")]
            assert [each for each, _ in groupby(told)] == [each["id"] for each in ended]
    after = await ada.messages(conversation)
    assert after[:2] == stored
    assert [each["content"] for each in after[2:]] == [said[each["content"]] for each in stored]
    later = [each for each in model.chats if last_said(each.body) == stored[1]["content"]]
    assert [text for _, text in prompt(later[0].body)][-3:] == [
        stored[0]["content"],
        said[stored[0]["content"]],
        stored[1]["content"],
    ]


async def test_12_two_talks_at_once_both_leave_what_they_say_of_the_scene(
    ada: Client, replies: Answers, analyses: Analyses, go: asyncio.Event
) -> None:
    companion = (await ada.companion())["id"]
    slow = asyncio.Event()
    talks = [(await ada.conversation(companion))["id"] for _ in range(2)]
    said = ["Put on the red coat", "Let us go to the harbour"]
    answers = ["It is warm.", "I smell the sea."]
    for question, text in zip(said, answers, strict=True):
        replies.give(question, reply(text))
    analyses.give(said[0], {"outfit": "a red coat"}, after=go)
    analyses.give(said[1], {"location": "the harbour", "outfit": "n/a"}, after=go)
    analyses.give(answers[0], {"action": "doing up the buttons"}, after=slow)
    analyses.give(answers[1], {"expression": "laughing", "action": ""}, after=slow)
    sent = await asyncio.gather(*(ada.send(talk, text) for talk, text in zip(talks, said, strict=True)))
    await analyses.are_asked(*said)  # both have the old scene in hand
    go.set()
    for each in sent:
        assert (await ada.ended(each["response"]["id"]))["status"] == "completed"
    scene = await scene_of(ada, companion)
    assert (scene["outfit"], scene["location"]) == ("a red coat", "the harbour")
    await eventually(lambda: any(analyses.asked(each) for each in answers))
    slow.set()

    async def read_to_the_end() -> dict[str, Any] | None:
        now = await scene_of(ada, companion)
        return now if {"laughing", "doing up the buttons"} <= set(now.values()) else None

    assert await within(20, read_to_the_end) == {
        "outfit": "a red coat",
        "location": "the harbour",
        "action": "doing up the buttons",
        "expression": "laughing",
    }


async def test_12_a_slow_look_at_an_older_talk_does_not_overwrite_the_newer_scene(
    ada: Client, replies: Answers, analyses: Analyses, go: asyncio.Event
) -> None:
    companion = (await ada.companion())["id"]
    last = asyncio.Event()
    older, newer = [(await ada.conversation(companion))["id"] for _ in range(2)]
    replies.give("Sleep in the garden", reply("Good night, moss."))
    replies.give("Dance at the harbour", reply("One, two, three!"))
    found = {"location": "the garden", "action": "sleeping", "expression": "dreaming"}
    analyses.give("Good night, moss.", found, after=go)
    analyses.give("Dance at the harbour", {"location": "the harbour", "action": "dancing"})
    analyses.give("One, two, three!", {"outfit": "dancing shoes"}, after=last)
    first = await ada.send(older, "Sleep in the garden")
    await ada.ended(first["response"]["id"])
    await analyses.are_asked("Good night, moss.")
    second = await ada.send(newer, "Dance at the harbour")
    await ada.ended(second["response"]["id"])
    scene = await scene_of(ada, companion)
    assert (scene["location"], scene["action"]) == ("the harbour", "dancing")
    go.set()
    await analyses.are_asked("One, two, three!")  # so the one before it has been stored
    scene |= {"expression": "dreaming"}  # of which the newer talk says nothing
    assert await scene_of(ada, companion) == scene
    last.set()

    async def read_to_the_end() -> dict[str, Any] | None:
        now = await scene_of(ada, companion)
        return now if now["outfit"] == "dancing shoes" else None

    assert await within(20, read_to_the_end) == {**scene, "outfit": "dancing shoes"}


async def test_13_a_reply_can_be_stopped_and_tried_again_by_any_program(
    ada: Client, model: FakeLLM, replies: Answers, go: asyncio.Event
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("Stop me", reply(TEXT, between={3: go}), reply("And now the whole of it."))
    async with ada.socket() as socket:
        await socket.subscribe(conversation)
        left = model.disconnects
        await socket.say(conversation, "Stop me")
        response_id = await socket.reads("Moss is patient")
        await socket.send(type="response.cancel", response_id=response_id)
        stopped = await socket.finished()
        assert stopped["status"] == "cancelled"
        assert stopped["output_text"] == socket.texts[response_id] != ""
        await model.wait_for_disconnects(left + 1)
        assert [each["role"] for each in await ada.messages(conversation)] == ["user"]
        again = await ada.http.post(f"/api/responses/{response_id}/retry")
        assert again.status_code == 202
        assert (await socket.finished())["output_text"] == "And now the whole of it."
    response = await ada.ended(again.json()["id"])
    assert await exactly_one_reply(ada, conversation, response) == "And now the whole of it."
    # Over HTTP alone it goes as well, and what there is is written down for programs.
    replies.give("Stop me again", reply(TEXT, between={3: go}))
    sent = await ada.send(conversation, "Stop me again")
    stopped = (await ada.http.post(f"/api/responses/{sent['response']['id']}/cancel")).json()
    assert stopped["status"] == "cancelled"
    paths = (await ada.http.get("/docs/openapi.json")).json()["paths"]
    for path in ("cancel", "retry", "events"):
        assert f"/api/responses/{{response_id}}/{path}" in paths


async def test_13_a_reply_can_be_had_anew_continued_chosen_and_edited(
    ada: Client, model: FakeLLM, replies: Answers
) -> None:
    replies.give("Of moss", reply("Moss is green."), reply("Moss is soft."))
    talk = await Editor.of(ada, "Of moss")
    said, answer = await talk.messages()
    async with ada.socket() as socket:
        await socket.subscribe(talk.id, after=2)
        frame = {"conversation_id": talk.id, "event_id": "anew", "response": {"kind": "regenerate"}}
        await socket.send(type="response.create", **frame)
        assert (await socket.finished())["output_text"] == "Moss is soft."
        updated = socket.seen("companion_hub.item.updated")[-1]["item"]
        assert (updated["id"], updated["content"], updated["alternatives"]) == (
            answer["id"],
            "Moss is soft.",
            2,
        )
        assert (await talk.choose(answer["id"], 1))["content"] == "Moss is green."
        assert (await talk.edited(answer["id"], "Moss is green,"))["edited_at"]
        continued = await talk.asked("continue")
        ended = await socket.finished()
        assert socket.texts[continued["id"]] == ended["output_text"]
        assert ended["output_text"].startswith("Moss is green, ")
    assert await talk.texts() == ["Of moss", ended["output_text"]]
    await talk.edited(said["id"], "Of ferns")
    await talk.delete(answer["id"])
    await talk.done("reply")
    assert last_said(model.chats[-1].body) == "Of ferns"
    assert "Moss" not in json.dumps(model.chats[-1].body["messages"])


async def test_13_what_was_said_can_be_searched_and_taken_along(
    ada: Client, ben: Client, replies: Answers
) -> None:
    conversation = (await ada.conversation())["id"]
    replies.give("What sleeps in winter?", reply("Only the hedgehog sleeps."))
    sent = await ada.send(conversation, "What sleeps in winter?")
    await ada.ended(sent["response"]["id"])
    found = (await ada.http.get("/api/search", params={"q": "hedgehog sleeps"})).json()["items"]
    assert [hit["message"]["content"] for hit in found] == ["Only the hedgehog sleeps."]
    assert (await ben.http.get("/api/search", params={"q": "hedgehog"})).json()["items"] == []
    file = (await ada.http.get(f"/api/conversations/{conversation}/export")).content
    elsewhere = await ben.http.post(
        "/api/conversations/import",
        params={"companion_id": (await ben.companion())["id"]},
        content=file,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert elsewhere.status_code == 201
    said = [each["content"] for each in await ben.messages(elsewhere.json()["id"])]
    assert said == ["What sleeps in winter?", "Only the hedgehog sleeps."]
