"""Signed in by cookie: how it is set and forgotten, and whose pages may use it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
import websockets
from httpx2 import AsyncClient, Response

from tests.services.fixtures import ALLOWED_ORIGIN
from tests.services.hub import NO_TLS, PASSWORD, Client, HubServer
from tests.services.refusals import refused

NAME = "hub_session"
COMPANION = {"name": "Mira", "description": "A calm botanist who loves moss."}
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost"},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "//"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
]
SILENT: dict[str, str] = {}


def cookie_of(answer: Response) -> Morsel[str]:
    jar: SimpleCookie = SimpleCookie(answer.headers["set-cookie"])
    return jar[NAME]


async def log_in(client: Client, **headers: str) -> Response:
    """Sign in with a cookie, without the client's own token."""
    body = {"login": client.user["username"], "password": PASSWORD, "cookie": True}
    async with AsyncClient(base_url=client.url, verify=NO_TLS) as http:
        return await http.post("/api/auth/login", json=body, headers=headers)


@pytest.fixture
async def browser(client: Client) -> AsyncIterator[AsyncClient]:
    """Yield what a browser is once it has signed in: no header but its cookie."""
    cookie = cookie_of(await log_in(client))
    async with AsyncClient(base_url=client.url, headers={"Cookie": f"{NAME}={cookie.value}"}) as http:
        yield http


