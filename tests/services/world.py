"""What acceptance tests do beside talking: one-shot commands, a look at what runs and what is stored."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from hub.db.embedded import EmbeddedPostgres
from tests.services.hub import PROJECT, Client, HubServer, base_environment

T = TypeVar("T")


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def output(self) -> str:
        """Everything it said."""
        return self.out + self.err


async def begin_hub(
    folder: Path, *words: str, stdout: int = asyncio.subprocess.PIPE, **settings: str
) -> asyncio.subprocess.Process:
    """Start a command of ``hub`` in ``folder``, as :class:`HubServer` would; the caller ends it."""
    environment = {
        **base_environment(folder),
        "HUB_DATA_DIR": str(folder / "data"),
        "HUB_CONFIG_FILE": str(PROJECT / "config" / "hub.toml"),
        "HUB_PORT": "0",
        **settings,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub", *words),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )


async def run_hub(folder: Path, *words: str, given: str = "", **settings: str) -> Done:
    """Run a command of ``hub`` to its end and return what it said."""
    process = await begin_hub(folder, *words, stdout=asyncio.subprocess.PIPE, **settings)
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def processes_of(folder: Path) -> dict[int, str]:
    """Return the processes that belong to a folder: by working folder, command or environment."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = (entry / "cwd").readlink()
            told = command + (entry / "environ").read_bytes().decode(errors="replace")
            belongs = place.is_relative_to(folder) or str(folder) in told
            if belongs and "leash.py" not in command:  # the tests' own hold on the hub
                found[int(entry.name)] = command
    return found


async def nothing_left(folder: Path, *, within: float = 0.5) -> None:
    """Wait until no process of the folder is left; the kernel may need a moment to clear the dead away."""
    deadline = time.monotonic() + within
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.02)


async def kill_all(server: HubServer) -> None:
    """Kill the hub and everything it runs, as a power cut would."""
    for _ in range(3):  # a process may have been about to start another
        for pid in processes_of(server.folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    await server.kill()
    await nothing_left(server.folder, within=10)


async def within(seconds: float, ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask until there is an answer, and return it."""
    deadline = time.monotonic() + seconds
    while (answer := await ask()) is None:
        assert time.monotonic() < deadline, f"no answer within {seconds:g} s"
        await asyncio.sleep(0.05)
    return answer


async def query(dsn: str, sql: str, *values: object) -> list[dict[str, Any]]:
    """Run one statement in a database."""
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


def embedded_dsn(folder: Path) -> str:
    """Return the address of the embedded database of a running hub."""
    database = EmbeddedPostgres(folder / "data")
    dsn = database.start()
    assert not database.owned, "the hub's database does not run"
    return dsn


@asynccontextmanager
async def signed_in(server: HubServer, client: Client | None = None) -> AsyncIterator[Client]:
    """Yield a new user of a hub, or one who comes back after it was started again."""
    user = Client(server.url)
    if client is None:
        await user.register()
    else:
        user.use(client.token)
    try:
        yield user
    finally:
        await user.close()


async def exactly_one_reply(client: Client, conversation_id: str, response: dict[str, Any]) -> str:
    """Check that a conversation holds one message and one reply, that of the response; return its text."""
    assert response["status"] == "completed", response
    stored = await client.messages(conversation_id)
    assert [(each["position"], each["role"]) for each in stored] == [(1, "user"), (2, "assistant")]
    assert stored[1]["response_id"] == response["id"]
    assert stored[1]["id"] == response["message_id"]
    assert stored[1]["content"] == response["output_text"]
    return str(stored[1]["content"])
