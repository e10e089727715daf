"""No text, token or password that goes in or comes out is in any log."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import websockets

from tests.acceptance.conftest import at
from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import answer, error, reply, status, stream
from tests.services.hub import Client, HubServer
from tests.services.world import embedded_dsn, kill_all, query, run_hub

TRIPWIRE = "ALTER TABLE messages ADD CONSTRAINT tripwire CHECK (content NOT LIKE 'tripwire%') NOT VALID"
CLEAN_UP = (
    "ALTER TABLE messages DROP CONSTRAINT IF EXISTS tripwire",
    "DELETE FROM users WHERE email LIKE 'canary%'",
)


class Canaries:
    """Gives out words that are in nothing else, and knows them all."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self._numbers: Iterator[int] = itertools.count(1)

    def __call__(self, what: str) -> str:
        """Return a new canary; ``what`` says in a failure which one it was."""
        canary = f"canary{next(self._numbers)}{what}x"
        self.given.append(canary)
        return canary

    def know(self, secret: str) -> str:
        """Take a secret that somebody else made."""
        self.given.append(secret)
        return secret

    def in_text(self, text: str) -> list[str]:
        """Return those that stand in a text."""
        return [each for each in self.given if each in text]


async def use_http(client: Client, canary: Canaries) -> None:
    """Put canaries in everything that comes in over HTTP, right and wrong."""
    http = client.http
    account = {
        "username": "canary_bird",
        "email": f"{canary('email')}@example.org",
        "password": canary("password"),
        "display_name": canary("display"),
    }
    registered = await http.post("/api/auth/register", json=account)
    assert registered.status_code == 201
    client.use(canary.know(registered.json()["access_token"]))
    await http.post("/api/auth/register", json=account)
    await http.post("/api/auth/login", json={"login": account["email"], "password": canary("wrongpass")})
    await http.post("/api/auth/login", json={"login": canary("nobody"), "password": canary("nopass")})
    for body in (
        f'{{"password": "{canary("broken")}',
        f'["{canary("list")}"]',
        f'{{"{canary("field")}": 1}}',
    ):
        await http.post("/api/auth/login", content=body, headers={"Content-Type": "application/json"})
    passwords = {"current_password": canary("current"), "new_password": canary("new")}
    await http.post("/api/me/password", json=passwords)
    await http.get("/api/companions", params={"cursor": canary("cursor"), "limit": canary("limit")})
    await http.get("/api/me", headers={"Authorization": f"Bearer {canary('bearer')}"})
    await http.get("/api/me", headers={"Authorization": f"Basic {canary('basic')}"})
    await http.get(
        "/api/me", headers={"x-api-key": canary("apikey"), "Cookie": f"session={canary('cookie')}"}
    )
    made = await http.post("/api/me/tokens", json={"name": canary("program"), "scopes": ["read"]})
    token = canary.know(made.json()["token"])
    await http.get("/api/me", headers={"x-api-key": token, "Authorization": ""})
    await http.get(f"/api/me/tokens/{token}")  # where no token belongs
    await http.post("/api/me/tokens", json={"name": canary("bad"), "scopes": [canary("scope")]})
    await http.post("/api/auth/register", json={**account, "invite": canary("invite")})
    await http.get("/setup", params={"token": canary("setuplink")})
    await http.post("/setup", data={"token": canary("setup"), "password": canary("setuppass")})


async def talk(client: Client, fake: FakeLLM, canary: Canaries) -> str:
    """Put canaries into companions, messages, replies and the model's errors; return a conversation's id."""
    companion = await client.companion(
        name=canary("name"),
        description=canary("description"),
        appearance=canary("appearance"),
        user_appearance=canary("userappearance"),
        default_outfit=canary("outfit"),
        greeting=canary("greeting"),
    )
    await client.http.patch(f"/api/companions/{companion['id']}", json={"name": canary("rename")})
    conversation = await client.conversation(companion["id"])
    path = f"/api/conversations/{conversation['id']}"
    await client.http.patch(path, json={"title": canary("title")})
    fake.script(
        reply([canary("reply"), " and ", canary("reply")]),
        error(400, canary("error400")),
        error(401, canary("error401"), code=canary("code")),
        status(500, canary("error500")),
        reply(canary("retried")),
        stream(f"data: {{{canary('nonsense')}\n\n".encode()),
        reply(canary("retried")),
        status(200, canary("html"), content_type="text/html"),
    )
    for name in ("message", "bad", "key", "down", "nonsense", "html"):
        sent = await client.send(
            conversation["id"], canary(name), **{"Idempotency-Key": canary("idempotent")}
        )
        await client.ended(sent["response"]["id"])
    await client.http.post(f"{path}/messages", json={"content": canary("extra"), "more": canary("extra")})
    await client.http.post(f"{path}/messages", json={"content": canary("nul") + "\0"})
    await client.http.post(f"{path}/messages", json={"content": canary("long") * 1000})
    refused = await client.http.post(f"{path}/messages", json={"content": f"tripwire {canary('tripwire')}"})
    assert refused.status_code == 500, "a defect of ours, with a traceback in the log"
    return str(conversation["id"])


