"""Coming in and leaving: by name over plain http, as at home, and without scripts."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser.visits import Visits
from tests.services.hub import PASSWORD, HubServer


async def register(page: Page, address: str) -> None:
    """Make an account with the form."""
    name = f"home_{secrets.token_hex(4)}"
    await page.goto(f"{address}/register")
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Email").fill(f"{name}@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await page.wait_for_url(f"{address}/companions")
    await expect(page.get_by_role("status")).to_have_text(f"Welcome, {name}!")


@pytest.mark.parametrize("javascript", [True, False])
async def test_by_name_over_plain_http(visit: Visits, hub: HubServer, javascript: bool) -> None:  # noqa: FBT001
    """Where browsers tell less: they send Sec-Fetch-Site to safe addresses only."""
    port = urlsplit(hub.url).port
    address = f"http://chat.example:{port}"
    visit.expect(f"request to another host: {address}")
    page = await visit(javascript=javascript)
    await register(page, address)
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url(f"{address}/login")
    await expect(page.get_by_role("status")).to_have_text("You are logged out.")


async def test_a_choice_of_theme_takes_effect_at_once(visitor: Page) -> None:
    await visitor.goto("/login")
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = await visitor.evaluate(background)
    async with visitor.expect_navigation():
        await visitor.get_by_label("Theme").select_option("dark")
    assert await visitor.evaluate(background) != light
    async with visitor.expect_navigation():
        await visitor.get_by_label("Language").select_option("de")
    assert await visitor.evaluate("() => document.documentElement.lang") == "de"


async def test_a_deleted_account_leaves_no_draft_behind(visitor: Page, hub: HubServer) -> None:
    await register(visitor, hub.url)
    await visitor.evaluate("() => localStorage.setItem('hub.draft.x', 'what I never sent')")
    await visitor.goto("/settings/delete")
    await visitor.get_by_label("Current password").fill(PASSWORD)
    await visitor.get_by_role("button", name="Delete my account").click()
    await visitor.wait_for_url("**/login")
    await visitor.wait_for_function("() => localStorage.length === 0")
