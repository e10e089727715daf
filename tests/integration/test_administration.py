"""What administrators do: users, and who may register."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from hub.jobs.contracts import JobKind
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import End, reply, status
from tests.integration.conftest import Answers
from tests.services.fixtures import migrated_database
from tests.services.hub import PASSWORD, Client, HubServer, llm_settings
from tests.services.people import promote
from tests.services.refusals import pointers, refused

USER = {"id", "username", "email", "display_name", "role", "disabled_at", "created_at", "last_seen_at"}


@pytest.fixture
async def admin(hub: HubServer) -> AsyncIterator[Client]:
    user = await promote(hub, await Client(hub.url).register())
    yield user
    await user.close()


def account(**fields: Any) -> dict[str, Any]:
    name = f"n_{secrets.token_hex(5)}"
    return {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **fields}


async def change(admin: Client, user: Client, **fields: Any) -> Response:
    return await admin.http.patch(f"/api/admin/users/{user.user['id']}", json=fields)


async def test_users_are_listed_and_found(admin: Client, client: Client, other: Client) -> None:
    page = (await admin.http.get("/api/admin/users?limit=2")).json()
    assert [each["id"] for each in page["items"]] == [other.user["id"], client.user["id"]]
    assert set(page["items"][0]) == USER
    assert PASSWORD not in str(page)
    following = (await admin.http.get(f"/api/admin/users?limit=1&cursor={page['next_cursor']}")).json()
    assert [each["id"] for each in following["items"]] == [admin.user["id"]]
    shown = (await admin.http.get(f"/api/admin/users/{client.user['id']}")).json()
    assert {name: shown[name] for name in client.user} == client.user
    for query in (client.user["username"], client.user["email"].upper(), client.user["username"][:-1]):
        found = (await admin.http.get("/api/admin/users", params={"query": query})).json()["items"]
        assert client.user["id"] in {each["id"] for each in found}, query
    for query in ("%", "_", client.user["username"][1:], "nobody at all"):
        found = (await admin.http.get("/api/admin/users", params={"query": query})).json()["items"]
        assert found == [], query
    refused(await admin.http.get("/api/admin/users", params={"query": "a\0"}), 400)


async def test_jobs_are_counted_and_failures_have_no_texts(
    admin: Client, client: Client, answers: Answers
) -> None:
    held = asyncio.Event()
    answers.give("canary-held", reply(["Half of it", " and more"], between={1: held}))
    answers.give("canary-refused", status(400, "canary of the model"))
    talk = await client.conversation()
    failed = await client.send(talk["id"], "canary-refused")
    ended = await client.ended(failed["response"]["id"])
    assert ended["status"] == "failed"
    async with client.socket() as socket:
        await socket.subscribe(talk["id"])
        await socket.say(talk["id"], "canary-held")
        running = await socket.reads("Half of it")
    await client.send(talk["id"], "canary-waiting")
    found = (await admin.http.get("/api/admin/jobs")).json()
    kinds = {kind.pop("kind"): kind for kind in found["kinds"]}
    assert set(kinds) == set(JobKind)
    replies = kinds["reply"]
    assert min(replies[each] for each in ("queued", "in_progress", "failed")) >= 1, replies
    assert replies["oldest_wait_seconds"] >= 0
    assert all(set(each) == {"id", "kind", "failed_at", "error_code"} for each in found["failures"])
    assert ended["error"]["code"] in {each["error_code"] for each in found["failures"]}
    assert "canary" not in str(found)
    assert (await admin.http.get("/api/admin/jobs?failures=0")).json()["failures"] == []
    refused(await admin.http.get("/api/admin/jobs?failures=101"), 400)
    held.set()
    assert (await client.ended(running))["status"] == "completed"


async def test_disabling_ends_all_and_enabling_lets_sign_in_again(
    admin: Client, client: Client, llm: FakeLLM, answers: Answers
) -> None:
    for said in ("Tell me all", "Think aloud"):
        answers.give(said, reply(["Half of it", " and more"], between={1: End.HANG}))
    conversation = await client.conversation()
    gone = llm.disconnects
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        await socket.say(conversation["id"], "Tell me all")
        response_id = await socket.reads("Half of it")
        waiting = (await client.send(conversation["id"], "And then?"))["response"]["id"]
        model = f"companion/{conversation['companion_id']}"
        asked = {"model": model, "input": "Think aloud", "background": True}
        thinking = (await client.http.post("/v1/responses", json=asked)).json()["id"]
        answer = await change(admin, client, disabled=True)
        assert answer.json()["disabled_at"] is not None
        async with asyncio.timeout(5):
            await socket.connection.wait_closed()
        assert socket.connection.close_code == 4401
    await llm.wait_for_disconnects(gone + 1, within=5)
    refused(await client.http.get("/api/me"), 401)
    body = {"login": client.user["username"], "password": PASSWORD}
    problem = refused(await client.http.post("/api/auth/login", json=body), 403)
    assert problem["type"] == "/problems/account-disabled"
    first = answer.json()["disabled_at"]
    assert (await change(admin, client, disabled=True)).json()["disabled_at"] == first
    assert (await change(admin, client, disabled=False)).json()["disabled_at"] is None
    refused(await client.http.get("/api/me"), 401)
    client.use((await client.http.post("/api/auth/login", json=body)).json()["access_token"])
    for each in (response_id, waiting):
        assert (await client.response(each))["status"] == "cancelled"
    assert (await client.http.get(f"/v1/responses/{thinking}")).json()["status"] == "cancelled"
    retried = await client.http.post(f"/api/responses/{waiting}/retry")
    assert (await client.ended(retried.json()["id"]))["status"] == "completed"


async def test_roles_are_given_and_taken(admin: Client, client: Client) -> None:
    refused(await client.http.get("/api/admin/users"), 403)
    assert (await change(admin, client, role="admin")).json()["role"] == "admin"
    assert (await client.http.get("/api/admin/users?limit=1")).status_code == 200
    assert (await change(client, admin, role="user")).json()["role"] == "user"
    refused(await admin.http.get("/api/admin/users"), 403)
    assert (await change(client, client)).json()["role"] == "admin", "nothing asked, nothing changed"
    for fields in ({"role": "owner"}, {"disabled": "yes"}, {"email": "x@example.org"}):
        refused(await change(client, admin, **fields), 400)


async def test_an_administrator_sees_nothing_of_what_others_make(admin: Client, client: Client) -> None:
    companion = await client.companion(name="Zephyrine")
    refused(await admin.http.get(f"/api/companions/{companion['id']}"), 404)
    for path in ("/api/companions", f"/api/admin/users/{client.user['id']}", "/api/admin/users"):
        assert "Zephyrine" not in (await admin.http.get(path)).text


# Registration


@pytest.fixture(scope="module")
async def private(
    postgres: str, llm: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub where nobody registers without an invite."""
    server = HubServer(
        tmp_path_factory.mktemp("private"),
        "web",
        HUB_DATABASE_URL=await migrated_database(postgres),
        HUB_REGISTRATION="invite",
        **llm_settings(llm.url),
    )
    await server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
