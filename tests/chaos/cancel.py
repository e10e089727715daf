"""Cancelling: over HTTP and sockets, with and without the word of it reaching the worker, and at the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import UUID

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of, within
from tests.chaos.sizes import Size
from tests.chaos.world import World, all_of, answering, at_most
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply
from tests.services.hub import Client, Socket

_GOAL = 2.0
_PATIENCE = 30.0
_ENDS = ("response.completed", "response.failed", "response.cancelled")
_SIDE_BY_SIDE = 20
#: How much of a reply is shown when it is cancelled: at 1 the cancel races with its end, at 2 it is too late.
_SHARES = (0, 0.2, 0.5, 0.8, 1, 1, 1, 2)


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Cancel replies that stream, replies that are silent, and replies that are about to end."""
    return [
        *await _streaming(world, size.of(6, 40), progress),
        *await _unheard(world, size.of(4, 20), progress),
        *await _races(world, size.of(40, 1_000), progress),
    ]


class Watcher:
    """One user's sockets at both webs, each following the same conversations and kept read."""

    def __init__(self, client: Client, conversations: list[str], sockets: list[Socket]) -> None:
        self.client = client
        self.conversations = conversations
        self.sockets = sockets
        self.wrong: list[str] = []
        self._ended: set[str] = set()
        self._changed = asyncio.Condition()

    async def read_forever(self, socket: Socket) -> None:
        """Take every frame; one that does not fit is noted."""
        while True:
            try:
                frame = await socket.receive(within=600)
                if frame["type"] in _ENDS:
                    self._ended.add(_about(frame))
            except (AssertionError, KeyError) as error:
                self.wrong.append(f"a frame did not fit: {error!r}")
            async with self._changed:
                self._changed.notify_all()

    async def until_all(self, response_ids: list[str], *kinds: str) -> None:
        """Wait until each socket has been told one of these of each response."""

        def told() -> bool:
            return all(
                set(response_ids) <= {_about(frame) for frame in socket.frames if frame["type"] in kinds}
                for socket in self.sockets
            )

        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(told)

    async def until_shown(self, response_id: str, length: float) -> None:
        """Wait until one socket shows so many characters of a reply, or its end."""

        def shown() -> bool:
            longest = max(len(socket.texts.get(response_id, "")) for socket in self.sockets)
            return longest >= length or response_id in self._ended

        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(shown)

    async def settle(self) -> None:
        """Wait until whatever was on its way has come: an answer to something asked now comes behind it."""
        counts = [len(socket.seen("conversation.subscribed")) for socket in self.sockets]
        for socket in self.sockets:
            where = self.conversations[0]
            await socket.send(type="conversation.subscribe", conversation_id=where, after=2**31 - 1)
        async with asyncio.timeout(_PATIENCE), self._changed:
            await self._changed.wait_for(
                lambda: all(
                    len(socket.seen("conversation.subscribed")) > count
                    for socket, count in zip(self.sockets, counts, strict=True)
                )
            )

    def after_the_end(self, response_ids: list[str]) -> list[str]:
        """Return what any socket was told of a response after its end, or of a second end."""
        wrong = []
        for socket in self.sockets:
            ended: set[str] = set()
            for frame in socket.frames:
                about, kind = _about(frame), frame["type"]
                if about in ended and about in response_ids:
                    wrong.append(f"{kind} after the end of {about}")
                if kind in _ENDS:
                    ended.add(about)
        return wrong


def _about(frame: dict[str, object]) -> str:
    response = frame.get("response")
    return str(response["id"] if isinstance(response, dict) else frame.get("response_id", ""))


@asynccontextmanager
async def watching(world: World, count: int) -> AsyncIterator[Watcher]:
    """Make a user with so many conversations and follow them all at both webs."""
    client = await world.client()
    companion = (await client.companion())["id"]
    made = await at_most(_SIDE_BY_SIDE, [partial(client.conversation, companion)] * count)
    conversations = [each["id"] for each in made]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(each.socket()) for each in (client, world.beside(client))]
        for socket in sockets:
            for each in conversations:
                await socket.subscribe(each)
        watcher = Watcher(client, conversations, sockets)
        tasks = [asyncio.create_task(watcher.read_forever(socket)) for socket in sockets]
        try:
            yield watcher
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _begin(watcher: Watcher) -> list[str]:
    sends = [partial(watcher.client.send, each, "Go on") for each in watcher.conversations]
    return [sent["response"]["id"] for sent in await at_most(_SIDE_BY_SIDE, sends)]


