"""What a receiver gets: signed, again after a failure under the same id, and nothing that is not for it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.fakes.llm_script import End, Script, error, reply
from tests.fakes.receiver import Receiver, says, signed_with, told
from tests.integration.conftest import Answers
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.refusals import refused
from tests.services.world import query, within

SMALL = {"width": 64, "height": 64}


class Hook:
    """A webhook of a user at an endpoint of its own."""

    def __init__(self, client: Client, receiver: Receiver, made: dict[str, Any], path: str) -> None:
        self.client = client
        self.receiver = receiver
        self.id = made["id"]
        self.secret = made["secret"]
        self.path = path

    @classmethod
    async def of(cls, client: Client, receiver: Receiver, *events: str) -> Hook:
        path = f"/{client.user['username']}/{time.monotonic_ns()}"
        return cls(client, receiver, await client.webhook(receiver.url(path), *events), path)

    def answers(self, *scripts: Script) -> None:
        self.receiver.script(self.path, *scripts)

    async def gets(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many requests, and return what they tell."""
        return [told(each, self.secret) for each in await self.receiver.received(self.path, count)]

    async def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.receiver.at(self.path)]

    async def post(self, path: str) -> dict[str, Any]:
        answer = await self.client.http.post(f"/api/webhooks/{self.id}{path}")
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def test(self) -> dict[str, Any]:
        return await self.post("/test")

    async def again(self, delivery_id: str) -> dict[str, Any]:
        return await self.post(f"/deliveries/{delivery_id}/retry")

    async def shown(self) -> dict[str, Any]:
        return dict((await self.client.http.get(f"/api/webhooks/{self.id}")).json())

    async def deliveries(self) -> list[dict[str, Any]]:
        answer = await self.client.http.get(f"/api/webhooks/{self.id}/deliveries")
        return list(answer.json()["items"])

    async def tried(self, delivery_id: str, attempts: int = 1) -> dict[str, Any]:
        """Wait until a delivery has been tried so often, and return it."""

        async def ask() -> dict[str, Any] | None:
            answer = await self.client.http.get(f"/api/webhooks/{self.id}/deliveries/{delivery_id}")
            found: dict[str, Any] = answer.json()
            done = found["attempts"] >= attempts and found["status"] != "in_progress"
            return found if done or found["status"] in ("failed", "cancelled") else None

        return await within(20, ask)


async def locked_out(dsn: str, count: int) -> None:
    """Wait until so many connections to a database wait for others."""
    waiting = (
        "SELECT true AS they_do FROM pg_stat_activity WHERE datname = current_database()"
        " AND cardinality(pg_blocking_pids(pid)) > 0 HAVING count(*) >= $1"
    )

    async def look() -> object:
        return await query(dsn, waiting, count) or None

    await within(20, look)


