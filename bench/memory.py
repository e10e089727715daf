"""How much memory the hub holds, idle and at work, without database, broker and language model."""

from __future__ import annotations

import asyncio
import re
import resource
import statistics
from pathlib import Path

from bench.listener import Listener, listen
from bench.report import Figure
from bench.world import World
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.rabbitmq import find_server

GOAL = 150.0
TURNS = 10
#: Seconds of quiet before the look.
QUIET = 2.0
STREAMING_GOAL = 250.0
USERS = 100
PACE = 20.0
SECONDS = 12
#: Seconds between two looks while replies stream.
EVERY = 0.25


async def measure(world: World) -> list[Figure]:
    """Look at idle processes, then at those that stream to many users."""
    return [*await _idle(world), *await _streaming(world)]


async def _idle(world: World) -> list[Figure]:
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
    async with world.rabbitmq() as node:
        settings = {"HUB_DATABASE_URL": await world.database(), "HUB_BROKER_URL": node.url}
        settings |= llm_settings(llm)
        async with world.hub("web", **settings) as web, world.hub("worker", **settings) as worker:
            await _use(web)
            lines = []
            for server in (web, worker):
                resident, proportional = await _memory(server)
                lines.append(f"hub {server.role}: RSS {resident:.1f} MB, PSS {proportional:.1f} MB")
    return tuple(lines)


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


async def _streaming(world: World) -> list[Figure]:
    """Look at the same processes while each of 100 users follows a reply."""
    arguments = ("--tokens", str(int(PACE * SECONDS)), "--pace", str(PACE))
    with world.program("bench.paced_llm", *arguments) as llm:
        async with world.hub_up(llm) as server:
            figures = [await _at_work("hub up", [server])]
        if find_server() is None:
            return figures
        async with world.rabbitmq() as node:
            settings = {"HUB_DATABASE_URL": await world.database(), "HUB_BROKER_URL": node.url}
            settings |= llm_settings(llm)
            async with world.hub("web", **settings) as web, world.hub("worker", **settings) as worker:
                return [*figures, await _at_work("hub web + hub worker", [web, worker])]


async def _at_work(name: str, servers: list[HubServer]) -> Figure:
    users = [await _user(servers[0]) for _ in range(USERS)]
    before = await asyncio.to_thread(_resident, servers)
    ends = [asyncio.ensure_future(each.wait_for(b'"response.completed"')) for _, _, each in users]
    await asyncio.gather(*(client.send(talk, "Talk to me.") for client, talk, _ in users))
    looks: list[list[float]] = []
    ended = asyncio.gather(*ends)
    while not ended.done():
        looks.append(await asyncio.to_thread(_resident, servers))
        await asyncio.sleep(EVERY)
    await ended
    for client, _, listener in users:
        listener.close()
        await client.close()
    faulty = sum(not each.is_exact(int(PACE * SECONDS)) for _, _, each in users)
    return _streaming_figure(name, servers, before, looks, faulty)


async def _user(server: HubServer) -> tuple[Client, str, Listener]:
    client = await Client(server.url).register()
    talk = (await client.conversation())["id"]
    return client, talk, await listen(server, client.token, talk)


def _streaming_figure(
    name: str, servers: list[HubServer], before: list[float], looks: list[list[float]], faulty: int
) -> Figure:
    sums = [sum(look) for look in looks]
    peak = max(sums)
    each = ", ".join(
        f"{server.role} {max(look[at] for look in looks):.0f} MB" for at, server in enumerate(servers)
    )
    grown = f"{sum(before):.1f} MB before, steady {statistics.median(sums):.1f} MB, peak {peak:.1f} MB"
    return Figure(
        name=f"Memory of {name} while {USERS} users stream {PACE:g} tokens/s",
        value=peak,
        shown=f"{peak:.0f} MB",
        goal=STREAMING_GOAL,
        goal_shown=f"<= {STREAMING_GOAL:.0f} MB",
        details=(
            f"RSS in all: {grown} ({each})",
            f"texts with a token lost, doubled or out of order: {faulty} of {USERS}",
        ),
    )


def _resident(servers: list[HubServer]) -> list[float]:
    """Return the resident set size of each process in MB (10^6 bytes)."""
    page = resource.getpagesize()
    sizes = [Path(f"/proc/{server.pid}/statm").read_text().split()[1] for server in servers]
    return [int(pages) * page / 1e6 for pages in sizes]


async def _memory(server: HubServer) -> tuple[float, float]:
    """Return the process's resident and proportional set size in MB (10^6 bytes)."""
    await asyncio.sleep(QUIET)
    text = await asyncio.to_thread(Path(f"/proc/{server.pid}/smaps_rollup").read_text)
    found = re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE)
    sizes = {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in found}
    return sizes["Rss"], sizes["Pss"]
