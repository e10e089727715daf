"""Memory of an idle hub, without the database, the broker and the language model."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from bench.report import Figure
from bench.world import World
from tests.fakes.llm import FakeLLM
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.rabbitmq import RabbitMQNode, find_server

GOAL_MB = 150.0
#: Seconds of quiet before looking.
QUIET = 2.0
MESSAGES = 20


async def measure(world: World) -> list[Figure]:
    """Look at ``hub up``, and at ``hub web`` and ``hub worker`` where RabbitMQ is installed."""
    async with FakeLLM() as llm, world.hub_up(llm.url) as server:
        await _talk(server)
        figures = [_figure("web and actors in one process, idle", server.pid, goal=GOAL_MB)]
    if find_server() is not None:
        figures += await _apart(world)
    return figures


async def _apart(world: World) -> list[Figure]:
    node = RabbitMQNode(world.folder())
    node.start()
    try:
        async with FakeLLM() as llm:
            settings = {
                "HUB_DATABASE_URL": await world.database(),
                "HUB_BROKER_URL": node.url,
                **llm_settings(llm.url),
            }
            async with world.hub("web", **settings) as web, world.hub("worker", **settings) as worker:
                await _talk(web)
                return [_figure("hub web, idle", web.pid), _figure("hub worker, idle", worker.pid)]
    finally:
        node.stop()


async def _talk(server: HubServer) -> None:
    """Use everything once or more, then be quiet."""
    client = await Client(server.url).register()
    conversation = await client.conversation()
    async with client.socket() as socket:
        await socket.subscribe(conversation["id"])
        for number in range(MESSAGES):
            await socket.say(conversation["id"], f"This is message {number}")
            await socket.finished()
    await client.messages(conversation["id"])
    await client.close()
    await asyncio.sleep(QUIET)


def _figure(name: str, pid: int, *, goal: float | None = None) -> Figure:
    resident, proportional = _kilobytes(pid, "Rss") / 1000, _kilobytes(pid, "Pss") / 1000
    return Figure(
        name=f"Memory: {name}",
        value=resident,
        shown=f"{resident:.0f} MB",
        goal=goal,
        goal_shown=f"<= {goal:g} MB" if goal else "",
        details=(f"resident {resident:.1f} MB, proportional share {proportional:.1f} MB",),
    )


def _kilobytes(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the kernel does not tell {name}")
    return int(found[1]) * 1024 // 1000
