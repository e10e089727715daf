"""Accounts: registering, signing in and out, changing one's own data."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from pwdlib.hashers.bcrypt import BcryptHasher

from tests.services.hub import NO_TLS, PASSWORD, Client, HubServer
from tests.services.refusals import pointers, refused

SIGN_IN = {"user", "access_token", "expires_at"}
USER = {"id", "username", "email", "display_name", "role", "created_at"}


@pytest.fixture
async def anyone(hub: HubServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=hub.url, timeout=30, verify=NO_TLS) as http:
        yield http


def account(**fields: Any) -> dict[str, Any]:
    name = f"a_{secrets.token_hex(5)}"
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **fields}


def login(login: str, password: str = PASSWORD) -> dict[str, str]:
    return {"login": login, "password": password}


async def test_registering_signs_in(anyone: AsyncClient) -> None:
    body = account()
    answer = await anyone.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    sign_in = answer.json()
    assert set(sign_in) == SIGN_IN
    assert set(sign_in["user"]) == USER
    assert sign_in["user"]["role"] == "user"
    assert sign_in["user"]["display_name"] == body["username"]
    assert UUID(sign_in["user"]["id"]).version == 7
    assert datetime.fromisoformat(sign_in["expires_at"]) > datetime.now(UTC)
    assert datetime.fromisoformat(sign_in["user"]["created_at"]).utcoffset() is not None
    headers = {"Authorization": f"Bearer {sign_in['access_token']}"}
    assert (await anyone.get("/api/me", headers=headers)).json() == sign_in["user"]


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer {}", "BEARER  {}"])
async def test_a_token_is_taken_in_every_spelling_of_bearer(
    client: Client, anyone: AsyncClient, scheme: str
) -> None:
    answer = await anyone.get("/api/me", headers={"Authorization": scheme.format(client.token)})
    assert answer.status_code == 200


async def test_a_token_is_taken_as_api_key(client: Client, anyone: AsyncClient) -> None:
    answer = await anyone.get("/api/me", headers={"X-API-Key": client.token})
    assert answer.json() == client.user


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "a" * 21),
        ("username", "Alice"),
        ("username", "al ice"),
        ("username", "al-ice"),
        ("username", "älice"),
        ("username", "alice\n"),
        ("email", "nobody"),
        ("email", "@"),
        ("email", "a@b@c"),
        ("email", "a b@example.org"),
        ("email", "a" * 250 + "@x.org"),
        ("password", "1234567"),
        ("password", "x" * 129),
        ("password", "password123"),
        ("password", "PassWord123"),
        ("password", "with\0a zero"),
        ("display_name", ""),
        ("display_name", "  "),
        ("display_name", "x" * 101),
    ],
)
async def test_an_account_that_cannot_be_is_refused(anyone: AsyncClient, field: str, value: str) -> None:
    body = account(**{field: value})
    problem = refused(await anyone.post("/api/auth/register", json=body), 400)
    assert pointers(problem) == {f"/{field}"}
    refused(await anyone.post("/api/auth/login", json=login(body["email"])), 401, 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [("username", "u" * 20), ("password", "p" * 8), ("password", "€" * 128), ("display_name", None)],
)
async def test_bounds_are_inside(anyone: AsyncClient, field: str, value: str | None) -> None:
    body = account(**{field: value})
    if field == "username":
        body["username"] = secrets.token_hex(10)
    assert (await anyone.post("/api/auth/register", json=body)).status_code == 201
    assert (await anyone.post("/api/auth/login", json=login(body["email"], body["password"]))).is_success


async def test_every_wrong_field_is_named_at_once(anyone: AsyncClient) -> None:
    body = {"username": "X", "email": 5, "surprise": True}
    problem = refused(await anyone.post("/api/auth/register", json=body), 400)
    assert pointers(problem) == {"/username", "/email", "/password", "/surprise"}


async def test_a_username_or_an_address_is_taken_once(client: Client, anyone: AsyncClient) -> None:
    username, email = client.user["username"], client.user["email"]
    problem = refused(await anyone.post("/api/auth/register", json=account(username=username)), 409)
    assert problem["type"] == "/problems/username-taken"
    for spelling in (email, email.upper()):
        problem = refused(await anyone.post("/api/auth/register", json=account(email=spelling)), 409)
        assert problem["type"] == "/problems/email-taken"


async def test_of_many_who_register_at_once_one_gets_the_name(anyone: AsyncClient) -> None:
    body = account()
    tries = [
        anyone.post("/api/auth/register", json={**body, "email": f"{n}.{body['email']}"}) for n in range(6)
    ]
    answers = await asyncio.gather(*tries)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5


async def test_signing_in_by_username_and_by_address_in_any_case(anyone: AsyncClient) -> None:
    body = account()
    await anyone.post("/api/auth/register", json=body)
    for name in (body["username"], body["username"].upper(), body["email"], body["email"].upper()):
        answer = await anyone.post("/api/auth/login", json=login(name))
        assert answer.status_code == 200, name
        assert set(answer.json()) == SIGN_IN


async def test_a_wrong_login_tells_nothing_about_who_exists(client: Client, anyone: AsyncClient) -> None:
    known = refused(
        await anyone.post("/api/auth/login", json=login(client.user["username"], "wrong password")), 401
    )
    unknown = refused(
        await anyone.post("/api/auth/login", json=login("nobody_at_all", "wrong password")), 401
    )
    del known["request_id"], unknown["request_id"]
    assert known == unknown


async def test_after_logging_out_the_token_is_nothing(hub: HubServer) -> None:
    user = await Client(hub.url).register()
    assert (await user.http.post("/api/auth/logout")).status_code == 204
    refused(await user.http.get("/api/me"), 401)
    refused(await user.http.post("/api/auth/logout"), 401)
    assert (await user.http.post("/api/auth/login", json=login(user.user["username"]))).is_success
    await user.close()


async def test_changing_ones_own_account(client: Client) -> None:
    unchanged = await client.http.patch("/api/me", json={})
    assert unchanged.status_code == 200
    assert unchanged.json() == client.user
    body = {"display_name": "Ida ☕", "email": f"new.{client.user['email']}"}
    changed = await client.http.patch("/api/me", json=body)
    assert changed.json() == {**client.user, **body}
    assert (await client.http.get("/api/me")).json() == changed.json()


async def test_nobody_takes_the_address_of_another(client: Client, other: Client) -> None:
    body = {"email": other.user["email"].upper()}
    problem = refused(await client.http.patch("/api/me", json=body), 409)
    assert problem["type"] == "/problems/email-taken"
    own = await client.http.patch("/api/me", json={"email": client.user["email"].upper()})
    assert own.status_code == 200


@pytest.mark.parametrize("field", ["id", "username", "role", "created_at", "password"])
async def test_what_a_user_may_not_change(client: Client, field: str) -> None:
    problem = refused(await client.http.patch("/api/me", json={field: "admin"}), 400)
    assert pointers(problem) == {f"/{field}"}
    assert (await client.http.get("/api/me")).json() == client.user


async def test_a_new_password_ends_every_other_sign_in(client: Client, anyone: AsyncClient) -> None:
    name = client.user["username"]
    elsewhere = (await anyone.post("/api/auth/login", json=login(name))).json()["access_token"]
    body = {"current_password": PASSWORD, "new_password": "a fine new one"}
    async with client.socket() as kept:
        assert (await client.http.post("/api/me/password", json=body)).status_code == 204
        refused(await anyone.get("/api/me", headers={"Authorization": f"Bearer {elsewhere}"}), 401)
        assert (await client.http.get("/api/me")).status_code == 200
        await kept.connection.ping()
    refused(await anyone.post("/api/auth/login", json=login(name)), 401)
    assert (await anyone.post("/api/auth/login", json=login(name, "a fine new one"))).is_success


@pytest.mark.parametrize(
    ("current", "new", "statuses"),
    [
        ("not the one", "a fine new one", (403,)),
        (PASSWORD, "short", (400,)),
        (PASSWORD, "password123", (400,)),
        (PASSWORD, "x" * 129, (400,)),
    ],
)
async def test_a_password_is_not_changed_lightly(
    client: Client, anyone: AsyncClient, current: str, new: str, statuses: tuple[int, ...]
) -> None:
    body = {"current_password": current, "new_password": new}
    refused(await client.http.post("/api/me/password", json=body), *statuses)
    assert (await anyone.post("/api/auth/login", json=login(client.user["username"]))).is_success


def bcrypt(password: str, prefix: str = "$2b$") -> str:
    return prefix + BcryptHasher(rounds=4).hash(password.encode()[:72])[4:]


async def store_hash(hub: HubServer, client: Client, password_hash: str) -> None:
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        user_id = UUID(client.user["id"])
        await database.execute("UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash)
    finally:
        await database.close()


async def stored_hash(hub: HubServer, client: Client) -> str:
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        user_id = UUID(client.user["id"])
        return str(await database.fetchval("SELECT password_hash FROM users WHERE id = $1", user_id))
    finally:
        await database.close()


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
async def test_a_hash_of_the_original_is_replaced_at_the_first_login(
    hub: HubServer, client: Client, anyone: AsyncClient, prefix: str
) -> None:
    name = client.user["username"]
    await store_hash(hub, client, bcrypt("short", prefix))
    refused(await anyone.post("/api/auth/login", json=login(name, "wrong")), 401)
    assert (await stored_hash(hub, client)).startswith(prefix)
    assert (await anyone.post("/api/auth/login", json=login(name, "short"))).is_success
    replaced = await stored_hash(hub, client)
    assert replaced.startswith("$argon2id$")
    refused(await anyone.post("/api/auth/login", json=login(name, "wrong")), 401)
    assert (await anyone.post("/api/auth/login", json=login(name, "short"))).is_success
    assert await stored_hash(hub, client) == replaced


async def test_many_first_logins_at_once_all_succeed(
    hub: HubServer, client: Client, anyone: AsyncClient
) -> None:
    await store_hash(hub, client, bcrypt(PASSWORD))
    tries = [anyone.post("/api/auth/login", json=login(client.user["username"])) for _ in range(6)]
    assert {answer.status_code for answer in await asyncio.gather(*tries)} == {200}


async def test_bcrypt_reads_72_bytes_of_a_password_and_argon2_all_of_it(
    hub: HubServer, client: Client, anyone: AsyncClient
) -> None:
    name, password = client.user["username"], "ä" * 40
    await store_hash(hub, client, bcrypt(password))
    refused(await anyone.post("/api/auth/login", json=login(name, "ä" * 35)), 401)
    assert (await anyone.post("/api/auth/login", json=login(name, password))).is_success
    refused(await anyone.post("/api/auth/login", json=login(name, "ä" * 36)), 401)
    assert (await anyone.post("/api/auth/login", json=login(name, password))).is_success


async def test_a_password_of_the_original_can_be_changed_at_once(
    hub: HubServer, client: Client, anyone: AsyncClient
) -> None:
    await store_hash(hub, client, bcrypt("from before"))
    body = {"current_password": "from before", "new_password": "a fine new one"}
    assert (await client.http.post("/api/me/password", json=body)).status_code == 204
    answer = await anyone.post("/api/auth/login", json=login(client.user["username"], "a fine new one"))
    assert answer.is_success


@pytest.mark.parametrize("stored", ["!", "", "plain text", "$2b$31$" + "a" * 53, "$2b$10$too short"])
async def test_a_hash_that_cannot_be_checked_lets_nobody_in(
    hub: HubServer, client: Client, anyone: AsyncClient, stored: str
) -> None:
    await store_hash(hub, client, stored)
    for given in (PASSWORD, stored, "a password that nobody has"):
        refused(await anyone.post("/api/auth/login", json=login(client.user["username"], given)), 401)


async def test_an_expired_token_is_no_token(client: Client, hub: HubServer) -> None:
    database = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    try:
        await database.execute(
            "UPDATE tokens SET expires_at = now() - interval '1 second' WHERE user_id = $1",
            UUID(client.user["id"]),
        )
    finally:
        await database.close()
    refused(await client.http.get("/api/me"), 401)
