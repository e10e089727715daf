"""Deleting an account: all that is theirs goes, and nothing that is somebody else's."""

from __future__ import annotations

from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, reply
from tests.integration.conftest import Answers
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.refusals import refused
from tests.services.routes import Home
from tests.services.world import query


async def test_a_wrong_password_deletes_nothing(client: Client) -> None:
    home = await Home.of(client)
    before = await home.everything()
    refused(await client.http.post("/api/me/delete", json={"current_password": "wrong one"}), 403)
    assert await home.everything() == before


async def test_everything_of_the_account_goes(client: Client, other: Client, hub: HubServer) -> None:
    mine, theirs = await Home.of(client), await Home.of(other)
    before = await theirs.everything()
    async with client.socket() as socket:
        answer = await client.http.post("/api/me/delete", json={"current_password": PASSWORD})
        assert answer.status_code == 204
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 4401
    refused(await client.http.get("/api/me"), 401)
    body = {"login": client.user["username"], "password": PASSWORD}
    refused(await client.http.post("/api/auth/login", json=body), 401)
    database = hub.settings["HUB_DATABASE_URL"]
    for table in ("companions", "conversations", "tokens", "images"):
        sql = f"SELECT count(*) FROM {table} WHERE user_id = $1"
        assert (await query(database, sql, client.user["id"]))[0]["count"] == 0
    waiting = "SELECT count(*) FROM image_removals WHERE companion_id = $1"
    assert (await query(database, waiting, mine.ids["companion_id"]))[0]["count"] == 2, "the collector knows"
    assert await theirs.everything() == before


async def test_a_reply_under_way_leaves_the_model(client: Client, llm: FakeLLM, answers: Answers) -> None:
    answers.give("Tell me all", reply(["Half of it", " and more"], between={1: End.HANG}))
    conversation = await client.conversation()
    gone = llm.disconnects
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Tell me all")
        await socket.reads("Half of it")
        body = {"current_password": PASSWORD}
        assert (await client.http.post("/api/me/delete", json=body)).status_code == 204
        await llm.wait_for_disconnects(gone + 1, within=2)
