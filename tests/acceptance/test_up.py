"""``hub up`` with everything embedded: it starts, talks, stops, and survives being killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.acceptance.conftest import Held, at
from tests.fakes.llm import FakeLLM
from tests.services.hub import Client, HubServer, Socket
from tests.services.waiting import eventually
from tests.services.world import (
    exactly_one_reply,
    kill_all,
    nothing_left,
    processes_of,
    run_hub,
    signed_in,
    within,
)

ASK = "Tell me a long story about a garden, with many details."
STOP_LIMIT = 10.0
#: Seconds in which a reply that was cut off has to be under way again; far less than the lease of 30.
SOON = 8.0


@asynccontextmanager
async def running(folder: Path, **settings: str) -> AsyncIterator[HubServer]:
    """Run ``hub up`` in a folder; whatever happens, nothing of it is left."""
    server = HubServer(folder, **settings)
    await server.start()
    try:
        yield server
    finally:
        await kill_all(server)
    assert "\x1b" not in server.output, "no colours where there is no terminal"
    assert "Traceback" not in server.output


async def stop_in_time(server: HubServer, number: signal.Signals = signal.SIGTERM) -> float:
    """Stop a hub; check its exit code and that nothing is left; return the seconds it took."""
    began = time.monotonic()
    code = await server.stop(number)
    took = time.monotonic() - began
    assert code == 0, server.output
    assert took < STOP_LIMIT
    await nothing_left(server.folder)
    return took


async def until_text(socket: Socket) -> str:
    """Receive until some of a reply has come; return the response's id."""
    while not any(socket.texts.values()):
        await socket.receive(within=60)
    return next(each for each, text in socket.texts.items() if text)


async def test_the_embedded_model_talks_and_everything_stops(data_folder: Path) -> None:
    async with running(data_folder, HUB_LLM_MAX_TOKENS="60") as server, signed_in(server) as client:
        names = " ".join(processes_of(data_folder).values())
        assert "postgres" in names
        assert "embedded_server.py" in names
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            await socket.say(conversation["id"], ASK)
            response = await socket.finished(within=90)
        text = await exactly_one_reply(client, conversation["id"], response)
        assert text == socket.texts[response["id"]]
        assert len(socket.seen("response.output_text.delta")) > 1, "it streams"
        assert response["usage"]["completion_tokens"] > 1
        health = await client.http.get("/api/health")
        assert health.status_code == 200
        assert set(health.json()["checks"].values()) == {"pass"}
        await stop_in_time(server)


async def test_it_stops_while_the_embedded_model_speaks_and_the_reply_comes_after_the_next_start(
    data_folder: Path,
) -> None:
    async with running(data_folder, HUB_LLM_MAX_TOKENS="60") as server, signed_in(server) as client:
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            await socket.say(conversation["id"], ASK)
            response_id = await until_text(socket)
            await stop_in_time(server)
    async with running(data_folder, HUB_LLM_MAX_TOKENS="60") as server, signed_in(server, client) as client:
        response = await client.ended(response_id, within=90)
        await exactly_one_reply(client, conversation["id"], response)


