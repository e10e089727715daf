"""Bringing conversations along from files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.llm import FakeLLM
from tests.integration.conftest import prompt
from tests.services.hub import Client
from tests.services.refusals import pointers, refused
from tests.services.talks import Line, bring, chat_file, own_file, send_file, taken, to_bytes

NOBODY = "018f0000-0000-7000-8000-000000000000"


async def conversations(client: Client) -> list[Line]:
    answer = await client.http.get("/api/conversations", params={"limit": 1000})
    return list(answer.json()["items"])


def said(messages: list[Line]) -> list[tuple[int, str, str]]:
    return [(each["position"], each["role"], each["content"]) for each in messages]


# The hub's own form


async def test_what_was_taken_along_comes_back_as_it_was(client: Client, other: Client) -> None:
    companion = await client.companion(greeting="Hello, you!")
    conversation = await client.conversation(companion["id"])
    for words in ("One\r\n\ttab ", "Zwei ☘ \u2028 苔 \U0001f9d1\u200d\U0001f680"):
        sent = await client.send(conversation["id"], words)
        await client.ended(sent["response"]["id"])
    before = await taken(client, conversation["id"])
    elsewhere = (await other.companion(**{name: companion[name] for name in ("name", "greeting")}))["id"]
    talk = await bring(other, before, elsewhere)
    assert await taken(other, talk["id"]) == before
    assert talk["last_position"] == len(before) - 2
    assert (await other.http.get(f"/api/conversations/{talk['id']}")).json() == talk


async def test_all_texts_of_a_message_come_along(client: Client) -> None:
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "What grows here?")
    await client.ended(sent["response"]["id"])
    path = f"/api/conversations/{conversation['id']}/responses"
    for _ in range(2):
        again = await client.http.post(path, json={"kind": "regenerate"})
        assert again.status_code == 202, again.text
        await client.ended(again.json()["id"])
    [_, message] = await client.messages(conversation["id"])
    await client.http.post(f"/api/messages/{message['id']}/alternatives/2/choose")
    await client.http.patch(f"/api/messages/{message['id']}", json={"content": "Moss, as I said."})
    before = await taken(client, conversation["id"])
    assert [each.get("chosen", False) for each in before[2]["alternatives"]] == [False, True, False]
    talk = await bring(client, before, conversation["companion_id"])
    assert await taken(client, talk["id"]) == before
    [_, brought] = await client.messages(talk["id"])
    assert [brought[name] for name in ("content", "alternative", "alternatives")] == [
        "Moss, as I said.",
        2,
        3,
    ]
    await client.http.post(f"/api/messages/{brought['id']}/alternatives/3/choose")
    assert (await client.messages(talk["id"]))[1]["content"] == before[2]["alternatives"][2]["content"]


async def test_the_answer_says_where_the_conversation_is(client: Client) -> None:
    companion = (await client.companion(greeting="Not said here"))["id"]
    answer = await send_file(client, to_bytes(own_file("One", "Two", title="Moss ☘")), companion)
    assert answer.status_code == 201
    talk = answer.json()
    assert answer.headers["location"] == f"/api/conversations/{talk['id']}"
    assert (talk["title"], talk["companion_id"], talk["last_position"]) == ("Moss ☘", companion, 2)
    assert talk["created_at"] == "2026-01-02T03:04:05.678901Z"
    assert said(await client.messages(talk["id"])) == [(1, "user", "One"), (2, "assistant", "Two")]
    assert [each["response_id"] for each in await client.messages(talk["id"])] == [None, None]


async def test_one_can_talk_on(client: Client, llm: FakeLLM) -> None:
    talk = await bring(client, own_file("Do you like moss?", "I love moss."))
    sent = await client.send(talk["id"], "And what of ferns?")
    assert sent["message"]["position"] == 3
    await client.ended(sent["response"]["id"])
    asked = next(each for each in reversed(llm.requests) if prompt(each.body)[-1][1] == "And what of ferns?")
    assert [content for _, content in prompt(asked.body)][-3:-1] == ["Do you like moss?", "I love moss."]
    assert [each["position"] for each in await client.messages(talk["id"])] == [1, 2, 3, 4]


async def test_positions_are_counted_anew_over_gaps(client: Client) -> None:
    talk = await bring(
        client, own_file({"content": "One", "position": 3}, {"content": "Two", "position": 900})
    )
    assert [each["position"] for each in await client.messages(talk["id"])] == [1, 2]


async def test_a_conversation_without_messages_is_one(client: Client) -> None:
    talk = await bring(client, own_file())
    assert talk["last_position"] == 0
    assert await client.messages(talk["id"]) == []


def changed(number: int, **fields: Any) -> list[Line]:
    """Return a good file with other fields on one line; ``...`` takes a field away."""
    lines = own_file("One", "Two")
    line = {**lines[number - 1], **fields}
    lines[number - 1] = {name: value for name, value in line.items() if value is not ...}
    return lines


def text(content: str, **fields: Any) -> Line:
    """Return one of the texts of a message."""
    return {"content": content, "created_at": "2026-01-02T03:04:05Z", **fields}


@pytest.mark.parametrize(
    ("lines", "pointer"),
    [
        ([], ""),
        ([{}], "/1"),
        ([{"type": "conversation"}], "/1"),
        (own_file("One")[1:], "/1"),
        (changed(1, format="another"), "/1/format"),
        (changed(1, version=2), "/1/version"),
        (changed(1, type="end"), "/1"),
        (changed(1, type=...), "/1"),
        (changed(1, title="x" * 201), "/1/title"),
        (changed(1, title="a\0b"), "/1/title"),
        (changed(1, created_at="yesterday"), "/1/created_at"),
        (changed(1, created_at="0001-01-01T00:00:00+14:00"), "/1/created_at"),
        (changed(2, type="note"), "/2/type"),
        (changed(2, role="system"), "/2/role"),
        (changed(2, role=...), "/2"),
        (changed(2, content=""), "/2/content"),
        (changed(2, content=" \n"), "/2/content"),
        (changed(2, content="a\0b"), "/2/content"),
        (changed(2, content="x" * 100_001), "/2/content"),
        (changed(2, content=None), "/2/content"),
        (changed(3, position=1), "/3/position"),
        (changed(3, position=0), "/3/position"),
        (changed(3, position=2**31), "/3/position"),
        (changed(3, created_at="2026-01-02T03:04:05"), "/3/created_at"),
        (changed(3, created_at="9999-12-31T23:59:59Z"), "/3/created_at"),
        (changed(3, image={"sha256": "x", "url": "/"}), "/3/image/sha256"),
        (changed(3, alternatives=[text("Two"), text("Three")]), "/3/alternatives"),
        (changed(3, alternatives=[text("Two", chosen=True), text("Three", chosen=True)]), "/3/alternatives"),
        (changed(3, alternatives=[text("Two"), text("Three", chosen=True)]), "/3/alternatives"),
        (changed(3, alternatives=[text("", chosen=True)]), "/3/alternatives/0/content"),
        (changed(3, edited_at="1950-01-01T00:00:00Z"), "/3/edited_at"),
        (changed(3, type="conversation"), "/3"),
        (changed(4, messages=3), "/4/messages"),
        (changed(4, messages=-1), "/4/messages"),
        ([*own_file("One"), *own_file("Two")], "/4"),
        (own_file("One")[:-1], ""),
    ],
)
async def test_a_line_that_is_not_as_it_should_be_is_named(
    client: Client, lines: list[Line], pointer: str
) -> None:
    companion = (await client.companion())["id"]
    problem = refused(await send_file(client, to_bytes(lines), companion), 400)
    assert pointers(problem) == {pointer}
    assert await conversations(client) == []


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"x",
        b"[]",
        b"null",
        b'"text"',
        b"\x00",
        b"\xff\xfe",
        b'{"type": "message", "content": "\\ud800"}',
        b'{"type": "message", "content": "\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 10_000,
    ],
)
async def test_a_line_that_is_no_object_is_named(client: Client, line: bytes) -> None:
    companion = (await client.companion())["id"]
    for file, number in (
        (line, 1),
        (to_bytes(own_file("One")[:2]) + line, 3),
        (to_bytes(chat_file()) + line, 2),
    ):
        problem = refused(await send_file(client, file, companion), 400)
        [pointer] = pointers(problem)
        assert pointer.startswith(f"/{number}")
    assert await conversations(client) == []


async def test_an_error_far_behind_leaves_nothing(client: Client) -> None:
    companion = (await client.companion())["id"]
    lines = own_file(*(f"Message {number}" for number in range(3000)), {"content": ""})
    assert pointers(refused(await send_file(client, to_bytes(lines), companion), 400)) == {"/3002/content"}
    assert await conversations(client) == []
    answer = await client.http.get("/api/search", params={"q": "message"})
    assert answer.json()["items"] == []


# SillyTavern's


async def test_a_chat_of_sillytavern_is_taken_over(client: Client) -> None:
    lines = chat_file(
        {"name": "Mira", "is_user": False, "mes": "Hello!", "send_date": "June 19, 2023 2:20pm", "extra": {}},
        {"name": "Note", "is_system": True, "is_user": False, "mes": "Hidden", "send_date": "?"},
        {"name": "Ida", "is_user": True, "mes": "Hi ☘", "send_date": 1_687_184_460_000},
        {"name": "Mira", "is_user": False, "mes": "", "send_date": ""},
        {
            "name": "Mira",
            "is_user": False,
            "mes": "The second",
            "swipes": ["The first", " ", "The second as it was", {"message": "The third"}, None],
            "swipe_id": 2,
            "send_date": "2023-6-19 @14h 22m 5s 123ms",
            "gen_started": None,
        },
        {"name": "Mira", "mes": {"message": "From elsewhere"}},
        create_date="2023-6-19 @14h 19m 0s 0ms",
        chat_metadata={"note_prompt": ""},
    )
    file = b"\xef\xbb\xbf" + to_bytes(lines).replace(b"\n", b"\r\n\r\n")
    companion = (await client.companion())["id"]
    answer = await send_file(client, file, companion, media_type="text/plain; charset=utf-8")
    assert answer.status_code == 201, answer.text
    talk = answer.json()
    assert (talk["title"], talk["last_position"]) == ("Mira", 4)
    assert talk["created_at"] == "2023-06-19T14:19:00Z"
    messages = await client.messages(talk["id"])
    assert said(messages) == [
        (1, "assistant", "Hello!"),
        (2, "user", "Hi ☘"),
        (3, "assistant", "The second"),
        (4, "assistant", "From elsewhere"),
    ]
    answer = await client.http.get(f"/api/messages/{messages[2]['id']}/alternatives")
    assert [(each["content"], each["chosen"]) for each in answer.json()["items"]] == [
        ("The first", False),
        ("The second", True),
        ("The third", False),
    ]
    assert [each["created_at"] for each in messages] == [
        "2023-06-19T14:20:00Z",
        "2023-06-19T14:21:00Z",
        "2023-06-19T14:22:05.123000Z",
        "2023-06-19T14:22:05.123000Z",
    ]


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ([{"chat_metadata": {}, "user_name": "unused", "character_name": "unused"}, {"mes": "A"}], ["A"]),
        ([{"name": "Ida", "is_user": True, "mes": "A"}, {"mes": "B"}], ["A", "B"]),
        (
            [{"user_name": None, "character_name": None, "create_date": None}, {"mes": "A", "is_user": 1}],
            ["A"],
        ),
        ([{"chat_metadata": {"x": [1, {}]}}], []),
    ],
)
async def test_old_and_new_headers_are_known(client: Client, lines: list[Line], texts: list[str]) -> None:
    talk = await bring(client, lines)
    assert [each["content"] for each in await client.messages(talk["id"])] == texts
    assert talk["title"] == ""


@pytest.mark.parametrize(
    ("line", "pointer"),
    [
        ({}, "/2"),
        ({"mes": None}, "/2/mes"),
        ({"mes": 7}, "/2/mes"),
        ({"mes": "a\0b"}, "/2/mes"),
        ({"mes": {"message": "a\0b"}}, "/2/mes/message"),
        ({"mes": "x" * 100_001}, "/2/mes"),
        ({"mes": "A", "is_user": "yes"}, "/2/is_user"),
        ({"mes": "A", "send_date": {}}, "/2/send_date"),
    ],
)
async def test_a_wrong_line_of_such_a_chat_is_named(client: Client, line: Line, pointer: str) -> None:
    companion = (await client.companion())["id"]
    answer = await send_file(client, to_bytes(chat_file(line)), companion)
    assert pointers(refused(answer, 400)) == {pointer}
    assert await conversations(client) == []


# Whatever it is


async def test_a_form_is_taken_as_well(client: Client) -> None:
    companion = (await client.companion())["id"]
    answer = await client.http.post(
        "/api/conversations/import",
        params={"companion_id": companion},
        files={"file": ("chat.jsonl", to_bytes(own_file("One")), "application/octet-stream")},
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("media_type", ["application/json", "image/png", "", "multipart/mixed"])
async def test_other_kinds_of_content_are_refused(client: Client, media_type: str) -> None:
    companion = (await client.companion())["id"]
    refused(await send_file(client, to_bytes(own_file("One")), companion, media_type=media_type), 415)


async def test_it_is_brought_to_a_companion_of_ones_own(client: Client, other: Client) -> None:
    file = to_bytes(own_file("One"))
    for companion in ((await other.companion())["id"], NOBODY):
        refused(await send_file(client, file, companion), 404)
    refused(await send_file(client, file, "x"), 400)
    refused(await client.http.post("/api/conversations/import", content=file), 400)
    assert await conversations(client) == await conversations(other) == []


async def test_imports_at_once_are_all_stored(client: Client) -> None:
    companion = (await client.companion())["id"]
    talks = await asyncio.gather(
        *(bring(client, own_file(*["x"] * 1500, title=str(number)), companion) for number in range(4))
    )
    assert len({each["id"] for each in talks}) == 4
    assert {each["last_position"] for each in talks} == {1500}


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(client: Client) -> None:
    companion = (await client.companion())["id"]
    has_begun = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield to_bytes(own_file("One")[:2])
        has_begun.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(send_file(client, pieces(), companion))
    await has_begun.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert await conversations(client) == []


TEXTS = st.text(max_size=30) | st.sampled_from(["\0", "\ud800", " ", "2026-01-02T03:04:05Z", "x" * 101_000])
VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just([]) | st.just({})
)
FIELDS = st.sampled_from(
    (
        *("type", "format", "version", "title", "companion", "created_at", "position", "role", "content"),
        *(
            "image",
            "edited_at",
            "alternatives",
            "swipes",
            "swipe_id",
            "messages",
            "mes",
            "is_user",
            "is_system",
            "send_date",
            "character_name",
            "create_date",
        ),
    )
)
CHANGES = st.lists(st.tuples(st.integers(0, 3), FIELDS, VALUES), min_size=1, max_size=3)


@given(changes=CHANGES, own=st.booleans(), cut=st.integers(0, 400) | st.none())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_whatever_a_file_holds_it_is_taken_whole_or_refused(
    client: Client,
    changes: list[tuple[int, str, Any]],
    own: bool,  # noqa: FBT001 - hypothesis gives it
    cut: int | None,
) -> None:
    companion = (await client.companion())["id"]
    lines = own_file("One", "Two") if own else chat_file(*({"mes": each} for each in "ABC"))
    for number, field, value in changes:
        lines[number][field] = value
    file = b"".join(json.dumps(line).encode() + b"\n" for line in lines)[:cut]
    answer = await send_file(client, file, companion)
    stored = (await client.http.get("/api/conversations", params={"companion_id": companion})).json()["items"]
    if answer.status_code == 201:
        assert [each["id"] for each in stored] == [answer.json()["id"]]
        assert len(await client.messages(stored[0]["id"])) == stored[0]["last_position"]
    else:
        refused(answer, 400)
        assert stored == []