async def boss(private: HubServer) -> AsyncIterator[Client]:
    """Yield its only administrator, made by the set-up link."""
    boss = Client(private.url)
    token = re.findall(r"/setup\?token=(\S+)", private.output)[-1]
    form = {"token": token, "username": "boss", "email": "boss@example.org", "password": PASSWORD}
    made = await boss.http.post("/setup", data=form)
    assert made.status_code == 303, made.text
    signed_in = await boss.http.post("/api/auth/login", json={"login": "boss", "password": PASSWORD})
    boss.user = signed_in.json()["user"]
    boss.use(signed_in.json()["access_token"])
    yield boss
    await boss.close()


@pytest.fixture
async def anyone(private: HubServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=private.url, timeout=30) as http:
        yield http


async def invite(boss: Client, **fields: Any) -> dict[str, Any]:
    answer = await boss.http.post("/api/admin/invites", json=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_an_invite_lets_one_in(boss: Client, anyone: AsyncClient) -> None:
    problem = refused(await anyone.post("/api/auth/register", json=account()), 403)
    assert problem["type"] == "/problems/invite-required"
    made = await invite(boss, note="For Ida")
    code = made.pop("code")
    life = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6.9) < life <= timedelta(days=7)
    assert (made["created_by"], made["hint"]) == (boss.user["id"], code[-4:])
    listed = (await boss.http.get("/api/admin/invites")).json()["items"]
    assert made in listed
    assert code not in str(listed)
    taken = account(invite=code, email="boss@example.org")
    refused(await anyone.post("/api/auth/register", json=taken), 409)  # which does not use it up
    assert (await anyone.post("/api/auth/register", json=account(invite=code))).status_code == 201
    problem = refused(await anyone.post("/api/auth/register", json=account(invite=code)), 403)
    assert problem["type"] == "/problems/invite-invalid"
    assert made not in (await boss.http.get("/api/admin/invites")).json()["items"]


async def test_of_many_with_one_invite_one_gets_in(boss: Client, anyone: AsyncClient) -> None:
    code = (await invite(boss))["code"]
    answers = await asyncio.gather(
        *(anyone.post("/api/auth/register", json=account(invite=code)) for _ in range(6))
    )
    assert sorted(each.status_code for each in answers) == [201] + [403] * 5


