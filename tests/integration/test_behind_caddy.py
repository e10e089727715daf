"""The hub behind a real Caddy with the project's Caddyfile: text comes live, metrics stay inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.caddy import running_caddy
from tests.services.hub import Client, HubServer


@pytest.fixture(scope="module")
async def site(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with running_caddy(tmp_path_factory.mktemp("caddy"), hub.url) as site:
        yield site


@pytest.fixture
async def visitor(site: str) -> AsyncIterator[Client]:
    visitor = await Client(site).register()
    yield visitor
    await visitor.close()


async def test_events_come_one_by_one(visitor: Client, llm: FakeLLM) -> None:
    held = asyncio.Event()
    llm.script(reply(["One", " two"], between={1: held}))
    sent = await visitor.send((await visitor.conversation())["id"], "Count, please.")
    seen = ""
    async with (
        asyncio.timeout(20),
        visitor.http.stream("GET", f"/api/responses/{sent['response']['id']}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            seen += line
            if "One" in line:  # it came while the rest is held
                held.set()
    assert "response.completed" in seen


async def test_a_socket_goes_through(visitor: Client) -> None:
    talk = await visitor.conversation()
    async with visitor.socket() as socket:
        await socket.subscribe(talk["id"])
        await socket.say(talk["id"], "Good morning.")
        assert (await socket.finished())["status"] == "completed"
        assert socket.seen("response.output_text.delta")


async def test_metrics_are_not_for_the_internet(visitor: Client) -> None:
    for path in ("/metrics", "/metrics/", "/metrics?name=x"):
        answer = await visitor.http.get(path)
        assert (answer.status_code, answer.content) == (404, b""), path


async def test_what_is_too_large_stops_at_the_door(visitor: Client) -> None:
    headers = {"X-Long": "x" * 40_000}
    assert (await visitor.http.get("/api/me", headers=headers)).status_code == 431
    assert (await visitor.http.get("/api/me")).headers["Strict-Transport-Security"]
