"""Running actors: Dramatiq's worker threads on one side, the process's own event loop on the other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from queue import Empty, PriorityQueue
from typing import Any, TypeVar, cast
from uuid import UUID

import dramatiq
import dramatiq.worker
from dramatiq.asyncio import EventLoopThread, async_to_sync, set_event_loop_thread

from hub.core.logging import get_logger
from hub.jobs.broker import HubRabbitmqBroker, InProcessBroker, queue_name

logger = get_logger(__name__)

R = TypeVar("R")

THREADS = 128
_RESTART_SECONDS = 1.0
_LAST_WORDS_SECONDS = 1.0


def declare_actor(
    broker: dramatiq.Broker, fn: Callable[[UUID], Coroutine[Any, Any, None]], *, kind: str
) -> dramatiq.Actor[..., None]:
    """Let ``fn`` run the jobs of a kind: it is called with the job's id, on the runtime's event loop.

    The broker is chosen at run time, so actors are plain functions and not decorated at import. A job's
    own retries live in the jobs table: whatever ``fn`` raises is logged, and the message is done with.
    """

    async def run(job_id: str) -> None:
        await fn(UUID(job_id))

    return dramatiq.Actor(
        async_to_sync(run),
        broker=broker,
        actor_name=kind,
        queue_name=queue_name(kind),
        priority=0,
        options={},
    )


class LoopBridge:
    """Runs coroutines on an event loop that belongs to someone else, for threads that wait for them.

    It stands in for Dramatiq's own event loop thread, which wakes every waiting thread ten times a second
    to look for an interrupt that we never send.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._running: set[Future[Any]] = set()

    def run_coroutine(self, coro: Awaitable[R]) -> R:
        """Run it on the loop and return its result; blocks the calling thread, never the loop.

        Raises:
            RuntimeError: the loop is not running.
            concurrent.futures.CancelledError: the runtime is stopping.
        """
        if not isinstance(coro, Coroutine):
            raise TypeError(f"an actor must be an async function, not {type(coro).__name__}")
        if not self.loop.is_running():
            coro.close()
            raise RuntimeError("The event loop is not running.")
        future: Future[R] = asyncio.run_coroutine_threadsafe(coro, self.loop)
        self._running.add(future)
        try:
            return future.result()
        finally:
            self._running.discard(future)
            del future  # breaks the circle of exception, traceback, frame and future

    def cancel_all(self) -> int:
        """Cancel what runs and let its threads go; return how many there were."""
        running = list(self._running)
        for future in running:
            future.cancel()
        return len(running)


class ActorRuntime:
    """Dramatiq's worker in this process: ``threads`` actors at a time, all on ``loop``.

    One runtime a process. A thread costs nothing but a wait while its actor runs on the loop.
    """

    def __init__(
        self, broker: dramatiq.Broker, loop: asyncio.AbstractEventLoop, threads: int = THREADS
    ) -> None:
        self._broker = broker
        self._bridge = LoopBridge(loop)
        # Only queues that have an actor here: publishing to another one must not start to consume it.
        queues = {actor.queue_name for actor in broker.actors.values()}
        self._worker = dramatiq.Worker(broker, queues=queues, worker_threads=threads)
        # A message in hand for each thread and none waiting, so that an idle worker elsewhere gets it.
        self._worker.queue_prefetch = threads
        self._work = WorkQueue()
        self._worker.work_queue = self._work

    def start(self) -> None:
        """Start the threads; returns at once, also when the broker is away: they wait for it."""
        dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = _RESTART_SECONDS
        set_event_loop_thread(cast("EventLoopThread", self._bridge))
        self._worker.start()

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 it bounds two steps, not one await
        """Take no more messages, wait for running actors, and cancel those that remain near the end.

        Returns within ``timeout`` seconds whatever the actors do. All threads are daemons, so one that
        hangs cannot keep the process.
        """
        if isinstance(self._broker, HubRabbitmqBroker):
            self._broker.stop_waiting()
        self._let_go()
        stopped = asyncio.Event()
        grace = max(timeout - _LAST_WORDS_SECONDS, timeout / 2)
        _in_daemon(lambda: self._worker.stop(timeout=int(timeout * 1000)), stopped)
        if not await _wait(stopped, grace):
            if count := self._bridge.cancel_all():
                logger.warning("running actors cancelled", count=count)
            if not await _wait(stopped, timeout - grace):
                logger.warning("actors did not stop", threads=sum(t.is_alive() for t in self._worker.workers))
        set_event_loop_thread(None)

    def _let_go(self) -> None:
        """Let threads that wait for work end at once: Dramatiq's look once a second whether they should."""
        for thread in self._worker.workers:
            thread.stop()
        self._work.close()
        if isinstance(self._broker, InProcessBroker):  # its consumers have nothing to confirm
            for consumer in self._worker.consumers.values():
                consumer.stop()
            self._broker.wake_consumers()


class WorkQueue(PriorityQueue[Any]):
    """Dramatiq's queue between consumers and threads; once it is closed, nobody waits at it."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - the queue's own signature
        """Return the next item, waiting for it at most once.

        Raises:
            Empty: there is none, or it was taken by somebody else.
        """
        with self.not_empty:
            if block and not self._qsize() and not self._closed:
                self.not_empty.wait(timeout)
            if not self._qsize():
                raise Empty
            return self._get()

    def close(self) -> None:
        """Wake everybody who waits."""
        with self.not_empty:
            self._closed = True
            self.not_empty.notify_all()


def _in_daemon(work: Callable[[], None], done: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            work()
        except Exception:
            logger.exception("worker failed to stop")
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="hub-worker-stop", daemon=True).start()


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
