"""Guessing passwords and making accounts: how often, from where, and how long one waits after failures."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from httpx2 import AsyncClient, Response

from tests.fakes.llm import FakeLLM
from tests.services.fixtures import running_hub
from tests.services.hub import NO_TLS, PASSWORD, HubServer, llm_settings
from tests.services.refusals import refused
from tests.services.world import query

LOGINS, REGISTRATIONS = 5, 3
HOUR = 3600
#: Seconds that a delay is put off, for machines on which an attempt takes longer than the delay.
SLACK = 100

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def guarded(
    postgres: str, llm: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub with its limits as they are by default, behind a proxy on this machine."""
    async with running_hub(
        tmp_path_factory.mktemp("guarded"),
        postgres,
        HUB_LIMITS="on",
        HUB_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8",
        **llm_settings(llm.url),
    ) as server:
        yield server


@pytest.fixture
async def web(guarded: HubServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=guarded.url, timeout=30, verify=NO_TLS) as http:
        yield http


def somewhere() -> str:
    """Return an address that nobody has come from."""
    number = next(_numbers)
    return f"203.0.{number // 250}.{number % 250 + 1}"


def account() -> dict[str, str]:
    name = f"a_{secrets.token_hex(5)}"
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD}


async def register(web: AsyncClient, body: dict[str, str], *, at: str) -> Response:
    return await web.post("/api/auth/register", json=body, headers={"X-Forwarded-For": at})


async def log_in(web: AsyncClient, login: str, password: str = "no such word", *, at: str) -> Response:
    body = {"login": login, "password": password}
    return await web.post("/api/auth/login", json=body, headers={"X-Forwarded-For": at})


async def somebody(web: AsyncClient) -> str:
    body = account()
    assert (await register(web, body, at=somewhere())).status_code == 201
    return body["username"]


async def pass_time(hub: HubServer, seconds: int) -> None:
    """Have all that was counted be older."""
    await query(
        hub.settings["HUB_DATABASE_URL"],
        "UPDATE rate_limits SET reset_at = reset_at - $1 * interval '1 second'",
        seconds,
    )


async def test_five_failures_from_an_address_and_the_sixth_is_not_looked_at(
    guarded: HubServer, web: AsyncClient
) -> None:
    name, here = await somebody(web), somewhere()
    for left in range(LOGINS - 1, -1, -1):
        answer = await log_in(web, name, at=here)
        refused(answer, 401)
        assert answer.headers["RateLimit-Policy"] == f'"login";q={LOGINS};w=900'
        assert answer.headers["RateLimit"].startswith(f'"login";r={left};t=')
    answer = await log_in(web, name.upper(), PASSWORD, at=here)
    problem = refused(answer, 429)
    assert problem["type"] == "/problems/too-many-requests"
    assert 800 <= int(answer.headers["Retry-After"]) <= 900
    assert answer.headers["RateLimit"].startswith('"login";r=0;t=')
    await pass_time(guarded, 901)
    assert (await log_in(web, name, PASSWORD, at=here)).status_code == 200


async def test_guesses_at_the_same_time_are_counted_before_they_are_looked_at(web: AsyncClient) -> None:
    name, here = await somebody(web), somewhere()
    answers = await asyncio.gather(*(log_in(web, name, at=here) for _ in range(30)))
    assert Counter(each.status_code for each in answers) == {401: LOGINS, 429: 25}


async def test_guesses_at_one_account_from_everywhere_at_the_same_time(web: AsyncClient) -> None:
    name = await somebody(web)
    answers = await asyncio.gather(*(log_in(web, name, at=somewhere()) for _ in range(30)))
    looked_at = sum(each.status_code == 401 for each in answers)
    assert LOGINS <= looked_at <= LOGINS + 3  # one more after each delay, should they take seconds to arrive
    assert sum(each.status_code == 429 for each in answers) == 30 - looked_at


async def test_who_signs_in_is_not_counted(web: AsyncClient) -> None:
    name, here = await somebody(web), somewhere()
    for _ in range(2 * LOGINS):
        answer = await log_in(web, name, PASSWORD, at=here)
        assert answer.status_code == 200
        assert answer.headers["RateLimit"].startswith(f'"login";r={LOGINS};t=')
    for _ in range(LOGINS - 1):
        assert (await log_in(web, name, at=here)).status_code == 401
    assert (await log_in(web, name, PASSWORD, at=here)).status_code == 200
    assert (await log_in(web, name, at=here)).status_code == 401


class Wait:
    """What a delay is, however slow the machine is that measures it."""

    def __init__(self, hub: HubServer) -> None:
        self._hub = hub
        self._began = time.monotonic()

    async def refused(self, again: Callable[[], Awaitable[Response]], delay: int) -> Response:
        """Check that this is refused so many seconds after what went before, and let them pass."""
        await pass_time(self._hub, -SLACK)  # or the delay might be over when the machine is slow
        answer = await again()
        refused(answer, 429)
        earliest = delay + SLACK - (time.monotonic() - self._began) - 1
        assert earliest <= int(answer.headers["Retry-After"]) <= delay + SLACK
        await pass_time(self._hub, delay + SLACK)
        self._began = time.monotonic()
        return answer


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_delay_of_an_account_doubles_up_to_a_minute(
    guarded: HubServer, web: AsyncClient, *, is_known: bool
) -> None:
    name = await somebody(web) if is_known else account()["username"]
    wait = Wait(guarded)
    for _ in range(LOGINS):
        refused(await log_in(web, name, at=somewhere()), 401)
    for delay in (1, 2, 4, 8, 16, 32, 60, 60):
        answer = await wait.refused(lambda: log_in(web, name, PASSWORD, at=somewhere()), delay)
        assert answer.headers["RateLimit"].startswith(f'"login";r={LOGINS};t=')  # it was not counted
        refused(await log_in(web, name, at=somewhere()), 401)
    await pass_time(guarded, 60)
    answer = await log_in(web, name, PASSWORD, at=somewhere())
    assert answer.status_code == (200 if is_known else 401)
    if is_known:  # all is forgotten
        for _ in range(LOGINS):
            refused(await log_in(web, name, at=somewhere()), 401)


