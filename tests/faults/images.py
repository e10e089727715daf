"""Writing a picture while the disk is full or broken, or the hub is killed, at each step."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.faults.cluster import is_alive, is_ready, keep_port
from tests.faults.failpoints import Action, Failpoints
from tests.faults.image_points import CHILD_POINTS, WRITE_POINTS, child_folder
from tests.faults.points import AFTER, BEFORE
from tests.migration.conftest import engine_at
from tests.services.hub import PROJECT, Client, HubServer, llm_settings
from tests.services.picture_files import Store, names_of, new_companion, picture, send_header, set_header
from tests.services.waiting import eventually

FAULTS = (Action.FULL, Action.BROKEN, Action.CRASH)
#: What a client may be told: no room, try again; of a picture over which its process died: unreadable.
_TOLD = {507, 503}
_TOLD_OF_CHILDREN = _TOLD | {422}
_PERIODS = {"hub.db.engine.IDLE_LIMIT": 0.6}
_PICTURES = 6
_COMPANIONS = 4
_WEBS = 2
#: How often a picture goes to a companion that nobody sends another one to.
_NEW = 0.3


@dataclass(frozen=True)
class Case:
    """One fault: where, on which side, what; ``in_child`` within the image process."""

    point: str
    side: str
    action: Action
    in_child: bool

    def __str__(self) -> str:
        where = "image process, " if self.in_child else ""
        return f"{where}{self.side} {self.point}: {self.action}"


def all_cases() -> list[Case]:
    """Return every fault at every step."""
    return [
        Case(point.name, side, action, in_child)
        for points, in_child in ((WRITE_POINTS, False), (CHILD_POINTS, True))
        for point in points
        for side in (BEFORE, AFTER)
        for action in _faults_at(point.name, side)
    ]


def _faults_at(point: str, side: str) -> Sequence[Action]:
    """Return the faults that a step can have; a folder that was made all the same is no fault."""
    return (Action.CRASH,) * len(FAULTS) if (point, side) == ("os.mkdir", AFTER) else FAULTS


def some_cases(count: int) -> Iterator[Case]:
    """Yield cases that go through the steps again and again, the fault changing each time."""
    cases = all_cases()
    steps = len(cases) // len(FAULTS)
    for number in range(count):
        round_, step = divmod(number, steps)
        yield cases[step * len(FAULTS) + (step + round_) % len(FAULTS)]


@dataclass
class Result:
    """How a run went."""

    cases: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    rows_without_file: int = 0
    torn: int = 0
    orphans: int = 0
    left: int = 0


class Web:
    """One hub with failpoints, and a user at it."""

    def __init__(self, folder: Path, database: str, data_dir: Path, port: int) -> None:
        self.failpoints = Failpoints(folder / "failpoints")
        self.of_children = Failpoints(child_folder(folder / "failpoints"))
        self.server = HubServer(
            folder,
            "web",
            module="tests.faults.hub",
            HUB_DATABASE_URL=database,
            HUB_DATA_DIR=str(data_dir),
            HUB_PORT=str(port),
            **llm_settings("http://127.0.0.1:1/v1"),
            **fault_settings(folder / "failpoints"),
        )
        self.user = Client(f"http://127.0.0.1:{port}")

    async def start(self) -> None:
        """Start it and sign in."""
        self.failpoints.clear()
        self.of_children.clear()
        await self.server.start()
        await self.user.register()

    async def whole(self, *, within: float = 30.0) -> None:
        """Wait until it runs and is ready."""
        deadline = time.monotonic() + within
        while not is_ready(self.server):
            assert time.monotonic() < deadline, self.server.output[-3000:]
            await asyncio.sleep(0.02)

    async def meet(self, case: Case, companion: str, number: int) -> str:
        """Send a picture while a fault is armed, and return what was told."""
        failpoints = self.of_children if case.in_child else self.failpoints
        failpoints.clear()
        failpoints.arm(case.point, case.side, case.action)
        told = await self._send(companion, number, case)
        pid = failpoints.fired(case.point, case.side)
        assert pid is not None, "the fault was never reached"
        failpoints.clear()
        if case.action is Action.CRASH:
            await eventually(lambda: not is_alive(pid))
        return told

    async def _send(self, companion: str, number: int, case: Case) -> str:
        try:
            answer = await send_header(self.user, companion, picture(number))
        except httpx2.HTTPError:
            assert case.action is Action.CRASH, "the hub was not meant to die"
            assert not case.in_child, "the hub was not meant to die"
            return "cut off"
        assert answer.status_code in (_TOLD_OF_CHILDREN if case.in_child else _TOLD), answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
        if case.action is Action.FULL and case.in_child:
            assert answer.status_code == 507, answer.text
        return str(answer.status_code)


class Gallery:
    """Hubs with failpoints over the same rows and files, whose companions get header pictures."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._dsn = database
        self._stack = AsyncExitStack()
        self.webs: list[Web] = []
        self.store: Store
        self._companions: dict[Web, list[str]] = {}
        self._known: dict[int, dict[str, Any]] = {}

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
        for number in range(_WEBS):
            place = self._folder / f"web{number}"
            web = Web(place, self._dsn, self._folder / "data", keep_port(self._stack))
            self._stack.callback(web.server.close)
            self._stack.push_async_callback(web.user.close)
            self.webs.append(web)
        await asyncio.gather(*(web.start() for web in self.webs))
        self.store = Store(self.webs[0].server)
        await self._stack.enter_async_context(engine_at(self._dsn, pool_size=4))
        for web in self.webs:
            self._companions[web] = [await new_companion(web.user) for _ in range(_COMPANIONS)]
        web = self.webs[0]
        for number in range(_PICTURES):
            self._known[number] = await set_header(web.user, self._companions[web][0], number)

    async def run(self, web: Web, case: Case, chance: random.Random) -> str:
        """Run a case and return what the client was told; then the next picture has to be taken."""
        await web.whole()
        companion = chance.choice(self._companions[web])
        if case.point == "os.mkdir" or chance.random() < _NEW:
            companion = await new_companion(web.user)
        told = await web.meet(case, companion, chance.randrange(_PICTURES))
        await web.whole()
        number, companion = chance.randrange(_PICTURES), chance.choice(self._companions[web])
        image = await set_header(web.user, companion, number)
        assert image["sha256"] == self._known[number]["sha256"]
        assert names_of(image) <= self.store.names(companion)
        return told

    async def check(self, result: Result) -> None:
        """Compare rows and files, collect at once, and compare again."""
        for web in self.webs:
            await web.whole()
        wrong = await self.store.wrong()
        result.rows_without_file = sum(kind != "file without row" for kind, *_ in wrong)
        result.orphans = len(wrong) - result.rows_without_file
        result.torn = len(self.store.torn()) + len(self._strange())
        await self.store.gc("--grace", "0")
        result.left = len([*await self.store.wrong(), *self.store.temporary.iterdir()])

    def _strange(self) -> list[str]:
        """Return files that are none of the pictures that were sent."""
        known = {name for image in self._known.values() for name in names_of(image)}
        found = (self.store.data_dir / "uploads" / "companions").glob("*/*/*")
        return [each.name for each in found if each.name not in known]


