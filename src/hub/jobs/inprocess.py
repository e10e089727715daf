"""The broker inside the process, for running without RabbitMQ.

Nothing here survives the process, and nothing needs to: PostgreSQL holds the jobs, and the sweep publishes
again whatever was published and not claimed.
"""

from __future__ import annotations

from collections.abc import Awaitable
from queue import Empty, Queue
from typing import Any
from uuid import UUID

from dramatiq import Message, Middleware
from dramatiq.broker import Broker, Consumer, MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.worker import ConsumerThread

from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.messages import job_message

# Far more than a process works off in the 15 s after which the sweep publishes again; about 3 MB of ids.
MAX_WAITING = 10_000

#: What wakes a consumer and is no message.
_NOTHING = b""


class InProcessBroker(StubBroker):
    """Dramatiq's in-memory broker, made short for one process.

    It has no delay queues, since schedules live in the jobs table. Once a worker consumes a queue, a message
    goes straight to the worker's threads instead of through the consumer's thread, whose turn it would have
    to wait for.
    """

    def __init__(self) -> None:
        super().__init__(middleware=[_KnowConsumers(self)])
        self.consumers: dict[str, ConsumerThread] = {}

    def declare_queue(self, queue_name: str) -> None:
        """Make the queue, once."""
        if queue_name in self.queues:
            return
        self.emit_before("declare_queue", queue_name)
        self.queues[queue_name] = Queue()
        self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Hand the message to the worker, or keep it until there is one."""
        consumer = self.consumers.get(message.queue_name)
        if consumer is None or delay is not None:
            return super().enqueue(message, delay=delay)
        consumer.handle_message(MessageProxy(message))
        return message

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 100) -> Consumer:  # noqa: ARG002 - there is nothing to fetch before its time
        """Return a consumer of what was published before a worker was there."""
        return _Early(self.queues[queue_name], timeout / 1000)

    def wake_consumers(self) -> None:
        """Let consumers look whether they should end."""
        for queue in tuple(self.queues.values()):
            queue.put(_NOTHING)

    def waiting(self, queue_name: str) -> int:
        """Return how many messages no thread has taken yet."""
        consumer = self.consumers.get(queue_name)
        size: int = self.queues[queue_name].qsize()
        return size + (consumer.work_queue.qsize() if consumer is not None else 0)


class _KnowConsumers(Middleware):
    """Tells the broker which of its queues a worker consumes."""

    def __init__(self, broker: InProcessBroker) -> None:
        self._broker = broker

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Note a consumer."""
        self._broker.consumers[thread.queue_name] = thread

    def before_consumer_thread_shutdown(self, broker: Broker, thread: ConsumerThread) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Forget a consumer that stops."""
        self._broker.consumers.pop(thread.queue_name, None)


class _Early(Consumer):
    """Yields what was published before a worker was there; done and failed messages are both just gone."""

    def __init__(self, queue: Queue[bytes], timeout: float) -> None:
        self._queue = queue
        self._timeout = timeout

    def ack(self, message: MessageProxy) -> None:
        """Forget a message: its job's row says how it ended."""

    def nack(self, message: MessageProxy) -> None:
        """Forget a message that failed, likewise."""

    def __next__(self) -> MessageProxy | None:
        try:
            body = self._queue.get(timeout=self._timeout)
        except Empty:
            return None
        return MessageProxy(Message.decode(body)) if body else None


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
        if self._broker.waiting(message.queue_name) >= MAX_WAITING:
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
