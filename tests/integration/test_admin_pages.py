"""The pages for administrators: what they show, what they do, and that nobody else sees them."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.people import promote
from tests.services.refusals import refused
from tests.services.world import query

LOST = "00000000-0000-7000-8000-000000000000"
PAGES = ("/admin", "/admin/users", "/admin/invites", "/admin/jobs", "/admin/storage")


@pytest.fixture
async def admin(hub: HubServer) -> AsyncIterator[Client]:
    user = await promote(hub, await Client(hub.url).register())
    yield user
    await user.close()


async def shown(client: Client, path: str, status: int = 200) -> str:
    """Return a page as somebody sees it."""
    answer = await client.http.get(path)
    assert answer.status_code == status, answer.text
    return html.unescape(answer.text)


async def act(admin: Client, user: Client, name: str) -> httpx2.Response:
    """Answer yes to a question about somebody."""
    path = f"/admin/users/{user.user['id']}/{name}"
    assert user.user["username"] in await shown(admin, path)
    return await admin.http.post(path)


async def test_how_the_hub_is(admin: Client, client: Client) -> None:
    companion = await client.companion(name="Zephyrine")
    await client.paint(companion["id"], prompt="a secret garden")
    page = await shown(admin, "/admin")
    for part in ("Database", "Message broker", "Database schema", "Storage", "Language model"):
        assert f"<strong>{part}</strong>" in page
    assert page.count("works</span>") >= 5
    storage = await shown(admin, "/admin/storage")
    jobs = await shown(admin, "/admin/jobs")
    assert re.search(r"Pictures</th>\s*<td", jobs)
    for each in (page, storage, jobs):
        assert "Zephyrine" not in each
        assert "secret garden" not in each


async def test_jobs_that_failed(admin: Client, hub: HubServer, client: Client) -> None:
    job = await client.paint((await client.companion())["id"])
    sql = "UPDATE jobs SET status = 'failed', error_code = 'it_broke' WHERE id = $1::uuid"
    await query(hub.settings["HUB_DATABASE_URL"], sql, job["id"])
    page = await shown(admin, "/admin/jobs")
    assert "it_broke" in page
    assert job["id"] in page


async def test_users_are_found(admin: Client, client: Client) -> None:
    name = client.user["username"]
    page = await shown(admin, f"/admin/users?query={name}")
    assert f"{client.user['display_name']} · {client.user['email']}" in page
    assert admin.user["email"] not in page
    assert "Nobody's name or address begins like this." in await shown(admin, "/admin/users?query=%25")
    assert 'value=""><b>"' not in (await admin.http.get('/admin/users?query="><b>')).text


async def test_disabling_and_enabling(admin: Client, client: Client) -> None:
    name = client.user["username"]
    answer = await act(admin, client, "disable")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/users?query={name}")
    refused(await client.http.get("/api/me"), 401)
    body = {"login": name, "password": PASSWORD}
    refused(await client.http.post("/api/auth/login", json=body), 403)
    page = await shown(admin, f"/admin/users?query={name}")
    assert ">disabled</span>" in page
    assert (await act(admin, client, "enable")).status_code == 303
    assert (await client.http.post("/api/auth/login", json=body)).status_code == 200


async def test_roles(admin: Client, client: Client) -> None:
    await shown(client, "/admin", 403)
    assert (await act(admin, client, "promote")).status_code == 303
    await shown(client, "/admin")
    assert (await act(client, admin, "demote")).status_code == 303
    page = await shown(admin, "/admin/users", 403)
    assert "Only administrators may see this." in page
    assert (await act(client, client, "promote")).status_code == 303
    for path in (f"/admin/users/{LOST}/disable", f"/admin/users/{client.user['id']}/marry"):
        await shown(client, path, 404)
        assert (await client.http.post(path)).status_code == 404


async def test_the_last_administrator_stays(admin: Client, hub: HubServer) -> None:
    dsn = hub.settings["HUB_DATABASE_URL"]
    await query(dsn, "UPDATE users SET role = 'user' WHERE id <> $1::uuid", admin.user["id"])
    for name in ("disable", "demote"):
        answer = await act(admin, admin, name)
        assert answer.status_code == 400
        assert "This is the last administrator." in answer.text
    answer = await admin.http.post("/settings/delete", data={"current_password": PASSWORD})
    assert "This is the last administrator." in answer.text
    await shown(admin, "/admin")


async def test_an_invite_is_shown_once(admin: Client) -> None:
    answer = await admin.http.post("/admin/invites", data={"note": "For <Ida>", "expires": "1"})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    link = re.search(r'value="(http[^"]+)"', answer.text)
    assert link is not None
    assert link[1].startswith(f"{admin.url}/register?invite=chub_invite_")
    page = await shown(admin, "/admin/invites")
    assert link[1].partition("=")[2] not in page
    assert "For <Ida>" in page
    assert "Everybody may register here" in page
    (listed,) = [
        each for each in (await admin.http.get("/api/admin/invites")).json()["items"] if "Ida" in each["note"]
    ]
    path = f"/admin/invites/{listed['id']}/delete"
    assert (await admin.http.post(path)).headers["location"] == "/admin/invites"
    assert (await admin.http.post(path)).status_code == 404
    for wrong in ({"note": "x" * 101}, {"expires": "365"}):
        fields = {"note": "", "expires": "7", **wrong}
        assert (await admin.http.post("/admin/invites", data=fields)).status_code == 400


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_else_sees_them(nobody: httpx2.AsyncClient, client: Client, path: str) -> None:
    answer = await nobody.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
    assert "Only administrators may see this." in await shown(client, path, 403)


@pytest.mark.parametrize(
    "path", ["/admin/invites", f"/admin/invites/{LOST}/delete", "/admin/users/{id}/promote"]
)
async def test_nobody_else_does_it(client: Client, nobody: httpx2.AsyncClient, path: str) -> None:
    path = path.format(id=client.user["id"])
    assert (await client.http.post(path, data={"expires": "1"})).status_code == 403
    assert (await nobody.post(path)).headers["location"] == "/login"
    assert (await client.http.get("/api/me")).json()["role"] == "user"