async def have_painted(client: Client, painter: FakeA1111, canary: Canaries) -> None:
    """Put canaries into prompts, the image server's answers and its errors, and into the scene."""
    companion = await client.companion(appearance=canary("looks"))
    path = f"/api/companions/{companion['id']}"
    await client.http.patch(path, json={"scene": {"outfit": canary("coat"), "location": canary("place")}})
    painter.script(
        status(422, {"detail": canary("error422")}),
        status(200, {"images": [canary("nopicture")], "info": canary("info")}),
    )
    for _ in range(2):
        job = await client.ask_image(
            companion["id"], prompt=canary("prompt"), negative_prompt=canary("negative")
        )
        assert (await client.done(job["id"]))["status"] == "failed"
    conversation = await client.conversation(companion["id"])
    sent = await client.send_for_image(conversation["id"], canary("moment"))
    response = await client.ended(sent["response"]["id"])
    assert (await client.done(response["image_job_id"]))["status"] == "completed"


async def use_sockets(client: Client, conversation_id: str, canary: Canaries) -> None:
    """Put canaries into tickets and frames."""
    ticket = await client.http.post("/api/ws-tickets")
    assert ticket.status_code in (200, 201)
    address = client.url.replace("http", "ws", 1) + "/api/ws?ticket="
    async with websockets.connect(address + canary.know(ticket.json()["ticket"])) as socket:
        await socket.recv()
    async with websockets.connect(address + canary("ticket")) as socket:
        await socket.wait_closed()
    async with client.socket() as socket:
        await socket.subscribe(conversation_id)
        await socket.say(conversation_id, canary("said"), event_id=canary("event"))
        await socket.finished()
        await socket.say(conversation_id, f"tripwire {canary('tripwire')}")
        await socket.expect("error")
        for frame in (
            f"no json {canary('frame')}",
            f'{{"type": "{canary("type")}"}}',
            f'["{canary("array")}"]',
        ):
            await socket.connection.send(frame)
            await socket.expect("error")
        await socket.connection.send(canary("binary").encode())
        await socket.connection.wait_closed()


@pytest.fixture
async def painter() -> AsyncIterator[FakeA1111]:
    async with FakeA1111() as server:
        yield server


async def test_canaries_in_every_input(data_folder: Path, fake: FakeLLM, painter: FakeA1111) -> None:
    canary = Canaries()
    fake.analysis = lambda _: answer(f'{{"outfit": "{canary("found")}", "mood": "{canary("mood")}"}}')
    settings = {
        **at(fake),
        "HUB_SCENE_ANALYSIS": "both",
        "HUB_SD_URL": painter.url,
        "HUB_SD_KEY": canary("sdkey"),
        "HUB_CONTENT_POLICY": f"kind and {canary('policy')}",
        "HUB_LLM_KEY": canary("llmkey"),
        "HUB_SECRET_KEY": canary("secretkey") * 3,
        "HUB_LOG_LEVEL": "debug",
    }
    server = HubServer(data_folder, **settings)
    await server.start()
    dsn = embedded_dsn(data_folder)
    canary.know((data_folder / "data/postgres/password").read_text().strip())
    try:
        for statement in CLEAN_UP:
            await query(dsn, statement)
        await query(dsn, TRIPWIRE)
        client = Client(server.url)
        await use_http(client, canary)
        await use_sockets(client, await talk(client, fake, canary), canary)
        await have_painted(client, painter, canary)
        await client.http.post("/api/auth/logout")
        await client.close()
        words = ("admin", "create", f"{canary('admin')}@example.org", "--password-stdin")
        created = await run_hub(data_folder, *words, given=canary("adminpass") + "\n", **settings)
        assert await server.stop() == 0
    finally:
        await kill_all(server)
    assert canary.in_text(server.output) == []
    assert canary.in_text((data_folder / "data/postgres/server.log").read_text()) == []
    assert canary.in_text(created.output) == [words[2].partition("@")[0]], "it answers the one who asked"
    assert len(canary.given) > 50
    assert len(server.output) > 10_000, "it did log"
    for message in (
        "message received",
        "reply failed",
        "request failed",
        "context analysis completed",
        "LLM response generation completed",
        "image failed",
        "image generation completed and uploaded",
    ):
        assert message in server.output