async def test_a_reply_and_its_picture_are_told(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    companion = await client.companion()
    conversation = await client.conversation(companion["id"])
    sent = await client.send_for_image(conversation["id"], "What grows here?")
    response = await client.ended(sent["response"]["id"])
    about_reply, about_picture = await hook.gets(2)
    assert about_reply["type"] == "response.completed"
    assert about_reply["data"] == {
        "id": response["id"],
        "status": "completed",
        "conversation_id": conversation["id"],
        "companion_id": companion["id"],
        "message_id": response["message_id"],
    }
    assert about_picture["type"] == "image.completed"
    data = about_picture["data"]
    job = await client.job(data["job_id"])
    assert (data["id"], data["companion_id"]) == (job["result"]["id"], companion["id"])
    assert (data["conversation_id"], data["response_id"]) == (conversation["id"], response["id"])
    for each in (about_reply, about_picture):
        assert set(each) == {"type", "timestamp", "data"}
        assert abs(datetime.fromisoformat(each["timestamp"]).timestamp() - time.time()) < 60
    first, second = receiver.at(hook.path)
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert "." not in first.headers["webhook-id"]
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 60
    assert "authorization" not in first.headers
    done = [await hook.tried(each["id"]) for each in await hook.deliveries()]
    assert [each["event"] for each in done] == ["image.completed", "response.completed"]
    assert [each["event_id"] for each in reversed(done)] == await hook.ids()
    assert {(each["status"], each["attempts"], each["status_code"]) for each in done} == {
        ("completed", 1, 204)
    }


async def test_a_picture_without_a_talk_is_told(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver, "image.completed")
    companion = await client.companion()
    job = await client.paint(companion["id"], **SMALL)
    ((payload),) = await hook.gets()
    assert payload["data"] == {
        "id": job["result"]["id"],
        "status": "completed",
        "companion_id": companion["id"],
        "job_id": job["id"],
        "conversation_id": None,
        "response_id": None,
    }


async def test_a_reply_that_fails_is_told(client: Client, receiver: Receiver, answers: Answers) -> None:
    answers.give("Fail, please", error(400, "no"))
    hook = await Hook.of(client, receiver)
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Fail, please")
    response = await client.ended(sent["response"]["id"])
    (payload,) = await hook.gets()
    assert payload["type"] == "response.failed"
    assert payload["data"] == {
        "id": response["id"],
        "status": "failed",
        "conversation_id": conversation["id"],
        "companion_id": conversation["companion_id"],
        "error_code": response["error"]["code"],
    }


async def test_each_gets_what_it_asked_for_in_order(
    client: Client, other: Client, receiver: Receiver
) -> None:
    """Two of one user get the same event under the same id; others' get nothing of it."""
    mine, same = await Hook.of(client, receiver), await Hook.of(client, receiver, "response.completed")
    pictures, theirs = await Hook.of(client, receiver, "image.completed"), await Hook.of(other, receiver)
    conversation = await client.conversation()
    ended = []
    for number in range(3):
        sent = await client.send(conversation["id"], f"Say something about {number}")
        ended.append((await client.ended(sent["response"]["id"]))["id"])
    payloads = await mine.gets(3)
    assert [each["data"]["id"] for each in payloads] == ended
    assert await same.gets(3) == payloads
    assert await same.ids() == await mine.ids()
    assert await pictures.deliveries() == await theirs.deliveries() == []


async def test_a_failure_is_tried_again_under_the_same_id(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500), says(302, Location=receiver.url("/elsewhere")))
    first = await hook.tried((await hook.test())["id"])
    assert (first["status"], first["status_code"], first["error"]) == ("queued", 500, "HTTP 500")
    assert (await hook.shown())["failing_since"] is not None
    waits = datetime.fromisoformat(first["next_attempt_at"]).timestamp() - time.time()
    assert 0 < waits < 6
    await hook.again(first["id"])  # now, not in five seconds
    second = await hook.tried(first["id"], 2)
    assert (second["status"], second["status_code"]) == ("queued", 302)
    assert 290 < datetime.fromisoformat(second["next_attempt_at"]).timestamp() - time.time() < 331
    await hook.again(first["id"])
    third = await hook.tried(first["id"], 3)
    assert (third["status"], third["status_code"], third["error"]) == ("completed", 204, None)
    assert third["next_attempt_at"] is None
    assert (await hook.shown())["failing_since"] is None
    requests = await receiver.received(hook.path, 3)
    assert {each.headers["webhook-id"] for each in requests} == {first["event_id"]}
    assert len({each.raw for each in requests}) == 1
    assert all(signed_with(each, hook.secret) for each in requests)
    assert receiver.at("/elsewhere") == []


async def test_what_waits_keeps_no_other_waiting(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500))
    failed = await hook.tried((await hook.test())["id"])
    passing = await hook.tried((await hook.test())["id"])
    assert passing["status"] == "completed"
    assert (await hook.tried(failed["id"]))["status"] == "queued"


async def test_a_receiver_may_ask_for_a_pause(client: Client, receiver: Receiver) -> None:
    """Then its other deliveries wait too, and no other webhook."""
    hook, another = await Hook.of(client, receiver), await Hook.of(client, receiver)
    hook.answers(Script(status=503, framing="length", headers={"Retry-After": "1200"}, before_head=(0.3,)))
    first, second = await hook.test(), await hook.test()
    tried = await hook.tried(first["id"])
    assert 1150 < datetime.fromisoformat(tried["next_attempt_at"]).timestamp() - time.time() <= 1200
    await another.tried((await another.test())["id"])
    behind = next(each for each in await hook.deliveries() if each["id"] == second["id"])
    assert (behind["status"], behind["attempts"]) == ("queued", 0)
    assert 1150 < datetime.fromisoformat(behind["next_attempt_at"]).timestamp() - time.time() <= 1200