async def _streaming(world: World, count: int, progress: Progress) -> list[Finding]:
    def drip(_: Body) -> Script:
        return reply([f" word{number}" for number in range(1_000)], delay=0.05)

    async with (
        answering(world, drip),
        watching(world, count) as watcher,
        progress.of(count, "streams cancelled"),
    ):
        responses = await _begin(watcher)
        await watcher.until_all(responses, "response.output_text.delta")
        left, began = world.fake.disconnects, time.monotonic()
        cancelling = asyncio.gather(*(_cancel(watcher, each, at) for at, each in enumerate(responses)))
        await world.fake.wait_for_disconnects(left + count, within=_PATIENCE)
        seconds = time.monotonic() - began
        await cancelling
        await watcher.until_all(responses, "response.cancelled")
        await watcher.settle()
        progress.add(count)
        shown = [(each, dict(socket.texts)) for each in responses for socket in watcher.sockets]
        wrong = watcher.after_the_end(responses) + watcher.wrong
    rows = await world.query(
        "SELECT id, output_text, status FROM responses WHERE id = ANY($1)", [UUID(each) for each in responses]
    )
    stored = {str(row["id"]): row["output_text"] for row in rows}
    lost = [f"{each}: {texts[each]!r}" for each, texts in shown if not stored[each].startswith(texts[each])]
    torn = await world.disagreements()
    done = f"{count} streams, cancelled over HTTP and sockets, seen at both webs"
    return [
        within("cancel closes the upstream", done, seconds, goal=_GOAL),
        none_of("nothing is told after a cancel", done, wrong, what="frames"),
        none_of("a cancelled reply keeps what was shown", done, lost + torn, what="differences"),
    ]


async def _cancel(watcher: Watcher, response_id: str, number: int) -> None:
    if number % 2:
        await watcher.sockets[1].send(type="response.cancel", response_id=response_id)
        return
    answer = await watcher.client.http.post(f"/api/responses/{response_id}/cancel")
    assert answer.status_code == 200, answer.text


async def _unheard(world: World, count: int, progress: Progress) -> list[Finding]:
    """Cancel in the rows alone, as when the word of it is lost, while the model says nothing."""
    silent = asyncio.Event()
    try:
        async with (
            answering(world, lambda body: reply(default_text(body), between={3: silent})),
            watching(world, count) as watcher,
            progress.of(count, "silent replies cancelled unheard"),
        ):
            responses = await _begin(watcher)
            await watcher.until_all(responses, "response.output_text.delta")
            await _all_saved(world, responses, watcher)
            left, began = world.fake.disconnects, time.monotonic()
            await world.query(
                "WITH ended AS (UPDATE responses SET status = 'cancelled', completed_at = now()"
                " WHERE id = ANY($1) RETURNING job_id)"
                " UPDATE jobs SET status = 'cancelled', completed_at = now(), lease_until = NULL"
                " FROM ended WHERE jobs.id = job_id",
                [UUID(each) for each in responses],
            )
            await world.fake.wait_for_disconnects(left + count, within=_PATIENCE)
            seconds = time.monotonic() - began
            progress.add(count)
    finally:
        silent.set()
    done = f"{count} silent replies, the worker not told"
    return [within("a cancel that is not heard is noticed", done, seconds, goal=_GOAL)]


async def _all_saved(world: World, responses: list[str], watcher: Watcher) -> None:
    """Wait until the rows have all that was said, so that no later save can notice the cancel."""
    deadline = time.monotonic() + _PATIENCE
    sql = "SELECT id, output_text FROM responses WHERE id = ANY($1)"
    while True:
        rows = await world.query(sql, [UUID(each) for each in responses])
        shown = watcher.sockets[0].texts
        if all(
            row["output_text"].count(" ") == 2 and shown[str(row["id"])] == row["output_text"] for row in rows
        ):
            return
        assert time.monotonic() < deadline, f"not saved: {rows}"
        await asyncio.sleep(0.1)


async def _races(world: World, count: int, progress: Progress) -> list[Finding]:
    whole = 0

    def answer(body: Body) -> Script:
        nonlocal whole
        text = default_text(body)
        whole = len(text)  # the same of each, since the same is said
        return reply(text, delay=0.005)

    ends: Counter[str] = Counter()
    async with answering(world, answer), watching(world, min(count, 100)) as watcher:
        responses: list[str] = []

        async def race(conversation_id: str) -> None:
            sent = await watcher.client.send(conversation_id, "Race")
            response_id = sent["response"]["id"]
            responses.append(response_id)
            share = world.random.choice(_SHARES)
            if share:
                await watcher.until_shown(response_id, 1)
                await watcher.until_shown(response_id, share * whole)
            await _cancel(watcher, response_id, len(responses))
            progress.add()

        async with progress.of(count, "races of cancel and end"):
            lanes: defaultdict[int, list[str]] = defaultdict(list)
            for number in range(count):
                lanes[number % _SIDE_BY_SIDE].append(watcher.conversations[number % 100])
            await all_of(_one_by_one(race, lane) for lane in lanes.values())
            statuses = await world.ended(responses, within=_PATIENCE)
            ends.update(statuses.values())
            await watcher.until_all(responses, *_ENDS)
        await watcher.settle()
        wrong = watcher.after_the_end(responses) + watcher.wrong
        for socket in watcher.sockets:
            told = {_about(each): each["response"]["status"] for kind in _ENDS for each in socket.seen(kind)}
            wrong += [
                f"{each} is {statuses[each]}, told {told[each]}"
                for each in responses
                if told[each] != statuses[each]
            ]
    wrong += await world.disagreements()
    shown = ", ".join(f"{number} {name}" for name, number in sorted(ends.items()))
    done = f"{count:,} races: {shown}"
    both = {"completed", "cancelled"} <= ends.keys()
    return [
        none_of("a cancel and an end are one end", done, wrong, what="contradictions"),
        Finding(promise="both can win", done=done, found=shown, goal="both", met=both),
    ]


async def _one_by_one(race: Callable[[str], Awaitable[None]], lane: list[str]) -> None:
    for each in lane:
        await race(each)
