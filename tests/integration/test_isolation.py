"""What is one user's stays theirs, beyond what the authorisation matrix tries."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.services.hub import Client, HubServer
from tests.services.refusals import refused
from tests.services.routes import ROUTES, Home, Route

OWNED = [route for route in ROUTES if route.names_something and not route.admin]


def named(route: Route) -> str:
    return route.operation


@pytest.fixture(scope="module")
async def home(hub: HubServer) -> AsyncIterator[Home]:
    """Yield the home that nobody else must get into."""
    owner = await Client(hub.url).register()
    yield await Home.of(owner)
    await owner.close()


@pytest.mark.parametrize("route", OWNED, ids=named)
async def test_an_id_that_is_none_is_not_there(home: Home, route: Route) -> None:
    for nonsense in ("1", "x", "null", "%00", "%2e%2e%2f", "0" * 32 + "0", "a" * 3000, "é", "'--"):
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


async def test_the_socket_tells_nothing_of_another(client: Client, other: Client) -> None:
    home = await Home.of(client)
    async with other.socket() as socket:
        await socket.send(type="conversation.subscribe", conversation_id=home.ids["conversation_id"])
        await socket.expect("error")
        await client.send(home.ids["conversation_id"], "Is somebody there?")
        own = await other.conversation()
        await socket.subscribe(own["id"])
        await socket.say(own["id"], "Only I am here")
        await socket.finished()
        told = {frame.get("conversation_id") for frame in socket.frames}
        assert told == {None, own["id"]}


async def test_the_same_keys_of_two_users_are_two(client: Client, other: Client) -> None:
    mine, theirs = await client.conversation(), await other.conversation()
    key = {"Idempotency-Key": "the-same-key"}
    first = await client.send(mine["id"], "One", **key)
    second = await other.send(theirs["id"], "Two", **key)
    assert first["message"]["id"] != second["message"]["id"]
    assert second["message"]["content"] == "Two"
