"""The pages of conversations: where they lead, what their forms do, and that nobody else gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.services.hub import Client, HubServer


@pytest.fixture
async def browser(hub: HubServer, client: Client) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield what asks as the browser of ``client`` does."""
    headers = {"Origin": hub.url, "Sec-Fetch-Site": "same-origin", "Accept-Language": "en"}
    cookies = {"hub_session": client.token}
    async with httpx2.AsyncClient(base_url=hub.url, headers=headers, cookies=cookies) as http:
        yield http


def place(answer: httpx2.Response) -> str:
    """Return where a form leads."""
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_conversations_begin_are_renamed_and_go(browser: httpx2.AsyncClient, client: Client) -> None:
    companion = await client.companion(name="Mira <i>&")
    home = f"/companions/{companion['id']}"
    invitation = await browser.get(home)
    assert "Begin a conversation" in invitation.text
    assert "Mira &lt;i&gt;&amp;" in invitation.text
    first = place(await browser.post(f"{home}/conversations"))
    second = place(await browser.post(f"{home}/conversations"))
    assert place(await browser.get(home)) == second
    sent = await client.send(first.rpartition("/")[2], "  What is <b>moss</b>,\n really?")
    await client.ended(sent["response"]["id"])
    assert place(await browser.get(home)) == first, "the one that was used last"
    shown = (await browser.get(second)).text
    assert "What is &lt;b&gt;moss&lt;/b&gt;, really?" in shown
    assert 'data-limit="' in shown
    assert place(await browser.post(f"{first}/rename", data={"title": "About moss"})) == first
    assert "About moss" in (await browser.get(second)).text
    assert place(await browser.post(f"{first}/rename", data={"title": "m" * 201})) == first
    assert "up to 200 characters" in (await browser.get(first)).text
    assert "Pictures stay in the gallery" in (await browser.get(f"{first}/delete")).text
    assert place(await browser.post(f"{first}/delete")) == home
    assert place(await browser.get(home)) == second
    assert "The conversation is deleted." in (await browser.get(second)).text
    assert (await browser.get(first)).status_code == 404


async def test_nobody_else_gets_in(hub: HubServer, browser: httpx2.AsyncClient, other: Client) -> None:
    companion = await other.companion()
    conversation = await other.conversation(companion["id"])
    home, talk = f"/companions/{companion['id']}", f"/conversations/{conversation['id']}"
    reads, writes = (
        [home, talk, f"{talk}/delete"],
        [f"{home}/conversations", f"{talk}/rename", f"{talk}/delete"],
    )
    async with httpx2.AsyncClient(base_url=hub.url) as nobody:
        for address in reads:
            foreign = await browser.get(address)
            assert foreign.status_code == 404
            assert foreign.headers["content-type"].startswith("text/html")
            assert place(await nobody.get(address)) == f"/login?next={address}"
        for address in writes:
            assert (await browser.post(address, data={"title": "mine"})).status_code == 404
            assert place(await nobody.post(address, data={"title": "mine"})) == "/login"
    assert (await other.http.get(f"/api{talk}")).json()["title"] == ""
