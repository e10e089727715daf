"""What a turn and a token cost each part, in CPU time: what bench/scaling.py adds up.

Web server, worker, PostgreSQL and RabbitMQ are processes of their own here, and beside the web server that
has all users others run that have none and hear every token all the same. Long replies and short ones tell
what belongs to a turn and what to a token; CPU time hardly depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec

from bench.listener import Listener, listen
from bench.report import Figure
from bench.scaling import Costs, Demand, plan, render
from bench.world import World
from tests.services.hub import Client, HubServer, llm_settings
from tests.services.rabbitmq import find_server

USERS = 50
LONG, SHORT = 200, 4
PACE = 25.0
#: Turns of each user, one after the other.
LONG_TURNS, SHORT_TURNS = 1, 8
#: Web servers without users that run beside the first, in the first round and added for the second.
IDLE, MORE_IDLE = 1, 2
_QUIET = 3.0
_TICK = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """How much was done, and how many CPU seconds each part took for it."""

    turns: int
    tokens: int
    spent: dict[str, float]


class Slopes(NamedTuple):
    """CPU milliseconds of a part."""

    turn: float
    token: float


class Parts:
    """The processes under measurement, by the part that they play."""

    def __init__(self, postmaster: int, rabbitmq: int) -> None:
        self.pids: dict[str, list[int]] = {"web": [], "idle": [], "worker": [], "rabbitmq": [rabbitmq]}
        self._postmaster = postmaster
        self.at_rest: dict[str, float] = {}

    def spent(self) -> dict[str, float]:
        """Return the CPU seconds that each part has taken since it began."""
        found = {name: sum(map(_cpu, pids)) for name, pids in self.pids.items()}
        return found | {"postgres": _cpu_of_family(self._postmaster)}

    async def rest(self) -> None:
        """Note what each part takes in a second in which nothing is asked of it."""
        before = self.spent()
        await asyncio.sleep(_QUIET)
        self.at_rest = {name: (now - before[name]) / _QUIET for name, now in self.spent().items()}


async def measure(world: World) -> list[Figure]:
    """Measure the costs and show what they mean for 100, 1,000 and 10,000 users."""
    if find_server() is None:
        return [Figure(name="web_turn", value=float("nan"), shown="RabbitMQ is not installed")]
    async with AsyncExitStack() as stack:
        llm = stack.enter_context(
            world.program("bench.paced_llm", "--tokens", str(LONG), "--pace", str(PACE))
        )
        node = await stack.enter_async_context(world.rabbitmq())
        settings = {"HUB_DATABASE_URL": await world.database(), "HUB_BROKER_URL": node.url}
        settings |= llm_settings(llm, HUB_DATABASE_POOL_SIZE="20")
        parts = Parts(await _postmaster(settings["HUB_DATABASE_URL"]), node.pid)
        web = await _add(stack, world, parts, "web", settings)
        await _add(stack, world, parts, "worker", settings)
        await _add(stack, world, parts, "idle", settings)
        users = [await _user(web) for _ in range(USERS)]
        await _load(parts, users, SHORT, 1)  # warm
        await parts.rest()
        short = await _load(parts, users, SHORT, SHORT_TURNS)
        long = await _load(parts, users, LONG, LONG_TURNS)
        for _ in range(MORE_IDLE):
            await _add(stack, world, parts, "idle", settings)
        await parts.rest()
        wide = await _load(parts, users, LONG, LONG_TURNS)
        for client, _, listener in users:
            listener.close()
            await client.close()
    return _figures(_costs(short, long, wide))


async def _add(
    stack: AsyncExitStack, world: World, parts: Parts, part: str, settings: dict[str, str]
) -> HubServer:
    role = "worker" if part == "worker" else "web"
    server = await stack.enter_async_context(world.hub(role, **settings))
    parts.pids[part].append(server.pid)
    return server


async def _user(server: HubServer) -> tuple[Client, str, Listener]:
    client = await Client(server.url).register()
    talk = (await client.conversation())["id"]
    return client, talk, await listen(server, client.token, talk)


async def _load(parts: Parts, users: Sequence[tuple[Client, str, Listener]], tokens: int, turns: int) -> Load:
    """Have every user take so many turns with replies of so many tokens."""
    before, began = parts.spent(), time.monotonic()
    await asyncio.gather(*(_talk(*user, tokens, turns) for user in users))
    await asyncio.sleep(0.5)  # what a reply leaves behind belongs to it
    seconds = time.monotonic() - began
    spent = {
        name: now - before[name] - seconds * parts.at_rest.get(name, 0.0)
        for name, now in parts.spent().items()
    }
    return Load(len(users) * turns, len(users) * turns * tokens, spent)


async def _talk(client: Client, talk: str, listener: Listener, tokens: int, turns: int) -> None:
    for _ in range(turns):
        end = asyncio.ensure_future(listener.wait_for(b'"response.completed"'))
        await client.send(talk, f"Tell me of the forest in {tokens} tokens.")
        await end


def _costs(short: Load, long: Load, wide: Load) -> Costs:
    web, worker, idle, rabbitmq = (
        _slopes(short, long, part) for part in ("web", "worker", "idle", "rabbitmq")
    )
    postgres = _slopes(short, long, "postgres")
    # The same replies, heard by two more: what PostgreSQL spends on each who hears.
    hear = 1000 * max(0.0, wide.spent["postgres"] - long.spent["postgres"]) / long.tokens / MORE_IDLE
    listeners = 2 + IDLE
    return Costs(
        web_turn=web.turn,
        web_token=max(0.0, web.token - idle.token),
        hear_token=idle.token,
        worker_turn=worker.turn,
        worker_token=worker.token,
        postgres_turn=postgres.turn,
        postgres_token=max(0.0, postgres.token - listeners * hear),
        postgres_hear=hear,
        rabbitmq_turn=rabbitmq.turn,
    )


def _slopes(short: Load, long: Load, part: str) -> Slopes:
    """Solve turns * x + tokens * y = spent for both loads."""
    determinant = short.turns * long.tokens - long.turns * short.tokens
    turn = (short.spent[part] * long.tokens - long.spent[part] * short.tokens) / determinant
    token = (long.spent[part] * short.turns - short.spent[part] * long.turns) / determinant
    return Slopes(1000 * max(0.0, turn), 1000 * max(0.0, token))


def _figures(costs: Costs) -> list[Figure]:
    measured = ("web_", "hear_", "worker_t", "postgres_", "rabbitmq_")
    unmeasured = ("web_mb", "web_stream_mb")
    figures = [
        Figure(name=name, value=value, shown=f"{value:.3f} ms")
        for name, value in msgspec.structs.asdict(costs).items()
        if name.startswith(measured) and name not in unmeasured
    ]
    shown = "\n".join(render(plan(Demand(users=users), costs)) for users in (100, 1000, 10_000))
    last = figures.pop()
    return [*figures, msgspec.structs.replace(last, details=("", *shown.splitlines()))]


# What the kernel says


async def _postmaster(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(_stat(connection.get_server_pid())[1])
    finally:
        await connection.close()


def _cpu_of_family(parent: int) -> float:
    """Return the CPU seconds of a process and its children, those that have ended included."""
    own = _stat(parent)
    children = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    living = [_stat(pid) for pid in children]
    ticks = sum(int(each) for each in own[11:15])
    ticks += sum(int(stat[11]) + int(stat[12]) for stat in living if len(stat) > 1 and stat[1] == str(parent))
    return ticks / _TICK


def _cpu(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / _TICK


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (the parent is the second), none if it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
