"""How much memory idle processes of the hub hold, without database, broker and language model."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.report import Figure
from bench.world import World
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.rabbitmq import RabbitMQNode, find_server

GOAL = 150.0
TURNS = 10
#: Seconds of quiet before the look.
QUIET = 2.0


async def measure(world: World) -> list[Figure]:
    """Look at ``hub up``, then at ``hub web`` and ``hub worker`` apart."""
    with world.llm() as llm:
        async with world.hub_up(llm) as server:
            await _use(server)
            resident, proportional = await _memory(server)
        apart = await _apart(world, llm)
    return [
        Figure(
            name="Memory of idle web and actors, without model and database",
            value=resident,
            shown=f"{resident:.0f} MB",
            goal=GOAL,
            goal_shown=f"<= {GOAL:.0f} MB",
            details=(f"hub up after {TURNS} turns: RSS {resident:.1f} MB, PSS {proportional:.1f} MB", *apart),
        )
    ]


async def _apart(world: World, llm: str) -> tuple[str, ...]:
    if find_server() is None:
        return ("hub web and hub worker apart: not measured, RabbitMQ is not installed",)
    async with _rabbitmq() as broker_url:
        settings = {"HUB_DATABASE_URL": await world.database(), "HUB_BROKER_URL": broker_url}
        settings |= llm_settings(llm)
        async with world.hub("web", **settings) as web, world.hub("worker", **settings) as worker:
            await _use(web)
            lines = []
            for server in (web, worker):
                resident, proportional = await _memory(server)
                lines.append(f"hub {server.role}: RSS {resident:.1f} MB, PSS {proportional:.1f} MB")
    return tuple(lines)


@asynccontextmanager
async def _rabbitmq() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="hub-bench-mq-", ignore_cleanup_errors=True) as folder:
        node = RabbitMQNode(Path(folder))
        await asyncio.to_thread(node.start)
        try:
            yield node.url
        finally:
            await asyncio.to_thread(node.stop)


async def _use(server: HubServer) -> None:
    client = await Client(server.url).register()
    conversation = (await client.conversation())["id"]
    async with client.socket() as socket:
        await socket.subscribe(conversation)
        for _ in range(TURNS):
            await socket.say(conversation, "What is new in the forest?")
            await socket.finished()
    await client.messages(conversation)
    await client.close()


async def _memory(server: HubServer) -> tuple[float, float]:
    """Return the process's resident and proportional set size in MB (10^6 bytes)."""
    await asyncio.sleep(QUIET)
    text = await asyncio.to_thread(Path(f"/proc/{server.pid}/smaps_rollup").read_text)
    found = re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE)
    sizes = {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in found}
    return sizes["Rss"], sizes["Pss"]
