"""How soon an actor starts after its job was enqueued, beside Celery on the same RabbitMQ."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

from bench.report import Figure, summary
from bench.started import TASK, celery_app
from bench.world import PROJECT, World
from hub.jobs.broker import make_broker, make_publisher
from tests.services.leash import Leashed
from tests.services.rabbitmq import find_server

GOAL = 0.8
KIND = "bench"
#: Celery's ways to run tasks: the first is what it does by default, a process for each core. The others are
#: shown beside it; "solo" runs one task at a time in the process that receives them.
POOLS = {
    "prefork": ("prefork", os.cpu_count() or 1),
    "prefork x1": ("prefork", 1),
    "threads": ("threads", 8),
    "solo": ("solo", 1),
}
ROUNDS = 8
WARM_UP = 20
EACH = 50
#: Seconds between a start and the next job.
BETWEEN = 0.005
_PATIENCE = 60.0


class Contender:
    """A worker that waits for jobs, and a way to send it one: ``send`` is given the moment, as a number."""

    def __init__(self, name: str, file: Path, send: Callable[[int], Awaitable[None]]) -> None:
        self.name = name
        self._file = file
        self._send = send
        self._read = 0
        self.times: list[float] = []

    async def round(self, count: int) -> list[float]:
        """Send so many jobs, one after the other has started; return the milliseconds that each one took."""
        times = []
        for _ in range(count):
            await self._send(time.monotonic_ns())
            times.append(await self._started())
            await asyncio.sleep(BETWEEN)
        return times

    async def _started(self) -> float:
        deadline = time.monotonic() + _PATIENCE
        while not (line := self._next_line()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not start its job")
            await asyncio.sleep(0.001)
        sent, started = line.split()
        return (int(started) - int(sent)) / 1e6

    def _next_line(self) -> str:
        with self._file.open() as lines:
            lines.seek(self._read)
            line = lines.readline()
        if not line.endswith("\n"):
            return ""
        self._read += len(line)
        return line


async def measure(world: World) -> list[Figure]:
    """Measure the hub's runtime and each of Celery's pools, a round of each in turn."""
    if find_server() is None:
        return [Figure(name="Actor start", value=0, shown="not measured, RabbitMQ is not installed")]
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(world.rabbitmq())
        hub = await stack.enter_async_context(_hub(world, node.url))
        celeries = [
            await stack.enter_async_context(_celery(world, node.url, name, pool, size))
            for name, (pool, size) in POOLS.items()
        ]
        for each in (hub, *celeries):
            await each.round(WARM_UP)
        for _ in range(ROUNDS):
            for each in (hub, *celeries):
                each.times += await each.round(EACH)
    return [_figure(hub, celeries)]


@asynccontextmanager
async def _hub(world: World, url: str) -> AsyncIterator[Contender]:
    file = _file(world)
    publisher = make_publisher(make_broker(url))
    with world.program("bench.started", url, KIND, str(file)):
        try:
            yield Contender("hub", file, lambda sent: publisher.publish(KIND, UUID(int=sent)))
        finally:
            publisher.close()


@asynccontextmanager
async def _celery(world: World, url: str, name: str, pool: str, size: int) -> AsyncIterator[Contender]:
    file, queue = _file(world), f"celery.{name.replace(' ', '.')}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "BENCH_BROKER_URL": url,
        "BENCH_STARTED": str(file),
    }
    command = [sys.executable, "-m", "celery", "--app", "bench.started", "worker", "--queues", queue]
    command += ["--pool", pool, "--concurrency", str(size), "--hostname", f"{queue}@bench"]
    # Less to do beside its work: no word to and from other workers.
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    log = world.folder() / "log"
    worker = Leashed(command, log=log, env=environment, cwd=PROJECT)
    app = celery_app(url)

    async def send(sent: int) -> None:
        app.send_task(TASK, args=(sent,), queue=queue)

    try:
        yield Contender(f"Celery {name}", file, send)
    finally:
        app.close()
        worker.end()


def _file(world: World) -> Path:
    file = world.folder() / "started"
    file.touch()
    return file


def _figure(hub: Contender, celeries: list[Contender]) -> Figure:
    medians = {each: statistics.median(each.times) for each in (hub, *celeries)}
    ratios = {each: medians[hub] / medians[each] for each in celeries}
    default = celeries[0]
    return Figure(
        name="Actor start after enqueue, against Celery on the same RabbitMQ",
        value=ratios[default],
        shown=f"{ratios[default]:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"hub: {summary(hub.times)}",
            f"{default.name}, its default: {summary(default.times)}",
            *(f"{each.name}: {summary(each.times)} ({ratios[each]:.2f}x)" for each in celeries[1:]),
        ),
    )
