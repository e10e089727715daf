"""One slow image server and three users who each ask for many pictures at once: who gets theirs when."""

from __future__ import annotations

import asyncio
from itertools import groupby

from bench.report import Figure
from bench.world import World
from tests.services.hub import Client, llm_settings

#: How far one user may be ahead of another who waits too, in pictures.
GOAL = 1
USERS = "ABC"
EACH = 10
#: What the image server takes for a picture.
SECONDS = 0.2
_PATIENCE = 60.0


async def measure(world: World) -> list[Figure]:
    """Have each user ask for all of theirs before the next one asks."""
    with world.llm() as llm, world.program("tests.fakes.a1111", "--seconds", str(SECONDS)) as painter:
        settings = {"HUB_SD_URL": painter, "HUB_SD_KIND": "a1111", "HUB_DATABASE_URL": await world.database()}
        settings |= {"HUB_IMAGE_WIDTH": "64", "HUB_IMAGE_HEIGHT": "64"}
        async with world.hub("up", **llm_settings(llm, **settings)) as server:
            clients = [await Client(server.url).register() for _ in USERS]
            asked = [await _ask(client) for client in clients]
            ends = [
                (job["completed_at"], name)
                for name, client, jobs in zip(USERS, clients, asked, strict=True)
                for job in await asyncio.gather(*(client.done(each, within=_PATIENCE) for each in jobs))
            ]
            begun = await _created(clients[-1], asked[-1][0])
            for client in clients:
                await client.close()
    ends.sort()
    return [_figure([name for _, name in ends], sum(end < begun for end, _ in ends))]


async def _ask(client: Client) -> list[str]:
    companion = await client.companion()
    return [(await client.ask_image(companion["id"]))["id"] for _ in range(EACH)]


async def _created(client: Client, job_id: str) -> str:
    return str((await client.job(job_id))["created_at"])


def _figure(order: list[str], before: int) -> Figure:
    """Tell of the order; ``before`` of them were done before all users had asked."""
    lead = _largest_lead(order[before:], {name: EACH - order[:before].count(name) for name in USERS})
    runs = max(len(list(run)) for _, run in groupby(order[before:]))
    return Figure(
        name=f"{len(USERS)} users ask for {EACH} pictures each at once: the largest lead of one over another",
        value=lead,
        shown=f"{lead} of {EACH}",
        goal=GOAL,
        goal_shown=f"<= {GOAL}",
        details=(
            f"one image server that takes {SECONDS:g} s for each; A asked for all of theirs first, then B, C",
            f"in the order of their completion: {' '.join(order)}",
            f"{before} were done before C asked; at most {runs} in a row of one user after that",
        ),
    )


def _largest_lead(order: list[str], wanted: dict[str, int]) -> int:
    """Return the most pictures that one user got more than another who still waited for some."""
    done, lead = dict.fromkeys(wanted, 0), 0
    for name in order:
        done[name] += 1
        behind = [done[each] for each in wanted if done[each] < wanted[each]]
        lead = max(lead, done[name] - min(behind, default=done[name]))
    return lead
