"""Take the pictures for the README: ``python -m tools.screenshots [folder]``.

A hub of its own, in a folder that goes away, is set up through its printed link in the machine's Chromium.
What is seen are its samples, and pictures that it paints of one of them.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, BrowserContext, Page, Playwright, ViewportSize, async_playwright

from tests.browser.visits import launch
from tests.services.hub import PASSWORD, PROJECT, HubServer
from tests.services.programs import INSTALL_CHROMIUM, find_chromium

FOLDER = PROJECT / "docs" / "pictures"
#: Bytes that a picture may have: they are read over slow lines too.
LIMIT = 150_000
_QUALITIES = (88, 80, 70, 55)

_DESKTOP = ViewportSize(width=1280, height=800)
_TALL = ViewportSize(width=1280, height=1000)
_PHONE = ViewportSize(width=390, height=780)
_WAIT = 60_000.0
#: Where the companion is while the pictures of the gallery are painted.
_PLACES = (
    "forest in the rain",
    "library at night",
    "beach at sunset",
    "mountains at dawn",
    "kitchen",
    "garden",
)


class Camera:
    """Takes pictures of pages into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def take(self, page: Page, name: str) -> None:
        """Save what a window shows once all its pictures are there."""
        await page.wait_for_function("() => [...document.images].every((each) => each.complete)")
        await page.evaluate("() => document.fonts.ready.then(() => {})")
        file = self._folder / f"{name}.webp"
        size = _save(await page.screenshot(animations="disabled"), file)
        print(f"{file.name}: {size / 1000:.0f} kB")


def _save(png: bytes, file: Path) -> int:
    """Store a picture as well as its size allows; return that."""
    with Image.open(io.BytesIO(png)) as picture:
        for quality in _QUALITIES:
            content = io.BytesIO()
            picture.convert("RGB").save(content, "WEBP", quality=quality, method=6)
            if len(content.getvalue()) <= LIMIT:
                break
        else:
            raise SystemExit(f"{file.name} does not fit into {LIMIT / 1000:g} kB.")
    return file.write_bytes(content.getvalue())


async def main(folder: Path) -> None:
    """Start the hub, look at it, and stop it."""
    program = find_chromium()
    if program is None:
        raise SystemExit(f"Chromium is not installed. Install it with: {INSTALL_CHROMIUM}")
    with tempfile.TemporaryDirectory(prefix="hub-screenshots-") as name:
        server = HubServer(Path(name), "up")
        try:
            print("Starting a hub ...")
            await server.start(within=180)
            async with async_playwright() as playwright:
                await _visit(playwright, program, server, Camera(folder))
            await server.stop()
        finally:
            server.close()


async def _visit(playwright: Playwright, program: str, server: HubServer, camera: Camera) -> None:
    browser = await launch(playwright, program)
    context = await _window(browser, server.url)
    page = await context.new_page()
    await _set_up(page, server.output)
    await page.goto("/companions")  # without the welcome
    await camera.take(page, "companions")
    companion = await _first_companion(context, server.url)
    await page.goto(f"/companions/{companion}")
    await page.locator("hub-message").last.wait_for()
    await page.set_viewport_size(_TALL)
    await camera.take(page, "chat")
    await page.set_viewport_size(_DESKTOP)
    await _chat_on_phone(browser, context, page.url, server.url, camera)
    await _paint(page, server.url, companion)
    await camera.take(page, "gallery")
    await page.locator("a[data-picture]").nth(len(_PLACES)).click()  # that of the sample's conversation
    await page.wait_for_url("**/images/*")
    await camera.take(page, "viewer")
    await page.goto("/settings")
    await camera.take(page, "settings")
    await browser.close()


async def _window(browser: Browser, url: str, *, is_phone: bool = False) -> BrowserContext:
    context = await browser.new_context(
        base_url=url,
        viewport=_PHONE if is_phone else _DESKTOP,
        device_scale_factor=2 if is_phone else 1.5,
        color_scheme="dark" if is_phone else "light",
        has_touch=is_phone,
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    context.set_default_timeout(_WAIT)
    return context


async def _set_up(page: Page, output: str) -> None:
    """Become the administrator by the link that the hub has printed."""
    found = re.search(r"Set-up\s+(http://\S+)", output)
    if found is None:
        raise SystemExit(f"The hub printed no set-up link:\n{output}")
    await page.goto(found[1])
    await page.get_by_label("Username").fill("robin")
    await page.get_by_label("Email").fill("robin@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create administrator").click()
    await page.wait_for_url("**/companions")


async def _first_companion(context: BrowserContext, url: str) -> str:
    answer = await context.request.get(f"{url}/api/companions")
    return str((await answer.json())["items"][0]["id"])


async def _chat_on_phone(
    browser: Browser, known: BrowserContext, address: str, url: str, camera: Camera
) -> None:
    context = await _window(browser, url, is_phone=True)
    await context.add_cookies(await known.cookies())  # type: ignore[arg-type] # what it gave out
    page = await context.new_page()
    await page.goto(address)
    await page.locator("hub-message").last.wait_for()
    await camera.take(page, "chat-phone-dark")
    await context.close()


async def _paint(page: Page, url: str, companion: str) -> None:
    """Have the companion painted in several places, in its gallery."""
    await page.goto(f"/companions/{companion}/gallery")
    pictures = page.locator("[data-picture]")
    there = await pictures.count()
    for number, place in enumerate(_PLACES, there + 1):
        scene = {"scene": {"location": place}}
        address = f"{url}/api/companions/{companion}"
        await page.request.patch(address, data=scene, headers={"Origin": url})
        await page.get_by_role("button", name="Paint a picture").click()
        await pictures.nth(number - 1).wait_for()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
