"""The first run: from the printed link to somebody who is worth talking to, in each language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from hub.domain.samples.contents import samples_in
from hub.domain.samples.schemas import Sample
from hub.web.pages.words import Language, words_in
from tests.browser.conftest import tell
from tests.browser.looks import size_shown
from tests.browser.visits import Visits
from tests.services.fixtures import running_hub
from tests.services.hub import PASSWORD, HubServer, llm_settings
from tests.services.world import within

CONVERSATION = re.compile(r"/conversations/[0-9a-f-]{36}$")
WELCOME = {"en": "Welcome to Companion Hub", "de": "Willkommen bei Companion Hub"}
PORTRAIT = (640, 800)


class FirstRun:
    """The window of somebody who has just started a hub, and what they read in it."""

    def __init__(self, page: Page, language: Language) -> None:
        self.page = page
        self.language = language
        self.words = words_in(language)
        self.samples = samples_in(language)

    async def set_up(self, link: str) -> None:
        """Follow the printed link, and fill in what it asks for."""
        page, _ = self.page, self.words.gettext
        await page.goto(link)
        await expect(page.get_by_role("heading", level=1)).to_have_text(WELCOME[self.language])
        await page.get_by_label(_("Username")).fill("ada")
        await page.get_by_label(_("Email")).fill("ada@example.org")
        await page.get_by_label(_("Password")).fill(PASSWORD)
        await page.get_by_role("button", name=_("Create administrator")).click()
        await page.wait_for_url("**/companions")
        await self.sees(_("%(name)s is the administrator now. Welcome!", name="ada"))

    async def sees_both(self) -> None:
        """Wait until both samples are there, with their portraits."""
        cards = self.page.get_by_role("main").get_by_role("listitem")
        await expect(cards.get_by_role("heading")).to_have_text(
            [each.companion.name for each in self.samples]
        )
        await within(30, self._has_portraits)
        for portrait in await cards.locator("img.face").all():
            assert await size_shown(portrait) == PORTRAIT

    async def _has_portraits(self) -> bool | None:
        """A slow machine is not waited for, and shows them the next time."""
        if await self.page.locator("img.face").count() == len(self.samples):
            return True
        await self.page.reload()
        return None

    async def reads(self, sample: Sample) -> None:
        """Open the talk of a sample, and go back."""
        page, said = self.page, sample.conversation.messages
        await page.get_by_role("link", name=sample.companion.name, exact=True).click()
        await page.wait_for_url(CONVERSATION)
        await expect(page.locator(".chat-title")).to_have_text(sample.conversation.title)
        shown = page.get_by_role("log").get_by_role("article")
        await expect(shown).to_have_count(len(said))
        await expect(shown.first).to_contain_text(said[0].content.strip()[:40])
        picture = shown.nth(sample.picture.message - 1).locator("a.picture img")
        assert min(await size_shown(picture)) > 0
        await page.get_by_role("link", name=self.words.gettext("All companions")).first.click()
        await page.wait_for_url("**/companions")

    async def removes(self) -> None:
        """Remove the samples by one click, and find what is there without them."""
        _ = self.words.gettext
        await self.press(_("Remove samples"), notice=_("The samples are removed."))
        invitation = _("Who would you like to talk to?")
        await expect(self.page.get_by_role("heading", name=invitation)).to_be_visible()
        assert (await (await self.page.request.get("/api/companions")).json())["items"] == []

    async def adds(self) -> None:
        """Have them once more."""
        _ = self.words.gettext
        await self.press(_("Show me two samples"), notice=_("Here they are. Choose one and say hello."))

    async def press(self, button: str, *, notice: str) -> None:
        """Press a button, and wait for what the next page says."""
        await self.page.get_by_role("button", name=button).click()
        await self.sees(notice)

    async def sees(self, notice: str) -> None:
        """Wait for what a page says once."""
        await expect(self.page.locator(".notice")).to_have_text(notice)


def link_of(hub: HubServer) -> str:
    """Return the set-up link that a hub has printed."""
    found = re.search(r"Set-up\s+(http\S+)", hub.output)
    assert found is not None, hub.output
    return found[1]


@pytest.mark.parametrize("language", ["en", "de"])
async def test_a_fresh_hub(browser: Browser, postgres: str, tmp_path: Path, language: Language) -> None:
    settings = llm_settings("http://127.0.0.1:1/v1")
    async with running_hub(tmp_path, postgres, **settings) as hub:
        visits = Visits(browser, hub.url)
        first = FirstRun(await visits(language=language), language)
        try:
            await first.set_up(link_of(hub))
            await first.sees_both()
            await first.reads(first.samples[0])
            await first.sees_both()
            await first.removes()
            await first.adds()
            await first.sees_both()
        except BaseException:
            await tell(visits, tmp_path)
            raise
        finally:
            await visits.close()
        assert visits.unexpected == []
