"""Companions in a browser: written, with pictures chosen and dropped, kept through mishaps, parted with."""

from __future__ import annotations

import base64
import random
from pathlib import Path

from playwright.async_api import FilePayload, Locator, Page, expect

from tests.browser.accessibility import Axe
from tests.browser.visits import PHONE, Visits
from tests.services import pictures
from tests.services.hub import Client, HubServer
from tests.services.picture_files import Store, names_of, picture

DESCRIPTION = "A calm botanist who loves moss."

_DROP = """([content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, {type}));
  for (const kind of ['dragover', 'drop'])
    document.querySelector('main').dispatchEvent(
      new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
}"""
_SHOWN = "image => image.complete && image.naturalWidth > 0"


def png(number: int) -> FilePayload:
    return {"name": f"{number}.png", "mimeType": "image/png", "buffer": picture(number)}


async def drop(page: Page, content: bytes, name: str, media_type: str) -> None:
    """Drop a file anywhere on the page."""
    await page.evaluate(_DROP, [base64.b64encode(content).decode(), name, media_type])


async def is_shown(image: Locator) -> None:
    """Wait until a picture is there to be seen."""
    await image.scroll_into_view_if_needed()
    element = await image.element_handle()
    await image.page.wait_for_function(_SHOWN, arg=element)


