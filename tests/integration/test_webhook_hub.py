"""What webhooks need a hub of their own for: one that is killed, and one whose names change their mind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, reply
from tests.fakes.receiver import Receiver, told
from tests.services.fixtures import migrated_database
from tests.services.hub import PROJECT, Client, HubServer, base_environment, llm_settings
from tests.services.refusals import refused
from tests.services.world import query, signed_in, within

HOST = "hooks.example"
PUBLIC = "93.184.215.14"


class Names:
    """What the hub's name server says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.say(localhost=["127.0.0.1"])

    def say(self, **hosts: list[str]) -> None:
        known = {"localhost": ["127.0.0.1"], **{host.replace("_", "."): to for host, to in hosts.items()}}
        self.file.write_text(json.dumps(known), encoding="utf-8")


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[FakeLLM]:
    async with FakeLLM() as fake:
        yield fake


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    return Names(tmp_path_factory.mktemp("names") / "names.json")


@pytest.fixture(scope="module")
async def server(
    postgres: str, model: FakeLLM, names: Names, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    folder = tmp_path_factory.mktemp("hub")
    hub = HubServer(
        folder,
        module="tests.services.hub_with_names",
        HUB_DATABASE_URL=await migrated_database(postgres),
        NAMES_FILE=str(names.file),
        HUB_WORKER_THREADS="8",
        HUB_LIMITS="on",
        HUB_TURNS_PER_USER="2",
        HUB_REGISTRATIONS_PER_DAY="100",
        PYTHONPATH=f"{base_environment(folder)['PYTHONPATH']}:{PROJECT}",
        **llm_settings(model.url, HUB_LLM_TIMEOUT="60"),
    )
    await hub.start()
    yield hub
    hub.close()


async def delivered(client: Client, webhook_id: str, delivery_id: str, *, attempts: int) -> dict[str, Any]:
    """Wait until a delivery has been tried so often, and return it."""

    async def ask() -> dict[str, Any] | None:
        answer = await client.http.get(f"/api/webhooks/{webhook_id}/deliveries/{delivery_id}")
        found: dict[str, Any] = answer.json()
        return found if found["attempts"] >= attempts and found["status"] != "in_progress" else None

    return await within(30, ask)


async def test_a_name_that_changes_its_mind_leads_nowhere(
    server: HubServer, names: Names, receiver: Receiver
) -> None:
    """Public when the webhook is made, inside when it is told; the other way round it is not made at all."""
    url = receiver.url("/inside").replace("http://localhost", f"https://{HOST}")
    async with signed_in(server) as client:
        for inside in (["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::ffff:169.254.169.254"]):
            names.say(hooks_example=inside)
            body = {"url": url, "events": ["image.completed"]}
            refused(await client.http.post("/api/webhooks", json=body), 400)
        names.say(hooks_example=[PUBLIC])
        webhook = await client.webhook(url)
        names.say(hooks_example=["127.0.0.1"])
        before = receiver.connections
        sent = (await client.http.post(f"/api/webhooks/{webhook['id']}/test")).json()
        tried = await delivered(client, webhook["id"], sent["id"], attempts=1)
    assert (tried["status"], tried["status_code"]) == ("queued", None)
    assert tried["error"] == "it is not on the public internet"
    assert receiver.connections == before


async def test_slow_receivers_take_a_quarter_of_the_places_at_most(
    server: HubServer, receiver: Receiver
) -> None:
    """What finds no place is sent as soon as there is one, and replies are written meanwhile."""
    go_on = asyncio.Event()
    paths = [f"/slow/{number}" for number in range(4)]

    def asked() -> int:
        return sum(len(receiver.at(path)) for path in paths)

    async with signed_in(server) as client:
        for path in paths:
            receiver.script(path, Script(status=204, framing="length", before_head=(go_on,)))
            webhook = await client.webhook(receiver.url(path))
            await client.http.post(f"/api/webhooks/{webhook['id']}/test")
        await receiver.wait_for(lambda: asked() == 2)
        conversation = await client.conversation()
        for number in range(3):
            sent = await client.send(conversation["id"], f"Say something about {number}")
            assert (await client.ended(sent["response"]["id"]))["status"] == "completed"
        assert asked() == 2
        go_on.set()
        await receiver.wait_for(lambda: asked() >= len(paths))


async def test_what_was_sent_before_a_crash_is_sent_again_under_the_same_id(
    server: HubServer, model: FakeLLM, receiver: Receiver
) -> None:
    """The receiver has it, the hub is killed before it knows: at least once means twice. Nothing is lost.

    And a reply that is given up since its workers died again and again is told as failed.
    """
    model.script(reply("Never ends", between={1: End.HANG}))
    async with signed_in(server) as client:
        webhook = await client.webhook(receiver.url("/crash"))
        database = server.settings["HUB_DATABASE_URL"]
        lost = await _a_reply_on_its_last_attempt(client, database, model)
        failing = "UPDATE webhooks SET failing_since = now() WHERE id = $1"
        await query(database, failing, UUID(webhook["id"]))
        holder = await asyncpg.connect(database)
        try:
            # The end of the delivery cannot be stored while this row is held.
            await holder.execute("BEGIN")
            await holder.execute("SELECT FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", UUID(webhook["id"]))
            sent = (await client.http.post(f"/api/webhooks/{webhook['id']}/test")).json()
            await receiver.received("/crash")
            await server.kill()
        finally:
            await holder.close()
    expired = "UPDATE jobs SET lease_until = now() - interval '1 s' WHERE status = 'in_progress'"
    await query(database, expired)
    await server.start()
    async with signed_in(server, client) as client:
        done = await delivered(client, webhook["id"], sent["id"], attempts=2)
        assert (done["status"], done["attempts"]) == ("completed", 2)
        requests = await receiver.received("/crash", 3)
    payloads = [told(each, webhook["secret"]) for each in requests]
    tests = [each for each in requests if each.body["type"] == "webhook.test"]
    assert [each.headers["webhook-id"] for each in tests] == [sent["event_id"]] * 2
    assert tests[0].raw == tests[1].raw
    (failed,) = [each for each in payloads if each["type"] == "response.failed"]
    assert (failed["data"]["id"], failed["data"]["error_code"]) == (lost, "worker_lost")


async def _a_reply_on_its_last_attempt(client: Client, database: str, model: FakeLLM) -> str:
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Tell me all")
        response_id = await socket.reads("Never")
    assert model.requests
    await query(database, "UPDATE jobs SET max_attempts = attempt WHERE subject_id = $1", UUID(response_id))
    return response_id
