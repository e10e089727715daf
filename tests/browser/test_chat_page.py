"""Talking on the page: what is shown is what is stored, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser.accessibility import Axe
from tests.browser.chat import Chat
from tests.browser.visits import PHONE, Visits
from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import answer, error, reply
from tests.faults.proxy import Faults, Proxy
from tests.services.fixtures import new_user, running_hub
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.world import query, within

LONG = "The moss at the brook grows slowly, and nobody hurries it."


async def stored(client: Client, conversation_id: str) -> list[str]:
    """Return what the messages say, the first one first."""
    return [each["content"] for each in await client.messages(conversation_id)]


async def stores(client: Client, conversation_id: str, *said: str) -> None:
    """Wait until the messages say this: a text is whole in the window before it is stored."""

    async def agrees() -> bool | None:
        return await stored(client, conversation_id) == [*said] or None

    await within(15, agrees)


async def answered(client: Client, conversation_id: str) -> bool | None:
    """Tell whether a reply is stored."""
    return len(await stored(client, conversation_id)) > 1 or None


async def test_a_talk(page: Page, client: Client, llm: FakeLLM, axe: Axe) -> None:
    conversation = (await client.conversation())["id"]
    chat, held = Chat(page), asyncio.Event()
    await chat.open(conversation)
    await expect(chat.field).to_be_focused()
    llm.script(reply("Moss is *soft*, and green.", between={3: held}))
    await chat.say("What is moss?")
    await chat.shows("What is moss?", "Moss is soft,")
    await expect(chat.log).to_have_attribute("aria-busy", "true")
    await expect(chat.status).to_have_text("Mira is typing…")
    await expect(chat.stop).to_be_visible()
    held.set()
    await chat.shows("What is moss?", "Moss is soft, and green.")
    await expect(chat.texts.locator("em")).to_have_text("soft")
    await expect(chat.status).to_have_text("Mira has answered.")
    await expect(chat.log).to_have_attribute("aria-busy", "false")
    await expect(chat.field).to_be_focused()
    await stores(client, conversation, "What is moss?", "Moss is *soft*, and green.")

    llm.script(reply("A very small forest."))
    await chat.button("Answer differently").click()
    await chat.shows("What is moss?", "A very small forest.")
    await expect(chat.messages.last).to_contain_text("2/2")
    await chat.button("The text before").click()
    await chat.shows("What is moss?", "Moss is soft, and green.")
    assert await axe(page) == []
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert await axe(page) == []

    llm.script(reply("It grows on stone."))
    await chat.field.press("ArrowUp")
    editor = chat.log.get_by_label("Text of the message")
    await expect(editor).to_have_value("What is moss?")
    await editor.press("Escape")
    await expect(editor).to_have_count(0)
    await chat.button("Edit", within=chat.messages.first).click()
    await editor.fill("Where is moss?")
    await chat.button("Save and answer again").click()
    await chat.shows("Where is moss?", "It grows on stone.")
    await stores(client, conversation, "Where is moss?", "It grows on stone.")


async def test_what_goes_wrong_can_be_put_right(page: Page, client: Client, llm: FakeLLM) -> None:
    conversation = (await client.conversation())["id"]
    chat = Chat(page)
    await chat.open(conversation)
    llm.script(error(400, "no"))
    await chat.say("One")
    await expect(chat.messages.last).to_contain_text("Ask the operator")
    await page.reload()
    llm.script(reply("Two."))
    await chat.button("Ask for an answer").click()
    await chat.shows("One", "Two.")

    llm.script(reply(LONG, between={3: asyncio.Event()}))
    await chat.say("Three")
    await chat.shows("One", "Two.", "Three", "The moss at")
    await chat.field.press("Escape")
    await expect(chat.messages.last).to_contain_text("Stopped.")
    await chat.shows("One", "Two.", "Three", "The moss at")
    llm.script(reply("Four."))
    await chat.button("Try again").click()
    await chat.shows("One", "Two.", "Three", "Four.")

    llm.script(reply(" And five."))
    await chat.button("Go on").click()
    await chat.shows("One", "Two.", "Three", "Four. And five.")
    await chat.button("Delete", within=chat.messages.nth(2)).click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete this and everything after it").click()
    await chat.shows("One", "Two.")
    await stores(client, conversation, "One", "Two.")


async def test_a_lost_connection_loses_nothing(
    visit: Visits, client: Client, hub: HubServer, llm: FakeLLM
) -> None:
    """The network goes in the middle of a reply, and while something is written."""
    address = urlsplit(hub.url)
    assert address.hostname is not None
    assert address.port is not None
    conversation = (await client.conversation())["id"]
    held = asyncio.Event()
    async with Proxy(address.hostname, address.port) as proxy:
        base = f"http://{address.hostname}:{proxy.port}"
        visit.expect(f"request to another host: {base}", "WebSocket connection", "ERR_|Failed to load")
        chat = Chat(await visit(client))
        await chat.open(conversation, base=base)
        llm.script(reply(LONG, between={3: held}))
        await chat.say("Tell me")
        await chat.shows("Tell me", "The moss at")
        proxy.faults = lambda: Faults(refuse=True)
        proxy.cut()
        await expect(chat.bar).to_have_text("You are offline. What you write is sent when you are back.")
        await chat.say("Are you there?")
        await expect(chat.messages.last).to_contain_text("Sent when you are online again")
        held.set()
        await within(10, lambda: answered(client, conversation))  # while nobody listens
        llm.script(reply("Here I am."))
        proxy.faults = Faults
        await chat.shows("Tell me", LONG, "Are you there?", "Here I am.")
        await expect(chat.bar).to_be_hidden()
    await stores(client, conversation, "Tell me", LONG, "Are you there?", "Here I am.")


async def test_tabs_reloads_and_drafts(visit: Visits, client: Client, llm: FakeLLM) -> None:
    conversation = (await client.conversation())["id"]
    visit.expect("WebSocket connection", "ERR_INTERNET_DISCONNECTED")
    chat = Chat(await visit(client))
    await chat.open(conversation)
    other, held = Chat(await chat.page.context.new_page()), asyncio.Event()
    await other.open(conversation)
    llm.script(reply(LONG, between={3: held}))
    await chat.say("First")
    for each in (chat, other):
        await each.shows("First", "The moss at")
    await chat.field.fill("half a sent")
    await chat.page.reload()
    await chat.shows("First", "The moss at")
    await expect(chat.field).to_have_value("half a sent")
    held.set()
    for each in (chat, other):
        await each.shows("First", LONG)

    await chat.page.context.set_offline(True)
    await chat.say("Second")
    await expect(chat.messages.last).to_contain_text("Sent when you are online again")
    await chat.page.close()
    llm.script(reply("Third."))
    await other.page.context.set_offline(False)
    again = Chat(await other.page.context.new_page())
    await again.open(conversation)
    for each in (again, other):
        await each.shows("First", LONG, "Second", "Third.")
    await stores(client, conversation, "First", LONG, "Second", "Third.")


@pytest.fixture(scope="module")
async def painter() -> AsyncIterator[FakeA1111]:
    async with FakeA1111() as fake:
        fake.held = True
        yield fake


@pytest.fixture(scope="module")
async def painting_hub(
    painter: FakeA1111, llm: FakeLLM, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub that follows the scene, and has its pictures made by the fake."""
    settings = {
        "HUB_SD_URL": painter.url,
        "HUB_IMAGE_WIDTH": "64",
        "HUB_IMAGE_HEIGHT": "96",
        "HUB_SCENE_ANALYSIS": "after",
    }
    folder = tmp_path_factory.mktemp("chat_page")
    async with running_hub(folder, postgres, **{**llm_settings(llm.url), **settings}) as hub:
        yield hub


