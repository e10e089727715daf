"""A whole turn with analysis and a picture: what it takes beyond the time in which a provider is at work.

Both providers note when each request came in whole and when its answer was out. What is left of a turn is
the hub's own: its Python, its database, its broker, the wire to the providers and to the client.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.pictures import photographs
from bench.pictures.speed import ENCODING, GENERATED_BOX
from bench.report import Figure, summary
from bench.timed_provider import Manner
from bench.wire import Http, WebSocket, post_request
from bench.world import World
from hub.core.ids import new_id
from hub.storage.files import FileStore
from hub.storage.images import ImageProcesses
from hub.storage.layout import Family, prepare
from hub.storage.threads import to_end
from tests.services.hub import Client, llm_settings
from tests.services.rabbitmq import find_server

GOAL = 15.0
ROUNDS = 10
WARM_UP = 20
#: What the hub asks for by default, and what costs next to nothing, in pixels.
USUAL, TINY = (832, 1216), (64, 64)
#: Seconds that the providers take in the rounds in which they do not answer at once.
PAUSE = 0.05
#: Seconds of quiet after a turn, so that what it leaves behind does not count against the next.
_QUIET = 0.02
_NS = 1e6

_BODY = json.dumps(
    {"content": "What have you found in the forest today, and may I see it?", "generate_image": True}
).encode()
_COMPLETED, _SCENE = b'"type":"response.completed"', b'"type":"companion_hub.scene"'
_PAINTED = b'"response.image_generation_call.completed"'
_FAILED = (b'"response.image_generation_call.failed"', b'"response.failed"')


class Turn(NamedTuple):
    """Moments of one turn, in nanoseconds: the POST, and the frames that said that so much is done."""

    sent: int
    replied: int
    read: int
    painted: int


class Kind(NamedTuple):
    """A way for the providers to answer, and the turns of each round that are done with it."""

    name: str
    manner: Manner
    each: int


class Times:
    """What turns took beyond the providers' work until each of their moments, in milliseconds."""

    def __init__(self) -> None:
        self.replied: list[float] = []
        self.read: list[float] = []
        self.painted: list[float] = []
        self.providers: list[float] = []

    def add(self, turn: Turn, work: list[tuple[int, int]]) -> None:
        """Note one turn; ``work`` is when providers were busy."""
        self.replied.append((turn.replied - turn.sent - _within(work, turn.sent, turn.replied)) / _NS)
        self.read.append((turn.read - turn.sent - _within(work, turn.sent, turn.read)) / _NS)
        busy = _within(work, turn.sent, turn.painted)
        self.painted.append((turn.painted - turn.sent - busy) / _NS)
        self.providers.append(busy / _NS)


def _within(work: list[tuple[int, int]], start: int, end: int) -> int:
    """Return how long at least one of these intervals ran between two moments."""
    total, covered = 0, start
    for began, ended in sorted(work):
        began, ended = max(began, covered), min(ended, end)  # noqa: PLW2901 - cut to what counts
        if ended > began:
            total += ended - began
            covered = ended
    return total


