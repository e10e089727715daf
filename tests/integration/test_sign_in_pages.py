"""The pages where people come in: register, log in, log out, what they look like and where they lead."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import unquote

import httpx2
import pytest

from tests.services.hub import PASSWORD, Client, HubServer


@pytest.fixture
async def browser(hub: HubServer) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield something that keeps cookies and says which page its forms stand on, as browsers do."""
    headers = {"Origin": hub.url, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
    async with httpx2.AsyncClient(base_url=hub.url, headers=headers) as http:
        yield http


def newcomer(client: Client) -> dict[str, str]:
    """Return what somebody new types, by the name of a user that nobody else has."""
    name = f"n{client.user['username'][5:]}"[:20]
    return {"username": name, "display_name": "", "email": f"{name}@example.org", "password": PASSWORD}


async def test_register_log_out_and_log_in(browser: httpx2.AsyncClient, client: Client) -> None:
    typed = newcomer(client)
    made = await browser.post("/register", data=typed)
    assert (made.status_code, made.headers["location"]) == (303, "/companions")
    assert (await browser.get("/api/me")).json()["username"] == typed["username"]
    token = browser.cookies["hub_session"]
    out = await browser.post("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert "hub_session" not in browser.cookies
    ended = await client.http.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert ended.status_code == 401
    shown = await browser.get("/login")
    assert "You are logged out." in shown.text
    assert "You are logged out." not in (await browser.get("/login")).text, "a notice is shown once"
    again = await browser.post(
        "/login", data={"login": typed["email"], "password": PASSWORD, "next": "/companions?q=a"}
    )
    assert (again.status_code, again.headers["location"]) == (303, "/companions?q=a")
    assert (await browser.get("/login")).headers["location"] == "/companions"


async def test_a_form_comes_back_with_what_was_typed_but_the_password(
    browser: httpx2.AsyncClient, client: Client
) -> None:
    typed = newcomer(client) | {"username": "No!", "email": '"><b>', "password": "short"}
    answer = await browser.post("/register", data=typed)
    assert answer.status_code == 400
    assert 'value="No!"' in answer.text
    assert "&#34;&gt;&lt;b&gt;" in answer.text
    assert 'value="short"' not in answer.text
    assert len(re.findall(r'aria-invalid="true"', answer.text)) == 3
    assert "Use 8 to 128 characters." in answer.text
    taken = newcomer(client) | {"username": client.user["username"]}
    assert "This username is taken." in (await browser.post("/register", data=taken)).text
    common = newcomer(client) | {"password": "password123"}
    assert "on lists of common ones" in (await browser.post("/register", data=common)).text
    wrong = await browser.post("/login", data={"login": client.user["username"], "password": "wrong"})
    assert wrong.status_code == 400
    assert "The name or the password is wrong." in wrong.text


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\nevil",
        "x",
        "//[",
    ],
)
async def test_nobody_is_sent_to_another_server(
    browser: httpx2.AsyncClient, client: Client, following: str
) -> None:
    form = {"login": client.user["username"], "password": PASSWORD, "next": following}
    assert (await browser.post("/login", data=form)).headers["location"] == "/companions"


async def test_a_form_of_another_page_is_not_taken(browser: httpx2.AsyncClient, client: Client) -> None:
    form = {"login": client.user["username"], "password": PASSWORD}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path, data in (
        ("/login", form),
        ("/register", newcomer(client)),
        ("/preferences", {"theme": "dark"}),
    ):
        answer = await browser.post(path, data=data, headers=foreign)
        assert answer.status_code == 403
        assert answer.headers["content-type"].startswith("text/html")
        assert "set-cookie" not in answer.headers
    await browser.post("/login", data=form)
    assert (await browser.post("/logout", headers=foreign)).status_code == 403
    assert (await browser.get("/api/me")).status_code == 200, "still signed in"


async def test_nobody_goes_to_the_log_in_and_comes_back(browser: httpx2.AsyncClient) -> None:
    answer = await browser.get("/settings?x=1")
    assert answer.status_code == 303
    assert unquote(answer.headers["location"]) == "/login?next=/settings?x=1"
    assert 'value="/settings?x=1"' in (await browser.get(answer.headers["location"])).text
    assert (await browser.get("/search?q=" + "x" * 1000)).headers["location"] == "/login"


async def test_pages_are_strict_about_what_they_load(browser: httpx2.AsyncClient) -> None:
    for path in ("/login", "/register", "/setup?token=x"):
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.findall(r"<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=", answer.text)
        assert not re.findall(r"(?:src|href|action)=\"(?!/(?!/)|#)", answer.text), "everything is from here"


async def test_language_and_theme_are_chosen(browser: httpx2.AsyncClient) -> None:
    german = await browser.get("/login", headers={"Accept-Language": "fr, de-AT;q=0.8, en;q=0.5"})
    assert '<html lang="de" data-theme="auto">' in german.text
    chosen = await browser.post("/preferences", data={"language": "de", "theme": "dark", "next": "/register"})
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/register")
    assert '<html lang="de" data-theme="dark">' in (await browser.get("/login")).text
    await browser.post("/preferences", data={"language": "xx", "theme": "<b>"})
    assert '<html lang="de" data-theme="dark">' in (await browser.get("/login")).text


async def test_assets_are_kept_for_ever_under_their_own_address(browser: httpx2.AsyncClient) -> None:
    page = (await browser.get("/login")).text
    (style,) = re.findall(r'href="(/assets/\w+/css/base\.css)"', page)
    answer = await browser.get(style)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert "--accent" in answer.text
    plain = await browser.get(style, headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert plain.text == answer.text
    assert "content-encoding" not in plain.headers
    old = await browser.get(re.sub(r"/assets/\w+/", "/assets/0123456789abcdef/", style))
    assert old.headers["cache-control"] == "no-cache"
    for nothing in ("css/none.css", "../rendering.py", "%2e%2e/rendering.py", "js", "x" * 3000, "%00"):
        assert (await browser.get(f"/assets/0/{nothing}")).status_code == 404


async def test_a_browser_gets_a_page_where_there_is_none(browser: httpx2.AsyncClient) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    shown = await browser.get("/no/such/page", headers=html)
    assert shown.status_code == 404
    assert "There is nothing at this address." in shown.text
    for path, headers in (("/no/such/page", {}), ("/api/none", html)):
        problem = await browser.get(path, headers=headers)
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.status_code == 404