def own(http: AsyncClient) -> list[dict[str, str]]:
    """Return what a browser says of a page that may act."""
    origin = str(http.base_url).rstrip("/")
    return [
        {"Origin": origin},
        {"Origin": origin, "Sec-Fetch-Site": "same-origin"},
        {"Origin": ALLOWED_ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(client: Client) -> None:
    answer = await log_in(client)
    cookie = cookie_of(answer)
    assert cookie.value == answer.json()["access_token"]
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
    assert (cookie["domain"], cookie["secure"]) == ("", "")  # over plain http it would not be kept
    assert 29 * 86_400 < int(cookie["max-age"]) <= 30 * 86_400
    assert answer.headers["cache-control"] == "no-store"


async def test_only_who_asks_for_a_cookie_gets_one(client: Client) -> None:
    body = {"login": client.user["username"], "password": PASSWORD}
    for more in ({}, {"cookie": False}):
        assert "set-cookie" not in (await client.http.post("/api/auth/login", json=body | more)).headers
    refused(await client.http.post("/api/auth/login", json={**body, "cookie": "yes"}), 400)


async def test_registering_gives_a_cookie_too(client: Client) -> None:
    name = f"user_{secrets.token_hex(4)}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "cookie": True}
    answer = await client.http.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    assert cookie_of(answer).value == answer.json()["access_token"]


async def test_a_browser_reads_by_its_cookie_from_wherever(browser: AsyncClient, client: Client) -> None:
    for headers in ({}, *FOREIGN, *own(browser)):
        answer = await browser.get("/api/me", headers=headers)
        assert answer.json()["id"] == client.user["id"]


async def test_own_and_allowed_pages_may_write(browser: AsyncClient) -> None:
    for headers in own(browser):
        assert (await browser.post("/api/companions", json=COMPANION, headers=headers)).status_code == 201


async def test_other_pages_may_not_write(browser: AsyncClient) -> None:
    companion = (await browser.post("/api/companions", json=COMPANION, headers=own(browser)[0])).json()
    path = f"/api/companions/{companion['id']}"
    for headers in (SILENT, *FOREIGN):
        answers = [
            await browser.post("/api/companions", json=COMPANION, headers=headers),
            await browser.patch(path, json={"name": "x"}, headers=headers),
            await browser.put(f"{path}/header-image", content=b"x", headers=headers),
            await browser.delete(path, headers=headers),
            await browser.post("/api/auth/logout", headers=headers),
            await browser.post("/api/ws-tickets", headers=headers),
        ]
        for answer in answers:
            assert refused(answer, 403)["type"] == "/problems/origin-not-allowed"
    assert (await browser.get("/api/companions")).json()["items"] == [companion]


async def test_a_token_counts_before_the_cookie_and_needs_no_page(
    browser: AsyncClient, client: Client, other: Client
) -> None:
    for headers in ({"Authorization": f"Bearer {other.token}"}, {"X-API-Key": other.token}):
        answer = await browser.patch(
            "/api/me", json={"display_name": "O"}, headers={**headers, "Origin": "https://evil.example"}
        )
        assert answer.json()["id"] == other.user["id"]
    assert (await client.http.get("/api/me")).json()["display_name"] != "O"
    refused(await browser.get("/api/me", headers={"Authorization": "Bearer nonsense"}), 401)


async def test_another_page_signs_nobody_in(client: Client) -> None:
    name = f"user_{secrets.token_hex(4)}"
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "cookie": True}
    for headers in FOREIGN:
        answer = await log_in(client, **headers)
        assert refused(answer, 403)["type"] == "/problems/origin-not-allowed"
        assert "set-cookie" not in answer.headers
        refused(await client.http.post("/api/auth/register", json=body, headers=headers), 403)
    login = {"login": name, "password": PASSWORD}
    refused(await client.http.post("/api/auth/login", json=login), 401)


async def test_own_and_allowed_pages_sign_in(client: Client) -> None:
    for headers in own(client.http):
        assert (await log_in(client, **headers)).status_code == 200


async def test_signing_out_has_the_cookie_forgotten(browser: AsyncClient) -> None:
    answer = await browser.post("/api/auth/logout", headers=own(browser)[0])
    assert answer.status_code == 204
    cookie = cookie_of(answer)
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
    refused(await browser.get("/api/me"), 401)


@pytest.mark.parametrize("value", ["", "x", "%00", '"x"', "x" * 5000, "\xff", "a=b; hub_session=", ";;;"])
async def test_a_cookie_that_is_none_of_ours_lets_nobody_in(hub: HubServer, value: str) -> None:
    async with AsyncClient(base_url=hub.url, verify=NO_TLS) as http:
        raw = {b"Cookie": f"{NAME}={value}".encode("latin-1")}
        refused(await http.get("/api/me", headers=raw), 401)


async def test_an_image_is_shown_by_cookie_to_its_owner_alone(
    browser: AsyncClient, client: Client, other: Client
) -> None:
    job = await client.paint((await client.companion())["id"], width=64, height=64)
    answer = await browser.get(job["result"]["url"])
    assert answer.headers["content-type"].startswith("image/")
    cookie = cookie_of(await log_in(other))
    strange = {"Cookie": f"{NAME}={cookie.value}"}
    refused(await browser.get(job["result"]["url"], headers=strange), 404)


def socket_at(browser: AsyncClient, query: str = "", **headers: str) -> Any:
    address = str(browser.base_url).replace("http", "ws", 1).rstrip("/")
    return websockets.connect(f"{address}/api/ws{query}", additional_headers=headers)


async def test_a_socket_by_cookie_needs_a_page_of_ours(browser: AsyncClient, client: Client) -> None:
    cookie = browser.headers["cookie"]
    for headers in own(browser):
        async with socket_at(browser, Cookie=cookie, **headers) as connection:
            told = json.loads(await connection.recv())
            assert told["session"]["user_id"] == client.user["id"]
    for headers in (SILENT, *FOREIGN):
        async with socket_at(browser, Cookie=cookie, **headers) as connection, asyncio.timeout(5):
            await connection.wait_closed()
            assert connection.close_code == 4403


async def test_a_socket_by_token_or_ticket_needs_no_page(browser: AsyncClient, client: Client) -> None:
    evil = {"Origin": "https://evil.example"}
    ticket = (await client.http.post("/api/ws-tickets")).json()["ticket"]
    for connecting in (
        socket_at(browser, Authorization=f"Bearer {client.token}", **evil),
        socket_at(browser, f"?ticket={ticket}", **evil),
    ):
        async with connecting as connection:
            assert json.loads(await connection.recv())["type"] == "session.created"