class Provider:
    """A provider in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = Http(url)

    def behave(self, manner: Manner) -> None:
        """Have it answer so from now on."""
        self._call("/manner", msgspec.json.encode(manner))

    def notes(self) -> list[tuple[int, int]]:
        """Return when it was at work since the last time."""
        return msgspec.json.decode(self._call("/notes", b"{}"), type=list[tuple[int, int]])

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _call(self, path: str, body: bytes) -> bytes:
        self._http.send(post_request(self.url, path, body))
        return self._http.answer()[1]


class Target:
    """A hub to be measured, and its one user, who says something whenever all is quiet."""

    def __init__(self, name: str, client: Client, companion_id: str) -> None:
        self.name = name
        self.times: dict[str, Times] = {}
        self._client = client
        self._companion_id = companion_id

    async def round(self, kind: Kind, providers: Sequence[Provider], *, count: int) -> None:
        """Take so many turns in a conversation of its own."""
        conversation = await self._client.conversation(self._companion_id)
        for each in providers:
            each.behave(kind.manner)
            each.notes()
        url = self._client.url
        request = post_request(
            url, f"/api/conversations/{conversation['id']}/messages", _BODY, self._client.token
        )
        with Http(url) as http, WebSocket(url, "/api/ws", self._client.token) as socket:
            subscribe = {"type": "conversation.subscribe", "conversation_id": conversation["id"]}
            socket.send(json.dumps(subscribe).encode())
            socket.receive_until(b'"conversation.subscribed"')
            _turn(http, socket, request)  # on a connection that is new, so it does not count
            turns = [_turn(http, socket, request) for _ in range(count)]
        work = [interval for each in providers for interval in each.notes()]
        times = self.times.setdefault(kind.name, Times())
        for turn in turns:
            times.add(turn, work)


def _turn(http: Http, socket: WebSocket, request: bytes) -> Turn:
    sent = time.monotonic_ns()
    http.send(request)
    replied = read = 0
    while _PAINTED not in (frame := socket.receive()):
        now = time.monotonic_ns()
        if _COMPLETED in frame:
            replied = now
        elif _SCENE in frame:  # the last one is of the talk with the reply in it
            read = now
        elif any(failed in frame for failed in _FAILED):
            raise RuntimeError(frame.decode())
    painted = time.monotonic_ns()
    status, body = http.answer()
    if status != 202:
        raise RuntimeError(body.decode())
    time.sleep(_QUIET)
    return Turn(sent, replied, read, painted)


async def measure(world: World) -> list[Figure]:
    """Measure ``hub up``, and ``hub web`` and ``hub worker`` over RabbitMQ, a round of each in turn."""
    folder = world.folder()
    tiny, usual = (_picture(folder, *size) for size in (TINY, USUAL))
    kinds = (
        Kind("at once", Manner(picture=str(tiny)), 20),
        Kind("paused", Manner(pause=PAUSE, picture=str(tiny)), 10),
        Kind("usual", Manner(picture=str(usual)), 10),
    )
    alone = {tiny: list[float](), usual: list[float]()}
    with _providers(world) as providers:
        async with _targets(world, providers) as targets, _files_alone(world.folder()) as store:
            for target in targets:
                await target.round(kinds[0], providers, count=WARM_UP)
                target.times.clear()
            for _ in range(ROUNDS):
                for kind in kinds:
                    for target in targets:
                        await target.round(kind, providers, count=kind.each)
                for picture, taken in alone.items():
                    taken += [await store(picture) for _ in range(kinds[-1].each)]
    return [figure for target in targets for figure in _figures(target, alone[tiny], alone[usual])]


def _picture(folder: Path, width: int, height: int) -> Path:
    """Write a picture with the detail of one out of an image model, as packed as such a server packs it."""
    source = photographs.picture(0)
    path = folder / f"{width}x{height}.png"
    source.thumbnail_image(width, height=height, crop="centre", size="both").pngsave(str(path), keep="none")
    return path


@contextmanager
def _providers(world: World) -> Iterator[tuple[Provider, Provider]]:
    with ExitStack() as stack:
        urls = [stack.enter_context(world.program("bench.timed_provider")) for _ in range(2)]
        model, painter = (Provider(url) for url in urls)
        stack.callback(model.close)
        stack.callback(painter.close)
        yield model, painter


@asynccontextmanager
async def _targets(world: World, providers: tuple[Provider, Provider]) -> AsyncIterator[list[Target]]:
    model, painter = providers
    turns = llm_settings(
        f"{model.url}/v1", HUB_SCENE_ANALYSIS="both", HUB_SD_URL=painter.url, HUB_SD_KIND="a1111"
    )
    async with world.hub("up", HUB_DATABASE_URL=await world.database(), **turns) as server:
        targets = [await _target("hub up", server.url)]
        if find_server() is None:
            yield targets
            return
        async with world.rabbitmq() as node:
            apart = {"HUB_DATABASE_URL": await world.database(), "HUB_BROKER_URL": node.url, **turns}
            apart["HUB_DATA_DIR"] = str(world.folder())
            async with world.hub("web", **apart) as web, world.hub("worker", **apart):
                yield [*targets, await _target("hub web and hub worker over RabbitMQ", web.url)]


async def _target(name: str, url: str) -> Target:
    client = await Client(url).register()
    return Target(name, client, (await client.companion())["id"])


@asynccontextmanager
async def _files_alone(data: Path) -> AsyncIterator[Callable[[Path], Awaitable[float]]]:
    """Yield what does the work on a picture's bytes as the hub does, and nothing else; it returns the ms."""
    prepare(data)
    files, processes = FileStore(data), ImageProcesses(count=1)
    companion_id = new_id()

    async def store(picture: Path) -> float:
        content = await asyncio.to_thread(picture.read_bytes)
        started = time.perf_counter()
        async with files.temporary() as source, files.temporary() as main, files.temporary() as thumb:
            await to_end(source.path.write_bytes, content)
            encoded = await processes.encode(
                source.path, main=main.path, thumb=thumb.path, box=GENERATED_BOX, encoding=ENCODING
            )
            family = Family(companion_id, "generated", encoded.sha256)
            for temp, is_thumb in ((thumb, True), (main, False)):
                await files.place(temp, family.file(data, ENCODING.media_type, thumb=is_thumb))
        return (time.perf_counter() - started) * 1000

    try:
        yield store
    finally:
        await processes.close()


def _figures(target: Target, tiny: list[float], usual: list[float]) -> list[Figure]:
    at_once, paused, large = (target.times[name] for name in ("at once", "paused", "usual"))
    own = statistics.median(at_once.painted) - statistics.median(tiny)
    own_of_usual = statistics.median(large.painted) - statistics.median(usual)
    return [
        _figure(f"{target.name}: own time until the reply is complete", at_once.replied, paused.replied),
        _figure(f"{target.name}: own time until the scene is read again", at_once.read, paused.read),
        Figure(
            name=f"{target.name}: own time of a whole turn, without the work on the picture's bytes",
            value=own,
            shown=f"p50 {own:.1f} ms",
            goal=GOAL,
            goal_shown=f"<= {GOAL:g} ms",
            details=(
                f"until the picture is there, {_size(TINY)}: {summary(at_once.painted)}",
                f"of that its decoding, encoding and way to the disk, alone: {summary(tiny)}",
                f"with providers that pause for {PAUSE * 1000:g} ms: {summary(paused.painted)}",
                f"providers at work: {summary(at_once.providers)}; with pauses: {summary(paused.providers)}",
                f"a picture of {_size(USUAL)}: {summary(large.painted)}; its bytes alone: {summary(usual)}",
                f"so of a turn with that one, without its bytes: p50 {own_of_usual:.1f} ms",
            ),
        ),
    ]


def _figure(name: str, at_once: list[float], paused: list[float]) -> Figure:
    median = statistics.median(at_once)
    return Figure(
        name=name,
        value=median,
        shown=f"p50 {median:.1f} ms",
        details=(
            f"{len(at_once)} turns: {summary(at_once)}",
            f"with providers that pause for {PAUSE * 1000:g} ms: {summary(paused)}",
        ),
    )


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"
