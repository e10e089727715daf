"""Everybody can use every page: no barriers that axe knows, by keyboard only, on a phone, without motion."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.accessibility import Axe
from tests.browser.looks import painted
from tests.browser.places import LOST, PUBLIC, settle
from tests.browser.visits import DESKTOP, PHONE, Visits
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.people import promote

#: Every page is looked at in these: colours do not change with the size.
LOOKS: list[tuple[tuple[int, int], Literal["light", "dark"]]] = [(DESKTOP, "light"), (PHONE, "dark")]

#: Times that one presses Tab before giving up.
PATIENCE = 60

# What moves; what only comes a while later does not. And how much of the page is beside the screen.
_UNREST = """document.getAnimations().filter(({playState, effect}) =>
    playState === 'running' && effect.getComputedTiming().duration > 0).length"""
_TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
# On a card it is the whole card that shows it.
_SHOWS_FOCUS = (
    """target => [null, '::after'].some(part => getComputedStyle(target, part).outlineStyle !== 'none')"""
)
# What a page that is not finished, or not translated well, would show.
LEFTOVERS = re.compile(r"%\(|\{[{%]|\bundefined\b|\[object")


@pytest.fixture(scope="module")
async def admin(hub: HubServer) -> AsyncIterator[Client]:
    user = await promote(hub, await Client(hub.url).register())
    yield user
    await user.close()


@pytest.fixture(scope="module")
async def places(admin: Client, llm: FakeLLM) -> dict[str, int]:
    """Return the addresses of all pages of somebody who is signed in, with their status."""
    return await settle(admin, llm)


async def open_page(page: Page, address: str, status: int) -> None:
    """Go there, and wait until all is in place."""
    answer = await page.goto(address)
    assert answer is not None
    assert answer.status == status, address
    if await page.locator("hub-chat").count():
        await expect(page.get_by_role("log").get_by_role("article")).to_have_count(2)
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)


async def test_no_page_has_barriers(visit: Visits, axe: Axe, admin: Client, places: dict[str, int]) -> None:
    visit.expect("status of 404")
    found: list[str] = []
    for who, addresses in ((None, PUBLIC), (admin, places)):
        page = await visit(who)
        await page.emulate_media(reduced_motion="reduce")
        for address, status in addresses.items():
            await open_page(page, address, status)
            for (width, height), scheme in LOOKS:
                await page.set_viewport_size({"width": width, "height": height})
                await page.emulate_media(color_scheme=scheme)
                barriers = await axe(page)
                if (wide := await page.evaluate(_TOO_WIDE)) > 0:
                    barriers.append(f"{wide} px too wide")
                if moving := await page.evaluate(_UNREST):
                    barriers.append(f"{moving} things move")
                found += [f"{address}, {scheme}, {width} px: {each}" for each in barriers]
    assert not found, "\n\n".join(found)


async def test_every_page_in_german(admin: Client, places: dict[str, int]) -> None:
    german = {"Accept-Language": "de-DE, en;q=0.5", "Accept": "text/html"}
    for headers, addresses in (({"Authorization": ""}, PUBLIC), ({}, places)):
        for address, status in addresses.items():
            answer = await admin.http.get(address, headers=german | headers)
            assert answer.status_code == status
            assert answer.text.startswith('<!doctype html>\n<html lang="de"'), address
            assert LEFTOVERS.search(answer.text) is None, address


async def test_a_talk_in_german(visit: Visits, places: dict[str, int], admin: Client) -> None:
    page = await visit(admin, language="de-DE")
    for address in places:
        if address.startswith("/conversations/") and address.count("/") == 2 and LOST not in address:
            await open_page(page, address, 200)
            assert LEFTOVERS.search(await page.locator("body").inner_text()) is None


async def test_nothing_moves_while_a_reply_comes(visit: Visits, client: Client, llm: FakeLLM) -> None:
    conversation = await client.conversation()
    go_on = asyncio.Event()
    llm.script(reply(["Mosses", " are patient."], first=[go_on]))
    page = await visit(client)
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(f"/conversations/{conversation['id']}")
    await page.get_by_role("textbox", name="Message to").fill("Hello")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert await page.evaluate(_UNREST) == 0
    go_on.set()
    await expect(page.get_by_role("log")).to_contain_text("Mosses are patient.")


async def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there, where one can see it."""
    for _ in range(PATIENCE):
        await page.keyboard.press("Tab")
        if await target.evaluate("target => target === document.activeElement"):
            assert await target.evaluate(_SHOWS_FOCUS)
            return
    pytest.fail(f"Tab does not lead to {target}.")


async def test_by_keyboard_only(visit: Visits, client: Client, llm: FakeLLM) -> None:
    companion = await client.companion(name="Mira")
    page = await visit()
    await page.goto("/companions")
    await painted(page)
    await page.keyboard.type(client.user["username"])
    await tab_to(page, page.get_by_label("Password"))
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/companions")
    await painted(page)
    await tab_to(page, page.get_by_role("link", name="Skip to the content"))
    await page.keyboard.press("Enter")
    await tab_to(page, page.locator(f'a[href="/companions/{companion["id"]}"]').first)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Begin a conversation")).to_be_focused()
    await painted(page)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/conversations/*")
    await expect(page.get_by_role("textbox", name="Message to Mira")).to_be_focused()
    await painted(page)
    llm.script(reply("By all means."))
    await page.keyboard.type("May I?")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("By all means.")
    await tab_to(page, page.get_by_role("button", name="More"))
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_role("link", name="Gallery of Mira"))
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("link", name="Gallery of Mira")).to_be_hidden()
    await expect(page.get_by_role("button", name="More")).to_be_focused()
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_role("link", name="Gallery of Mira"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/gallery")
    await painted(page)
    await tab_to(page, page.get_by_role("button", name="Log out"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/login")