async def test_pictures_and_the_scene(
    visit: Visits, painting_hub: HubServer, painter: FakeA1111, llm: FakeLLM, axe: Axe
) -> None:
    visit.url = painting_hub.url
    async with new_user(painting_hub) as client:
        conversation = (await client.conversation())["id"]
        page = await visit(client, size=PHONE, dark=True)
        chat = Chat(page)
        await chat.open(conversation)
        llm.script_analysis(answer('{"location": "a beach at night", "action": "counting stars"}'))
        await page.get_by_label("With a picture").check()
        await chat.say("Let us go to the beach")
        bar = chat.messages.last.get_by_role("progressbar")
        await expect(bar).to_be_visible()
        await expect(page.get_by_label("With a picture")).not_to_be_checked()
        await painter.wait_for(lambda: painter.working)
        painter.progress = 0.5
        await expect(bar).to_have_attribute("value", "0.5")
        painter.finish()
        picture = chat.messages.last.locator("a[href^='/images/'] img")
        await expect(picture).to_have_attribute("width", "64")
        await expect(picture).to_have_attribute("alt", re.compile("beach at night"))
        await expect(page.locator(".scene-line")).to_contain_text("a beach at night · counting stars")
        await page.locator(".scene-line").click()
        await expect(page.get_by_role("complementary")).to_contain_text("counting stars")
        assert await axe(page) == []
        await chat.button("Change the scene").click()
        await page.get_by_label("Doing").fill("counting shells")
        await chat.button("Save", within=page.get_by_role("dialog")).click()
        await expect(page.get_by_role("complementary")).to_contain_text("counting shells")
        await page.keyboard.press("Escape")

        await chat.button("Picture of the scene").click()
        await expect(chat.messages).to_have_count(3)
        await painter.wait_for(lambda: painter.working)
        await chat.button("Cancel the picture").click()
        await expect(chat.messages).to_have_count(2)
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


