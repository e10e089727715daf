"""The world with all of a turn: scenes are read before and after replies, and pictures painted."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from hub.db.engine import DATABASE_ERRORS
from tests.chaos.world import World, all_of
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, answer

#: A scene that cannot be read in this time is left; a picture waits 20 seconds longer for it.
_SETTINGS = {"HUB_SCENE_ANALYSIS": "both", "HUB_SCENE_TIMEOUT": "3"}


@asynccontextmanager
async def whole_turns(world: World) -> AsyncIterator[None]:
    """Have the workers read scenes for as long as the context lasts."""
    before = [dict(worker.settings) for worker in world.workers]
    usual, world.fake.analysis = world.fake.analysis, _reading
    try:
        await _restart(world, [each | _SETTINGS for each in before])
        yield
    finally:
        world.fake.analysis = usual
        await _restart(world, before)


async def _restart(world: World, settings: list[dict[str, str]]) -> None:
    for worker, each in zip(world.workers, settings, strict=True):
        worker.settings = each
    await all_of(worker.stop() for worker in world.workers)
    await all_of(worker.start() for worker in world.workers)


def _reading(body: Body) -> Script:
    """Find a place in whatever was said last."""
    messages = body["messages"]
    assert isinstance(messages, list)
    words = re.findall(r"\w+", str(messages[-1]["content"])[-60:])
    return answer(json.dumps({"location": f"the garden of {' '.join(words[-4:])}"}))


async def at_rest(world: World, *, within: float) -> list[str]:
    """Wait until no work is under way; return what is, after ``within`` seconds."""
    deadline = time.monotonic() + within
    sql = (
        "SELECT id, kind, status, attempt, worker, lease_until, due_at, published_at, now() FROM jobs"
        " WHERE status IN ('queued', 'in_progress') AND kind <> 'maintenance'"
    )
    while left := await ask(world, sql):
        if time.monotonic() > deadline:
            return [str(each) for each in left]
        await asyncio.sleep(0.1)
    return []


async def ask(world: World, sql: str, *values: object) -> list[dict[str, Any]]:
    """Query as soon as the database is there."""
    while True:
        try:
            return await world.query(sql, *values)
        except DATABASE_ERRORS:
            await asyncio.sleep(0.1)


_WRONG = {
    "a picture that was asked for has no request, or two": """
        SELECT responses.id FROM responses WHERE status = 'completed' AND generate_image AND (
            SELECT count(*) FROM image_requests WHERE response_id = responses.id) <> 1
    """,
    "a picture was made that nobody asked for": """
        SELECT image_requests.id FROM image_requests JOIN responses ON responses.id = response_id
        WHERE NOT generate_image OR responses.status <> 'completed'
    """,
    "a picture ended neither well nor with an error": """
        SELECT id, status, result, error_code FROM jobs WHERE kind = 'image'
        AND (status NOT IN ('completed', 'failed', 'cancelled')
        OR (status = 'completed') <> (result IS NOT NULL)
        OR (status = 'failed') <> (error_code IS NOT NULL AND error_message IS NOT NULL))
    """,
    "a request has two pictures": """
        SELECT image_requests.id, count(*) FROM image_requests JOIN images
        ON recipe ->> 'seed' = seed::text AND images.companion_id = image_requests.companion_id
        GROUP BY image_requests.id HAVING count(*) > 1
    """,
    "a picture belongs to no finished job": """
        SELECT images.id FROM images WHERE kind = 'generated' AND (SELECT count(*) FROM jobs
        WHERE status = 'completed' AND jobs.result ->> 'image_id' = images.id::text) <> 1
    """,
    "a message does not have its picture": """
        SELECT messages.id, messages.image_id, jobs.result, jobs.status FROM messages
        LEFT JOIN image_requests ON image_requests.response_id = messages.response_id
        LEFT JOIN jobs ON jobs.id = image_requests.id
        WHERE messages.role = 'assistant'
        AND messages.image_id::text IS DISTINCT FROM jobs.result ->> 'image_id'
    """,
}


_WITHOUT_SCENE = """
    SELECT messages.id, scenes.id AS scene_id, jobs.status FROM messages
    LEFT JOIN scenes ON scenes.message_id = messages.id
    LEFT JOIN jobs ON jobs.kind = 'scene' AND jobs.subject_id = messages.response_id
    WHERE messages.response_id IS NOT NULL AND conversation_id = ANY($1)
    AND (scenes.id IS NULL OR jobs.status IS NULL OR jobs.status NOT IN ('completed', 'failed'))
"""


async def wrong_pictures(world: World, conversations: list[str]) -> list[str]:
    """Return where scenes and pictures contradict replies, now that everything is at rest.

    Args:
        world: whose rows.
        conversations: those in which scenes were read.
    """
    found: list[str] = []
    for rule, sql in _WRONG.items():
        found += [f"{rule}: {row}" for row in await world.query(f"{sql} LIMIT 5")]
    rows = await world.query(f"{_WITHOUT_SCENE} LIMIT 5", [UUID(each) for each in conversations])
    return found + [f"a reply's scene was not read: {row}" for row in rows]
