"""What the other tests rely on: nothing goes wrong in a window without being noticed."""

from __future__ import annotations

from playwright.async_api import Page

from tests.browser.accessibility import Axe
from tests.browser.visits import Visits
from tests.services.hub import Client


async def test_what_goes_wrong_is_noticed(visit: Visits) -> None:
    page = await visit()
    async with page.expect_console_message(), page.context.expect_event("weberror"):
        await page.evaluate(
            "() => { console.error('a complaint'); setTimeout(() => { throw Error('a mishap') }) }"
        )
    async with page.expect_event("requestfailed"):
        await page.set_content('<img src="http://elsewhere.example/pixel.png">')
    visit.expect("Failed to load resource")
    complaint, mishap, request = sorted(visit.unexpected)
    assert complaint.startswith("console: a complaint")
    assert mishap.startswith("not caught: Error: a mishap")
    assert request == "request to another host: http://elsewhere.example/pixel.png"
    visit.expect("a complaint", "a mishap", "elsewhere.example")


async def test_a_signed_in_window_is_the_users(page: Page, visitor: Page, client: Client) -> None:
    answer = await page.goto("/api/me")
    assert answer is not None
    assert (await answer.json())["username"] == client.user["username"]
    assert await visitor.context.cookies() == []


async def test_a_barrier_is_found(visitor: Page, axe: Axe) -> None:
    await visitor.set_content(
        "<html lang=en><title>A page</title><main><h1>Hm</h1><button></button></main></html>"
    )
    (found,) = await axe(visitor)
    assert found.startswith("critical button-name: Buttons must have discernible text\nat button\n")
