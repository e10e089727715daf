"""The chat in a browser: how soon it is there with 1,000 messages against none, and how much JavaScript."""

from __future__ import annotations

import json
import math
import statistics

from msgspec import Struct
from playwright.async_api import Browser, async_playwright

from bench.report import Figure, summary
from bench.world import World
from hub.web.pages.assets import assets
from tests.browser.visits import launch
from tests.services.hub import Client
from tests.services.programs import INSTALL_CHROMIUM, find_chromium

#: First contentful paint with messages, as a multiple of that without.
GOAL = 1.5
#: Bytes of all JavaScript, each file compressed by itself as it is sent.
SCRIPT_GOAL = 60_000
MESSAGES = 1_000
LOADS = 15
WARM_UP = 2

_LAST = "The last of them all."
_TEXT = "It rained on the *moss*, and **nobody** minded. " * 4

# Notes when the newest message is on the page, or that there is none, after the frame that shows it.
_WATCH = """
const watch = new MutationObserver(() => {
  const said = [...document.querySelectorAll('hub-message')].at(-1)?.textContent ?? '';
  const isThere = LAST ? said.includes(LAST) : document.querySelector('hub-transcript .log');
  if (!isThere) return;
  watch.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.shownAt = performance.now(); }));
});
watch.observe(document, {childList: true, subtree: true, characterData: true});
"""
_READY = """() => globalThis.shownAt
  && performance.getEntriesByName('first-contentful-paint').length"""
_READ = """() => ({
  painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
  shown: globalThis.shownAt,
  fetched: performance.getEntriesByType('resource').length,
})"""


class Load(Struct, frozen=True):
    """One visit, in milliseconds after its beginning; ``fetched`` counts what the page asked for."""

    painted: float
    shown: float
    fetched: int


class Talk(Struct, frozen=True):
    """A conversation to be opened, and the words of its newest message, empty when it has none."""

    path: str
    last: str


async def measure(world: World) -> list[Figure]:
    """Open both conversations in turn, each time in a browser that knows nothing."""
    scripts = _scripts()
    program = find_chromium()
    if program is None:
        return [_not_measured(), scripts]
    with world.llm() as llm:
        async with (
            world.hub_up(llm) as server,
            async_playwright() as playwright,
        ):
            client = await Client(server.url).register()
            empty, full = await _talk(client, 0), await _talk(client, MESSAGES)
            browser = await launch(playwright, program)
            found: dict[str, list[Load]] = {empty.path: [], full.path: []}
            for number in range(WARM_UP + LOADS):
                for talk in (empty, full):
                    load = await _open(browser, client, talk)
                    found[talk.path] += [load] if number >= WARM_UP else []
            await browser.close()
            await client.close()
    return [_figure(found[empty.path], found[full.path]), scripts]


async def _talk(client: Client, count: int) -> Talk:
    """Bring a conversation of so many messages along."""
    companion = await client.companion()
    if not count:
        return Talk(f"/conversations/{(await client.conversation(companion['id']))['id']}", "")
    moment = "2026-01-02T03:04:05Z"
    head = {"type": "conversation", "format": "companion-hub.conversation", "version": 1, "title": ""}
    lines: list[dict[str, object]] = [{**head, "companion": {"name": "Mira"}, "created_at": moment}]
    for number in range(1, count + 1):
        role, text = ("assistant", "user")[number % 2], _LAST if number == count else _TEXT
        line = {"type": "message", "position": number, "role": role, "content": text, "created_at": moment}
        lines.append(line)
    lines.append({"type": "end", "messages": count})
    answer = await client.http.post(
        f"/api/conversations/import?companion_id={companion['id']}",
        content="\n".join(map(json.dumps, lines)).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    answer.raise_for_status()
    return Talk(f"/conversations/{answer.json()['id']}", _LAST)


async def _open(browser: Browser, client: Client, talk: Talk) -> Load:
    """Open a conversation with an empty cache, and wait until its newest message is there."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        await context.add_cookies([{"name": "hub_session", "value": client.token, "url": client.url}])
        await context.add_init_script(f"const LAST = {json.dumps(talk.last)};{_WATCH}")
        page = await context.new_page()
        await page.goto(client.url + talk.path)
        await page.wait_for_function(_READY)
        return Load(**await page.evaluate(_READ))
    finally:
        await context.close()


def _figure(empty: list[Load], full: list[Load]) -> Figure:
    with_messages, without = ([each.painted for each in loads] for loads in (full, empty))
    ratio = statistics.median(with_messages) / statistics.median(without)
    return Figure(
        name=f"first contentful paint of the chat with {MESSAGES:,} messages, against an empty one",
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"with {MESSAGES:,} messages: {summary(with_messages)}",
            f"with none: {summary(without)}",
            f"until the newest of them is shown: {summary([each.shown for each in full])}",
            f"until the empty one is ready: {summary([each.shown for each in empty])}",
            f"{LOADS} loads of each in turn, empty cache, {full[-1].fetched} files and requests each",
        ),
    )


def _not_measured() -> Figure:
    return Figure(
        name=f"first contentful paint of the chat with {MESSAGES:,} messages, against an empty one",
        value=math.nan,
        shown="no Chromium",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(f"install it with: {INSTALL_CHROMIUM}",),
    )


def _scripts() -> Figure:
    """Weigh each file as it is sent: the page's own, others', and the words of one language."""
    found = {name: assets().find(name) for name in assets().names if name.endswith(".js")}
    sizes = {name: len(each.compressed or each.content) for name, each in found.items() if each is not None}
    words = {name: sizes.pop(name) for name in list(sizes) if name.startswith("words/")}
    most = max(words, key=lambda name: words[name])
    others = sum(size for name, size in sizes.items() if name.startswith("vendor/"))
    own = sum(sizes.values()) - others
    total = own + others + words[most]
    largest = sorted([*sizes.items(), (most, words[most])], key=lambda each: -each[1])
    return Figure(
        name="all JavaScript of the page, compressed",
        value=total,
        shown=f"{total / 1000:.1f} kB",
        goal=SCRIPT_GOAL,
        goal_shown=f"<= {SCRIPT_GOAL / 1000:g} kB",
        details=(
            f"own {own / 1000:.1f} kB, others' {others / 1000:.1f} kB, words {words[most] / 1000:.1f} kB",
            *(f"{size:6,} bytes  {name}" for name, size in largest),
        ),
    )
