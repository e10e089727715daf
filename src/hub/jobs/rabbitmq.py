"""Dramatiq's RabbitMQ broker, made quiet, patient and frugal with connections."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from threading import Event
from typing import Any

import pika
from dramatiq import Message
from dramatiq.broker import Consumer
from dramatiq.brokers.rabbitmq import DEAD_MESSAGE_TTL, RabbitmqBroker
from dramatiq.common import xq_name
from pika.exceptions import AMQPChannelError, AMQPConnectionError, UnroutableError

from hub.core.logging import get_logger
from hub.jobs.amqp import (
    SilentBrokerError,
    Watch,
    cause_of,
    close_quietly,
    connection_parameters,
    is_mismatch,
)
from hub.jobs.consumer import HubConsumer, NoConsumer

logger = get_logger(__name__)

RETRY_SECONDS = 1.0
#: Seconds within which RabbitMQ has to answer, before its connection is given up.
ANSWER_SECONDS = 10.0
#: Deliveries of a quorum queue's message that end with a lost worker, before it goes to the dead letters.
#: What RabbitMQ 4 does by itself; RabbitMQ 3 would go on for ever.
DELIVERY_LIMIT = 20


class QueueMismatchError(Exception):
    """A queue exists with other properties than the settings ask for; the text says what to do."""


class HubRabbitmqBroker(RabbitmqBroker):
    """RabbitMQ with publisher confirms, no delay queues, and consumers that wait for a broker that is away.

    Args:
        url: ``amqp://user:password@host:port/vhost``, several of them joined by ``;`` for a cluster. The
            query may set pika's parameters, such as ``heartbeat``, and wins over the defaults here.
        quorum: declare quorum queues instead of classic ones. An existing queue cannot change its type.
    """

    def __init__(self, url: str, *, quorum: bool = False) -> None:
        # pika tells each failed attempt with several tracebacks; what matters is said once, here.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        super().__init__(url=url, confirm_delivery=True, middleware=[])
        self.parameters = [connection_parameters(each) for each in url.split(";")]
        self._quorum = quorum
        self._leaving = Event()
        self._lost: set[str] = set()
        self._blocked: dict[Watch, str] = {}

    @property
    def consumer_class(self) -> type[HubConsumer]:
        """The consumer that dramatiq starts for each queue."""
        return HubConsumer

    @property
    def blocked(self) -> str | None:
        """RabbitMQ's own reason for which it takes no messages now, such as "low on memory"."""
        return next(iter(tuple(self._blocked.values())), None)

    def unblock(self) -> None:
        """Cut the connections that RabbitMQ has blocked, so that their threads get an error and can end."""
        for watch in tuple(self._blocked):
            watch.cut()

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Declare a queue and its dead letters, without a delay queue: schedules live in the jobs table.

        Raises:
            QueueMismatchError: the queue exists with other properties.
        """
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure and queue_name in self.queues_pending:
            with self._answering():
                self._ensure_queue(queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Publish a message and return once RabbitMQ has confirmed it.

        A connection that turns out to be dead, and a queue that is gone, are made anew once. There is no
        delay: schedules live in the jobs table.

        Raises:
            QueueMismatchError: the queue exists with other properties.
            AMQPError: RabbitMQ is away, refuses, or did not answer within ``ANSWER_SECONDS``.
        """
        if delay is not None:
            raise ValueError("a schedule belongs into the jobs table, not into a delay queue")
        try:
            self._publish(message)
        except SilentBrokerError:
            raise
        except UnroutableError:
            self.queues_pending.add(message.queue_name)
            self._publish(message)
        except (AMQPConnectionError, AMQPChannelError):
            self._publish(message)
        return message

    def ask(self) -> None:
        """Ask RabbitMQ something, and have every known queue.

        Raises:
            QueueMismatchError: a queue exists with other properties.
            AMQPError: RabbitMQ is away, refuses, or did not answer within ``ANSWER_SECONDS``.
        """
        for queue_name in tuple(self.queues):
            self.declare_queue(queue_name, ensure=True)
        with self._answering():
            self.channel.basic_qos(prefetch_count=0)  # changes nothing, and has to be answered

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """Return a consumer, however long the broker is away, or an empty one after `stop_waiting`."""
        while not self._leaving.is_set():
            try:
                consumer = super().consume(queue_name, prefetch, timeout)
            except Exception as error:  # noqa: BLE001 a bad name or a refused login may be put right too
                self.tell_lost(queue_name, error)
                self._leaving.wait(RETRY_SECONDS)
            else:
                self._tell_back(queue_name)
                return consumer
            finally:
                self.drop_connection()  # it only declared the queue; the consumer has its own
        return NoConsumer()

    def stop_waiting(self) -> None:
        """Let consumers that wait for the broker give up; for a worker that stops."""
        self._leaving.set()

    @property
    def connection(self) -> pika.BlockingConnection:
        """The calling thread's connection, opened when there is none."""
        mine = getattr(self.state, "connection", None)
        if mine is None:
            mine = self.state.connection = pika.BlockingConnection(parameters=self.parameters)
            self.state.watch = Watch(mine, self._note_blocked)
            self.connections.add(mine)
        return mine

    @connection.deleter
    def connection(self) -> None:
        self.drop_connection()

    def drop_connection(self) -> None:
        """Close the calling thread's connection; its next use opens a new one."""
        mine = vars(self.state)
        self.channels.discard(mine.pop("channel", None))
        self._blocked.pop(mine.pop("watch", None), None)
        connection = mine.pop("connection", None)
        self.connections.discard(connection)
        close_quietly(connection)

    def ensure_connection(self) -> None:
        """Have an open connection and channel for the calling thread.

        Raises:
            Exception: pika's or the socket's error; `cause_of` gives its text.
        """
        channel = getattr(self.state, "channel", None)
        if channel is not None:
            if channel.is_open:
                return
            self.drop_connection()
        with self._answering():
            _ = self.channel

    def process_events(self) -> None:
        """Answer heartbeats and take notices on the calling thread's connection, if there is one.

        Raises:
            Exception: the connection is lost.
        """
        connection = getattr(self.state, "connection", None)
        if connection is not None:
            connection.process_data_events(0)

    def tell_lost(self, queue_name: str, error: BaseException) -> None:
        """Say once that a queue cannot be reached."""
        if queue_name in self._lost:
            return
        self._lost.add(queue_name)
        if isinstance(error, QueueMismatchError):
            logger.error("queue cannot be used", queue=queue_name, error=str(error))
        else:
            logger.warning(
                "broker lost", queue=queue_name, error=cause_of(error), retry_seconds=RETRY_SECONDS
            )

    def _tell_back(self, queue_name: str) -> None:
        if queue_name in self._lost:
            self._lost.discard(queue_name)
            logger.info("broker back", queue=queue_name)

    def _note_blocked(self, reason: str | None) -> None:
        watch = self.state.watch
        if reason is None:
            self._blocked.pop(watch, None)
        else:
            self._blocked[watch] = reason

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Talk on the calling thread's connection, and close it should that fail or take too long."""
        try:
            _ = self.connection
            with self.state.watch.at_most(ANSWER_SECONDS):
                yield
        except BaseException:
            self.drop_connection()
            raise

    def _publish(self, message: Message[Any]) -> None:
        self.declare_queue(message.queue_name, ensure=True)
        with self._answering():
            self.emit_before("enqueue", message, None)
            self.channel.basic_publish(
                exchange="",
                routing_key=message.queue_name,
                body=message.encode(),
                properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
                mandatory=True,  # else a message for a queue that is gone would be confirmed, and dropped
            )
            self.emit_after("enqueue", message, None)

    def _ensure_queue(self, queue_name: str) -> None:
        try:
            self._declare_queue(queue_name)
            self._declare_xq_queue(queue_name)
        except AMQPChannelError as error:
            if is_mismatch(error):
                raise QueueMismatchError(self._advice(queue_name, error)) from None
            raise
        self.queues_pending.discard(queue_name)

    def _advice(self, queue_name: str, error: AMQPChannelError) -> str:
        wanted = "quorum" if self._quorum else "classic"
        vhost = self.parameters[0].virtual_host
        return (
            f"The queue {queue_name} exists with other properties than HUB_BROKER_QUEUE_TYPE={wanted} asks"
            " for. Delete it and its dead letters, or set the type that it has: rabbitmqctl -p"
            f" {vhost} delete_queue {queue_name}; rabbitmqctl -p {vhost} delete_queue {xq_name(queue_name)}."
            f" Nothing is lost: PostgreSQL holds the jobs. RabbitMQ said: {error.reply_text}"
        )

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)
        return arguments | ({"x-delivery-limit": DELIVERY_LIMIT} if self._quorum else {}) | self._type

    def _declare_xq_queue(self, queue_name: str) -> None:
        # A quorum queue too, since a classic one is out of reach when its node of the cluster is.
        arguments = {"x-message-ttl": DEAD_MESSAGE_TTL} | self._type
        self.channel.queue_declare(queue=xq_name(queue_name), durable=True, arguments=arguments)

    @property
    def _type(self) -> dict[str, Any]:
        return {"x-queue-type": "quorum"} if self._quorum else {}
