"""The newest 1,000 messages of a conversation: the endpoint's whole handler against query and encode."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from litestar.types import ASGIApp

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
from hub.providers.http.network import open_pool
from hub.web.app import create_app

GOAL = 1.5
MESSAGES = 1_000
#: Conversations in the table, each of ``MESSAGES`` messages.
CONVERSATIONS = 200
#: Characters of a message, so that 1,000 of them are 435 kB of JSON.
LENGTH = 196
ROUNDS = 120
WARM_UP = 20

_BARE = """
SELECT id, conversation_id, position, role, content, response_id, created_at
FROM messages WHERE conversation_id = $1 ORDER BY position DESC LIMIT 1000
"""
_FILL = """
INSERT INTO messages (id, conversation_id, position, role, content, response_id)
SELECT gen_random_uuid(), conversations.id, position,
    CASE WHEN position % 2 = 1 THEN 'user' ELSE 'assistant' END, rpad('It rained. ', $2, 'Moss likes it. '),
    CASE WHEN position % 2 = 1 THEN NULL ELSE gen_random_uuid() END
FROM conversations, generate_series(1, $1) AS position ORDER BY position, conversations.id
"""


class History:
    """Both ways to read the same conversation, in one process on one database."""

    def __init__(self, app: ASGIApp, token: str, conversation_id: UUID) -> None:
        self._app = app
        self._id = conversation_id
        path = f"/api/conversations/{conversation_id}/messages"
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"host", b"127.0.0.1")]
        self._scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"limit=1000",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "extensions": {},
        }

    async def endpoint(self) -> bytes:
        """Ask the application, from the ASGI scope to the last byte of the body: all but the network."""
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope: Any = {**self._scope, "state": {}}
        await self._app(scope, receive, send)
        if sent[0]["status"] != 200:
            raise RuntimeError(sent)
        return b"".join(message.get("body", b"") for message in sent)

    async def bare(self) -> bytes:
        """Do the least that gives these messages as JSON."""
        async with ENGINE.connection() as connection:
            rows = await connection.fetch(_BARE, self._id)
        return msgspec.json.encode([Message(*row) for row in rows])


async def measure(world: World) -> list[Figure]:
    """Measure in one run, one of each in turn."""
    dsn = await world.database()
    settings = Settings(data_dir=world.folder(), database_url=dsn, limits=False)
    with (world.folder() / "log").open("w") as log:
        configure_logging(settings, stream=log)
        await migrate(dsn)
        async with (
            open_pool() as pool,
            open_process(settings, dsn=dsn, publisher=None, language_model=None, pool=pool) as process,
        ):
            token, conversation_id = await _fill(process)
            history = History(create_app(process), token, conversation_id)
            page = msgspec.json.decode(await history.endpoint())
            bare_bytes = await history.bare()
            if page["items"] != msgspec.json.decode(bare_bytes):
                raise RuntimeError("the endpoint and the bare function do not say the same")
            endpoint, bare = await _race(history)
    return [_figure(endpoint, bare, len(bare_bytes))]


async def _fill(process: Process) -> tuple[str, UUID]:
    command = Register(username="bench", email="bench@example.org", password="correct horse battery")
    sign_in = await process.accounts.register(command, address="127.0.0.1")
    user_id = sign_in.user.id
    described = CreateCompanion(name="Mira", description="A calm botanist who loves moss.")
    companion = await companions.create(described, user_id=user_id, limits=process.limits)
    command_id = CreateConversation(companion_id=companion.id)
    made = [await process.chat.create(command_id, user_id=user_id) for _ in range(CONVERSATIONS)]
    async with ENGINE.connection() as connection:
        # In the order of time, as if all conversations had gone on side by side.
        await connection.execute(_FILL, MESSAGES, LENGTH, timeout=120)
        await connection.execute("UPDATE conversations SET last_position = $1", MESSAGES)
        await connection.execute("VACUUM (ANALYZE) messages", timeout=120)
    return sign_in.access_token, made[CONVERSATIONS // 2].id


async def _race(history: History) -> tuple[list[float], list[float]]:
    for _ in range(WARM_UP):
        await _timed(history.endpoint)
        await _timed(history.bare)
    endpoint, bare = [], []
    for _ in range(ROUNDS):
        endpoint.append(await _timed(history.endpoint))
        bare.append(await _timed(history.bare))
    return endpoint, bare


async def _timed(read: Callable[[], Awaitable[bytes]]) -> float:
    started = time.perf_counter()
    await read()
    return (time.perf_counter() - started) * 1000


def _figure(endpoint: list[float], bare: list[float], size: int) -> Figure:
    ratio = statistics.median(endpoint) / statistics.median(bare)
    return Figure(
        name="1,000 messages: the endpoint's handler, against query and encode",
        value=ratio,
        shown=f"{ratio:.2f}x",
        goal=GOAL,
        goal_shown=f"<= {GOAL:g}x",
        details=(
            f"endpoint with authentication, without network: {summary(endpoint)}",
            f"bare asyncpg and msgspec: {summary(bare)}",
            f"{size / 1000:.0f} kB of JSON, out of a table of {CONVERSATIONS * MESSAGES:,} messages",
        ),
    )