@pytest.mark.parametrize("how", [End.CLOSE, End.RESET])
async def test_a_receiver_that_hangs_up(client: Client, receiver: Receiver, how: End) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(Script(status=None, before_head=(how,)))
    tried = await hook.tried((await hook.test())["id"])
    assert (tried["status"], tried["status_code"]) == ("queued", None)
    assert "connection failed" in tried["error"]


async def test_an_answer_without_end_is_not_waited_for(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(Script(steps=[b"x" * 10_000, End.HANG]))
    assert (await hook.tried((await hook.test())["id"]))["status"] == "completed"


async def test_gone_disables_for_good(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500), says(410))
    waiting = await hook.tried((await hook.test())["id"])
    gone = await hook.tried((await hook.test())["id"])
    assert (gone["status"], gone["status_code"], gone["attempts"]) == ("failed", 410, 1)
    shown = await hook.shown()
    assert (shown["disabled"], shown["disabled_reason"]) == (True, "gone")
    assert (await hook.tried(waiting["id"], 2))["status"] == "cancelled"
    companion = await client.companion()
    await client.paint(companion["id"], **SMALL)
    assert len(await hook.deliveries()) == 2
    path = f"/api/webhooks/{hook.id}"
    refused(await client.http.post(f"{path}/deliveries/{gone['id']}/retry"), 409)
    assert (await client.http.patch(path, json={"disabled": False})).json()["disabled_reason"] is None
    resent = await hook.again(waiting["id"])
    assert resent["id"] != waiting["id"]
    assert (await hook.tried(resent["id"]))["status"] == "completed"
    assert await hook.ids() == [waiting["event_id"], gone["event_id"], waiting["event_id"]]


async def test_a_webhook_goes_while_its_receiver_says_that_it_is_gone(
    client: Client, receiver: Receiver, hub: HubServer
) -> None:
    """Both cancel what waits for it, the one behind the delivery that has just failed."""
    hook, dsn = await Hook.of(client, receiver), hub.settings["HUB_DATABASE_URL"]
    said_before = len(hub.output)
    go_on = asyncio.Event()
    hook.answers(says(500), Script(status=410, framing="length", before_head=(go_on,)))
    await hook.tried((await hook.test())["id"])
    gone = await hook.test()
    await hook.gets(2)
    database = await asyncpg.connect(dsn)
    async with database.transaction():
        await database.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", UUID(gone["id"]))
        go_on.set()
        await locked_out(dsn, 1)  # the worker has the failed job
        deleting = asyncio.create_task(client.http.delete(f"/api/webhooks/{hook.id}"))
        await locked_out(dsn, 2)
    await database.close()
    assert (await deleting).status_code == 204
    assert "DeadlockDetectedError" not in hub.output[said_before:]


@pytest.mark.parametrize(("days", "reason"), [(4, None), (6, "failing")])
async def test_what_fails_for_days_is_disabled(
    client: Client, receiver: Receiver, hub: HubServer, days: int, reason: str | None
) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500), says(500))
    failed = await hook.tried((await hook.test())["id"])
    database = hub.settings["HUB_DATABASE_URL"]
    since = "UPDATE webhooks SET failing_since = now() - $2 * interval '1 day' WHERE id = $1"
    await query(database, since, UUID(hook.id), days)
    last = "UPDATE jobs SET attempt = max_attempts - 1 WHERE id = $1"
    await query(database, last, UUID(failed["id"]))
    await hook.again(failed["id"])
    ended = await hook.tried(failed["id"], 10)
    assert (ended["status"], ended["attempts"], ended["error"]) == ("failed", 10, "HTTP 500")
    shown = await hook.shown()
    assert (shown["disabled"], shown["disabled_reason"]) == (reason is not None, reason)


