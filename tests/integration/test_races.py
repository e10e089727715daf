"""Two at once on the same rows: what each side is told, and what is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
import websockets

from tests.fakes.llm_script import error, reply
from tests.integration.conftest import Answers
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.refusals import refused


@pytest.fixture
async def database(hub: HubServer) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection to the shared hub's database, for somebody who gets in the way."""
    connection = await asyncpg.connect(hub.settings["HUB_DATABASE_URL"])
    yield connection
    await connection.close()


async def wait_until_blocked(database: asyncpg.Connection) -> None:
    """Wait until another connection waits for a lock that this one holds."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    deadline = time.monotonic() + 10
    while not await database.fetchval(blocked):
        assert time.monotonic() < deadline, "nobody waits"
        await asyncio.sleep(0.01)
        await database.execute("SELECT pg_stat_clear_snapshot()")  # else new connections are not seen


async def test_a_cancel_that_comes_just_before_the_end_keeps_every_word_that_was_told(
    client: Client, answers: Answers, database: asyncpg.Connection
) -> None:
    go_on = asyncio.Event()
    answers.give("Nearly done", reply(["The beginning", " and the end"], between={1: go_on}))
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Nearly done")
        response_id = await socket.reads("The beginning")
        async with database.transaction():
            job_id = await database.fetchval("SELECT job_id FROM responses WHERE id = $1", UUID(response_id))
            await database.execute("SELECT FROM jobs WHERE id = $1 FOR UPDATE", job_id)
            go_on.set()
            await wait_until_blocked(database)  # the worker wants to end it well
            await database.execute(
                "UPDATE jobs SET status = 'cancelled', completed_at = now() WHERE id = $1", job_id
            )
            await database.execute(
                "UPDATE responses SET status = 'cancelled', completed_at = now() WHERE id = $1",
                UUID(response_id),
            )
        told = await socket.finished()
        assert told["status"] == "cancelled"
        assert told["output_text"] == "The beginning and the end" == socket.texts[response_id]
    assert len(await client.messages(conversation["id"])) == 1


async def test_a_deadlock_is_worth_trying_again(client: Client, database: asyncpg.Connection) -> None:
    conversation = await client.conversation()
    identifier = UUID(conversation["id"])
    await database.execute(
        "INSERT INTO jobs (id, kind, lane, subject_id, request_id, due_at)"
        " VALUES (gen_random_uuid(), 'reply', $1, gen_random_uuid(), '', now() + interval '1 hour')",
        f"conversation:{identifier}",
    )
    async with database.transaction():
        await database.execute("SELECT FROM conversations WHERE id = $1 FOR UPDATE", identifier)
        deleting = asyncio.create_task(client.http.delete(f"/api/conversations/{identifier}"))
        await wait_until_blocked(database)  # it has the job, and wants the conversation
        await database.execute("SELECT FROM jobs WHERE lane = $1 FOR UPDATE", f"conversation:{identifier}")
        answer = await deleting  # PostgreSQL ends whoever has waited longer
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"]
    assert (await client.http.delete(f"/api/conversations/{identifier}")).status_code == 204


async def test_a_retry_goes_on_from_the_attempt_that_was_really_the_last(
    client: Client, answers: Answers, database: asyncpg.Connection
) -> None:
    answers.give("Once more", error(400, "no"))
    conversation = await client.conversation()
    response_id = (await client.send(conversation["id"], "Once more"))["response"]["id"]
    assert (await client.ended(response_id))["attempt"] == 1
    async with database.transaction():
        # As if somebody else's retries had begun and failed between this one's look and its step.
        await database.execute("UPDATE responses SET attempt = 3 WHERE id = $1", UUID(response_id))
        retrying = asyncio.create_task(client.http.post(f"/api/responses/{response_id}/retry"))
        await wait_until_blocked(database)
    assert (await retrying).status_code == 202
    ended = await client.ended(response_id)
    assert (ended["status"], ended["attempt"]) == ("completed", 4)


async def test_a_login_with_the_old_password_does_not_outlive_its_change(
    client: Client, database: asyncpg.Connection
) -> None:
    user_id = UUID(client.user["id"])
    async with database.transaction():
        await database.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", user_id)
        body = {"login": client.user["username"], "password": PASSWORD}
        signing_in = asyncio.create_task(client.http.post("/api/auth/login", json=body))
        await wait_until_blocked(database)  # the password was right
        await database.execute("UPDATE users SET password_hash = 'another' WHERE id = $1", user_id)
        await database.execute("DELETE FROM tokens WHERE user_id = $1", user_id)
    problem = refused(await signing_in, 401)
    assert problem["type"] == "/problems/wrong-login"
    assert not await database.fetchval("SELECT count(*) FROM tokens WHERE user_id = $1", user_id)


async def test_a_socket_that_comes_while_the_database_goes_is_told_to_come_again(
    client: Client, hub: HubServer, database: asyncpg.Connection
) -> None:
    address = client.url.replace("http", "ws", 1) + "/api/ws"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with database.transaction():
        await database.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
        async with websockets.connect(address, additional_headers=headers) as connection:
            await wait_until_blocked(database)
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            async with asyncio.timeout(5):
                await connection.wait_closed()
    assert connection.close_code == 1012
    assert "database unavailable for a socket" in hub.output
