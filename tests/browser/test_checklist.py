"""The functional checklist of the original's guide, line by line, in one window of one new person.

Each line needs those before it: where one failed or was left out, those behind it fail, and say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, FilePayload, Locator, Page, expect

from tests.browser.conftest import has_failed, tell
from tests.browser.looks import corners_shown, drop, size_shown
from tests.browser.visits import Visits
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.hub import PASSWORD, HubServer
from tests.services.picture_files import Store, names_of
from tests.services.pictures import quarters

COMPANION = re.compile(r"/companions/([0-9a-f-]{36})$")
CONVERSATION = re.compile(r"/conversations/([0-9a-f-]{36})$")
GREETING = "Mind the ferns, they are asleep."


@dataclass
class Journey:
    """The window, the hub behind it, and what is known so far."""

    visits: Visits
    page: Page
    store: Store
    name: str = field(default_factory=lambda: f"new_{secrets.token_hex(4)}")
    companion: str = ""
    conversation: str = ""
    headers: list[dict[str, Any]] = field(default_factory=list)
    painted: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    async def ask(self, path: str) -> Any:
        """Return what the API answers to this browser."""
        answer = await self.page.request.get(path)
        assert answer.ok, await answer.text()
        return await answer.json()

    async def images(self, kind: str) -> list[dict[str, Any]]:
        """Return the companion's pictures of a kind."""
        return list((await self.ask(f"/api/companions/{self.companion}/images?kind={kind}"))["items"])

    async def said(self) -> list[tuple[str, str]]:
        """Return who said what in the conversation, oldest first."""
        page = await self.ask(f"/api/conversations/{self.conversation}/messages")
        return [(each["role"], each["content"]) for each in reversed(page["items"])]

    async def is_served(self, image: dict[str, Any]) -> bool:
        """Tell whether a picture can be had."""
        return (await self.page.request.get(image["url"])).ok

    async def an_hour_passes(self) -> None:
        """Let the grace of removed files be over, and the hub collect them."""
        await self.store.age("1 hour")
        await self.store.run_task("images")

    async def say(self, words: str) -> None:
        """Write a message and send it."""
        await self.page.get_by_label("Message to Mira").fill(words)
        await self.page.keyboard.press("Enter")

    async def edit(self) -> None:
        """Go to the companion's editor, from the cards."""
        await self.page.goto("/companions")
        await self.page.get_by_role("link", name=re.compile("^Edit ")).click()
        await self.page.wait_for_url(f"**/companions/{self.companion}/edit")

    async def save(self, landing: re.Pattern[str]) -> None:
        """Send the editor's form, and wait for the page that follows."""
        await self.page.get_by_role("button", name="Save").click()
        await self.page.wait_for_url(landing)
        await self.sees("Saved.")

    async def sees(self, notice: str | re.Pattern[str]) -> None:
        """Wait for what a page says once."""
        await expect(self.page.locator(".notice")).to_have_text(notice)

    def messages(self, author: str) -> Locator:
        """Return the messages of somebody as they are shown."""
        return self.page.get_by_role("log").get_by_role("article", name=author)

    @property
    def files(self) -> set[str]:
        """The names of the companion's files."""
        return self.store.names(self.companion)


@pytest.fixture(scope="module")
async def journey(browser: Browser, hub: HubServer) -> AsyncIterator[Journey]:
    """Yield the one window."""
    visits = Visits(browser, hub.url)
    yield Journey(visits, await visits(), Store(hub))
    await visits.close()


