"""Personal access tokens: made, listed, used, and gone with everything they opened."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import websockets
from httpx2 import AsyncClient

from tests.fakes.llm_script import End, reply
from tests.integration.conftest import Answers
from tests.services.hub import NO_TLS, PASSWORD, Client, HubServer
from tests.services.people import promote
from tests.services.refusals import pointers, refused
from tests.services.world import query, within

TOKEN = {"id", "name", "scopes", "hint", "created_at", "expires_at", "last_used_at"}


@pytest.fixture
async def anyone(hub: HubServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=hub.url, timeout=30, verify=NO_TLS) as http:
        yield http


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_is_shown_once_and_works_at_once(client: Client, anyone: AsyncClient) -> None:
    body = {"name": "Telescope 🔭", "scopes": ["chat", "read", "chat"]}
    answer = await client.http.post("/api/me/tokens", json=body)
    assert answer.status_code == 201
    made = answer.json()
    token = made.pop("token")
    assert set(made) == TOKEN
    assert made["scopes"] == ["read", "chat"], "folded, and in one order"
    assert (made["name"], made["hint"], made["expires_at"]) == (body["name"], token[-4:], None)
    listed = (await client.http.get("/api/me/tokens")).json()
    assert listed == {"items": [made], "next_cursor": None}
    assert (await client.http.get(answer.headers["location"])).json() == made
    assert token not in str(listed)
    assert (await anyone.get("/api/me", headers=bearer(token))).json() == client.user
    assert (await anyone.get("/api/me", headers={"x-api-key": token})).json() == client.user


async def test_only_a_hash_is_stored(client: Client, hub: HubServer) -> None:
    token = (await client.make_token("read"))["token"]
    sql = "SELECT to_jsonb(tokens) AS row, token_hash FROM tokens WHERE user_id = $1 AND kind = 'personal'"
    (stored,) = await query(hub.settings["HUB_DATABASE_URL"], sql, UUID(client.user["id"]))
    assert stored["token_hash"] == hashlib.sha256(token.encode()).digest()
    assert token[len("chub_pat_") : -6] not in stored["row"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"scopes": ["read", "everything"]}, "/scopes"),
        ({"scopes": "read"}, "/scopes"),
        ({"scopes": ["read"] * 101}, "/scopes"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "/expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
    ],
)
async def test_a_token_that_cannot_be_is_refused(
    client: Client, fields: dict[str, Any], pointer: str
) -> None:
    body = {"name": "x", "scopes": [], **fields}
    problem = refused(await client.http.post("/api/me/tokens", json=body), 400)
    assert {each.split("/")[1] for each in pointers(problem)} == {pointer[1:]}
    assert (await client.http.get("/api/me/tokens")).json()["items"] == []


async def test_administrators_alone_give_away_what_they_may(client: Client, hub: HubServer) -> None:
    body = {"name": "x", "scopes": ["admin"]}
    assert (
        refused(await client.http.post("/api/me/tokens", json=body), 403)["type"] == "/problems/not-allowed"
    )
    await promote(hub, client)
    assert (await client.http.post("/api/me/tokens", json=body)).status_code == 201


async def test_a_user_has_a_hundred_at_most(client: Client) -> None:
    for _ in range(90):
        await client.make_token()
    answers = await asyncio.gather(
        *(client.http.post("/api/me/tokens", json={"name": "x", "scopes": []}) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 10
    page = (await client.http.get("/api/me/tokens?limit=60")).json()
    rest = (await client.http.get(f"/api/me/tokens?limit=60&cursor={page['next_cursor']}")).json()
    assert len({each["id"] for each in page["items"] + rest["items"]}) == 100
    assert rest["next_cursor"] is None
    deleted = await client.http.delete(f"/api/me/tokens/{rest['items'][0]['id']}")
    assert deleted.status_code == 204
    await client.make_token()


async def test_two_different_tokens_are_nobody(client: Client, other: Client, anyone: AsyncClient) -> None:
    mine, theirs = (await client.make_token("read"))["token"], (await other.make_token("read"))["token"]
    refused(await anyone.get("/api/me", headers={**bearer(mine), "x-api-key": theirs}), 401)
    both = await anyone.get("/api/me", headers={**bearer(mine), "x-api-key": mine})
    assert both.json() == client.user


async def test_last_use_is_told(client: Client, anyone: AsyncClient, hub: HubServer) -> None:
    made, marker = await client.make_token("read"), await client.make_token("read")

    async def used(token: dict[str, Any], after: datetime) -> datetime | None:
        told = (await client.http.get(f"/api/me/tokens/{token['id']}")).json()["last_used_at"]
        return datetime.fromisoformat(told) if told and datetime.fromisoformat(told) > after else None

    begin = datetime.now(UTC) - timedelta(seconds=5)
    assert await used(made, begin) is None
    await anyone.get("/api/me", headers=bearer(made["token"]))
    first = await within(10, lambda: used(made, begin))
    for token in (made, made, marker):
        await anyone.get("/api/me", headers=bearer(token["token"]))
    await within(10, lambda: used(marker, begin))
    assert await used(made, begin) == first, "once a minute is enough"
    earlier = "UPDATE tokens SET last_used_at = last_used_at - interval '61 s' WHERE id = $1"
    await query(hub.settings["HUB_DATABASE_URL"], earlier, UUID(made["id"]))
    await anyone.get("/api/me", headers=bearer(made["token"]))
    assert await within(10, lambda: used(made, first)) > first


async def test_a_new_password_leaves_tokens_as_they_are(client: Client, anyone: AsyncClient) -> None:
    token = (await client.make_token("read"))["token"]
    change = {"current_password": PASSWORD, "new_password": "a fine new one"}
    assert (await client.http.post("/api/me/password", json=change)).status_code == 204
    assert (await anyone.get("/api/me", headers=bearer(token))).status_code == 200
    assert len((await client.http.get("/api/me/tokens")).json()["items"]) == 1


# Ways in which a token ends; each closes what it opened.

End_ = Callable[[HubServer, Client, str], Awaitable[None]]


async def deleted(_hub: HubServer, owner: Client, token_id: str) -> None:
    assert (await owner.http.delete(f"/api/me/tokens/{token_id}")).status_code == 204


async def expired(hub: HubServer, _owner: Client, token_id: str) -> None:
    sql = "UPDATE tokens SET expires_at = now() WHERE id = $1"
    await query(hub.settings["HUB_DATABASE_URL"], sql, UUID(token_id))


async def disabled(hub: HubServer, owner: Client, _token_id: str) -> None:
    admin = await promote(hub, await Client(hub.url).register())
    answer = await admin.http.patch(f"/api/admin/users/{owner.user['id']}", json={"disabled": True})
    assert answer.status_code == 200
    await admin.close()


@pytest.mark.parametrize(("end", "status"), [(deleted, 401), (expired, 401), (disabled, 403)])
async def test_with_a_token_ends_what_it_opened(
    client: Client, hub: HubServer, answers: Answers, end: End_, status: int
) -> None:
    answers.give("Go on", reply(["Once", " upon"], between={1: End.HANG}))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Go on"))["response"]["id"]
    made = await client.make_token("chat")
    program = Client(hub.url)
    program.use(made["token"])
    ticket = (await program.http.post("/api/ws-tickets")).json()["ticket"]
    by_ticket = hub.url.replace("http", "ws", 1) + f"/api/ws?ticket={ticket}"
    path = f"/api/responses/{response_id}/events"
    async with (
        program.socket() as socket,
        websockets.connect(by_ticket) as second,
        program.http.stream("GET", path) as stream,
    ):
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("event")
        await end(hub, client, made["id"])
        async with asyncio.timeout(5):
            await socket.connection.wait_closed()
            await second.wait_closed()
            async for line in lines:
                assert "response.completed" not in line
        assert (socket.connection.close_code, second.close_code) == (4401, 4401)
    refused(await program.http.get("/api/me"), status)
    await program.close()


async def test_a_token_that_ends_soon_closes_its_socket_itself(client: Client, hub: HubServer) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    made = await client.make_token("read", expires_at=soon.isoformat())
    program = Client(hub.url)
    program.use(made["token"])
    async with program.socket() as socket, asyncio.timeout(5):
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 4401
    await program.close()


# Sign-ins


async def test_one_signs_out_elsewhere(client: Client) -> None:
    elsewhere = Client(client.url)
    body = {"login": client.user["username"], "password": PASSWORD}
    elsewhere.use((await elsewhere.http.post("/api/auth/login", json=body)).json()["access_token"])
    listed = (await client.http.get("/api/me/sign-ins")).json()["items"]
    assert [set(each) for each in listed] == [
        {"id", "created_at", "expires_at", "last_used_at", "current"}
    ] * 2
    assert [each["current"] for each in listed] == [False, True], "the newest first"
    async with elsewhere.socket() as goes, client.socket() as stays:
        answer = await client.http.delete(f"/api/me/sign-ins/{listed[0]['id']}")
        assert answer.status_code == 204
        async with asyncio.timeout(5):
            await goes.connection.wait_closed()
        assert goes.connection.close_code == 4401
        await (await stays.connection.ping())
    refused(await elsewhere.http.get("/api/me"), 401)
    refused(await client.http.delete(f"/api/me/sign-ins/{listed[0]['id']}"), 404)
    assert len((await client.http.get("/api/me/sign-ins")).json()["items"]) == 1
    await elsewhere.close()


async def test_a_token_is_no_sign_in_and_a_sign_in_no_token(client: Client) -> None:
    token = await client.make_token("read")
    (sign_in,) = (await client.http.get("/api/me/sign-ins")).json()["items"]
    refused(await client.http.delete(f"/api/me/sign-ins/{token['id']}"), 404)
    refused(await client.http.delete(f"/api/me/tokens/{sign_in['id']}"), 404)
    refused(await client.http.get(f"/api/me/tokens/{sign_in['id']}"), 404)
