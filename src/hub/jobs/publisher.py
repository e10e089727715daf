"""Publishing to RabbitMQ from one thread of its own, so that no event loop ever waits for a socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, Full, Queue
from uuid import UUID

from hub.jobs.amqp import HEARTBEAT_SECONDS, cause_of
from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.messages import job_message
from hub.jobs.rabbitmq import HubRabbitmqBroker, QueueMismatchError

DEADLINE_SECONDS = 10.0
CHECK_SECONDS = 5.0
MAX_WAITING = 10_000
#: Seconds between two looks whether RabbitMQ still takes no messages.
BLOCKED_SECONDS = 0.5
# A broker that could not be reached is left alone for this long; publishing then fails at once.
PAUSE_SECONDS = 0.5
_CLOSE_SECONDS = 2.0


class RabbitmqPublisher:
    """One thread that owns one long-lived connection: it publishes in turn and answers heartbeats between.

    The thread starts with the first call. A connection found dead is replaced; when none can be made,
    whatever waits fails, since the sweep publishes again anyway.

    Args:
        broker: where to publish.
        deadline: seconds after which `publish` gives up; a message still waiting then is never sent.
    """

    def __init__(self, broker: HubRabbitmqBroker, *, deadline: float = DEADLINE_SECONDS) -> None:
        self._broker = broker
        self._deadline = deadline
        first = broker.parameters[0]
        self._address = f"{first.host}:{first.port}"
        self._idle_seconds = (first.heartbeat or HEARTBEAT_SECONDS) / 4  # pika sends one every half
        self._tasks: Queue[tuple[Future[None], Callable[[], None]] | None] = Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._paused_until = 0.0
        self._reason = ""

    def publish(self, kind: str, job_id: UUID) -> Awaitable[None]:
        """Hand the job's message to the thread; the result is there once RabbitMQ has confirmed it."""
        return self._answer(self._run_there(partial(self._send, kind, job_id)), self._deadline)

    async def check(self) -> None:
        """Ask RabbitMQ something and return with its answer."""
        await self._answer(self._run_there(self._ask), CHECK_SECONDS)

    def close(self) -> None:
        """End the thread and its connection. Waits for at most 2 s."""
        self._closed.set()
        self._broker.unblock()
        if self._thread is not None:
            with contextlib.suppress(Full):  # a full queue has it awake already
                self._tasks.put_nowait(None)
            self._thread.join(_CLOSE_SECONDS)

    def _run_there(self, task: Callable[[], None]) -> Future[None]:
        self._refuse_while_blocked()
        self._start()
        future: Future[None] = Future()
        try:
            self._tasks.put_nowait((future, task))
        except Full:
            raise self._unavailable(f"{MAX_WAITING} messages already wait") from None
        return future

    def _refuse_while_blocked(self) -> None:
        if (reason := self._broker.blocked) is not None:
            raise BrokerUnavailableError(
                f"RabbitMQ at {self._address} takes no messages for now: it is {reason}."
                " Jobs wait in PostgreSQL meanwhile; give RabbitMQ more memory or disk space."
            )

    async def _answer(self, future: Future[None], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(future)
        except TimeoutError:
            self._refuse_while_blocked()
            raise self._unavailable(f"no answer within {seconds:g} s") from None

    def _start(self) -> None:
        with self._starting:
            if self._closed.is_set():
                raise self._unavailable("the server is stopping")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="hub-publisher", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                task = self._tasks.get(
                    timeout=BLOCKED_SECONDS if self._broker.blocked else self._idle_seconds
                )
            except Empty:
                self._answer_heartbeats()
            else:
                self._do(task)
        while not self._tasks.empty():
            left = self._tasks.get()
            if left is not None and left[0].set_running_or_notify_cancel():  # else it has timed out
                left[0].set_exception(self._unavailable("the server is stopping"))
        self._broker.drop_connection()

    def _do(self, task: tuple[Future[None], Callable[[], None]] | None) -> None:
        if task is None or not task[0].set_running_or_notify_cancel():
            return
        future, work = task
        try:
            self._connect()
            work()
        except BrokerUnavailableError as error:
            future.set_exception(error)
        except QueueMismatchError as error:
            future.set_exception(BrokerUnavailableError(str(error)))
        except Exception as error:  # noqa: BLE001 the thread outlives whatever the network brings
            self._broker.drop_connection()
            future.set_exception(self._unavailable(cause_of(error)))
        else:
            future.set_result(None)

    def _connect(self) -> None:
        if time.monotonic() < self._paused_until:
            raise self._unavailable(self._reason)
        try:
            self._broker.ensure_connection()
        except Exception as error:
            self._reason = cause_of(error)
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise

    def _send(self, kind: str, job_id: UUID) -> None:
        self._broker.enqueue(job_message(kind, job_id))

    def _ask(self) -> None:
        self._broker.ask()

    def _answer_heartbeats(self) -> None:
        try:
            self._broker.process_events()
        except Exception:  # noqa: BLE001 the next message makes a new connection
            self._broker.drop_connection()

    def _unavailable(self, reason: str) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"RabbitMQ at {self._address} does not take messages ({reason}). "
            "Check that it runs and that HUB_BROKER_URL is right."
        )