async def insert_many(postgres_of_hub: str, conversation_id: str, count: int) -> None:
    """Store messages of different lengths, as if they had been said."""
    await query(
        postgres_of_hub,
        "INSERT INTO messages (id, conversation_id, user_id, position, role, content)"
        " SELECT gen_random_uuid(), id, user_id, n, CASE n % 2 WHEN 0 THEN 'assistant' ELSE 'user' END,"
        " 'Number ' || n || '. ' || repeat('Moss and ferns. ', 1 + n * 7 % 40)"
        " FROM conversations, generate_series(1, $2::int) n WHERE id = $1",
        conversation_id,
        count,
    )
    await query(
        postgres_of_hub, "UPDATE conversations SET last_position = $2 WHERE id = $1", conversation_id, count
    )


async def test_ten_thousand_messages(page: Page, client: Client, hub: HubServer) -> None:
    conversation = (await client.conversation())["id"]
    await insert_many(hub.settings["HUB_DATABASE_URL"], conversation, 10_000)
    chat = Chat(page)
    await chat.open(conversation)
    await expect(chat.messages.last).to_contain_text("Number 10000.")
    await expect(chat.messages.last).to_be_in_viewport()
    for last in (9_900, 9_700, 9_500):
        mark = chat.messages.filter(has_text=f"Number {last}.")
        while not await mark.count():
            await chat.log.evaluate("(log) => { log.scrollTop = 0 }")
            await page.evaluate("() => new Promise(requestAnimationFrame)")
    assert await chat.messages.count() <= 400
    await expect(chat.button("To the newest")).to_be_visible()

    await page.keyboard.press("Control+k")
    await page.keyboard.type("4711")
    await page.get_by_role("button", name="Number 4711.").click()
    found = chat.messages.filter(has_text="Number 4711.")
    await expect(found).to_be_in_viewport()
    await expect(found).to_be_focused()
    await chat.button("To the newest").click()
    await expect(chat.messages.last).to_contain_text("Number 10000.")
    await expect(chat.messages.last).to_be_in_viewport()
    await chat.open(conversation, "?message=42")
    await expect(chat.messages.filter(has_text="Number 42.")).to_be_in_viewport()


async def first_in_sight(page: Page) -> tuple[str, float]:
    """Return the text of the first message in sight, and how far below the upper edge it begins."""
    text, top = await page.evaluate("""async () => {
      for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
      const log = document.querySelector("[role=log]"), place = (each) => each.getBoundingClientRect();
      const edge = place(log).top;
      const seen = [...log.querySelectorAll("article")].find((each) => place(each).bottom > edge);
      return [seen.textContent, place(seen).top - edge];
    }""")
    return text, top


async def stays(page: Page, text: str, top: float) -> None:
    """Check that the same message is still in the same place, to the pixel."""
    now, place = await first_in_sight(page)
    assert now == text
    assert abs(place - top) < 1.5, (place, top)


async def test_reading_on_while_older_ones_come(page: Page, client: Client, hub: HubServer) -> None:
    """What somebody reads stays where it is when messages are put before it, or said behind it."""
    conversation = (await client.conversation())["id"]
    await insert_many(hub.settings["HUB_DATABASE_URL"], conversation, 300)
    chat = Chat(page)
    await chat.open(conversation)
    await expect(chat.messages.last).to_be_in_viewport()
    await chat.log.evaluate("(log) => { log.scrollTop = 600 }")
    text, top = await first_in_sight(page)
    await expect(chat.messages.filter(has_text="Number 230.")).to_have_count(1)
    await stays(page, text, top)
    sent = await client.send(conversation, "Said meanwhile")
    await client.ended(sent["response"]["id"])
    await expect(chat.button("2 new messages")).to_be_visible()
    await stays(page, text, top)
    await chat.button("2 new messages").click()
    await expect(chat.messages.last).to_be_in_viewport()
    await expect(chat.messages.last).to_contain_text("Said meanwhile")