async def test_an_invite_that_is_none_tells_nobody_who_is_here(boss: Client, anyone: AsyncClient) -> None:
    withdrawn = await invite(boss)
    path = f"/api/admin/invites/{withdrawn['id']}"
    assert (await boss.http.delete(path)).status_code == 204
    refused(await boss.http.delete(path), 404)
    session = boss.token
    for code in (withdrawn["code"], "x", "\0", "chub_invite_" + "0" * 43, session):
        for username in ("boss", "nobody_at_all"):
            given = account(invite=code, username=username)
            problem = refused(await anyone.post("/api/auth/register", json=given), 403)
            assert problem["type"] == "/problems/invite-invalid"
    refused(await anyone.get("/api/me", headers={"x-api-key": withdrawn["code"]}), 401)
    past = {"expires_at": "2020-01-01T00:00:00Z"}
    assert pointers(refused(await boss.http.post("/api/admin/invites", json=past), 400)) == {"/expires_at"}


@pytest.mark.parametrize("fields", [{"disabled": True}, {"role": "user"}])
async def test_who_is_no_administrator_any_more_has_invited_nobody(
    boss: Client, anyone: AsyncClient, fields: dict[str, Any]
) -> None:
    body = account(invite=(await invite(boss))["code"])
    signed_in = (await anyone.post("/api/auth/register", json=body)).json()
    path = f"/api/admin/users/{signed_in['user']['id']}"
    assert (await boss.http.patch(path, json={"role": "admin"})).status_code == 200
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    made = (await anyone.post("/api/admin/invites", json={}, headers=headers)).json()
    assert (await boss.http.patch(path, json=fields)).status_code == 200
    problem = refused(await anyone.post("/api/auth/register", json=account(invite=made["code"])), 403)
    assert problem["type"] == "/problems/invite-invalid"
    listed = (await boss.http.get("/api/admin/invites")).json()["items"]
    assert made["id"] not in {each["id"] for each in listed}
    assert (await boss.http.patch(path, json={"role": "user", "disabled": False})).status_code == 200


async def test_the_last_administrator_does_not_leave(boss: Client, anyone: AsyncClient) -> None:
    body = account(invite=(await invite(boss))["code"])
    signed_in = (await anyone.post("/api/auth/register", json=body)).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    path = f"/api/admin/users/{signed_in['user']['id']}"
    for fields in ({}, {"role": "admin", "disabled": True}):
        assert (await boss.http.patch(path, json=fields)).status_code == 200
        leaving = await boss.http.post("/api/me/delete", json={"current_password": PASSWORD})
        assert refused(leaving, 409)["type"] == "/problems/last-administrator", "nobody else can sign in"
    assert (await boss.http.patch(path, json={"disabled": False})).status_code == 200
    body = {"login": signed_in["user"]["username"], "password": PASSWORD}
    headers["Authorization"] = (
        f"Bearer {(await anyone.post('/api/auth/login', json=body)).json()['access_token']}"
    )
    leaving = await anyone.post("/api/me/delete", json={"current_password": PASSWORD}, headers=headers)
    assert leaving.status_code == 204, "one of two may go"


async def test_the_last_administrator_stays(boss: Client, anyone: AsyncClient, private: HubServer) -> None:
    for fields in ({"disabled": True}, {"role": "user"}, {"disabled": True, "role": "user"}):
        problem = refused(await change(boss, boss, **fields), 409)
        assert problem["type"] == "/problems/last-administrator"
    second = Client(private.url)
    body = account(invite=(await invite(boss))["code"])
    signed_in = (await anyone.post("/api/auth/register", json=body)).json()
    second.user = signed_in["user"]
    second.use(signed_in["access_token"])
    assert (await change(boss, second, role="admin")).status_code == 200
    answers = await asyncio.gather(
        change(boss, second, disabled=True), change(second, boss, disabled=True), return_exceptions=False
    )
    assert 200 in {each.status_code for each in answers}
    assert {each.status_code for each in answers} <= {200, 401, 403, 409}
    assert sum(each.status_code == 200 for each in answers) == 1, "one of them is left"
    winner, loser = (boss, second) if answers[0].status_code == 200 else (second, boss)
    assert (await change(winner, loser, disabled=False)).status_code == 200
    body = {"login": loser.user["username"], "password": PASSWORD}
    loser.use((await anyone.post("/api/auth/login", json=body)).json()["access_token"])
    await second.close()


async def test_where_registration_is_closed_no_invite_helps(boss: Client, private: HubServer) -> None:
    code = (await invite(boss))["code"]
    await private.stop()
    private.settings["HUB_REGISTRATION"] = "closed"
    await private.start()
    async with AsyncClient(base_url=private.url, timeout=30) as http:
        for body in (account(), account(invite=code), account(username="boss")):
            problem = refused(await http.post("/api/auth/register", json=body), 403)
            assert problem["type"] == "/problems/registration-closed"
        signed_in = await http.post("/api/auth/login", json={"login": "boss", "password": PASSWORD})
        assert signed_in.status_code == 200
