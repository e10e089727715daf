"""Conversations and the messages in them, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.integration.conftest import Answers, prompt
from tests.services.hub import Client
from tests.services.refusals import pointers, refused

CONVERSATION = {"id", "companion_id", "title", "last_position", "created_at", "updated_at", "revision"}
MESSAGE = {
    *("id", "conversation_id", "position", "role", "content", "image", "response_id", "created_at"),
    *("alternative", "alternatives", "edited_at"),
}
RESPONSE = {
    "id",
    "conversation_id",
    "status",
    "output_text",
    "message_id",
    "attempt",
    "error",
    "usage",
    "created_at",
    "completed_at",
    "image_job_id",
    "kind",
}


async def test_a_conversation_begins_empty(client: Client) -> None:
    companion = await client.companion()
    body = {"companion_id": companion["id"], "title": "Moss ☘"}
    answer = await client.http.post("/api/conversations", json=body)
    assert answer.status_code == 201
    conversation = answer.json()
    assert set(conversation) == CONVERSATION
    assert {name: conversation[name] for name in body} == body
    assert conversation["last_position"] == 0
    assert UUID(conversation["id"]).version == 7
    assert answer.headers["location"] == f"/api/conversations/{conversation['id']}"
    assert (await client.http.get(answer.headers["location"])).json() == conversation
    assert await client.messages(conversation["id"]) == []


async def test_a_greeting_is_the_first_message(client: Client) -> None:
    companion = await client.companion(greeting="Hello, you!")
    conversation = await client.conversation(companion["id"])
    assert conversation["last_position"] == 1
    [greeting] = await client.messages(conversation["id"])
    assert (greeting["role"], greeting["content"], greeting["position"]) == ("assistant", "Hello, you!", 1)
    assert greeting["response_id"] is None
    sent = await client.send(conversation["id"], "Hello back")
    assert sent["message"]["position"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"companion_id": None},
        {"companion_id": "not an id"},
        {"companion_id": ""},
        {"companion_id": 7},
        {"companion_id": "{id}", "title": "x" * 201},
        {"companion_id": "{id}", "title": "a\0b"},
        {"companion_id": "{id}", "title": None},
        {"companion_id": "{id}", "last_position": 5},
    ],
)
async def test_what_no_conversation_has_is_refused(client: Client, body: dict[str, Any]) -> None:
    companion = await client.companion()
    given = {name: companion["id"] if value == "{id}" else value for name, value in body.items()}
    refused(await client.http.post("/api/conversations", json=given), 400)
    assert (await client.http.get("/api/conversations")).json()["items"] == []


async def test_renaming(client: Client) -> None:
    conversation = await client.conversation()
    path = f"/api/conversations/{conversation['id']}"
    renamed = await client.http.patch(path, json={"title": "x" * 200})
    assert renamed.status_code == 200
    assert renamed.json()["title"] == "x" * 200
    refused(await client.http.patch(path, json={"title": None}), 400)
    unchanged = await client.http.patch(path, json={})
    assert unchanged.status_code == 200
    assert unchanged.json()["title"] == "x" * 200
    refused(await client.http.patch(path, json={"companion_id": conversation["companion_id"]}), 400)


async def test_lists_are_of_one_companion_or_of_all(client: Client) -> None:
    first, second = await client.companion(), await client.companion()
    made = [(await client.conversation(each["id"]))["id"] for each in (first, second, first)]

    async def listed(**query: str) -> list[str]:
        answer = await client.http.get("/api/conversations", params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await listed() == made[::-1]
    assert await listed(companion_id=first["id"]) == [made[2], made[0]]
    assert await listed(companion_id="018f0000-0000-7000-8000-000000000000") == []
    assert await listed(limit="1000") == made[::-1]


async def test_deleting_takes_the_messages_along(client: Client) -> None:
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Hello")
    await client.ended(sent["response"]["id"])
    path = f"/api/conversations/{conversation['id']}"
    assert (await client.http.delete(path)).status_code == 204
    refused(await client.http.delete(path), 404)
    refused(await client.http.get(path), 404)
    refused(await client.http.get(f"{path}/messages"), 404)
    refused(await client.http.post(f"{path}/messages", json={"content": "Hello?"}), 404)
    refused(await client.http.get(f"/api/responses/{sent['response']['id']}"), 404)


async def test_a_sent_message_comes_back_with_its_response(client: Client) -> None:
    conversation = await client.conversation()
    path = f"/api/conversations/{conversation['id']}/messages"
    answer = await client.http.post(path, json={"content": "Hello there"})
    assert answer.status_code == 202
    sent = answer.json()
    assert set(sent) == {"message", "response"}
    assert set(sent["message"]) == MESSAGE
    assert set(sent["response"]) == RESPONSE
    assert answer.headers["location"] == f"/api/responses/{sent['response']['id']}"
    assert sent["response"]["status"] in ("queued", "in_progress")
    assert sent["response"]["attempt"] == 1
    ended = await client.ended(sent["response"]["id"])
    assert set(ended) == RESPONSE
    assert (ended["status"], ended["error"]) == ("completed", None)
    assert set(ended["usage"]) >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    user, assistant = await client.messages(conversation["id"])
    assert user == sent["message"]
    assert (assistant["id"], assistant["response_id"]) == (ended["message_id"], ended["id"])
    assert assistant["content"] == ended["output_text"]
    shown = (await client.http.get(f"/api/conversations/{conversation['id']}")).json()
    assert shown["last_position"] == 2
    assert shown["updated_at"] > conversation["updated_at"]


@pytest.mark.parametrize(
    "content", ["x" * 4000, "🫖" * 4000, "e\u0301" * 2000, "\u2028 \ufeff x", "  padded  "]
)
async def test_content_is_stored_as_it_was_sent(client: Client, content: str) -> None:
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], content)
    await client.ended(sent["response"]["id"])
    assert (await client.messages(conversation["id"]))[0]["content"] == content


@pytest.mark.parametrize(
    "content", ["", " ", "\n\t \u00a0", "x" * 4001, "🫖" * 4001, "a\0b", None, 5, ["x"], {"text": "x"}, True]
)
async def test_content_that_cannot_be_is_refused(client: Client, content: Any) -> None:
    conversation = await client.conversation()
    path = f"/api/conversations/{conversation['id']}/messages"
    problem = refused(await client.http.post(path, json={"content": content}), 400)
    assert pointers(problem) == {"/content"}
    assert await client.messages(conversation["id"]) == []
    shown = (await client.http.get(f"/api/conversations/{conversation['id']}")).json()
    assert shown["last_position"] == 0


async def test_messages_come_in_pages_newest_first(client: Client) -> None:
    conversation = await client.conversation((await client.companion(greeting="Hi"))["id"])
    for number in range(4):
        sent = await client.send(conversation["id"], f"Number {number}")
        await client.ended(sent["response"]["id"])
    everything = (await client.messages(conversation["id"]))[::-1]
    assert [message["position"] for message in everything] == list(range(9, 0, -1))
    path = f"/api/conversations/{conversation['id']}/messages"
    for limit in (1, 2, 4, 8, 9, 10, 1000):
        seen: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
            page = (await client.http.get(path, params=query)).json()
            assert 0 < len(page["items"]) <= limit
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == everything, limit
    assert (await client.http.get(path)).json() == {"items": everything, "next_cursor": None}
    middle = await client.http.get(path, params={"before": 6, "limit": 2})
    assert middle.json()["items"] == everything[4:6]
    older = await client.http.get(middle.links["next"]["url"])  # has the cursor as well as `before`
    assert older.json()["items"] == everything[6:8]
    assert (await client.http.get(path, params={"before": 2**31 - 1})).json()["items"] == everything
    assert (await client.http.get(path, params={"before": 1})).json() == {"items": [], "next_cursor": None}
    for outside in ("0", "-1", str(2**31), "6.5", "", "six"):
        assert refused(await client.http.get(path, params={"before": outside}), 400)


async def test_fifty_messages_are_a_page_unless_said_otherwise(client: Client) -> None:
    conversation = await client.conversation()
    async with client.socket() as socket:
        for number in range(51):
            await socket.say(conversation["id"], f"Number {number}", response=None)
        for _ in range(51):
            await socket.expect("conversation.item.added")
    page = (await client.http.get(f"/api/conversations/{conversation['id']}/messages")).json()
    assert [message["position"] for message in page["items"]] == list(range(51, 1, -1))
    assert page["next_cursor"]


async def test_messages_sent_at_once_are_answered_in_order_one_at_a_time(
    client: Client, answers: Answers, llm: FakeLLM
) -> None:
    conversation = await client.conversation()
    all_sent = asyncio.Event()
    answers.give("one", reply("The first answer", between={1: all_sent}))
    asked = len(llm.requests)
    sent = [await client.send(conversation["id"], text) for text in ("one", "two", "three")]
    assert [(await client.response(each["response"]["id"]))["status"] for each in sent[1:]] == ["queued"] * 2
    all_sent.set()
    for each in sent:
        assert (await client.ended(each["response"]["id"]))["status"] == "completed"
    stored = await client.messages(conversation["id"])
    assert [message["content"] for message in stored[:4]] == ["one", "two", "three", "The first answer"]
    assert [message["response_id"] for message in stored[3:]] == [each["response"]["id"] for each in sent]
    assert [message["position"] for message in stored] == [1, 2, 3, 4, 5, 6]
    said = [prompt(request.body)[1:] for request in llm.requests[asked:]]
    assert said[0] == [("user", "one")]
    assert said[1] == [("user", "one"), ("assistant", "The first answer"), ("user", "two")]
    assert sorted(said[2][:-1]) == sorted([*said[1], ("assistant", stored[4]["content"])])
    assert said[2][-1] == ("user", "three")