async def close_code(socket: Socket) -> int:
    """Receive until the server closes the socket, and return why it did."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await socket.receive(within=5)
    assert socket.connection.close_code is not None
    return socket.connection.close_code


@asynccontextmanager
async def watching(client: Client, response_id: str) -> AsyncIterator[asyncio.Task[str]]:
    """Watch a response as Server-Sent Events until the server ends the stream; yield the reading task."""
    path = f"/api/responses/{response_id}/events"
    begun = asyncio.Event()

    async def read() -> str:
        text = ""
        async with client.http.stream("GET", path) as events:
            with contextlib.suppress(Exception):  # the server may cut it at any byte
                async for piece in events.aiter_text():
                    text += piece
                    begun.set()
        return text

    task = asyncio.create_task(read())
    async with asyncio.timeout(10):
        await begun.wait()
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("signalled", ["SIGTERM", "Ctrl-C"])
async def test_clients_that_stay_do_not_delay_the_end_and_the_work_is_handed_over(
    data_folder: Path, fake: FakeLLM, signalled: str
) -> None:
    settings = at(fake)
    held = Held()
    fake.script(held.script)
    async with running(data_folder, **settings) as server, signed_in(server) as client:
        conversation = await client.conversation()
        async with client.socket() as idle, client.socket() as socket:
            await socket.subscribe(conversation["id"])
            await socket.say(conversation["id"], "Hello")
            response_id = await until_text(socket)
            async with watching(client, response_id) as events:
                if signalled == "Ctrl-C":
                    os.killpg(server.pid, signal.SIGINT)
                    os.killpg(server.pid, signal.SIGINT)  # people press it twice
                took = await stop_in_time(server)
                assert "response.in_progress" in await events
            assert took < 8, "well within the limit"
            for each in (idle, socket):
                assert await close_code(each) == 1012
    async with running(data_folder, **settings) as server, signed_in(server, client) as client:
        response = await client.ended(response_id, within=SOON)
        assert response["attempt"] == 2
        await exactly_one_reply(client, conversation["id"], response)


@pytest.mark.parametrize("killed", ["everything", "hub only"])
async def test_a_kill_in_the_middle_of_a_reply_ends_with_exactly_one_reply(
    data_folder: Path, fake: FakeLLM, killed: str
) -> None:
    settings = at(fake)
    fake.script(Held().script)
    async with running(data_folder, **settings) as server, signed_in(server) as client:
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            await socket.say(conversation["id"], "Hello")
            response_id = await until_text(socket)
            if killed == "everything":
                await kill_all(server)
            else:
                os.kill(server.pid, signal.SIGKILL)
                await nothing_left(data_folder, within=10)
    async with running(data_folder, **settings) as server, signed_in(server, client) as client:
        response = await client.ended(response_id, within=SOON)
        assert response["attempt"] == 2
        await exactly_one_reply(client, conversation["id"], response)
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"], after=1)
            added = await socket.expect("conversation.item.added")
            assert added["item"]["content"] == response["output_text"]


def postmaster(folder: Path) -> int:
    return int((folder / "data/postgres/data/postmaster.pid").read_text().splitlines()[0])


async def test_a_killed_database_comes_back_by_itself(data_folder: Path, fake: FakeLLM) -> None:
    held = Held()
    async with running(data_folder, **at(fake)) as server, signed_in(server) as client:
        conversation = await client.conversation()
        async with client.socket() as socket:
            await socket.subscribe(conversation["id"])
            fake.script(held.script)
            await socket.say(conversation["id"], "Hello")
            response_id = await until_text(socket)
            os.kill(postmaster(data_folder), signal.SIGKILL)
            held.go.set()  # the reply ends while there is no database
            response = await socket.finished(within=20)
            assert response["id"] == response_id
        await exactly_one_reply(client, conversation["id"], response)
        assert server.output.count("started again") == 1
        os.kill(postmaster(data_folder), signal.SIGKILL)  # and once more, while all is quiet
        await eventually(lambda: server.output.count("started again") == 2, seconds=10)
        # The last processes of the server that was killed may still answer, and then end.
        second = await within(10, lambda: begun(client))
        sent = await client.send(second["id"], "Still there?")
        assert (await client.ended(sent["response"]["id"]))["status"] == "completed"
        await stop_in_time(server)


async def begun(client: Client) -> dict[str, Any] | None:
    """Begin a conversation, if the server can just now; a 503 says to try again."""
    companion = await client.http.post("/api/companions", json={"name": "Mira", "description": "A botanist."})
    if companion.status_code == 503:
        return None
    body = {"companion_id": companion.json()["id"]}
    answer = await client.http.post("/api/conversations", json=body)
    return dict(answer.json()) if answer.status_code == 201 else None


async def test_a_signal_during_the_start_ends_it(data_folder: Path) -> None:
    server = HubServer(data_folder, HUB_DATABASE_URL="postgresql://hub:hub@127.0.0.1:1/hub")
    server.launch()
    try:
        await server.wait_for("embedded model ready")  # what it waits for now is a database that is not there
        assert await stop_in_time(server) < 5
        assert "Traceback" not in server.output
    finally:
        await kill_all(server)


async def test_commands_beside_a_running_hub(data_folder: Path, fake: FakeLLM) -> None:
    async with running(data_folder, **at(fake)) as server:
        migrated = await run_hub(data_folder, "migrate")
        assert (migrated.code, migrated.out) == (0, "The database is up to date.\n")
        words = ("admin", "create", "Boss@Example.org", "--password-stdin")
        made = await run_hub(data_folder, *words, given="a password of an operator\n")
        assert (made.code, made.out) == (0, "boss <Boss@Example.org> is an administrator.\n")
        again = await run_hub(data_folder, *words, given="a password of an operator\n")
        assert again.code == 1
        assert again.err.startswith("hub: The administrator was not created.")
        assert len(again.err.splitlines()) == 1
        client = Client(server.url)
        answer = await client.http.post(
            "/api/auth/login", json={"login": "boss@example.org", "password": "a password of an operator"}
        )
        assert answer.json()["user"]["role"] == "admin"
        await client.close()
        await stop_in_time(server)


async def test_a_command_that_was_there_first_may_leave_first(data_folder: Path, fake: FakeLLM) -> None:
    """A command starts the database, the hub joins it, the command ends: the hub has a database still."""
    words = ("admin", "create", "second@example.org", "--password-stdin")
    command = HubServer(data_folder, "web", **at(fake))
    await command.start()
    try:
        async with running(data_folder, **at(fake)) as server:
            assert await command.stop() == 0
            await server.wait_for("started again", within=10)
            async with signed_in(server) as client:
                conversation = await client.conversation()
                sent = await client.send(conversation["id"], "Hello")
                assert (await client.ended(sent["response"]["id"]))["status"] == "completed"
            assert (await run_hub(data_folder, *words, given="a password\n")).code == 0
            await stop_in_time(server)
    finally:
        command.close()


async def test_a_long_path(tmp_path: Path, fake: FakeLLM) -> None:
    folder = tmp_path / ("a long name " * 5) / ("and one more below it " * 3)
    folder.mkdir(parents=True)
    assert len(str(folder / "data")) > 120
    async with running(folder, **at(fake)) as server, signed_in(server) as client:
        conversation = await client.conversation()
        sent = await client.send(conversation["id"], "Hello")
        response = await client.ended(sent["response"]["id"])
        assert await exactly_one_reply(client, conversation["id"], response)
        pid = postmaster(folder)
        os.kill(pid, signal.SIGKILL)
        await server.wait_for("started again", within=10)
        assert (await client.response(response["id"])) == response
        await stop_in_time(server)
