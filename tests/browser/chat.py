"""The chat as those who use it find it."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect


class Chat:
    """One window with a conversation."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.log = page.get_by_role("log")
        self.messages = self.log.get_by_role("article")
        self.texts = self.log.locator(".said")
        self.field = page.locator("hub-composer textarea")
        self.status = page.locator("[data-part=status]")
        self.bar = page.locator("[data-part=bar]")
        self.send = self.button("Send")
        self.stop = self.button("Stop")

    async def open(self, conversation_id: str, query: str = "", *, base: str = "") -> None:
        """Go there and wait until the messages are read."""
        await self.page.goto(f"{base}/conversations/{conversation_id}{query}")
        await expect(self.log).to_be_visible()
        await expect(self.log.locator("> .hint", has_text="Loading…")).to_have_count(0)

    async def say(self, text: str) -> None:
        """Write a message and send it, as one does with a keyboard."""
        await self.field.fill(text)
        await self.field.press("Enter")

    def button(self, name: str, *, within: Locator | None = None) -> Locator:
        """Return a button by the whole of its name."""
        return (within or self.page).get_by_role("button", name=name, exact=True)

    async def shows(self, *texts: str) -> None:
        """Wait until exactly these texts are shown, from the first to the last."""
        await expect(self.texts).to_have_text(list(texts), use_inner_text=True)
