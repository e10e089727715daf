"""The broker inside the process, for running without RabbitMQ.

Nothing here survives the process, and nothing needs to: PostgreSQL holds the jobs, and the sweep publishes
again whatever was published and not claimed.
"""

from __future__ import annotations

from collections.abc import Awaitable
from queue import Queue
from uuid import UUID

from dramatiq.brokers.stub import StubBroker

from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.messages import job_message

# Far more than a process works off in the 15 s after which the sweep publishes again; about 3 MB of ids.
MAX_WAITING = 10_000


class InProcessBroker(StubBroker):
    """Dramatiq's in-memory broker without its delay queues: schedules live in the jobs table."""

    def __init__(self) -> None:
        super().__init__(middleware=[])

    def declare_queue(self, queue_name: str) -> None:
        """Make the queue, once."""
        if queue_name in self.queues:
            return
        self.emit_before("declare_queue", queue_name)
        self.queues[queue_name] = Queue()
        self.emit_after("declare_queue", queue_name)


class InProcessPublisher:
    """Publishes into the same process: a plain put, which never waits.

    At most ``MAX_WAITING`` ids wait in a queue, so a process in which nobody consumes stays small.
    """

    def __init__(self, broker: InProcessBroker) -> None:
        self._broker = broker
        self._closed = False

    def publish(self, kind: str, job_id: UUID) -> Awaitable[None]:
        """Put the job's id on its queue."""
        self._refuse_when_closed()
        message = job_message(kind, job_id)
        self._broker.declare_queue(message.queue_name)
        if self._broker.queues[message.queue_name].qsize() >= MAX_WAITING:
            raise BrokerUnavailableError(f"{MAX_WAITING} jobs already wait in {message.queue_name}.")
        self._broker.enqueue(message)
        return self.check()

    async def check(self) -> None:
        """Answer at once: the broker lives as long as the process does."""
        self._refuse_when_closed()

    def close(self) -> None:
        """Refuse further messages."""
        self._closed = True

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise BrokerUnavailableError("The in-process broker has been closed; the server is stopping.")
