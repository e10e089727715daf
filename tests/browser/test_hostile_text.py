"""What people and models write is shown as it is, wherever it is shown, and does nothing."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

import pytest
from playwright.async_api import Dialog, Page, expect

from tests.browser.chat import Chat
from tests.browser.hostile import INTRUDERS, LONG_WORD, MARKDOWN, MARKUP
from tests.browser.visits import PHONE, Visits
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.hub import PASSWORD, Client, HubServer
from tests.services.people import promote
from tests.services.world import query

#: Those that Markdown reads otherwise than they are written: entities, and what stands between two stars.
READ_BY_MARKDOWN = ("&lt;b&gt;", "{{7*7}}")
BREAKERS = [each for each in MARKUP if each[0] in "\"'-{%" or "</t" in each]
SAID = "\n\n".join([*MARKUP, *MARKDOWN])
PROMPT = "\n".join(MARKUP[:12])
NAME = BREAKERS[-3]


@dataclass
class World:
    """What an administrator has, all of it with hostile names."""

    admin: Client
    companions: dict[str, str]  # by the name
    conversation: str
    image: str
    token: str


@pytest.fixture(scope="module")
async def world(hub: HubServer, llm: FakeLLM) -> AsyncIterator[World]:
    admin = await promote(hub, await Client(hub.url).register())
    await admin.http.patch("/api/me", json={"display_name": BREAKERS[0]})
    for each in BREAKERS:
        await neighbour(admin, display_name=each)
    companions = {}
    for each in MARKUP:
        fields = dict.fromkeys(("appearance", "default_outfit", "greeting"), each)
        made = await admin.companion(name=each, description=f"{each} and so on", **fields)
        companions[each] = made["id"]
    conversation = (await admin.conversation(companions[NAME]))["id"]
    await admin.http.patch(f"/api/conversations/{conversation}", json={"title": BREAKERS[1]})
    llm.script(reply(LONG_WORD))
    await admin.ended((await admin.send(conversation, LONG_WORD))["response"]["id"])
    image = (await admin.paint(companions[NAME], prompt=PROMPT))["result"]["id"]
    tokens = [(await admin.make_token("read", name=each))["id"] for each in BREAKERS]
    for each in BREAKERS:
        await admin.http.post("/api/admin/invites", json={"note": each})
    webhook = {"url": "http://localhost:9/?q='&a=%22", "events": ["image.completed"], "description": NAME}
    assert (await admin.http.post("/api/webhooks", json=webhook)).status_code == 201
    yield World(admin, companions, conversation, image, tokens[0])
    await admin.close()
    # Administrators see everybody: other tests would find these people in their lists, with their invites.
    gone = "DELETE FROM users WHERE starts_with(username, 'h_') OR id = $1"
    await query(hub.settings["HUB_DATABASE_URL"], gone, UUID(admin.user["id"]))


async def neighbour(anyone: Client, **fields: str) -> None:
    name = f"h_{secrets.token_hex(6)}"
    body = {"username": name, "email": f"'{name}'@example.org", "password": PASSWORD, **fields}
    assert (await anyone.http.post("/api/auth/register", json=body)).status_code == 201


@dataclass
class Window:
    """A window of a phone, and the questions that were asked in it."""

    page: Page
    asked: list[str]

    async def is_clean(self) -> None:
        """Look whether anything came of what is shown."""
        assert await self.page.evaluate(INTRUDERS) == [], self.page.url
        wide = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px too wide"
        assert self.asked == [], self.page.url

    async def shows(self, address: str, *texts: str) -> None:
        """Go there and find these texts, as they are."""
        answer = await self.page.goto(address)
        assert answer is not None
        assert answer.ok, address
        await self.is_clean()
        shown = await self.page.locator("main").text_content() or ""
        assert [each for each in texts if each not in shown] == [], address


@pytest.fixture
async def window(visit: Visits, world: World) -> Window:
    page = await visit(world.admin, size=PHONE)
    window = Window(page, [])

    async def hear(dialog: Dialog) -> None:
        window.asked.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", hear)
    return window


async def test_what_would_get_through_is_seen(visit: Visits) -> None:
    visit.expect(".")
    page = await visit()
    for text in [*MARKUP[:21], NAME]:
        if "refresh" not in text:
            await page.set_content(f'<main><p title="{text}">{text}</p></main>', wait_until="commit")
            assert await page.evaluate(INTRUDERS) != [], text


async def test_names_and_descriptions(window: Window, world: World) -> None:
    page = window.page
    await window.shows("/companions")
    shown = await page.locator("main").text_content() or ""
    await page.get_by_role("link", name="Show more").click()
    await expect(page.get_by_role("link", name="Back to the first")).to_be_visible()
    await window.is_clean()
    shown += await page.locator("main").text_content() or ""
    assert [each for each in MARKUP if each not in shown] == []
    for name in (NAME, BREAKERS[0], "{{7*7}} {% if 1 %} ${7*7} #{7*7} <%= 7*7 %>"):
        companion = world.companions[name]
        await window.shows(f"/companions/{companion}/edit", name)
        await expect(page.locator("[name=name]")).to_have_value(name)
        await expect(page.locator("[name=description]")).to_have_value(f"{name} and so on")
        await expect(page.locator("[name=default_outfit]")).to_have_value(name)
        await window.shows(f"/companions/{companion}/delete", name)
    await window.shows(f"/companions/{world.companions[BREAKERS[2]]}", BREAKERS[2])


async def test_a_talk(window: Window, world: World, llm: FakeLLM) -> None:
    chat = Chat(window.page)
    await chat.open(world.conversation)
    before = await chat.texts.count()
    await window.is_clean()
    llm.script(reply(SAID))
    await world.admin.send(world.conversation, SAID)
    await expect(chat.texts).to_have_count(before + 2)
    await expect(chat.texts.last).to_contain_text(MARKDOWN[-2], timeout=20_000)
    await expect(chat.log).to_have_attribute("aria-busy", "false")
    await window.is_clean()
    await window.page.reload()
    await expect(chat.texts).to_have_count(before + 2)
    for text in (await chat.texts.all_text_contents())[-2:]:
        written = [each for each in MARKUP if not each.startswith(READ_BY_MARKDOWN)]
        assert [each for each in written if each not in text] == []
    await window.is_clean()


async def test_pictures_and_search(window: Window, world: World) -> None:
    page = window.page
    await window.shows(f"/companions/{world.companions[NAME]}/gallery", NAME)
    await window.shows(f"/images/{world.image}", NAME, *MARKUP[:12])
    await window.shows("/search?q=Donaudampfschiff*", NAME)
    await window.shows("/search?q=document", NAME)
    for each in BREAKERS:
        await window.shows(f"/search?q={quote(each)}")
        await expect(page.locator("[name=q]")).to_have_value(each)


async def test_settings_and_administration(window: Window, world: World) -> None:
    await window.shows("/settings")
    await expect(window.page.locator("[name=display_name]")).to_have_value(BREAKERS[0])
    await window.shows("/settings/tokens", *BREAKERS)
    await window.shows(f"/settings/tokens/{world.token}/delete", BREAKERS[0])
    await window.shows("/settings/webhooks", NAME)
    await window.shows("/admin/users", *BREAKERS, "'h_")
    await window.shows(f"/admin/users?query={quote(BREAKERS[0])}")
    await expect(window.page.locator("[name=query]")).to_have_value(BREAKERS[0])
    await window.shows("/admin/invites", *BREAKERS)
