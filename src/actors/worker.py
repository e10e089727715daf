"""A worker: the actors of one process, run by Dramatiq's threads on the process's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from actors.completion import Completions
from actors.images import Images
from actors.keeper import Keeper
from actors.maintenance import Maintenance
from actors.reply import Replies
from actors.runtime import ActorRuntime, declare_actor
from actors.scene import SceneReader, Scenes
from actors.webhook import Webhooks
from hub.core import metrics
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.completions import work
from hub.jobs import queue, store
from hub.jobs.broker import Broker, InProcessBroker
from hub.jobs.contracts import TURNS, JobKind, JobStatus
from hub.live.events import Changed
from hub.process import ASK_AGAIN, Process
from hub.providers.llm.protocol import LanguageModel

logger = get_logger(__name__)

#: Seconds between two looks for jobs whose worker fell silent.
RESCUE_EVERY = 5.0
#: Seconds that running actors get to hand their work over.
STOP_TIMEOUT = 5.0
#: Where it counts how jobs end, but for turns.
_FAMILIES: dict[str, Counter] = {JobKind.IMAGE: metrics.IMAGES, JobKind.WEBHOOK: metrics.WEBHOOKS}


class Worker:
    """Runs jobs until it is stopped."""

    def __init__(self, process: Process, broker: Broker, model: LanguageModel) -> None:
        self._process = process
        self._broker = broker
        self._keeper = Keeper(process.bus)
        reader = SceneReader(process, model)
        self._replies = Replies(process, self._keeper, model, reader)
        self._completions = Completions(process, self._keeper, model)
        self._scenes = Scenes(process, self._keeper, reader)
        self._images = Images(process, self._keeper)
        self._webhooks = Webhooks(process, self._keeper)
        self._maintenance = Maintenance(process, self._keeper)
        self._actors: dict[str, Callable[[UUID], Coroutine[Any, Any, None]]] = {
            JobKind.REPLY: self._replies.run,
            JobKind.COMPLETION: self._completions.run,
            JobKind.SCENE: self._scenes.run,
            JobKind.IMAGE: self._images.run,
            JobKind.MAINTENANCE: self._maintenance.run,
            JobKind.WEBHOOK: self._webhooks.run,
        }
        for kind, actor in self._actors.items():
            declare_actor(broker, actor, kind=kind)
        self._taken_over: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._runtime = ActorRuntime(broker, loop, threads=process.settings.worker_threads)
        self._rescuer: asyncio.Task[None] | None = None

    async def start(self, *, alone: bool) -> None:
        """Begin to take jobs.

        Args:
            alone: no other worker can be alive, so whatever seems to be running is taken back at once.
        """
        await self._take_back(alone=alone)
        self._process.relay.take_over_with(self._take_over)
        self._keeper.start()
        self._runtime.start()
        self._rescuer = asyncio.create_task(self._rescue_forever(), name="rescuer")
        self._maintenance.start()

    async def _take_back(self, *, alone: bool) -> None:
        """Take back what an earlier process had, however long the database is away."""
        while True:
            try:
                if alone:
                    await self._rescue(everything=True)
                if alone or isinstance(self._broker, InProcessBroker):  # its messages went with its process
                    await queue.forget_published()
            except UNAVAILABLE as error:
                logger.warning("database unavailable, the worker waits", reason=type(error).__name__)
            else:
                return
            await asyncio.sleep(ASK_AGAIN)

    async def stop(self) -> None:
        """Take no more jobs and hand over those that run."""
        self._process.is_stopping = True
        if self._rescuer is not None:
            self._rescuer.cancel()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                # This process's own sweep must not take what is handed over: nobody here would run it.
                await asyncio.gather(
                    self._process.relay.stop(),
                    self._replies.hand_over(),
                    self._completions.hand_over(),
                    self._scenes.hand_over(),
                    self._images.hand_over(),
                    self._webhooks.hand_over(),
                    self._maintenance.hand_over(),
                )
        except TimeoutError:
            logger.warning("some work could not be handed over in time; its leases will end")
        await self._runtime.stop(timeout=3.5)
        await self._keeper.stop()

    def _take_over(self, job_id: UUID, kind: str) -> bool:
        """Run a job that nobody came for, if there is a place for it."""
        actor = self._actors.get(kind)
        # Those taken over count twice: it is the idle who should take more.
        kinds = (self._replies, self._completions, self._scenes, self._images, self._webhooks)
        running = sum(each.running for each in kinds)
        places = self._process.settings.worker_threads - running - len(self._taken_over)
        if actor is None or places <= 0:
            return False
        logger.info("job taken over", job_id=str(job_id), kind=kind)
        task = asyncio.create_task(_log_failure(actor(job_id)), name=f"job {job_id}")
        self._taken_over.add(task)
        task.add_done_callback(self._taken_over.discard)
        return True

    async def _rescue_forever(self) -> None:
        while True:
            await asyncio.sleep(RESCUE_EVERY)
            try:
                await self._rescue()
            except DATABASE_ERRORS as error:
                logger.debug("rescue waits for the database", reason=type(error).__name__)
            except Exception:
                logger.exception("a rescue failed")  # the next one may not

    async def _rescue(self, *, everything: bool = False) -> None:
        rescued, followed = await work.rescue(everything=everything)
        for conversation_id, response_id in followed:
            self._process.bus.publish(Changed(conversation_id, response_id))
        for each in rescued:
            logger.warning("job rescued", job_id=str(each.job_id), kind=each.kind, status=each.status)
            if each.status == JobStatus.FAILED:
                note_given_up(each.kind)
            if each.kind == JobKind.IMAGE:
                await self._process.painting.tell(each.job_id, lane=each.lane)
            await self._process.relay.ring_next(each.lane, kind=each.kind, user_id=None)
        for lane, kind in await store.let_go_of_dead():
            await self._process.relay.ring_next(lane, kind=kind, user_id=None)


def note_given_up(kind: str) -> None:
    """Count a job as failed whose workers died again and again."""
    family = metrics.RESPONSES if kind in TURNS else _FAMILIES.get(kind)
    if family is not None:
        family.labels("failed").inc()


async def _log_failure(actor: Awaitable[None]) -> None:
    """Await an actor as Dramatiq would: what it raises is logged, and its job's lease will end."""
    try:
        await actor
    except Exception:
        logger.exception("job failed")
