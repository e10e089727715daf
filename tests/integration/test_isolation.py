"""Who may do what: every route and socket frame, tried by nobody, by another user and by a disabled one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import websockets
from httpx2 import AsyncClient

from tests.services.hub import Client, HubServer
from tests.services.refusals import refused
from tests.services.routes import ROUTES, Home, Route

PROTECTED = [route for route in ROUTES if not route.public]
OWNED = [route for route in ROUTES if route.names_something]
NO_TOKENS: dict[str, dict[str, str]] = {
    "none": {},
    "unknown": {"Authorization": "Bearer chub_0000000000000000000000000000000000000000000"},
    "empty": {"Authorization": "Bearer"},
    "other scheme": {"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
    "very long": {"Authorization": "Bearer " + "x" * 20_000},
    "not text": {"Authorization": "Bearer \xff\xfe"},
    "unknown key": {"X-API-Key": "chub_x"},
}


def named(route: Route) -> str:
    return route.operation


@pytest.fixture(scope="module")
async def home(hub: HubServer) -> AsyncIterator[Home]:
    """Yield the home that nobody else must get into."""
    owner = await Client(hub.url).register()
    yield await Home.of(owner)
    await owner.close()


@pytest.mark.parametrize("route", PROTECTED, ids=named)
async def test_nobody_comes_in_without_a_token(home: Home, hub: HubServer, route: Route) -> None:
    before = await home.everything()
    async with AsyncClient(base_url=hub.url, timeout=30) as http:
        for headers in NO_TOKENS.values():
            sent = home.sent(route)
            headers = {**sent.pop("headers", {}), **headers}  # noqa: PLW2901 - the same, completed
            raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            answer = await http.request(route.method, home.path(route), **sent, headers=raw)
            problem = refused(answer, 401)
            assert problem["type"] == "/problems/not-signed-in"
    assert await home.everything() == before


@pytest.mark.parametrize("route", OWNED, ids=named)
async def test_what_belongs_to_another_is_not_there(home: Home, other: Client, route: Route) -> None:
    before = await home.everything()
    nowhere = dict.fromkeys(home.ids, "018f0000-0000-7000-8000-000000000000")
    foreign = await other.http.request(route.method, home.path(route), **home.sent(route))
    absent = await other.http.request(route.method, home.path(route, **nowhere), **home.sent(route))
    first, second = refused(foreign, 404), refused(absent, 404)
    del first["request_id"], second["request_id"]
    assert first == second  # not even that it exists is told
    assert await home.everything() == before


@pytest.mark.parametrize("route", OWNED, ids=named)
async def test_an_id_that_is_none_is_not_there(home: Home, route: Route) -> None:
    for nonsense in ("1", "x", "null", "..", "%00", "%2e%2e%2f", "0" * 32 + "0", "a" * 3000, "é", "'--"):
        path = home.path(route, **dict.fromkeys(home.ids, nonsense))
        refused(await home.owner.http.request(route.method, path, **home.sent(route)), 400, 404, 405)


async def test_lists_hold_only_what_is_ones_own(client: Client, other: Client) -> None:
    home = await Home.of(client)
    mine = await Home.of(other)
    for path, name in (("/api/companions", "companion_id"), ("/api/conversations", "conversation_id")):
        items = (await other.http.get(path)).json()["items"]
        assert [item["id"] for item in items] == [mine.ids[name]]
    answer = await other.http.get("/api/conversations", params={"companion_id": home.ids["companion_id"]})
    assert answer.json()["items"] == []


async def test_a_conversation_is_not_begun_with_the_companion_of_another(
    client: Client, other: Client
) -> None:
    home = await Home.of(client)
    body = {"companion_id": home.ids["companion_id"]}
    refused(await other.http.post("/api/conversations", json=body), 404)
    assert (await other.http.get("/api/conversations")).json()["items"] == []


async def test_a_cursor_of_another_shows_nothing_of_theirs(client: Client, other: Client) -> None:
    home = await Home.of(client)
    for _ in range(3):
        await client.companion()
    cursor = (await client.http.get("/api/companions?limit=1")).json()["next_cursor"]
    answer = await other.http.get("/api/companions", params={"cursor": cursor})
    assert answer.json() == {"items": [], "next_cursor": None}
    assert home.ids


def frames(home: Home) -> list[dict[str, Any]]:
    conversation_id, response_id = home.ids["conversation_id"], home.ids["response_id"]
    item = {"type": "message", "role": "user", "content": "Let me in"}
    return [
        {"type": "conversation.subscribe", "conversation_id": conversation_id},
        {"type": "conversation.subscribe", "conversation_id": conversation_id, "after": 1},
        {
            "type": "conversation.item.create",
            "event_id": "e1",
            "conversation_id": conversation_id,
            "item": item,
        },
        {
            "type": "conversation.item.create",
            "event_id": "e2",
            "conversation_id": conversation_id,
            "item": item,
            "response": None,
        },
        {"type": "response.cancel", "response_id": response_id},
    ]


async def test_the_socket_shows_nothing_of_another(client: Client, other: Client) -> None:
    home = await Home.of(client)
    before = await home.everything()
    async with other.socket() as socket:
        for frame in frames(home):
            await socket.send(**frame)
            refusal = await socket.receive()
            assert refusal["type"] == "error", refusal
            assert refusal["error"].get("event_id") == frame.get("event_id")
            assert refusal["error"]["message"]
        await client.send(home.ids["conversation_id"], "Is somebody there?")
        own = await other.conversation()
        await socket.subscribe(own["id"])
        await socket.say(own["id"], "Only I am here")
        await socket.finished()
        told = {frame.get("conversation_id") for frame in socket.frames}
        assert told == {None, own["id"]}
    after = await home.everything()
    messages = f"/api/conversations/{home.ids['conversation_id']}/messages?limit=1000"
    assert "Let me in" not in str(after)
    assert before[messages]["items"][0] in after[messages]["items"]


async def test_the_same_keys_of_two_users_are_two(client: Client, other: Client) -> None:
    mine, theirs = await client.conversation(), await other.conversation()
    key = {"Idempotency-Key": "the-same-key"}
    first = await client.send(mine["id"], "One", **key)
    second = await other.send(theirs["id"], "Two", **key)
    assert first["message"]["id"] != second["message"]["id"]
    assert second["message"]["content"] == "Two"


@pytest.fixture
async def disabled(client: Client, hub: HubServer) -> Home:
    """Return the home of a user whom an administrator has disabled."""
    home = await Home.of(client)
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        await database.execute("UPDATE users SET disabled_at = now() WHERE id = $1", UUID(client.user["id"]))
    finally:
        await database.close()
    return home


async def test_a_disabled_user_may_do_nothing(disabled: Home, hub: HubServer) -> None:
    owner = disabled.owner
    for route in PROTECTED:
        answer = await owner.http.request(route.method, disabled.path(route), **disabled.sent(route))
        assert refused(answer, 403)["type"] == "/problems/account-disabled", route
    body = {"login": owner.user["username"], "password": "correct horse battery"}
    refused(await owner.http.post("/api/auth/login", json=body), 403)
    headers = {"Authorization": f"Bearer {owner.token}"}
    async with websockets.connect(
        hub.url.replace("http", "ws", 1) + "/api/ws", additional_headers=headers
    ) as socket:
        await socket.wait_closed()
        assert socket.close_code == 4403