async def test_the_delay_of_an_address_doubles_up_to_a_quarter_of_an_hour(
    guarded: HubServer, web: AsyncClient
) -> None:
    name, here = await somebody(web), somewhere()
    wait = Wait(guarded)
    for _ in range(LOGINS):
        refused(await log_in(web, account()["username"], at=here), 401)
    for delay in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900):
        await wait.refused(lambda: log_in(web, name, PASSWORD, at=here), delay)
        refused(await log_in(web, account()["username"], at=here), 401)
    await pass_time(guarded, 900)
    for _ in range(3):  # one who signs in neither waits nor makes others wait
        assert (await log_in(web, name, PASSWORD, at=here)).status_code == 200
    refused(await log_in(web, name, at=here), 401)
    refused(await log_in(web, name, PASSWORD, at=here), 429)
    await pass_time(guarded, HOUR)
    for _ in range(LOGINS):
        refused(await log_in(web, account()["username"], at=here), 401)


async def test_who_is_signed_in_may_not_guess_the_password_either(web: AsyncClient) -> None:
    body = account()
    token = (await register(web, body, at=somewhere())).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    right = {"current_password": PASSWORD, "new_password": PASSWORD}
    wrong = {**right, "current_password": "no such word"}
    assert (await web.post("/api/me/password", json=right, headers=headers)).status_code == 204
    for _ in range(LOGINS):
        refused(await web.post("/api/me/password", json=wrong, headers=headers), 403)
    refused(await web.post("/api/me/password", json=right, headers=headers), 429)
    refused(await web.post("/api/me/delete", json={"current_password": PASSWORD}, headers=headers), 429)
    assert (await log_in(web, body["username"], PASSWORD, at=somewhere())).status_code == 200


async def test_three_accounts_from_an_address_in_a_day(guarded: HubServer, web: AsyncClient) -> None:
    here, body = somewhere(), account()
    malformed = [{**account(), "username": "no"}, {**account(), "password": "password1"}]
    for each in malformed * 3:
        refused(await register(web, each, at=here), 400)
    first = await register(web, body, at=here)
    assert first.status_code == 201
    assert first.headers["RateLimit-Policy"] == f'"register";q={REGISTRATIONS};w=86400'
    assert first.headers["RateLimit"] == f'"register";r={REGISTRATIONS - 1};t=86400'
    refused(await register(web, body, at=here), 409)
    assert (await register(web, account(), at=here)).status_code == 201
    answer = await register(web, account(), at=here)
    refused(answer, 429)
    assert 86_000 < int(answer.headers["Retry-After"]) <= 86_400
    assert (await register(web, account(), at=somewhere())).status_code == 201
    await pass_time(guarded, 24 * HOUR)
    assert (await register(web, account(), at=here)).status_code == 201


async def test_of_many_accounts_at_once_three_are_made(web: AsyncClient) -> None:
    here = somewhere()
    answers = await asyncio.gather(*(register(web, account(), at=here) for _ in range(12)))
    assert Counter(each.status_code for each in answers) == {201: REGISTRATIONS, 429: 12 - REGISTRATIONS}


async def test_nobody_signs_in_while_the_server_cannot_count(guarded: HubServer, web: AsyncClient) -> None:
    name, dsn = await somebody(web), guarded.settings["HUB_DATABASE_URL"]
    await query(dsn, "ALTER TABLE rate_limits RENAME TO hidden")
    try:
        answers = [
            await log_in(web, name, PASSWORD, at=somewhere()),
            await register(web, account(), at=somewhere()),
        ]
    finally:
        await query(dsn, "ALTER TABLE hidden RENAME TO rate_limits")
    for answer in answers:
        problem = refused(answer, 503)
        assert problem["type"] == "/problems/limits-not-ready"
        assert "count" in problem["title"]
        assert int(answer.headers["Retry-After"]) > 0
    assert (await log_in(web, name, PASSWORD, at=somewhere())).status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, 198.51.100.2", "198.51.100.2"),
        ("198.51.100.3, 10.1.2.3", "198.51.100.3"),
        ("198.51.100.9, nonsense, 10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("198.51.100.4:4711", "198.51.100.4"),
        ("::ffff:198.51.100.5", "198.51.100.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:3::7]:4711", "2001:db8:1:3::/64"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_behind_a_proxy_the_last_address_that_is_none_counts(
    guarded: HubServer, web: AsyncClient, forwarded: str, counted: str
) -> None:
    dsn = guarded.settings["HUB_DATABASE_URL"]
    await query(dsn, "TRUNCATE rate_limits")
    refused(await log_in(web, "nobody", at=forwarded), 401)
    rows = await query(dsn, "SELECT subject FROM rate_limits WHERE action = 'login_address'")
    assert [row["subject"] for row in rows] == [counted]


async def test_two_addresses_of_one_network_are_one_customer(web: AsyncClient) -> None:
    body = account()
    for number in range(REGISTRATIONS):
        assert (await register(web, account(), at=f"2001:db8:9:9::{number}")).status_code == 201
    refused(await register(web, body, at="2001:db8:9:9:ffff::1"), 429)
    assert (await register(web, body, at="2001:db8:9:a::1")).status_code == 201
