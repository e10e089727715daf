"""How often things may be done: counted for all processes together, and told with every answer."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import websockets
from httpx2 import AsyncClient, Response

from tests.fakes.llm import FakeLLM
from tests.services.fixtures import migrated_database, new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.picture_files import Store, picture
from tests.services.refusals import refused
from tests.services.uploads import FORM, form, part
from tests.services.world import query, within

MESSAGES, MADE, EDITS, IMAGES = 30, 4, 3, 2
FRAMES, SOCKETS = 40, 3


@pytest.fixture(scope="module")
async def limited(
    postgres: str, llm: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub with its limits on, and room for many accounts."""
    async with running_hub(
        tmp_path_factory.mktemp("limited"),
        postgres,
        HUB_LIMITS="on",
        HUB_REGISTRATIONS_PER_DAY="1000",
        HUB_MESSAGES_PER_MINUTE=str(MESSAGES),
        HUB_COMPANIONS_PER_HOUR=str(MADE),
        HUB_EDITS_PER_HOUR=str(EDITS),
        HUB_IMAGES_PER_HOUR=str(IMAGES),
        HUB_FRAMES_PER_MINUTE=str(FRAMES),
        HUB_SOCKETS_PER_USER=str(SOCKETS),
        **llm_settings(llm.url),
    ) as server:
        yield server


@pytest.fixture
async def ada(limited: HubServer) -> AsyncIterator[Client]:
    async with new_user(limited) as user:
        yield user


async def sql(hub: HubServer, statement: str, *values: Any) -> list[Any]:
    return list(await query(hub.settings["HUB_DATABASE_URL"], statement, *values))


async def end_window(hub: HubServer, action: str, subject: str) -> None:
    """Have a window be over."""
    over = "UPDATE rate_limits SET reset_at = now() - interval '1 s' WHERE action = $1 AND subject = $2"
    await sql(hub, over, action, subject)


async def use_up(hub: HubServer, action: str, subject: str, *, limit: int) -> None:
    """Have a counter stand at its limit."""
    used = (
        "INSERT INTO rate_limits (id, action, subject, used, reset_at) VALUES (gen_random_uuid(), $1, $2, $3,"
        " now() + interval '50 s') ON CONFLICT (action, subject) DO UPDATE SET used = $3"
    )
    await sql(hub, used, action, subject, limit)


def standing(answer: Response) -> dict[str, tuple[int, int, int, int]]:
    """Return (quota, window, remaining, reset) by policy."""
    policies = re.findall(r'"(\w+)";q=(\d+);w=(\d+)(?:, |$)', answer.headers.get("RateLimit-Policy", ""))
    remaining = re.findall(r'"(\w+)";r=(\d+);t=(\d+)(?:, |$)', answer.headers.get("RateLimit", ""))
    assert [each[0] for each in policies] == [each[0] for each in remaining]
    return {
        name: (int(quota), int(window), int(left), int(reset))
        for (name, quota, window), (_, left, reset) in zip(policies, remaining, strict=True)
    }


def too_many(answer: Response) -> int:
    """Check that this is a refusal for its being too often; return the seconds to wait."""
    problem = refused(answer, 429)
    assert problem["type"] == "/problems/too-many-requests"
    assert "Try again in" in problem["detail"]
    return int(answer.headers["Retry-After"])


async def say(user: Client, conversation_id: str, **headers: str) -> Response:
    path = f"/api/conversations/{conversation_id}/messages"
    return await user.http.post(path, json={"content": "Hello"}, headers=headers)