async def write(page: Page, name: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Who is it?").fill(DESCRIPTION)


async def header_of(client: Client, companion: str) -> set[str]:
    shown = (await client.http.get(f"/api/companions/{companion}")).json()["header_image"]
    return names_of(shown) if shown else set()


async def test_create_replace_and_delete(page: Page, client: Client, hub: HubServer, axe: Axe) -> None:
    store = Store(hub)
    await page.goto("/companions")
    await page.get_by_role("link", name="Create a companion").click()
    await write(page, "Mira")
    preview = page.locator("picture-field img")
    async with page.expect_file_chooser() as chooser:
        await page.locator("[data-frame]").click()
    await (await chooser.value).set_files(png(1))
    await expect(preview).to_have_attribute("alt", "Your picture: 1.png")
    await is_shown(preview)
    assert str(await preview.get_attribute("src")).startswith("blob:")
    assert await axe(page) == []
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url("**/companions/*-*")
    companion = page.url.rpartition("/")[2]
    await expect(page.get_by_text("Mira is here. Say hello!")).to_be_visible()
    before = await header_of(client, companion)
    assert store.names(companion) == before

    await page.goto("/companions")
    await is_shown(page.locator(".companion img"))
    await page.get_by_role("link", name="Edit Mira").click()
    await is_shown(preview)
    await page.get_by_label("Remove the picture").check()
    await drop(page, picture(2), "second.png", "image/png")
    await expect(preview).to_have_attribute("alt", "Your picture: second.png")
    await expect(page.get_by_label("Remove the picture")).not_to_be_checked()
    assert await axe(page) == []
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url(f"**/companions/{companion}")
    after = await header_of(client, companion)
    assert after.isdisjoint(before)
    await store.gc("--grace", "0")
    assert store.names(companion) == after

    await page.goto(f"/companions/{companion}/edit")
    await page.get_by_role("link", name="Delete Mira…").click()
    question = page.get_by_role("dialog", name="Delete Mira?")
    await expect(question).to_be_visible()
    await question.get_by_role("link", name="Cancel").click()
    await expect(question).to_have_count(0)
    await page.get_by_role("link", name="Delete Mira…").click()
    assert await axe(page) == []
    await question.get_by_role("button", name="Delete for good").click()
    await page.wait_for_url("**/companions")
    await expect(page.get_by_text("Mira is deleted.")).to_be_visible()
    await store.gc("--grace", "0")
    assert store.names(companion) == set()


async def test_what_is_written_is_not_lost(visit: Visits, page: Page, client: Client, tmp_path: Path) -> None:
    visit.expect("Failed to load resource")
    await page.goto("/companions/new")
    await write(page, " ")
    field, problem = page.locator("#field-picture"), page.locator("#problem-picture")
    for name, content in (("a.gif", b"GIF89a"), ("a.txt", b"x"), ("large.png", bytes(10 * 1024 * 1024 + 1))):
        file = tmp_path / name
        file.write_bytes(content)
        await field.set_input_files(file)
        await expect(problem).to_contain_text("10 MB" if name == "large.png" else "not taken")
        await expect(field).to_have_value("")
    await drop(page, b"no picture", "a.png", "image/png")
    await expect(problem).to_contain_text("cannot be read")
    await field.set_input_files(png(3))
    await expect(problem).to_be_hidden()

    async def save(sentence: str) -> None:
        await page.get_by_role("button", name="Create").click()
        await expect(page.locator("main")).to_contain_text(sentence)
        await expect(page.get_by_label("Who is it?")).to_have_value(DESCRIPTION)
        await is_shown(page.locator("picture-field img"))

    await save("Give it a name of 1 to 100 characters.")
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.get_by_label("Name").fill("Mira")
    await page.context.set_offline(True)
    await save("The server cannot be reached.")
    await page.context.set_offline(False)
    cookies = await page.context.cookies()
    await page.context.clear_cookies()
    await save("You are logged out.")
    await page.context.add_cookies([{**cookie} for cookie in cookies])  # type: ignore[typeddict-item] # as they came
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url("**/companions/*-*")
    (made,) = (await client.http.get("/api/companions")).json()["items"]
    assert (made["name"], made["header_image"]["original_bytes"]) == ("Mira", len(picture(3)))


async def test_a_large_picture_shows_how_far_it_is(page: Page, client: Client) -> None:
    companion = (await client.companion(name="Mira"))["id"]
    await page.goto(f"/companions/{companion}/edit")
    noise = random.Random(1).randbytes(600_000)
    content = pictures.photo(400, 300).jpegsave_buffer() + noise
    await page.locator("#field-picture").set_input_files(
        {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": content}
    )
    await is_shown(page.locator("picture-field img"))
    protocol = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 600_000}
    await protocol.send("Network.emulateNetworkConditions", slow)
    await page.get_by_role("button", name="Save").click()
    progress = page.get_by_role("progressbar", name="How much is sent")
    await expect(progress).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Saving…")
    halfway = "bar => bar.value > 0 && bar.value < 1"
    await page.wait_for_function(halfway, arg=await progress.element_handle())
    await page.wait_for_url(f"**/companions/{companion}")
    shown = (await client.http.get(f"/api/companions/{companion}")).json()
    assert shown["header_image"]["original_bytes"] == len(content)


async def test_long_names_on_a_phone(visit: Visits, client: Client) -> None:
    made = [
        (await client.companion(name=name))["id"] for name in ("x" * 100, "A " + "very " * 15, "<b>Bold</b>")
    ]
    page = await visit(client, size=PHONE)
    ways = [f"/companions/{companion}/{way}" for companion in made[:2] for way in ("edit", "delete")]
    for path in ("/companions", *ways):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert not await page.evaluate("() => document.documentElement.scrollWidth > innerWidth"), path


async def test_without_scripts(visit: Visits, client: Client) -> None:
    page = await visit(client, javascript=False)
    await page.goto("/companions/new")
    await write(page, "Mira")
    await page.locator("#field-picture").set_input_files(png(4))
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url("**/companions/*-*")
    (made,) = (await client.http.get("/api/companions")).json()["items"]
    assert made["header_image"]["original_bytes"] == len(picture(4))
    await page.goto(f"/companions/{made['id']}/edit")
    await page.get_by_label("Remove the picture").check()
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url(f"**/companions/{made['id']}")
    assert await header_of(client, made["id"]) == set()
    await page.goto(f"/companions/{made['id']}/edit")
    await page.get_by_role("link", name="Forget all talks…").click()
    await page.get_by_role("button", name="Forget everything").click()
    await expect(page.get_by_text("Mira has forgotten everything")).to_be_visible()
