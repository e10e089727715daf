"""The gallery while pictures are being painted, and the viewer, as people use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.accessibility import Axe
from tests.browser.looks import painted
from tests.browser.visits import PHONE, Visits
from tests.services.fixtures import running_hub
from tests.services.hub import Client, HubServer
from tests.services.painting import PromptedA1111


@pytest.fixture(scope="module")
async def painter() -> AsyncIterator[PromptedA1111]:
    """Yield the image server of these tests."""
    async with PromptedA1111() as fake:
        yield fake


@pytest.fixture(scope="module")
async def hub(
    painter: PromptedA1111, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub whose pictures come from the fake."""
    settings = {"HUB_IMAGE_WIDTH": "64", "HUB_IMAGE_HEIGHT": "96", "HUB_SD_KIND": "a1111"}
    folder = tmp_path_factory.mktemp("gallery")
    async with running_hub(folder, postgres, HUB_SD_URL=painter.url, **settings) as found:
        yield found


@pytest.fixture
def server(painter: PromptedA1111) -> Iterator[PromptedA1111]:
    """Yield the image server, which gives a picture when it is told to; afterwards it does so by itself."""
    painter.held = True
    yield painter
    painter.held = False
    painter.finish()


async def ask(page: Page, prompt: str) -> None:
    """Have a picture painted by the form."""
    await page.get_by_label("What to paint").fill(prompt)
    await page.get_by_role("button", name="Paint a picture").click()


async def barriers(page: Page, axe: Axe) -> list[str]:
    """Return what axe finds by day and by night, and what is wider than the window."""
    found = []
    schemes: tuple[Literal["dark", "light"], ...] = ("dark", "light")
    for scheme in schemes:
        # Without motion: what is on its way from one colour to another has neither.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += await axe(page)
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("it scrolls sideways")
    return found


async def test_pictures_come_while_one_looks(
    visit: Visits, client: Client, server: PromptedA1111, axe: Axe
) -> None:
    page = await visit(client)
    companion = await client.companion(name="Mira")
    await page.goto(f"/companions/{companion['id']}/gallery")
    await expect(page.get_by_text("There are no pictures yet.")).to_be_visible()
    await ask(page, "a lake")
    await ask(page, "a wood")
    await server.wait_for(lambda: server.working)
    server.progress = 0.4
    tiles = page.locator("hub-painting")
    await expect(tiles).to_have_count(2)
    await expect(tiles.first).to_contain_text("1 picture is before it")
    await expect(tiles.last).to_contain_text("Being painted")
    await expect(tiles.last.get_by_role("progressbar")).to_have_attribute("value", "0.4")
    assert await barriers(page, axe) == []
    await tiles.first.get_by_role("button", name="Cancel").click()
    await expect(tiles).to_have_count(1)
    server.finish()
    picture = page.get_by_role("link", name="Picture of Mira: adult, a lake")
    await expect(picture).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("The picture is there.")
    await expect(tiles).to_have_count(0)
    assert await picture.locator("img").evaluate("async (it) => (await it.decode(), it.naturalHeight)") == 96
    await picture.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Picture of Mira")


async def test_the_viewer(visit: Visits, client: Client, server: PromptedA1111, axe: Axe) -> None:
    companion = (await client.companion(name="Mira"))["id"]
    server.held = False
    first, second = [(await client.paint(companion, prompt=word))["result"] for word in ("moss", "fern")]
    server.held = True
    page = await visit(client, size=PHONE)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(f"/images/{first['id']}")
    await painted(page)
    await page.keyboard.press("ArrowRight")  # there is none
    await page.keyboard.press("ArrowLeft")
    await page.wait_for_url(f"**/images/{second['id']}")
    await expect(page.get_by_role("definition").filter(has_text="fern")).to_be_visible()
    assert await barriers(page, axe) == []
    await page.get_by_role("button", name="Copy recipe").click()
    await expect(page.get_by_role("status")).to_have_text("Copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert f"Seed: {second['recipe']['seed']}, Size: 64x96" in copied
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert (await download.value).suggested_filename.endswith(".avif")
    await page.get_by_role("link", name="Older picture").click()
    await page.wait_for_url(f"**/images/{first['id']}")
    await page.get_by_role("button", name="The same again").click()
    await expect(page.locator("hub-painting")).to_contain_text("Being painted")
    await server.wait_for(lambda: server.working)
    server.finish()
    await expect(page.get_by_role("link", name="Picture of Mira: adult, moss")).to_have_count(2)
    await page.goto(f"/images/{first['id']}")
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("link", name="Keep it").click()
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("status").first).to_have_text("The picture is deleted.")
    await expect(page.locator("[data-picture]")).to_have_count(2)


async def test_without_scripts(visit: Visits, client: Client, server: PromptedA1111) -> None:
    page = await visit(client, javascript=False)
    companion = await client.companion(name="Mira")
    await page.goto(f"/companions/{companion['id']}/gallery")
    await ask(page, "a lake")
    await server.wait_for(lambda: server.working)
    await page.get_by_role("link", name="Look how far it is").click()
    await expect(page.locator("hub-painting")).to_contain_text("Being painted")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("There are no pictures yet.")).to_be_visible()


async def test_searching(visit: Visits, client: Client, axe: Axe) -> None:
    page = await visit(client, size=PHONE)
    await page.goto("/search")
    await painted(page)
    await page.keyboard.type("moss")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nobody has said this.")).to_be_visible()
    await expect(page.get_by_label("What was said")).to_have_value("moss")
    assert await barriers(page, axe) == []
