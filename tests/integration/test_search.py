"""Searching one's own messages over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.hub import Client, HubServer
from tests.services.refusals import pointers, refused
from tests.services.talks import bring, own_file
from tests.services.world import query

Hit = dict[str, Any]
NOBODY = "018f0000-0000-7000-8000-000000000000"


async def searched(client: Client, q: str, **more: Any) -> dict[str, Any]:
    answer = await client.http.get("/api/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def found(client: Client, q: str, **more: Any) -> list[str]:
    return [hit["message"]["content"] for hit in (await searched(client, q, **more))["items"]]


async def test_a_hit_says_where_it_is_from_and_shows_what_was_found(client: Client) -> None:
    companion = await client.companion()
    talk = await bring(client, own_file("Does moss\nsleep?", "Ferns do."), companion["id"])
    [hit] = (await searched(client, "MOSS"))["items"]
    [message] = [each for each in await client.messages(talk["id"]) if each["position"] == 1]
    assert hit == {
        "message": message,
        "companion_id": companion["id"],
        "conversation_title": "About moss",
        "snippet": "Does moss sleep?",
        "highlights": [[5, 9]],
    }


async def test_what_both_have_said_is_found_the_newest_first(client: Client) -> None:
    await bring(client, own_file("One moss", "Two moss", "Three ferns"))
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Four moss")
    await client.ended(sent["response"]["id"])
    texts = await found(client, "moss")
    assert texts[-3:] == ["Four moss", "Two moss", "One moss"]
    assert "Three ferns" not in texts


SAID = (
    "The old moss is wet",
    "Wet and old, said the moss",
    "A fern is wet",
    "Мир и Straße im ÉTÉ",
    "well-known moss.example.org/path",
)


@pytest.mark.parametrize(
    ("q", "places"),
    [
        ("wet moss", {0, 1}),
        ('"old moss"', {0}),
        ('"wet and old"', {1}),
        ("wet -moss", {2}),
        ('moss -"old moss"', {1}),
        ("fern or мир", {2, 3}),
        ("STRASSE or мир", {3}),
        ("Été", {3}),
        ("known", {4}),
        ("moss.example.org", {4}),
        ("-moss", {2, 3, 4}),
        ("fer", {2}),
        ("ossi or fer", {2}),
        ("example", {4}),
        ("zebra", set()),
        ("-", set()),
        ("& | !", set()),
        ('""', set()),
        ("or", set()),
    ],
)
async def test_what_can_be_asked(client: Client, q: str, places: set[int]) -> None:
    await bring(client, own_file(*SAID))
    assert set(await found(client, q)) == {SAID[place] for place in places}


@pytest.mark.parametrize(
    ("q", "text"),
    [
        ("苔藓", "我喜欢苔藓。因为它很安静。"),
        ("苔 安静", "我喜欢苔藓。因为它很安静。"),
        ("コケ", "森のコケはきれいです"),
        ("きれい -海", "森のコケはきれいです"),
        ("มอส", "ฉันชอบมอสมาก"),
        ("moss苔", "a MOSS苔 b"),
    ],
)
async def test_languages_without_blanks_are_found(client: Client, q: str, text: str) -> None:
    await bring(client, own_file(text, "Something else. 海"))
    page = await searched(client, q)
    [hit] = page["items"]
    assert hit["message"]["content"] == text
    for start, end in hit["highlights"]:
        assert hit["snippet"][start:end].casefold() in q.casefold()
    assert hit["highlights"]


@pytest.mark.parametrize("q", ["moss", "mos", '"old moss"', "苔"])
async def test_pages_hold_every_hit_once_whatever_is_said_meanwhile(client: Client, q: str) -> None:
    said = [f"{number} old moss 苔" for number in range(7)]
    companion = (await client.companion())["id"]
    await bring(client, own_file(*said), companion)
    pages: list[list[str]] = []
    cursor = None
    while len(pages) < 10:
        page = await searched(client, q, limit=3, **({"cursor": cursor} if cursor else {}))
        pages.append([hit["message"]["content"] for hit in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
        now = own_file({"content": "new old moss 苔", "created_at": "2026-03-01T00:00:00Z"})
        await bring(client, now, companion)
    assert [text for page in pages for text in page] == said[::-1]
    assert len(pages) == 3


async def test_a_search_can_be_narrowed(client: Client) -> None:
    first, second = (await client.companion())["id"], (await client.companion())["id"]
    talks = [
        await bring(client, own_file(f"moss {number}"), each)
        for number, each in enumerate((first, second, first))
    ]
    assert await found(client, "moss", companion_id=second) == ["moss 1"]
    assert set(await found(client, "moss", companion_id=first)) == {"moss 0", "moss 2"}
    assert await found(client, "mos", companion_id=second) == ["moss 1"]
    for q in ("moss", "mos"):
        assert await found(client, q, conversation_id=talks[2]["id"]) == ["moss 2"]
        assert await found(client, q, conversation_id=talks[2]["id"], companion_id=second) == []
        assert await found(client, q, conversation_id=NOBODY) == []


@pytest.mark.parametrize("q", ["secret", "secr", "秘密", '"my secret"', "-zebra"])
async def test_what_others_have_said_is_never_found(client: Client, other: Client, q: str) -> None:
    companion = (await other.companion())["id"]
    talk = await bring(other, own_file("my secret 秘密"), companion)
    assert await found(client, q) == []
    assert await found(client, q, companion_id=companion) == []
    assert await found(client, q, conversation_id=talk["id"]) == []
    await bring(client, own_file("my own secret 秘密, my secret"))
    page = await searched(other, q, limit=1)
    assert [hit["message"]["conversation_id"] for hit in page["items"]] == [talk["id"]]
    assert await found(client, f"={other.user['id']}") == []
    assert await found(client, f"secret or '={other.user['id']}'") == ["my own secret 秘密, my secret"]


async def test_a_changed_message_is_found_by_what_it_says_now(client: Client, hub: HubServer) -> None:
    await bring(client, own_file("The old words"))
    dsn = hub.settings["HUB_DATABASE_URL"]
    await query(
        dsn, "UPDATE messages SET content = 'A fresh start' WHERE user_id = $1", UUID(client.user["id"])
    )
    assert await found(client, "words") == []
    assert await found(client, "fresh") == ["A fresh start"]


async def test_what_is_deleted_is_found_no_more(client: Client) -> None:
    talk = await bring(client, own_file("moss"))
    assert (await client.http.delete(f"/api/conversations/{talk['id']}")).status_code == 204
    assert await found(client, "moss") == []


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ("", "/q"),
        ("q=", "/q"),
        ("q=%00", "/q"),
        ("q=a%00b", "/q"),
        ("q=" + "x" * 201, "/q"),
        ("q=x&limit=0", "/limit"),
        ("q=x&limit=1001", "/limit"),
        ("q=x&cursor=", "/cursor"),
        ("q=x&cursor=w", "/cursor"),
        ("q=x&cursor=pabc", "/cursor"),
        ("q=x&cursor=MS4y", "/cursor"),
        ("q=x&cursor=w%00", "/cursor"),
        ("q=x&companion_id=x", "/companion_id"),
        ("q=x&conversation_id=%00", "/conversation_id"),
    ],
)
async def test_what_cannot_be_asked_is_named(client: Client, parameters: str, pointer: str) -> None:
    answer = await client.http.get(f"/api/search?{parameters}")
    assert pointers(refused(answer, 400)) == {pointer}


@given(q=st.text(min_size=1, max_size=200).filter(lambda q: "\0" not in q))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
async def test_whatever_is_asked_is_answered(client: Client, q: str) -> None:
    answer = await client.http.get("/api/search", params={"q": q})
    assert answer.status_code == 200, (q, answer.text)


async def test_searches_at_once_are_all_answered(client: Client) -> None:
    await bring(client, own_file("moss", "fern"))
    pages = await asyncio.gather(*(found(client, q) for q in ("moss", "fern", "mos", "苔") * 8))
    assert pages == [["moss"], ["fern"], ["moss"], []] * 8


_MANY = """
INSERT INTO messages (id, conversation_id, position, role, content, created_at)
SELECT gen_random_uuid(), $1, 1 + n, 'user', 'rain ' || n, now() + n * interval '1 ms'
FROM generate_series(1, 20100) n
"""


async def test_parts_of_words_are_looked_for_in_so_many_messages_a_page(
    client: Client, hub: HubServer
) -> None:
    talk = await bring(client, own_file("The zebrafish"))
    await query(hub.settings["HUB_DATABASE_URL"], _MANY, UUID(talk["id"]))
    page = await searched(client, "ebra")
    assert page["items"] == []
    assert page["next_cursor"] is not None
    page = await searched(client, "ebra", cursor=page["next_cursor"])
    assert [hit["snippet"] for hit in page["items"]] == ["The zebrafish"]
    assert page["next_cursor"] is None