@pytest.fixture(autouse=True)
async def in_order(journey: Journey, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[None]:
    """Let no line pass without those before it."""
    name = request.node.name
    lines = [each for each in globals() if each.startswith("test_")]
    assert journey.done == lines[: lines.index(name)], "a line before this one failed, or was left out"
    yield
    if has_failed(request):
        await tell(journey.visits, tmp_path)
        return
    assert journey.visits.unexpected == []
    journey.done.append(name)


async def test_01_user_registration_works(journey: Journey) -> None:
    page = journey.page
    await page.goto("/")
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Username").fill(journey.name)
    await page.get_by_label("Email").fill(f"{journey.name}@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await page.wait_for_url("**/companions")
    await journey.sees(f"Welcome, {journey.name}!")


async def test_02_user_login_works(journey: Journey) -> None:
    page = journey.page
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login")
    await journey.sees("You are logged out.")
    assert (await page.request.get("/api/me")).status == 401
    await page.get_by_label("Username or email").fill(journey.name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/companions")
    assert (await journey.ask("/api/me"))["username"] == journey.name


async def test_03_create_a_companion(journey: Journey) -> None:
    page = journey.page
    await page.get_by_role("link", name="Create a companion").click()
    await page.get_by_label("Name").fill("Mira")
    await page.get_by_label("Who is it?").fill("A calm botanist who loves moss.")
    await page.get_by_label("First words").fill(GREETING)
    await page.get_by_role("button", name="Create").click()
    await page.wait_for_url(COMPANION)
    await journey.sees("Mira is here. Say hello!")
    (companion,) = (await journey.ask("/api/companions"))["items"]
    assert companion["name"] == "Mira"
    journey.companion = companion["id"]


async def test_04_upload_a_companion_header_image(journey: Journey) -> None:
    await journey.page.get_by_role("link", name="Edit Mira").click()
    await expect(journey.page.get_by_text("Drop it on this page")).to_be_visible()
    await drop(journey.page, quarters().pngsave_buffer(), name="mira.png")
    assert await corners_shown(journey.page.get_by_alt_text("Your picture: mira.png")) == "RGBW"
    await journey.save(COMPANION)
    (header,) = await journey.images("header")
    assert journey.files == names_of(header)
    file = journey.store.main_file(journey.companion, header["sha256"])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == header["sha256"]
    journey.headers.append(header)


async def test_05_image_displays_correctly(journey: Journey) -> None:
    page, address = journey.page, journey.headers[0]["url"]
    begin = page.locator(f'main img[src="{address}"]')
    assert await size_shown(begin) == (128, 64)
    assert await corners_shown(begin) == "RGBW"
    await page.goto("/companions")
    assert await corners_shown(page.get_by_role("main").locator("img")) == "RGBW"


async def test_06_send_a_message_to_companion(journey: Journey) -> None:
    page = journey.page
    await page.get_by_role("link", name="Mira", exact=True).click()
    await page.get_by_role("button", name="Begin a conversation").click()
    await page.wait_for_url(CONVERSATION)
    journey.conversation = page.url.rpartition("/")[2]
    await expect(journey.messages("Mira")).to_have_text([re.compile(GREETING)])
    assert await corners_shown(page.locator(".chat-head img")) == "RGBW"
    await journey.say("How is the moss?")
    await expect(journey.messages("You")).to_have_text([re.compile("How is the moss")])
    await expect(journey.messages("Mira").last).to_contain_text("how lovely ☕ 🫖, tell me more.")
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    answer = "You said: “How is the moss?” — how lovely ☕ 🫖, tell me more."
    said = [("assistant", GREETING), ("user", "How is the moss?"), ("assistant", answer)]
    assert await journey.said() == said


async def test_07_see_streaming_response(journey: Journey, llm: FakeLLM) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    pieces = ["Green", " as", " ever", ", and", " wet."]
    llm.script(reply(pieces, between={2: first, 4: second}))
    await journey.say("Tell me more")
    said = journey.messages("Mira").last.locator(".said")
    await expect(said).to_have_text("Green as")
    await expect(journey.page.get_by_role("button", name="Stop")).to_be_visible()
    assert (await journey.said())[-1] == ("user", "Tell me more"), "the answer is not whole yet"
    first.set()
    await expect(said).to_have_text("Green as ever, and")
    second.set()
    await expect(said).to_have_text("Green as ever, and wet.")
    await expect(journey.page.get_by_role("button", name="Stop")).to_be_hidden()
    assert (await journey.said())[-1] == ("assistant", "Green as ever, and wet.")


# A picture may be there before a look that comes again and again has seen how far it is.
_WATCH = """() => {
  globalThis.seen = [];
  const look = () => {
    const words = document.querySelector('.painting:has(progress) p')?.textContent;
    if (words && words !== globalThis.seen.at(-1)) globalThis.seen.push(words);
  };
  new MutationObserver(look).observe(document.querySelector('[role=log]'), {subtree: true, childList: true});
}"""


async def test_08_generate_an_image(journey: Journey) -> None:
    page = journey.page
    await page.evaluate(_WATCH)
    await page.get_by_label("With a picture").check()
    await journey.say("Show me")
    picture = journey.messages("Mira").last.locator("a.picture img")
    width, height = await size_shown(picture)
    assert width > 100
    assert height > 100
    seen = await page.evaluate("() => globalThis.seen")
    assert seen[-1] == "The picture is being painted…"
    await expect(page.locator(".painting")).to_have_count(0)


async def test_09_generated_image_saved_to_uploads(journey: Journey) -> None:
    (image,) = await journey.images("generated")
    folder = journey.store.data_dir / "uploads" / "companions" / journey.companion / "generated"
    assert {each.name for each in folder.iterdir()} == names_of(image)
    content = (folder / f"{image['sha256']}.avif").read_bytes()
    assert hashlib.sha256(content).hexdigest() == image["sha256"]
    assert len(content) == image["bytes"]
    answer = await journey.page.request.get(image["url"], headers={"Accept": "image/avif,*/*"})
    assert await answer.body() == content
    journey.painted = image


async def test_10_view_gallery(journey: Journey) -> None:
    page, image = journey.page, journey.painted
    await page.get_by_role("button", name="More").click()
    await page.get_by_role("link", name="Gallery of Mira").click()
    await page.wait_for_url(f"**/companions/{journey.companion}/gallery")
    tiles = page.locator(".pictures img")
    await expect(tiles).to_have_count(2)
    for tile in await tiles.all():
        await size_shown(tile)
    await page.locator(f'[data-picture="{image["id"]}"]').click()
    await page.wait_for_url(f"**/images/{image['id']}")
    shown = page.get_by_role("main").locator(".whole img")
    assert await size_shown(shown) == (image["width"], image["height"])
    await expect(page.locator(".recipe").first).to_contain_text(image["recipe"]["prompt"][:60])


async def test_11_edit_companion_settings(journey: Journey) -> None:
    page = journey.page
    await journey.edit()
    await page.get_by_label("Who is it?").fill("A calm botanist who has begun to paint.")
    await page.get_by_label("Usual outfit").fill("a green apron")
    await journey.save(CONVERSATION)
    companion = await journey.ask(f"/api/companions/{journey.companion}")
    assert companion["description"] == "A calm botanist who has begun to paint."
    assert companion["default_outfit"] == "a green apron"
    await journey.edit()
    await expect(page.get_by_label("Who is it?")).to_have_value("A calm botanist who has begun to paint.")
    await expect(page.get_by_label("Usual outfit")).to_have_value("a green apron")


async def test_12_update_companion_image(journey: Journey) -> None:
    page, before = journey.page, journey.headers[0]
    content: bytes = quarters().rot180().pngsave_buffer()
    file = FilePayload(name="new.png", mimeType="image/png", buffer=content)
    async with page.expect_file_chooser() as chooser:
        await page.locator("picture-field [data-frame]").click()
    await (await chooser.value).set_files(file)
    assert await corners_shown(page.get_by_alt_text("Your picture: new.png")) == "WBGR"
    await journey.save(CONVERSATION)
    assert await corners_shown(page.locator(".chat-head img")) == "WBGR"
    await page.goto("/companions")
    assert await corners_shown(page.get_by_role("main").locator("img")) == "WBGR"
    (header,) = await journey.images("header")
    assert not await journey.is_served(before)
    await journey.an_hour_passes()
    assert journey.files == names_of(header) | names_of(journey.painted), "the old file is gone"
    journey.headers.append(header)


async def test_13_wipe_companion_memory(journey: Journey) -> None:
    page = journey.page
    count = len(await journey.said())
    await journey.edit()
    await page.get_by_role("link", name="Forget all talks…").click()
    question = page.get_by_role("dialog")
    await expect(question).to_contain_text(f"{count} messages")
    await question.get_by_role("button", name="Forget everything").click()
    await page.wait_for_url(CONVERSATION)
    await journey.sees(f"Mira has forgotten everything: {count} messages and 1 picture are gone.")
    await expect(page.get_by_text("Say something to Mira.")).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(0)
    assert await journey.said() == []
    assert await journey.images("generated") == []
    assert not await journey.is_served(journey.painted)
    await journey.an_hour_passes()
    assert journey.files == names_of(journey.headers[1]), "the generated files are gone, the header is not"


async def test_14_delete_companion(journey: Journey) -> None:
    page = journey.page
    await journey.edit()
    await page.get_by_role("link", name="Delete Mira…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    await page.wait_for_url("**/companions")
    await journey.sees("Mira is deleted.")
    await expect(page.get_by_role("heading", name="Who would you like to talk to?")).to_be_visible()
    for path in (f"/api/companions/{journey.companion}", f"/api/conversations/{journey.conversation}"):
        assert (await page.request.get(path)).status == 404


async def test_15_images_deleted_from_uploads(journey: Journey) -> None:
    for image in (*journey.headers, journey.painted):
        assert not await journey.is_served(image)
    await journey.an_hour_passes()
    assert not journey.store.folder(journey.companion).exists()
