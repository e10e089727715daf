"""How long ``hub doctor`` takes: beside a hub, alone, with outside servers, and when nobody answers."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import Figure
from bench.world import World
from tests.services.hub import HubServer, llm_settings
from tests.services.silence import black_hole, silent_server
from tests.services.world import run_hub

GOAL = 3.0
RUNS = 5


async def measure(world: World) -> list[Figure]:
    """Run the doctor in each situation and return the slowest run of each."""
    return [
        await _embedded(world),
        await _outside(world),
        await _nobody(world),
    ]


async def _embedded(world: World) -> Figure:
    server = HubServer(world.folder())
    try:
        await server.start()
        beside = await _run(server.folder, 0, HUB_PORT=str(urlsplit(server.url).port))
        await server.stop()
    finally:
        server.close()
    alone = await _run(server.folder, 0)
    fresh = await _run(world.folder(), 0)
    others = (f"alone, the database started for it: {_shown(alone)}", f"in an empty folder: {_shown(fresh)}")
    return _figure("hub doctor, everything embedded, beside a running hub", beside, *others)


async def _outside(world: World) -> Figure:
    with world.llm() as llm:
        async with world.rabbitmq() as node:
            settings = {
                **llm_settings(llm),
                "HUB_DATABASE_URL": await world.database(),
                "HUB_BROKER_URL": node.url,
            }
            async with world.hub("up", **settings) as server:
                port = str(urlsplit(server.url).port)
                took = await _run(server.folder, 0, **{**settings, "HUB_PORT": port})
    return _figure("hub doctor, PostgreSQL, RabbitMQ and model elsewhere", took)


async def _nobody(world: World) -> Figure:
    with black_hole() as hole, silent_server() as quiet:
        swallowed = await _run(world.folder(), 1, **_everything_at(hole))
        unanswered = await _run(world.folder(), 1, **_everything_at(quiet))
    refused = await _run(world.folder(), 1, **_everything_at(1))
    others = (
        f"servers that take the connection and say nothing: {_shown(unanswered)}",
        f"servers that refuse: {_shown(refused)}",
    )
    return _figure("hub doctor, every packet swallowed", swallowed, *others)


def _everything_at(port: int) -> dict[str, str]:
    return {
        "HUB_DATABASE_URL": f"postgresql://hub:secret@127.0.0.1:{port}/hub",
        "HUB_BROKER_URL": f"amqp://hub:secret@127.0.0.1:{port}/",
        "HUB_LLM_URL": f"http://127.0.0.1:{port}/v1",
        "HUB_LLM_MODEL": "any",
        "HUB_SD_URL": f"http://127.0.0.1:{port}",
        "HUB_PORT": str(port),
    }


async def _run(folder: Path, code: int, **settings: str) -> list[float]:
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        done = await run_hub(folder, "doctor", **settings)
        took.append(time.perf_counter() - began)
        if done.code != code:
            raise RuntimeError(f"hub doctor ended with {done.code}:\n{done.output}")
    return took


def _shown(took: list[float]) -> str:
    return f"{max(took):.2f} s"


def _figure(name: str, took: list[float], *details: str) -> Figure:
    return Figure(
        name=name,
        value=max(took),
        shown=_shown(took),
        goal=GOAL,
        goal_shown=f"< {GOAL:g} s",
        details=(f"the slowest of {RUNS}; fastest {min(took):.2f} s", *details),
    )
