"""Many replies at once: what the hub adds between the model's sending and the client's receiving."""

from __future__ import annotations

import asyncio
import time

from bench.listener import Listener, listen
from bench.report import Figure, percentile, summary
from bench.world import World
from tests.services.hub import Client, HubServer

PACE = 20.0
GOAL_ADDED_MS = 20.0
GOAL_TOKENS_PER_SECOND = 5_000.0
_FEW, _MANY = 100, 500
_SECONDS = 8


async def measure(world: World) -> list[Figure]:
    """Measure 100 streams, then 500."""
    return [*await _streams(world, _FEW), *await _streams(world, _MANY)]


async def _streams(world: World, count: int) -> list[Figure]:
    tokens = int(PACE * _SECONDS)
    arguments = ("--tokens", str(tokens), "--pace", str(PACE))
    threads = {"HUB_WORKER_THREADS": str(count + 10)}
    with world.program("bench.paced_llm", *arguments) as llm:
        async with world.hub_up(llm, **threads) as server:
            client = await Client(server.url).register()
            listeners = await _listen(server, client, count)
            started = time.monotonic()
            ends = [asyncio.ensure_future(each.wait_for(b'"response.completed"')) for _, each in listeners]
            await asyncio.gather(*(client.send(each, "Talk to me.") for each, _ in listeners))
            await asyncio.gather(*ends)
            seconds = time.monotonic() - started
            for _, listener in listeners:
                listener.close()
            await client.close()
    return _figures([listener for _, listener in listeners], tokens, seconds)


async def _listen(server: HubServer, client: Client, count: int) -> list[tuple[str, Listener]]:
    companion = (await client.companion())["id"]
    listeners: list[tuple[str, Listener]] = []
    for _ in range(count):
        conversation = (await client.conversation(companion))["id"]
        listeners.append((conversation, await listen(server, client.token, conversation)))
    return listeners


def _figures(listeners: list[Listener], tokens: int, seconds: float) -> list[Figure]:
    count = len(listeners)
    added = [each for listener in listeners for each in listener.added]
    rate = len(added) / seconds
    p99 = percentile(added, 99)
    many = count == _MANY
    faulty = sum(not listener.is_exact(tokens) for listener in listeners)
    return [
        Figure(
            name=f"{count} streams of {PACE:g} tokens/s",
            value=rate if many else p99,
            shown=f"{rate:,.0f} tokens/s" if many else f"p99 added {p99:.1f} ms",
            goal=GOAL_TOKENS_PER_SECOND if many else GOAL_ADDED_MS,
            at_least=many,
            goal_shown=f">= {GOAL_TOKENS_PER_SECOND:,.0f} tokens/s" if many else f"<= {GOAL_ADDED_MS:g} ms",
            details=(
                f"added: {summary(added)}, p99 {p99:.2f} ms",
                f"{rate:,.0f} tokens/s over {seconds:.1f} s, on one machine with the model and the clients",
                f"tokens that came as live text: {len(added):,} of {count * tokens:,}",
            ),
        ),
        Figure(
            name=f"{count} streams: texts with a token lost, doubled or out of order",
            value=faulty,
            shown=f"{faulty} of {count}",
            goal=0,
            goal_shown="0",
        ),
    ]
