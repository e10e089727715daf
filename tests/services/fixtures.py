"""Fixtures for the servers that tests talk to."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from hub.db.embedded import EmbeddedPostgres
from tests.fakes.llm import FakeLLM
from tests.services.hub import PROJECT, Client, HubServer, base_environment, llm_settings
from tests.services.rabbitmq import INSTALL, RabbitMQNode, find_server

#: The origin of the web pages that the shared hub allows.
ALLOWED_ORIGIN = "https://pages.example"

#: The database that others are copied from.
MIGRATED = "hub_migrated"


def require_or_skip(service: str, reason: str) -> None:
    """Skip the test, or fail it where HUB_TEST_REQUIRE (a comma-separated list) names the service."""
    required = os.environ.get("HUB_TEST_REQUIRE", "")
    if service in (each.strip() for each in required.split(",")):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQNode]:
    """Yield the RabbitMQ node of this process of the test run."""
    if find_server() is None:
        require_or_skip("rabbitmq", f"RabbitMQ is not installed; install it with: {INSTALL}")
    node = RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"))
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of this process's own PostgreSQL, which is thrown away afterwards."""
    database = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    dsn = database.start()
    yield dsn
    database.stop()


async def new_database(postgres: str, *, like: str = "template1") -> str:
    """Make a database, an empty one unless it is to be like another, and return its address."""
    name = f"hub_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres)
    try:
        # Copied file by file, which takes a third of the time that it takes through the log.
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY FILE_COPY")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(postgres)._replace(path=f"/{name}"))


async def migrated_database(postgres: str) -> str:
    """Make a database that has every migration, as a copy of one that ran them; return its address."""
    guard = await asyncpg.connect(postgres)
    try:
        await guard.execute("SELECT pg_advisory_lock(1)")
        if not await guard.fetchval("SELECT true FROM pg_database WHERE datname = $1", MIGRATED):
            made = await new_database(postgres)
            await _migrate(made)
            await guard.execute(f"ALTER DATABASE {urlsplit(made).path[1:]} RENAME TO {MIGRATED}")
    finally:
        await guard.close()
    return await new_database(postgres, like=MIGRATED)


async def _migrate(dsn: str) -> None:
    """Migrate in a process of its own: the engine of this one may be open on another database."""
    program = "import asyncio, sys; from hub.db.migrate import migrate; asyncio.run(migrate(sys.argv[1]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, dsn, env=base_environment(PROJECT), stdout=DEVNULL
    )
    assert await process.wait() == 0


@asynccontextmanager
async def running_hub(folder: Path, postgres: str, **settings: str) -> AsyncIterator[HubServer]:
    """Run a hub with these settings on a database of its own."""
    server = HubServer(folder, python=None, HUB_DATABASE_URL=await migrated_database(postgres), **settings)
    await server.start()
    try:
        yield server
    finally:
        server.close()


@asynccontextmanager
async def new_user(hub: HubServer) -> AsyncIterator[Client]:
    """Register somebody at a hub."""
    user = await Client(hub.url).register()
    try:
        yield user
    finally:
        await user.close()


@pytest.fixture
async def empty_database(postgres: str) -> str:
    """Return the address of an empty database."""
    return await new_database(postgres)


@pytest.fixture
async def ready_database(postgres: str) -> str:
    """Return the address of a database that has every migration and no rows."""
    return await migrated_database(postgres)


@pytest.fixture(scope="session")
async def llm() -> AsyncIterator[FakeLLM]:
    """Yield the language model's server that the shared hub asks."""
    async with FakeLLM() as fake:
        yield fake


@pytest.fixture(scope="session")
async def hub(
    postgres: str, llm: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubServer]:
    """Yield a hub that many tests share: everything in one process, the fake language model."""
    async with running_hub(
        tmp_path_factory.mktemp("hub"),
        postgres,
        HUB_ALLOWED_ORIGINS=ALLOWED_ORIGIN,
        HUB_ALLOWED_HOSTS="chat.example,*.family.example",
        **llm_settings(llm.url),
    ) as server:
        yield server


@pytest.fixture
async def client(hub: HubServer) -> AsyncIterator[Client]:
    """Yield a user of the shared hub."""
    async with new_user(hub) as user:
        yield user


@pytest.fixture
async def other(hub: HubServer) -> AsyncIterator[Client]:
    """Yield another user of the shared hub."""
    async with new_user(hub) as user:
        yield user
