"""The one-time link that creates the administrator."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.acceptance.conftest import at
from tests.fakes.llm import FakeLLM
from tests.services.hub import Client, HubServer
from tests.services.world import query, within

ADMIN = {"username": "the_boss", "email": "boss@example.org", "password": "a password of an operator"}


@pytest.fixture
async def web(tmp_path: Path, empty_database: str, fake: FakeLLM) -> AsyncIterator[HubServer]:
    """Yield a web process on a database without an administrator."""
    server = HubServer(tmp_path, "web", HUB_DATABASE_URL=empty_database, **at(fake))
    await server.start()
    yield server
    server.close()


def link_of(server: HubServer) -> str:
    """Return the set-up link that a hub printed."""
    return str(re.findall(r"http://\S+/setup\?token=\S+", server.output)[-1])


def form(link: str, **changes: str) -> dict[str, str]:
    """Return what a browser would send."""
    return {"token": link.partition("token=")[2], **ADMIN, **changes}


async def test_it_works_once(web: HubServer, empty_database: str) -> None:
    link = link_of(web)
    async with httpx2.AsyncClient(base_url=web.url) as browser:
        page = await browser.get(link)
        assert page.status_code == 200
        assert 'method="post" action="/setup"' in page.text
        assert page.headers["referrer-policy"] == "same-origin"
        assert "no-store" in page.headers["cache-control"]
        bad = await browser.post("/setup", data=form(link, password="short"))
        assert bad.status_code == 400, "a mistake does not use the link up"
        made = await browser.post("/setup", data=form(link))
        assert (made.status_code, made.headers["location"]) == (303, "/companions")
        assert "the_boss%20is%20the%20administrator" in made.headers["set-cookie"]
        assert (await browser.get("/api/me")).json()["role"] == "admin", "the browser is signed in"
        companions = (await browser.get("/api/companions")).json()["items"]
        assert [each["sample"] for each in companions] == [True, True]
        assert all(each["header_image"] for each in companions)
        second = await browser.post("/setup", data=form(link, username="other", email="o@example.org"))
        assert second.status_code == 400
        assert "set-up link" in second.text.lower()
    users = await query(empty_database, "SELECT username, role FROM users")
    assert users == [{"username": "the_boss", "role": "admin"}]
    client = Client(web.url)
    signed_in = await client.http.post(
        "/api/auth/login", json={"login": "the_boss", "password": ADMIN["password"]}
    )
    assert signed_in.json()["user"]["role"] == "admin"
    await client.close()
    assert await web.stop() == 0
    await web.start()
    assert web.output.count("/setup?token=") == 1, "no link once there is an administrator"


async def test_an_old_or_wrong_link_is_refused(web: HubServer, empty_database: str) -> None:
    link = link_of(web)
    rows = await query(empty_database, "SELECT expires_at - now() AS left FROM tokens WHERE kind = 'setup'")
    assert [29 < row["left"].total_seconds() / 60 <= 30 for row in rows] == [True]
    await query(empty_database, "UPDATE tokens SET expires_at = now() - interval '1 second'")
    async with httpx2.AsyncClient(base_url=web.url) as browser:
        for token in (form(link)["token"], "chub_made-up", "", "\0"):
            answer = await browser.post("/setup", data=form(link, token=token))
            assert answer.status_code == 400, token
        too_much = await browser.post("/setup", content=b"token=" + b"x" * 2_000_000)
        assert too_much.status_code == 413
        for nonsense in (b"", b"\xff\xfe", b"{}", b"&&&==="):
            assert (await browser.post("/setup", content=nonsense)).status_code == 400
    assert await query(empty_database, "SELECT id FROM users") == []


async def test_a_signed_in_session_is_no_set_up_link(web: HubServer, empty_database: str) -> None:
    client = await Client(web.url).register()
    async with httpx2.AsyncClient(base_url=web.url) as browser:
        answer = await browser.post("/setup", data=form("", token=client.token))
        assert answer.status_code == 400
        taken = form("", token="chub_made-up", email=client.user["email"])
        answer = await browser.post("/setup", data=taken)
        assert "set-up link" in answer.text.lower(), "without a link nobody learns who is here"
    await client.close()
    assert [row["role"] for row in await query(empty_database, "SELECT role FROM users")] == ["user"]


async def test_a_start_goes_on_when_the_database_was_away_for_a_moment(
    web: HubServer, empty_database: str
) -> None:
    assert await web.stop() == 0
    connection = await asyncpg.connect(empty_database)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            web.launch()
            end_blocked = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )

            async def ended() -> bool | None:
                return bool(await query(empty_database, end_blocked)) or None

            await within(30, ended)
            await web.wait_for("database unavailable while starting")
        await web.wait_for("is ready")
        assert link_of(web)
    finally:
        await connection.close()
