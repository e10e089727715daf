"""The pages of one's own account: what they show, what their forms do, and whose it is."""

from __future__ import annotations

import html
import re

import httpx2
import pytest

from tests.services.hub import PASSWORD, Client
from tests.services.refusals import refused

NEW_PASSWORD = "a horse of another colour"
PAGES = ("/settings", "/settings/tokens", "/settings/devices", "/settings/webhooks", "/settings/delete")
LOST = "00000000-0000-7000-8000-000000000000"


async def shown(client: Client, path: str) -> str:
    """Return a page as somebody sees it."""
    answer = await client.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return html.unescape(answer.text)


async def refusal(client: Client, path: str, **fields: str) -> str:
    """Send a form that is refused, and return what is shown."""
    answer = await client.http.post(path, data=fields)
    assert answer.status_code == 400, answer.text
    return html.unescape(answer.text)


async def done(client: Client, path: str, to: str, **fields: str) -> httpx2.Response:
    """Send a form that is taken, and look where it leads."""
    answer = await client.http.post(path, data=fields)
    assert (answer.status_code, answer.headers.get("location")) == (303, to), answer.text
    return answer


async def log_in(client: Client, password: str = PASSWORD) -> Client:
    """Return the same user on another device."""
    body = {"login": client.user["username"], "password": password}
    answer = await client.http.post("/api/auth/login", json=body, headers={"Authorization": ""})
    assert answer.status_code == 200, answer.text
    device = Client(client.url)
    device.use(answer.json()["access_token"])
    return device


async def test_the_profile(client: Client, other: Client) -> None:
    page = await shown(client, "/settings")
    assert f'value="{client.user["email"]}"' in page
    email = f"new.{client.user['email']}"
    await done(client, "/settings/profile", "/settings", display_name="Ida <3", email=email)
    me = (await client.http.get("/api/me")).json()
    assert (me["display_name"], me["email"]) == ("Ida <3", email)
    assert 'value="Ida &lt;3"' in (await client.http.get("/settings")).text
    taken = await refusal(client, "/settings/profile", display_name="Ida", email=other.user["email"])
    assert "This email address is registered already." in taken
    assert f'value="{other.user["email"]}"' in taken, "it is there to be corrected"
    for fields in ({"display_name": " ", "email": email}, {"display_name": "x" * 101, "email": "none"}):
        assert 'aria-invalid="true"' in await refusal(client, "/settings/profile", **fields)
    assert (await client.http.get("/api/me")).json()["display_name"] == "Ida <3"


async def test_the_password(client: Client) -> None:
    elsewhere = await log_in(client)
    token = await client.make_token("read")
    fields = {"current_password": "a guess", "new_password": NEW_PASSWORD}
    assert "The current password is not right." in await refusal(client, "/settings/password", **fields)
    fields["current_password"] = PASSWORD
    for new in ("short", "password123"):
        page = await refusal(client, "/settings/password", **fields | {"new_password": new})
        assert 'id="problem-new_password"' in page
        assert PASSWORD not in page
    assert (await elsewhere.http.get("/api/me")).status_code == 200
    await done(client, "/settings/password", "/settings", **fields)
    assert (await client.http.get("/api/me")).status_code == 200
    refused(await elsewhere.http.get("/api/me"), 401)
    assert (await elsewhere.http.get("/api/me", headers=bearer(token))).status_code == 200
    await (await log_in(client, NEW_PASSWORD)).close()
    await elsewhere.close()


def bearer(token: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['token']}"}


async def test_a_token_is_shown_once(client: Client) -> None:
    fields = {"name": "A <script>", "scope_read": "on", "scope_chat": "on", "expires": "30"}
    answer = await client.http.post("/settings/tokens", data=fields)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    found = re.search(r'value="(chub_[\w-]+)"', answer.text)
    assert found is not None
    token = found[1]
    assert (await client.http.get("/api/me", headers=bearer({"token": token}))).status_code == 200
    (listed,) = (await client.http.get("/api/me/tokens")).json()["items"]
    assert (listed["scopes"], listed["hint"]) == (["read", "chat"], token[-4:])
    page = await shown(client, "/settings/tokens")
    assert token not in page
    assert "A <script>" in page
    assert f"…{token[-4:]}" in page
    path = f"/settings/tokens/{listed['id']}/delete"
    assert "Delete the token “A <script>”?" in await shown(client, path)
    assert "<script>" not in (await client.http.get(path)).text.partition("<main")[2]
    await done(client, path, "/settings/tokens")
    refused(await client.http.get("/api/me", headers=bearer({"token": token})), 401)
    assert (await client.http.post(path)).status_code == 404