async def test_a_day_after_rotation_only_the_new_secret_signs(
    client: Client, receiver: Receiver, hub: HubServer
) -> None:
    hook = await Hook.of(client, receiver)
    answer = await client.http.post(f"/api/webhooks/{hook.id}/rotate-secret")
    new = answer.json()["secret"]
    left = datetime.fromisoformat(answer.json()["old_secret_until"]).timestamp() - time.time()
    assert 23.9 * 3600 < left < 24.1 * 3600
    await hook.tried((await hook.test())["id"])
    sql = "UPDATE webhooks SET old_until = now() WHERE id = $1"
    await query(hub.settings["HUB_DATABASE_URL"], sql, UUID(hook.id))
    await hook.tried((await hook.test())["id"])
    both, one = receiver.at(hook.path)
    assert (signed_with(both, hook.secret), signed_with(both, new)) == (True, True)
    assert (signed_with(one, hook.secret), signed_with(one, new)) == (False, True)
    assert len(one.headers["webhook-signature"].split(" ")) == 1


async def test_an_event_can_be_sent_again(client: Client, receiver: Receiver) -> None:
    hook = await Hook.of(client, receiver)
    first = await hook.tried((await hook.test())["id"])
    second = await hook.again(first["id"])
    assert (second["event_id"], second["subject_id"]) == (first["event_id"], hook.id)
    await hook.tried(second["id"])
    assert await hook.ids() == [first["event_id"]] * 2
    before, after = receiver.at(hook.path)
    assert before.raw == after.raw


async def test_a_disabled_user_is_told_nothing(
    client: Client, receiver: Receiver, hub: HubServer, answers: Answers
) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500))
    waiting = await hook.tried((await hook.test())["id"])
    go_on = asyncio.Event()
    answers.give("Wait for it", reply("Done", between={0: go_on}))
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Wait for it")
    database, user = hub.settings["HUB_DATABASE_URL"], UUID(client.user["id"])
    await query(database, "UPDATE users SET disabled_at = now() WHERE id = $1", user)
    go_on.set()
    sql = "SELECT status FROM responses WHERE id = $1 AND status = 'completed'"

    async def completed() -> bool | None:
        return bool(await query(database, sql, UUID(sent["response"]["id"]))) or None

    await within(20, completed)
    now = "UPDATE jobs SET due_at = now(), published_at = NULL WHERE id = $1"
    await query(database, now, UUID(waiting["id"]))
    stands = "SELECT jobs.status FROM webhook_deliveries JOIN jobs USING (id) WHERE webhook_id = $1"

    async def ended() -> list[dict[str, Any]] | None:
        found = await query(database, stands, UUID(hook.id))
        return found if all(each["status"] not in ("queued", "in_progress") for each in found) else None

    assert await within(20, ended) == [{"status": "failed"}], "and none of the reply"
    assert len(receiver.at(hook.path)) == 1


async def test_what_is_tested_while_it_goes_is_gone(
    client: Client, receiver: Receiver, hub: HubServer
) -> None:
    hook, dsn = await Hook.of(client, receiver), hub.settings["HUB_DATABASE_URL"]
    database = await asyncpg.connect(dsn)
    async with database.transaction():
        await database.execute("DELETE FROM webhooks WHERE id = $1", UUID(hook.id))
        testing = asyncio.create_task(client.http.post(f"/api/webhooks/{hook.id}/test"))
        await locked_out(dsn, 1)
    await database.close()
    refused(await testing, 404)


@pytest.mark.parametrize("what", ["webhook", "account"])
async def test_what_is_deleted_is_told_nothing(
    client: Client, receiver: Receiver, hub: HubServer, what: str
) -> None:
    hook = await Hook.of(client, receiver)
    hook.answers(says(500), Script(status=None, before_head=(End.HANG,)))
    waiting = await hook.tried((await hook.test())["id"])
    gone = receiver.disconnects
    under_way = await hook.test()
    await receiver.received(hook.path, 2)
    if what == "webhook":
        answer = await client.http.delete(f"/api/webhooks/{hook.id}")
    else:
        answer = await client.http.post("/api/me/delete", json={"current_password": PASSWORD})
    assert answer.status_code == 204
    await receiver.wait_for(lambda: receiver.disconnects > gone)
    sql = "SELECT status FROM jobs WHERE id = ANY($1)"
    both = [UUID(waiting["id"]), UUID(under_way["id"])]
    found = await query(hub.settings["HUB_DATABASE_URL"], sql, both)
    assert [each["status"] for each in found] == ["cancelled"] * 2
    assert len(receiver.at(hook.path)) == 2