async def test_of_fifty_at_once_exactly_thirty_get_through(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    answers = await asyncio.gather(*(say(ada, conversation["id"]) for _ in range(50)))
    assert Counter(each.status_code for each in answers) == {202: MESSAGES, 429: 50 - MESSAGES}
    positions = {each.json()["message"]["position"] for each in answers if each.status_code == 202}
    assert len(positions) == MESSAGES
    said = [each["position"] for each in await ada.messages(conversation["id"]) if each["role"] == "user"]
    assert set(said) == positions
    left = sorted(standing(each)["chat"][2] for each in answers)
    assert left == sorted([0] * (50 - MESSAGES) + list(range(MESSAGES)))
    await end_window(limited, "chat", ada.user["id"])
    assert standing(await say(ada, conversation["id"]))["chat"] == (MESSAGES, 60, MESSAGES - 1, 60)


async def test_every_answer_tells_how_it_stands(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    first, second = await say(ada, conversation["id"]), await say(ada, conversation["id"])
    assert standing(first) == {"chat": (MESSAGES, 60, MESSAGES - 1, 60)}
    quota, window, left, reset = standing(second)["chat"]
    assert (quota, window, left) == (MESSAGES, 60, MESSAGES - 2)
    assert 0 < reset <= 60
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
    refusal = await say(ada, conversation["id"])
    assert 0 < too_many(refusal) <= 60
    assert standing(refusal)["chat"][:3] == (MESSAGES, 60, 0)
    assert "RateLimit" not in (await ada.http.get("/api/me")).headers


async def test_two_limits_on_one_call_are_a_list(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    path, body = f"/api/conversations/{conversation['id']}/messages", {"content": "x", "generate_image": True}
    answer = await ada.http.post(path, json=body)
    assert answer.status_code == 202
    assert set(standing(answer)) == {"chat", "images"}
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
    too_many(await ada.http.post(path, json=body))  # so no picture is counted either
    assert await used(limited, "images", ada) == 1


async def used(hub: HubServer, action: str, user: Client) -> int:
    rows = await sql(
        hub, "SELECT used FROM rate_limits WHERE action = $1 AND subject = $2", action, user.user["id"]
    )
    return int(rows[0]["used"]) if rows else 0


async def test_what_fails_does_not_count(limited: HubServer, ada: Client) -> None:
    nowhere = "018f0000-0000-7000-8000-000000000000"
    conversation = await ada.conversation()
    answers = [
        await say(ada, nowhere),
        await say(ada, nowhere, **{"Idempotency-Key": "k"}),
        await ada.http.patch(f"/api/companions/{nowhere}", json={"name": "Ada"}),
        await ada.http.delete(f"/api/companions/{nowhere}"),
        await ada.http.post(f"/api/companions/{nowhere}/wipe"),
        await ada.http.delete(f"/api/companions/{nowhere}/header-image"),
        await ada.http.post(f"/api/conversations/{conversation['id']}/messages", json={"content": ""}),
    ]
    assert [each.status_code for each in answers] == [404] * 6 + [400]
    assert [standing(each) for each in answers] == [{}] * 7
    for action in ("chat", "edit", "delete", "wipe"):
        assert await used(limited, action, ada) == 0


async def test_a_replay_is_answered_though_the_limit_is_reached(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    first = await say(ada, conversation["id"], **{"Idempotency-Key": "one"})
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
    again = await say(ada, conversation["id"], **{"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (202, first.json())
    too_many(await say(ada, conversation["id"], **{"Idempotency-Key": "two"}))


async def test_one_key_sent_many_times_at_once_counts_once(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES - 1)
    answers = await asyncio.gather(
        *(say(ada, conversation["id"], **{"Idempotency-Key": "same"}) for _ in range(10))
    )
    assert [each.status_code for each in answers] == [202] * 10
    assert len({each.json()["message"]["id"] for each in answers}) == 1
    assert await used(limited, "chat", ada) == MESSAGES


async def test_a_retry_counts_as_a_reply(limited: HubServer, ada: Client) -> None:
    sent = await ada.send((await ada.conversation())["id"], "Hello")
    await ada.ended(sent["response"]["id"])
    await sql(limited, "UPDATE responses SET status = 'failed' WHERE id = $1", UUID(sent["response"]["id"]))
    path = f"/api/responses/{sent['response']['id']}/retry"
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
    too_many(await ada.http.post(path))
    await end_window(limited, "chat", ada.user["id"])
    answer = await ada.http.post(path)
    assert answer.status_code == 202
    assert standing(answer)["chat"][2] == MESSAGES - 1


async def test_companions_are_counted_by_what_is_done_to_them(ada: Client) -> None:
    made = [await ada.companion() for _ in range(MADE)]
    body = {"name": "Mira", "description": "A calm botanist who loves moss."}
    assert too_many(await ada.http.post("/api/companions", json=body)) > 3000
    path = f"/api/companions/{made[0]['id']}"
    edits = [await ada.http.patch(path, json={"name": "Ada"}) for _ in range(EDITS)]
    assert [standing(each)["edit"] for each in edits] == [
        (EDITS, 3600, EDITS - 1 - number, standing(edits[number])["edit"][3]) for number in range(EDITS)
    ]
    too_many(await ada.http.patch(path, json={"name": "Ada"}))
    too_many(await ada.http.put(f"{path}/header-image", content=b"x", headers={"Content-Type": "image/png"}))
    too_many(await ada.http.delete(f"{path}/header-image"))
    wipes = [await ada.http.post(f"{path}/wipe") for _ in range(EDITS)]
    assert [each.status_code for each in wipes] == [200] * EDITS
    too_many(await ada.http.post(f"{path}/wipe"))
    deletions = [await ada.http.delete(f"/api/companions/{each['id']}") for each in made[1:]]
    assert [each.status_code for each in deletions] == [204] * EDITS
    too_many(await ada.http.delete(path))


async def test_addresses_of_others_are_not_tried_for_long(limited: HubServer, ada: Client) -> None:
    stale = await ada.http.patch("/api/me", json={"display_name": "Ida"}, headers={"If-Match": '"other"'})
    assert stale.status_code == 412
    assert await used(limited, "edit", ada) == 0
    async with new_user(limited) as user:
        for _ in range(EDITS):
            refused(await ada.http.patch("/api/me", json={"email": user.user["email"]}), 409)
        too_many(await ada.http.patch("/api/me", json={"email": user.user["email"]}))
    too_many(await ada.http.patch("/api/me", json={"display_name": "Ida"}))
    assert (await ada.http.patch("/api/me", json={})).status_code == 200


async def test_a_header_and_an_api_key_share_the_limits(limited: HubServer, ada: Client) -> None:
    """CVE-2026-45339: limits passed by sending the token in another header."""
    conversation = await ada.conversation()
    await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
    path = f"/api/conversations/{conversation['id']}/messages"
    made = await ada.http.post("/api/me/tokens", json={"name": "A script", "scopes": ["chat"]})
    assert made.status_code == 201
    spellings: list[dict[str, str]] = [
        {"x-api-key": ada.token},
        {"Authorization": f"Bearer {ada.token}"},
        {"x-api-key": ada.token, "X-Forwarded-For": "203.0.113.9"},
        {"x-api-key": made.json()["token"]},
        {"Authorization": f"Bearer {made.json()['token']}"},
    ]
    del ada.http.headers["Authorization"]
    for headers in spellings:
        too_many(await ada.http.post(path, json={"content": "Hello"}, headers=headers))


async def test_a_message_too_many_is_refused_on_the_socket(limited: HubServer, ada: Client) -> None:
    conversation = await ada.conversation()
    async with ada.socket() as socket:
        first = await socket.say(conversation["id"], "Hello")
        assert (await socket.expect("conversation.item.added"))["event_id"] == first
        await use_up(limited, "chat", ada.user["id"], limit=MESSAGES)
        event_id = await socket.say(conversation["id"], "Hello")
        error = (await socket.expect("error"))["error"]
        assert (error["code"], error["event_id"]) == ("too_many_requests", event_id)
        assert 0 < error["retry_after"] <= 60
        await socket.say(conversation["id"], "Hello", event_id=first)  # a replay
        assert (await socket.expect("conversation.item.added"))["event_id"] == first
        noted = await socket.say(conversation["id"], "Just so", response=None)  # nobody has to answer
        assert (await socket.expect("conversation.item.added"))["event_id"] == noted


async def test_frames_of_all_sockets_of_a_user_are_counted_together(ada: Client) -> None:
    conversation = await ada.conversation()
    frame = {"type": "conversation.unsubscribe", "conversation_id": conversation["id"]}
    async with ada.socket() as first, ada.socket() as second:
        for _ in range(FRAMES // 2):
            await first.send(**frame)
        await first.say(conversation["id"], "Hello")
        await first.expect("conversation.item.added")  # so it has read them all
        for _ in range(FRAMES - FRAMES // 2):
            await second.send(**frame)
        async with asyncio.timeout(30):
            await second.connection.wait_closed()
        assert second.connection.close_code == 4429
        assert re.fullmatch(r"too many frames, come again in \d+ s", second.connection.close_reason or "")
        await first.connection.ping()
        await first.send(**frame)
        async with asyncio.timeout(30):
            await first.connection.wait_closed()
        assert first.connection.close_code == 4429


async def test_a_socket_too_many_is_closed_and_another_may_come_once_one_has_gone(ada: Client) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(ada.socket()) for _ in range(SOCKETS)]
        address = ada.url.replace("http", "ws", 1) + "/api/ws"
        headers = {"Authorization": f"Bearer {ada.token}"}
        async with websockets.connect(address, additional_headers=headers) as one_more:
            async with asyncio.timeout(30):
                await one_more.wait_closed()
            assert one_more.close_code == 4429
            assert "too many sockets" in (one_more.close_reason or "")
        await sockets[0].connection.close()

        async def comes_in() -> bool | None:
            try:
                await stack.enter_async_context(ada.socket())
            except websockets.ConnectionClosed:
                return None
            return True

        await within(30, comes_in)


async def test_what_a_client_says_of_its_address_is_not_believed(postgres: str, tmp_path: Path) -> None:
    """CVE-2025-59152: limits passed by an X-Forwarded-For of one's own."""
    database = await migrated_database(postgres)
    server = HubServer(tmp_path, "web", HUB_DATABASE_URL=database, HUB_LIMITS="on")
    await server.start()
    forged = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP")
    async with AsyncClient(base_url=server.url, timeout=30) as http:
        answers = []
        for number in range(6):
            await query(database, "UPDATE rate_limits SET reset_at = reset_at + interval '1 minute'")
            headers = {
                name: f"for=203.0.113.{number}" if name == "Forwarded" else f"203.0.113.{number}"
                for name in forged
            }
            body = {"login": f"nobody{number % 2}", "password": "no such word"}
            answers.append(await http.post("/api/auth/login", json=body, headers=headers))
    assert [each.status_code for each in answers] == [401] * 5 + [429]
    subjects = await query(database, "SELECT subject FROM rate_limits WHERE action = 'login_address'")
    assert [row["subject"] for row in subjects] == ["127.0.0.1"]
    assert "X-Forwarded-For ignored" in server.output
    await server.stop()
    server.close()


async def test_events_that_are_sent_on_demand_are_counted(limited: HubServer, ada: Client) -> None:
    made = await ada.http.post(
        "/api/webhooks", json={"url": "https://receiver.invalid/", "events": ["image.completed"]}
    )
    assert made.status_code == 201, made.text
    path = f"/api/webhooks/{made.json()['id']}"
    sent = await ada.http.post(f"{path}/test")
    assert sent.status_code == 202
    assert standing(sent)["webhooks"][:3] == (60, 3600, 59)
    await use_up(limited, "webhooks", ada.user["id"], limit=60)
    assert 0 < too_many(await ada.http.post(f"{path}/test")) <= 3600
    too_many(await ada.http.post(f"{path}/deliveries/{sent.json()['id']}/retry"))
    assert len((await ada.http.get(f"{path}/deliveries")).json()["items"]) == 1


async def test_forms_with_pictures_are_counted_before_they_are_received(
    limited: HubServer, ada: Client
) -> None:
    async def send(name: str, file: bytes = b"") -> Response:
        fields = {"name": name, "description": "Calm.", "appearance": "freckles"}
        parts = [part(text.encode(), name=key, file_name=None) for key, text in fields.items()]
        body = form(*parts, part(file, name="picture", file_name="me.png" if file else ""))
        async with AsyncClient(
            base_url=ada.url, headers={"Origin": ada.url}, cookies={"hub_session": ada.token}
        ) as browser:
            return await browser.post("/companions/new", content=body, headers={"Content-Type": FORM})

    for _ in range(MADE + 1):
        assert (await send("")).status_code == 400, "a slip of the pen costs nothing"
    for _ in range(MADE):
        assert (await send("", file=picture(0))).status_code == 400, "a picture has been received for it"
    answer = await send("Mira of the moss", file=picture(0))
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
    assert "Mira of the moss" in answer.text, "what was typed is still there"
    assert "That was a little much. Try again in 60 minutes." in answer.text
    assert (await ada.http.get("/api/companions")).json()["items"] == []
    assert not list(Store(limited).temporary.iterdir())
