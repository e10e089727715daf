"""Fixtures of the tests that talk to the shared hub, or to RabbitMQ."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from hub.jobs.broker import queue_name
from hub.storage.images import ImageProcesses
from tests.fakes.llm import Body, FakeLLM
from tests.fakes.llm_script import Script, default_text, reply
from tests.fakes.receiver import Receiver
from tests.services.fixtures import new_database
from tests.services.hub import NO_TLS, Client, HubServer
from tests.services.legacy import Original, original
from tests.services.legacy_import import Importer, Move
from tests.services.picture_files import new_companion
from tests.services.pictures import Desk
from tests.services.rabbitmq import RabbitMQNode


class Answers:
    """Scripts by what the user said last, so that turns of other conversations cannot take them."""

    def __init__(self) -> None:
        self._scripts: dict[str, deque[Script]] = {}

    def give(self, said: str, *scripts: Script) -> None:
        """Answer this message with these scripts, one an attempt; then as usual."""
        self._scripts.setdefault(said, deque()).extend(scripts)

    def choose(self, body: Body) -> Script:
        """Return the script for a request."""
        scripts = self._scripts.get(last_said(body))
        return scripts.popleft() if scripts else reply(default_text(body))


def prompt(body: Body) -> list[tuple[str, str]]:
    """Return the request's messages as (role, content)."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return [(message["role"], message["content"]) for message in messages]


def last_said(body: Body) -> str:
    """Return what the user said last."""
    return next((content for role, content in reversed(prompt(body)) if role == "user"), "")


@pytest.fixture
def answers(llm: FakeLLM) -> Iterator[Answers]:
    """Yield what the shared hub's language model says to which message."""
    usual = llm.default
    scripted = Answers()
    llm.default = scripted.choose
    yield scripted
    llm.default = usual


@pytest.fixture(scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    """Yield a server that webhooks may be sent to."""
    async with Receiver() as fake:
        yield fake


@pytest.fixture
def kind() -> str:
    """Return a kind of job that no other test uses."""
    return f"test-{uuid4().hex[:8]}"


@pytest.fixture
def node(rabbitmq: RabbitMQNode, kind: str) -> Iterator[RabbitMQNode]:
    """Yield the node, and leave it without the test's queues."""
    yield rabbitmq
    rabbitmq.delete(queue_name(kind), f"{queue_name(kind)}.XQ")


@pytest.fixture(scope="session")
async def image_processes() -> AsyncIterator[ImageProcesses]:
    """Yield a single image process, with more time than usual for a machine that does other things too."""
    processes = ImageProcesses(count=1, timeout=20)
    yield processes
    await processes.close()


@pytest.fixture
def desk(image_processes: ImageProcesses, tmp_path: Path) -> Desk:
    """Return a folder in which pictures are encoded."""
    return Desk(tmp_path, image_processes)


@pytest.fixture
async def source(postgres: str) -> AsyncIterator[Original]:
    async with original(await new_database(postgres)) as found:
        yield found


@pytest.fixture
async def alone(tmp_path: Path, ready_database: str, source: Original) -> Importer:
    return Importer(tmp_path, ready_database, source)


@pytest.fixture
async def move(hub: HubServer, source: Original, tmp_path: Path) -> Move:
    found = Move(hub, source, tmp_path)
    await found.fill()
    return found


@pytest.fixture
async def nobody(hub: HubServer) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client that is not signed in."""
    async with httpx2.AsyncClient(base_url=hub.url, verify=NO_TLS) as http:
        yield http


@pytest.fixture
async def companion(client: Client) -> str:
    """Return the id of a new companion."""
    return await new_companion(client)