def fault_settings(failpoints: Path) -> dict[str, str]:
    """Return the settings of a process with failpoints of pictures."""
    return {
        "HUB_TEST_FAILPOINTS": str(failpoints),
        "HUB_TEST_POINTS": "images",
        "HUB_TEST_PERIODS": json.dumps(_PERIODS),
        "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)]),
    }


async def run_faults(
    cases: Sequence[Case], *, folder: Path, database: str, chance: random.Random, tell: Callable[[], None]
) -> Result:
    """Run cases on two hubs over the same files, and look at the end what became of rows and files.

    Args:
        cases: what to run.
        folder: where the hubs keep their files.
        database: an empty one.
        chance: decides which picture goes to which companion.
        tell: is called after each case.
    """
    result, waiting = Result(), deque(cases)

    async def work(gallery: Gallery, web: Web) -> None:
        while waiting:
            case = waiting.popleft()
            try:
                result.answers[await gallery.run(web, case, chance)] += 1
            except Exception as error:  # noqa: BLE001 - reported with the others
                result.failures.append(f"{case}: {type(error).__name__}: {error}"[:600])
            result.cases += 1
            tell()

    async with Gallery(folder, database) as gallery:
        await asyncio.gather(*(work(gallery, web) for web in gallery.webs))
        await gallery.check(result)
    return result
