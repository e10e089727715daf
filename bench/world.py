"""What every bench stands on: a throw-away PostgreSQL, fake language models, hubs as processes."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from hub.db.embedded import EmbeddedPostgres
from tests.services.fixtures import new_database
from tests.services.hub import HubServer, llm_settings
from tests.services.leash import Leashed
from tests.services.rabbitmq import RabbitMQNode

PROJECT = Path(__file__).parents[1]
_START_SECONDS = 20.0


class World:
    """A folder that goes away, and a PostgreSQL in it that keeps every promise of durability."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self._folder = folder
        self._postgres = postgres
        self._numbers = itertools.count(1)

    async def database(self) -> str:
        """Make an empty database and return its address."""
        return await new_database(self._postgres)

    def folder(self) -> Path:
        """Make an empty folder."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    @contextmanager
    def program(self, module: str, *arguments: str) -> Iterator[str]:
        """Run one of the project's modules as a process; yield the address that it prints first."""
        log = self.folder() / "log"
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", module, *arguments]
        running = Leashed(command, log=log, env=environment, cwd=PROJECT)
        try:
            yield _first_line(running, log)
        finally:
            running.end()

    @contextmanager
    def llm(self, *, tokens: int = 5) -> Iterator[str]:
        """Run a fake language model that answers as fast as it can; yield its base address."""
        with self.program("tests.fakes.llm", "--tokens-per-second", "0", "--tokens", str(tokens)) as url:
            yield url

    @asynccontextmanager
    async def rabbitmq(self) -> AsyncIterator[RabbitMQNode]:
        """Run a RabbitMQ node of the bench's own.

        Raises:
            FileNotFoundError: rabbitmq-server is not installed.
        """
        node = RabbitMQNode(self.folder())
        await asyncio.to_thread(node.start)
        try:
            yield node
        finally:
            await asyncio.to_thread(node.stop)

    @asynccontextmanager
    async def hub(self, role: str = "up", **settings: str) -> AsyncIterator[HubServer]:
        """Run a hub and yield it once it is ready."""
        server = HubServer(self.folder(), role, **settings)
        try:
            await server.start()
            yield server
            await server.stop()
        finally:
            server.close()

    @asynccontextmanager
    async def hub_up(self, llm_url: str, **settings: str) -> AsyncIterator[HubServer]:
        """Run ``hub up`` with a database of its own in this world's PostgreSQL."""
        outside = {"HUB_DATABASE_URL": await self.database(), **llm_settings(llm_url), **settings}
        async with self.hub("up", **outside) as server:
            yield server


@contextmanager
def open_world() -> Iterator[World]:
    """Make a world, and unmake it."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        postgres = EmbeddedPostgres(Path(name) / "postgres", durable=True)
        try:
            yield World(Path(name), postgres.start())
        finally:
            postgres.stop()


def _first_line(running: Leashed, log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while "\n" not in (text := log.read_text(encoding="utf-8")):
        if not running.running or time.monotonic() > deadline:
            raise RuntimeError(f"a program of the bench did not start:\n{text}")
        time.sleep(0.01)
    return text.partition("\n")[0]
