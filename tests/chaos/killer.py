"""The killer ends processes at random; the supervisor starts them again, as systemd would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from hub.db.engine import DATABASE_ERRORS
from tests.chaos.world import World
from tests.services.hub import HubServer

_LOOK_EVERY = 0.1
_START_SECONDS = 90.0
_STARTS = 5


@dataclass
class Victim:
    """Something that can be killed and started; ``name`` is its kind."""

    name: str
    kill: Callable[[], Awaitable[None]]
    start: Callable[[], Awaitable[None]]
    server: HubServer | None = None
    is_up: bool = True


class Killer:
    """Kills one of the world's processes at random moments; ``async with`` ends with all of them up again.

    Args:
        world: whose processes, and whose chance decides.
        pause: the shortest and the longest time in seconds between two kills.
        at_once: how many may be down at the same time.
        hurry: have a killed worker's leases end at once, instead of after 30 seconds, and what was
            published before a kill be published again at once, instead of after 15.
        most: how many kills there are at most.
        names: what may be killed: ``web``, ``worker``, ``broker``, ``postgres``.
    """

    def __init__(
        self,
        world: World,
        *,
        pause: tuple[float, float],
        at_once: int,
        hurry: bool,
        most: int | None = None,
        names: frozenset[str] = frozenset({"web", "worker", "broker", "postgres"}),
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.died: list[str] = []
        self._world = world
        self._pause = pause
        self._at_once = at_once
        self._hurry = hurry
        self._most = most
        self._victims = [each for each in _victims(world) if each.name in names]
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def shown(self) -> str:
        """How many of what were killed so far."""
        each = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return f"{self.kills.total()} kills" + (f" ({each})" if each else "")

    async def __aenter__(self) -> Self:
        self._loop = asyncio.create_task(self._kill_forever(), name="killer")
        self._watch = asyncio.create_task(self._watch_forever(), name="supervisor")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._loop, self._watch):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (self._loop, self._watch) if task), return_exceptions=True)
        await asyncio.gather(*self._tasks)

    @property
    def spared(self) -> list[str]:
        """The kinds of which none has been killed yet."""
        return sorted({each.name for each in self._victims} - self.kills.keys())

    async def kill(self, victim: Victim) -> None:
        """Kill one and start it again."""
        victim.is_up = False
        self.kills[victim.name] += 1
        pid = victim.server.pid if victim.server else 0
        await victim.kill()
        await asyncio.sleep(self._world.random.uniform(0.05, 0.5))
        await self._start(victim)
        if self._hurry:
            self._spawn(self._pass_time(pid))

    async def _kill_forever(self) -> None:
        while self._most is None or self.kills.total() < self._most:
            await asyncio.sleep(self._world.random.uniform(*self._pause))
            standing = [each for each in self._victims if each.is_up]
            if len(self._victims) - len(standing) >= self._at_once:
                continue
            rare = [each for each in standing if each.name in self.spared]
            self._spawn(self.kill(self._world.random.choice(rare or standing)))

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            for victim in self._victims:
                if victim.is_up and victim.server is not None and not _runs(victim.server):
                    self.died.append(f"{victim.name} ended by itself: {victim.server.output[-2000:]}")
                    victim.is_up = False
                    self._spawn(self._start(victim))

    async def _start(self, victim: Victim) -> None:
        for _ in range(_STARTS):
            try:
                await victim.start()
            except (AssertionError, RuntimeError) as error:
                self.died.append(f"{victim.name} did not start: {str(error)[-2000:]}")
                await asyncio.sleep(1)
            else:
                victim.is_up = True
                return
        raise RuntimeError(f"{victim.name} does not start any more: {self.died[-1]}")

    async def _pass_time(self, pid: int) -> None:
        while True:
            try:
                await self._world.end_leases(pid)
                await self._world.ring_again()
            except DATABASE_ERRORS:  # the database is what was killed last
                await asyncio.sleep(_LOOK_EVERY)
            else:
                return

    def _spawn(self, doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)


def _runs(server: HubServer) -> bool:
    return server._process is not None and server._process.running


def _victims(world: World) -> list[Victim]:
    servers = [*(("web", each) for each in world.webs), *(("worker", each) for each in world.workers)]
    broker, postgres = world.rabbitmq, world.postgres
    return [
        *(Victim(name, server.kill, _starter(server), server) for name, server in servers),
        Victim("broker", _threaded(broker.kill), _threaded(broker.start)),
        Victim("postgres", _threaded(postgres.kill), _threaded(postgres.start)),
    ]


def _starter(server: HubServer) -> Callable[[], Awaitable[None]]:
    async def start() -> None:
        await server.start(within=_START_SECONDS)

    return start


def _threaded(doing: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        await asyncio.to_thread(doing)

    return do
