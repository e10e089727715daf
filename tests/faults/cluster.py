"""Hubs with failpoints over one database: what a matrix of faults is run on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import time
from collections import deque
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

import asyncpg

from tests.fakes.llm import Body, FakeLLM
from tests.fakes.llm_script import Script, answer, reply
from tests.faults.failpoints import Action, Failpoints
from tests.faults.studio import Studio
from tests.services.hub import PROJECT, Client, HubServer, llm_settings

#: Seconds that the hub's periods last here, so that nobody waits half a minute for a lease to end.
PERIODS = {
    "hub.db.engine.IDLE_LIMIT": 1.0,
    "hub.jobs.contracts.LEASE": 1.5,
    "hub.jobs.contracts.HEARTBEAT": 0.3,
    "hub.jobs.contracts.RETRY_FIRST": 0.2,
    "actors.keeper.LOOK_EVERY": 0.2,
    "hub.jobs.relay.SWEEP_EVERY": 0.2,
    "hub.jobs.relay.FRESH": 0.3,
    "hub.jobs.relay.STALE": 1.5,
    "actors.worker.RESCUE_EVERY": 0.3,
    "actors.writing.SAVE_EVERY": 0.05,
    "actors.reply.IMAGE_WAITS": 2.0,
    "actors.images.NOTE_EVERY": 0.1,
}
_LAYOUTS = {"rabbitmq": ("web", "worker", "worker"), "in-process": ("up", "up")}


class Model:
    """A fake language model that knows what to say to each message."""

    def __init__(self) -> None:
        self._first: dict[str, deque[Script]] = {}
        self._readings: dict[int, asyncio.Event] = {}

    @staticmethod
    def text(content: str) -> str:
        """Return the whole answer to a message."""
        return (
            f"“{content}” — moss is patient ☕, and so am I: a little every day, wherever light is kind 🌿."
        )

    def answers_first(self, content: str, *scripts: Script) -> None:
        """Answer a message with these before its whole answer; the last one stays if it is a fault."""
        self._first[content] = deque(scripts)

    def holds(self, content: str, go: asyncio.Event) -> None:
        """Stop every answer to a message in its middle until ``go`` is set."""
        self._first[content] = deque([reply(self.text(content), between={6: go})] * 9)

    def holds_reading(self, content: str, go: asyncio.Event) -> None:
        """Say nothing of the scene after the reply to a message until ``go`` is set."""
        self._readings[number_of(content)] = go

    def reading(self, body: Body) -> Script:
        """Return what is said of a scene: each message has a place of its own, each reply an action too."""
        messages = body["messages"]
        assert isinstance(messages, list)
        talk = str(messages[-1]["content"])
        number = number_of(talk)
        said = {"location": place_of(number)}
        if not talk.rpartition("\n\n")[2].startswith("Mira: "):
            return answer(json.dumps(said))
        go = self._readings.get(number)
        return answer(json.dumps(said | {"action": action_of(number)}), first=[go] if go else [])

    def script(self, body: Body) -> Script:
        """Return what is said to a request."""
        messages = body["messages"]
        assert isinstance(messages, list)
        content = str(messages[-1]["content"])
        first = self._first.get(content)
        return first.popleft() if first else reply(self.text(content), delay=0.005)


def number_of(text: str) -> int:
    """Return the number of the last message that a text speaks of."""
    return int(re.findall(r"number (\d+)", text)[-1])


def place_of(number: int) -> str:
    """Return where a message leads."""
    return f"garden {number}"


def action_of(number: int) -> str:
    """Return what is done after the reply to a message."""
    return f"counting {number} leaves"


class Cluster:
    """Processes of the hub over one database, each under a supervisor that starts it again.

    With RabbitMQ a web and two workers; with brokers inside the processes, two hubs that do both.
    """

    def __init__(self, folder: Path, *, database: str, broker_url: str | None) -> None:
        self.broker = "rabbitmq" if broker_url else "in-process"
        self.failpoints = Failpoints(folder / "failpoints")
        self.model = Model()
        self.token = ""
        self.companion_id = ""
        self.database: asyncpg.Connection
        self._dsn = database
        self._fake = FakeLLM()
        self._fake.default = self.model.script
        self._fake.analysis = self.model.reading
        self.studio = Studio(self.broker)
        self.data_dir = folder / "data"
        self._folder = folder
        self._broker_url = broker_url
        self._stack = AsyncExitStack()
        self._ports = [keep_port(self._stack) for _ in _LAYOUTS[self.broker]]
        self.servers: list[HubServer] = []

    @property
    def urls(self) -> list[str]:
        """The addresses that clients may talk to."""
        pairs = zip(self.servers, self._ports, strict=True)
        return [f"http://127.0.0.1:{port}" for server, port in pairs if server.role != "worker"]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.failpoints.clear()
        await self._stack.enter_async_context(self._fake)
        await self._stack.enter_async_context(self.studio)
        settings = {
            **llm_settings(self._fake.url, HUB_LLM_TIMEOUT="60"),
            **self.studio.settings,
            "HUB_SCENE_ANALYSIS": "both",
            "HUB_SCENE_TIMEOUT": "4",
            "HUB_DATA_DIR": str(self.data_dir),
            "HUB_DATABASE_URL": self._dsn,
            "HUB_TEST_FAILPOINTS": str(self._folder / "failpoints"),
            "HUB_TEST_PERIODS": json.dumps(PERIODS),
            "HUB_TEST_QUEUES": secrets.token_hex(4),
            "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)]),
        }
        if self._broker_url:
            settings["HUB_BROKER_URL"] = self._broker_url
        for number, role in enumerate(_LAYOUTS[self.broker]):
            more = {"HUB_PORT": str(self._ports[number])}
            place = self._folder / f"{role}{number}"
            server = HubServer(place, role, module="tests.faults.hub", **settings, **more)
            self._stack.callback(server.close)
            self.servers.append(server)
        await asyncio.gather(*(server.start() for server in self.servers))
        self.database = await asyncpg.connect(self._dsn)
        self._stack.push_async_callback(self.database.close)
        await self._sign_in()

    async def _sign_in(self) -> None:
        user = await Client(self.urls[0]).register()
        self.companion_id = (await user.companion())["id"]
        self.token = user.token
        await user.close()

    def arm(self, point: str, side: str, action: Action) -> None:
        """Arm a failpoint in all processes; one of them will take it."""
        self.failpoints.arm(point, side, action)

    async def fired(self, point: str, side: str, *, within: float = 15.0) -> int:
        """Wait until a failpoint was fired, and return in which process."""
        deadline = time.monotonic() + within
        while (pid := self.failpoints.fired(point, side)) is None:
            assert time.monotonic() < deadline, f"{point}:{side} was never reached"
            await asyncio.sleep(0.01)
        return pid

    async def whole(self, *, within: float = 30.0) -> None:
        """Wait until every process runs and is ready."""
        deadline = time.monotonic() + within
        while not all(is_ready(server) for server in self.servers):
            assert time.monotonic() < deadline, self.output()
            await asyncio.sleep(0.02)

    def output(self) -> str:
        """Return the last words of every process."""
        return "\n".join(f"--- {server.role}\n{server.output[-6000:]}" for server in self.servers)


def signal_hub(pid: int, number: signal.Signals) -> None:
    """Signal a hub; one that is gone needs none."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def is_ready(server: HubServer) -> bool:
    """Tell whether the process that the supervisor started last is ready."""
    output = server.output
    *_, last = re.finditer(r"^hub process (\d+)$", output, re.MULTILINE)
    ready = "worker ready" if server.role == "worker" else "is ready"
    return ready in output[last.end() :] and is_alive(int(last[1]))


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, or is stopped but could."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def keep_port(stack: AsyncExitStack) -> int:
    """Return a port that stays the caller's while hubs come and go on it."""
    holder = stack.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return int(holder.getsockname()[1])