async def test_what_a_token_may_do_and_for_how_long(client: Client) -> None:
    assert 'name="scope_admin"' not in await shown(client, "/settings/tokens")
    for life in ("never", "365"):
        answer = await client.http.post("/settings/tokens", data={"name": life, "expires": life})
        assert answer.status_code == 201
    listed = (await client.http.get("/api/me/tokens")).json()["items"]
    assert [each["scopes"] for each in listed] == [[], []]
    assert [bool(each["expires_at"]) for each in listed] == [True, False]
    good = {"name": "x", "expires": "30"}
    for wrong in ({"name": ""}, {"name": "x" * 101}, {"expires": "31"}, {"expires": ""}):
        assert 'aria-invalid="true"' in await refusal(client, "/settings/tokens", **good | wrong)
    page = await refusal(client, "/settings/tokens", **good, scope_admin="on")
    assert "Only administrators" in page
    assert len((await client.http.get("/api/me/tokens")).json()["items"]) == 2


async def test_devices(client: Client) -> None:
    elsewhere = await log_in(client)
    page = await shown(client, "/settings/devices")
    assert page.count("this device") == 1
    (ended,) = re.findall(r"/settings/devices/([^/]+)/end", page)
    async with elsewhere.socket() as socket:
        await done(client, f"/settings/devices/{ended}/end", "/settings/devices")
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 4401
    refused(await elsewhere.http.get("/api/me"), 401)
    assert (await client.http.post(f"/settings/devices/{ended}/end")).status_code == 404
    await elsewhere.close()


async def test_webhooks(client: Client) -> None:
    assert "You have no webhooks." in await shown(client, "/settings/webhooks")
    webhook = await client.webhook("http://localhost:9/x")
    page = await shown(client, "/settings/webhooks")
    assert "http://localhost:9/" in page
    assert "response.completed" in page
    assert webhook["secret"] not in page
    path = f"/settings/webhooks/{webhook['id']}/delete"
    assert "Delete this webhook?" in await shown(client, path)
    await done(client, path, "/settings/webhooks")
    refused(await client.http.get(f"/api/webhooks/{webhook['id']}"), 404)


async def test_deleting_the_account(client: Client) -> None:
    companion = await client.companion()
    page = await refusal(client, "/settings/delete", current_password="a guess")
    assert "The current password is not right." in page
    assert (await client.http.get(f"/api/companions/{companion['id']}")).status_code == 200
    await done(client, "/settings/delete", "/login", current_password=PASSWORD)
    refused(await client.http.get("/api/me"), 401)


async def test_what_is_somebody_elses(client: Client, other: Client) -> None:
    token = await client.make_token("read")
    webhook = await client.webhook("http://localhost:9/")
    (device,) = (await client.http.get("/api/me/sign-ins")).json()["items"]
    for path in (f"/settings/tokens/{token['id']}/delete", f"/settings/webhooks/{webhook['id']}/delete"):
        assert (await other.http.get(path)).status_code == 404
        assert (await other.http.post(path)).status_code == 404
    assert (await other.http.post(f"/settings/devices/{device['id']}/end")).status_code == 404
    assert (await client.http.get("/api/me")).status_code == 200
    assert (await client.http.get("/api/me", headers=bearer(token))).status_code == 200
    assert (await client.http.get(f"/api/webhooks/{webhook['id']}")).status_code == 200
    for path in ("/settings/tokens", "/settings/webhooks"):
        page = await shown(other, path)
        assert token["id"] not in page
        assert webhook["id"] not in page


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_logs_in_first(nobody: httpx2.AsyncClient, path: str) -> None:
    answer = await nobody.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize(
    "path",
    [
        "/settings/profile",
        "/settings/password",
        "/settings/tokens",
        f"/settings/tokens/{LOST}/delete",
        f"/settings/devices/{LOST}/end",
        f"/settings/webhooks/{LOST}/delete",
        "/settings/delete",
    ],
)
async def test_forms_of_nobody_and_of_other_pages(
    nobody: httpx2.AsyncClient, client: Client, path: str
) -> None:
    assert (await nobody.post(path)).headers["location"] == "/login"
    headers = {"Cookie": f"hub_session={client.token}", "Origin": "https://evil.example"}
    answer = await nobody.post(path, data={"current_password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert "This came from another web page" in answer.text


async def test_a_programs_token_opens_no_page(client: Client) -> None:
    token = await client.make_token("read", "chat", "write")
    for path in PAGES:
        assert (await client.http.get(path, headers=bearer(token))).status_code == 403
