"""Traces and reports of errors: one trace from the request to the providers, and nothing of what was said."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.fakes.collector import Collector, Step
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, Script, error, reply
from tests.fakes.receiver import Receiver
from tests.fakes.sentry import FakeSentry
from tests.services.fixtures import migrated_database
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.rabbitmq import RabbitMQNode
from tests.services.world import query, signed_in

SAID, ANSWER, PERSONA = "canarysaid and moss", "canaryanswer is patient", "canarypersona of the wood"
FOREIGN = "0af7651916cd43dd8448eb211c80319c"
SERVER, CLIENT, CONSUMER = 2, 3, 5


@dataclass
class Observed:
    """A web and a worker whose steps and errors are told to somebody."""

    web: HubServer
    worker: HubServer
    database: str
    collector: Collector
    sentry: FakeSentry
    llm: FakeLLM
    receiver: Receiver

    def told(self) -> bytes:
        """Everything that left the hub for those who watch it."""
        return b"".join([*(each.raw for each in self.collector.requests), *self.sentry.raw])


@pytest.fixture(scope="module")
async def observed(
    postgres: str, rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Observed]:
    folder = tmp_path_factory.mktemp("observed")
    async with Collector() as collector, FakeSentry() as sentry, FakeLLM() as llm, Receiver() as receiver:
        llm.default = lambda _: reply(ANSWER)
        database = await migrated_database(postgres)
        settings = {
            **llm_settings(llm.url, HUB_SCENE_ANALYSIS="both"),
            "HUB_DATABASE_URL": database,
            "HUB_BROKER_URL": rabbitmq.url,
            "HUB_LOG_FORMAT": "json",
            "HUB_OTEL_ENDPOINT": collector.url,
            "HUB_SENTRY_DSN": sentry.dsn,
            "HUB_IMAGE_WIDTH": "64",
            "HUB_IMAGE_HEIGHT": "64",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "0.7",
            "OTEL_RESOURCE_ATTRIBUTES": "host.name=rack7",
        }
        web, worker = (HubServer(folder, role, **settings) for role in ("web", "worker"))
        try:
            await asyncio.gather(web.start(), worker.start())
            yield Observed(web, worker, database, collector, sentry, llm, receiver)
        finally:
            web.close()
            worker.close()


@pytest.fixture
async def user(observed: Observed) -> AsyncIterator[Client]:
    async with signed_in(observed.web) as client:
        yield client


async def test_one_trace_from_the_request_through_its_jobs_to_the_servers(
    observed: Observed, user: Client
) -> None:
    """The first attempt fails; the picture and the webhook follow the second."""
    collector = observed.collector
    await user.webhook(observed.receiver.url("/hook"), "response.completed")
    companion = await user.companion(description=PERSONA)
    conversation = await user.conversation(companion["id"])
    observed.llm.script(error(503, "canaryrefusal"))
    given = {"traceparent": f"00-{FOREIGN}-b7ad6b7169203331-01"}
    await user.send_for_image(conversation["id"], SAID, **given)

    webhook = await collector.step("webhook", http__response__status_code=204)
    painted = await collector.step("make image", hub__image__provider="painter")
    image = await collector.step("image", hub__job__kind="image")
    request = await collector.step("POST /api/conversations/{conversation_id}/messages")
    trace = collector.trace(request.trace_id)
    by_id = {each.id: each for each in trace}

    def path(step: Step) -> list[str]:
        above = by_id.get(step.parent_id)
        return [*(path(above) if above else []), step.name]

    assert (request.parent_id, request.kind) == ("", SERVER)
    assert request.links == [FOREIGN], "a stranger's trace is named, and not joined"
    assert request.facts["http.response.status_code"] == 202
    first, second = sorted((each for each in trace if each.name == "reply"), key=lambda each: each.began)
    assert [each.facts["hub.job.attempt"] for each in (first, second)] == [1, 2]
    assert (first.failed, second.failed) == (True, False)
    assert first.kind == CONSUMER
    assert path(first) == path(second) == [request.name, "reply"]
    (scene,) = [each for each in trace if each.name == "scene"]
    assert path(scene)[-2:] == ["reply", "scene"]
    assert path(webhook)[-3:] == ["reply", "webhook", "webhook"]
    assert path(painted)[-3:] == ["reply", "image", "make image"]
    assert image.id == painted.parent_id
    paths = [path(each)[-2:] for each in trace]
    for kind in ("reply", "scene", "image"):
        assert [kind, "claim"] in paths, paths
        assert [kind, "transaction"] in paths, paths
    assert sum(each.name == "reply waits" for each in trace) == 2
    assert {each.service["service.name"] for each in trace} == {"companion-hub"}
    assert {each.service["host.name"] for each in trace} == {"rack7"}

    chats = [each for each in trace if each.name == "chat" and each.parent_id == second.id]
    (chat,) = [each for each in chats if "gen_ai.output.type" not in each.facts]
    assert (chat.events, chat.kind) == (["first token"], CLIENT)
    assert chat.facts["gen_ai.usage.output_tokens"] == 3
    asked = {each.headers.get("traceparent") for each in observed.llm.requests if each.path.endswith("ions")}
    assert f"00-{chat.trace_id}-{chat.id}-01" in asked, asked
    assert all("traceparent" not in each.headers for each in observed.receiver.requests)

    lines = [json.loads(each) for each in observed.worker.output.splitlines() if each.startswith("{")]
    assert {each["trace_id"] for each in lines if each["event"] == "first token"} == {request.trace_id}


async def test_a_frame_begins_a_trace_of_its_own(observed: Observed, user: Client) -> None:
    conversation = await user.conversation()
    async with user.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], SAID)
        await socket.finished()
        said = await observed.collector.step("conversation.item.create")
    reply_step = await observed.collector.step("reply", hub__request__id=said.facts["hub.request.id"])
    assert (said.kind, said.parent_id) == (SERVER, "")
    assert (reply_step.trace_id, reply_step.parent_id) == (said.trace_id, said.id)


async def test_an_unexpected_error_is_reported_without_what_it_says(observed: Observed, user: Client) -> None:
    conversation = await user.conversation()
    tripwire = "ALTER TABLE messages ADD CONSTRAINT tripwire CHECK (content NOT LIKE '%tripwire%') NOT VALID"
    await query(observed.database, tripwire)
    path = f"/api/conversations/{conversation['id']}/messages"
    refused = await user.http.post(path, json={"content": f"tripwire {SAID}"})
    await query(observed.database, "ALTER TABLE messages DROP CONSTRAINT tripwire")
    assert refused.status_code == 500
    event = await observed.sentry.event(request_id=refused.json()["request_id"])
    (broken,) = event["exception"]["values"][-1:]
    assert broken["type"] == "CheckViolationError"
    assert "value" not in broken
    frames = broken["stacktrace"]["frames"]
    assert any(each["function"] == "store_message" for each in frames)
    assert all("vars" not in each for each in frames)
    assert not {"breadcrumbs", "request", "user", "server_name", "modules", "extra"} & event.keys()
    assert event["environment"] == "development"
    step = await observed.collector.step(
        "POST /api/conversations/{conversation_id}/messages", http__response__status_code=500
    )
    assert step.failed
    assert event["contexts"]["trace"]["trace_id"] == step.trace_id
    missing = await user.http.get("/api/companions/01890000-0000-7000-8000-000000000000")
    assert missing.status_code == 404
    assert len(observed.sentry.events) == 1, "a business fact is no error"


async def test_nothing_of_what_was_said_or_of_who_said_it_is_told(observed: Observed, user: Client) -> None:
    """What was told so far, a turn, and a request with secrets everywhere."""
    companion = await user.companion(description=PERSONA)
    sent = await user.send((await user.conversation(companion["id"]))["id"], SAID)
    await user.ended(sent["response"]["id"])
    ticket = (await user.http.post("/api/ws-tickets")).json()["ticket"]
    await user.http.get("/api/companions", params={"ticket": ticket, "cursor": "canarycursor"})
    await user.http.get("/api/canarypath", headers={"Cookie": "session=canarycookie"})
    await observed.collector.step("GET /api/companions")
    await observed.collector.step("GET")
    await observed.collector.step("reply")
    told = observed.told()
    assert b"gen_ai.usage.output_tokens" in told
    email = user.user["email"].split("@")[0]
    for secret in ("canary", user.token, ticket, email, "Mira", "botanist", "publickey@", observed.database):
        assert secret.encode() not in told, secret


async def test_a_collector_that_is_away_or_silent_costs_nobody_anything(
    observed: Observed, user: Client
) -> None:
    conversation = await user.conversation()
    await observed.collector.stop()
    sent = await user.send(conversation["id"], SAID)
    assert (await user.ended(sent["response"]["id"], within=10))["status"] == "completed"
    await observed.worker.wait_for("traces cannot be sent")
    observed.collector.answer = Script(status=None, before_head=[End.HANG])
    await observed.collector.start()
    sent = await user.send(conversation["id"], SAID)
    assert (await user.ended(sent["response"]["id"], within=10))["status"] == "completed"
    began = time.monotonic()
    assert await observed.worker.stop() == 0
    assert time.monotonic() - began < 6.0
