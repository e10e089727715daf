"""Reading 1,000 messages: the endpoint's whole handler against the bare query and encoding."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from bench.report import Figure, summary
from bench.world import World
from hub.core.logging import configure_logging
from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.db.migrate import migrate
from hub.domain.accounts.schemas import Register
from hub.domain.chat.schemas import CreateConversation, Message
from hub.domain.companions import service as companions
from hub.domain.companions.schemas import CreateCompanion
from hub.process import Process, open_process
from hub.web.app import create_app

GOAL = 1.5
ROUNDS = 60
WARM_UP = 10
MESSAGES = 1_000
#: Messages of other conversations in the same table, and the length of each in characters.
OTHERS = 200_000
LENGTH = 200

_BARE = """
SELECT id, conversation_id, position, role, content, response_id, created_at FROM messages
WHERE conversation_id = $1 AND position < 2147483647 ORDER BY position DESC LIMIT 1000
"""
_FILL = """
INSERT INTO messages (id, conversation_id, position, role, content)
SELECT gen_random_uuid(), $1, number, CASE WHEN number % 2 = 1 THEN 'user' ELSE 'assistant' END,
    repeat(md5(number::text), 1 + $3 / 32)
FROM generate_series(1, $2) AS number
"""


async def measure(world: World) -> list[Figure]:
    """Measure both on the same database, in turn."""
    dsn = await world.database()
    await migrate(dsn)
    settings = Settings(limits=False, log_format="json")
    configure_logging(settings, stream=_Nowhere())  # lines are made as in production, and go nowhere
    return [await _measure(settings, dsn)]


class _Nowhere(io.StringIO):
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


async def _measure(settings: Settings, dsn: str) -> Figure:
    async with open_process(settings, dsn=dsn, publisher=None, language_model=None) as process:
        token, conversation_id = await _fill(process)
        app = create_app(process)
        path = f"/api/conversations/{conversation_id}/messages"
        scope = _scope(path, token)
        size = len(await _request(app, scope))
        handler, bare = await _in_turn(lambda: _request(app, scope), lambda: _bare(conversation_id))
    ratio = statistics.median(handler) / statistics.median(bare)
    return Figure(
        name="History of 1,000 messages, the handler against the bare query",
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"handler through ASGI, sign-in and owner check included: {summary(handler)}",
            f"asyncpg and msgspec alone: {summary(bare)}",
            f"{size / 1000:.0f} kB of JSON, out of {OTHERS + MESSAGES:,} messages",
        ),
    )


async def _fill(process: Process) -> tuple[str, UUID]:
    account = Register(username="reader", email="reader@example.org", password="correct horse battery")
    sign_in = await process.accounts.register(account)
    user_id = sign_in.user.id
    about = CreateCompanion(name="Mira", description="A calm botanist who loves moss.")
    companion = await companions.create(about, user_id=user_id)
    command = CreateConversation(companion_id=companion.id)
    read = await process.chat.create(command, user_id=user_id)
    other = await process.chat.create(command, user_id=user_id)
    async with ENGINE.connection() as connection:
        await connection.execute(_FILL, other.id, OTHERS, LENGTH, timeout=120)
        await connection.execute(_FILL, read.id, MESSAGES, LENGTH)
        await connection.execute("VACUUM ANALYZE messages", timeout=120)
    return sign_in.access_token, read.id


async def _bare(conversation_id: UUID) -> bytes:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(_BARE, conversation_id)
    return msgspec.json.encode([Message(*row) for row in rows])


async def _in_turn(
    first: Callable[[], Awaitable[bytes]], second: Callable[[], Awaitable[bytes]]
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each, measured alternately."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + WARM_UP):
        for call, noted in zip((first, second), times, strict=True):
            started = time.perf_counter()
            await call()
            if number >= WARM_UP:
                noted.append((time.perf_counter() - started) * 1000)
    return times


def _scope(path: str, token: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"limit=1000",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


async def _request(app: Any, scope: dict[str, Any]) -> bytes:
    """Call the application as a server would; return the body of its 200."""
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(dict(scope), receive, send)
    if status != 200:
        raise RuntimeError(body.decode())
    return body
