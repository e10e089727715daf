"""Dramatiq's RabbitMQ broker, made quiet, patient and frugal with connections."""

from __future__ import annotations

import contextlib
import logging
import socket
from threading import Event
from typing import Any

import pika
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import ConnectionClosed

from hub.core.logging import get_logger

logger = get_logger(__name__)

HEARTBEAT_SECONDS = 30
BLOCKED_SECONDS = 10.0
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 1.0
_TCP_SILENCE_MS = 10_000


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
        self.parameters = [_parameters(each) for each in url.split(";")]
        self._quorum = quorum
        self._leaving = Event()
        self._lost: set[str] = set()

    @property
    def consumer_class(self) -> type[_RabbitmqConsumer]:
        """The consumer that dramatiq starts for each queue."""
        return HubConsumer

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Declare a queue and its dead letters, without a delay queue: schedules live in the jobs table."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._ensure_queue(queue_name)

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
        return _NoConsumer()

    def stop_waiting(self) -> None:
        """Let consumers that wait for the broker give up; for a worker that stops."""
        self._leaving.set()

    def drop_connection(self) -> None:
        """Close the calling thread's connection; its next use opens a new one."""
        mine = vars(self.state)
        self.channels.discard(mine.pop("channel", None))
        connection = mine.pop("connection", None)
        self.connections.discard(connection)
        close_quietly(connection)

    # Dramatiq deletes its connection wherever an error shows; this does it without a traceback in the logger.
    connection = RabbitmqBroker.connection.deleter(drop_connection)  # type: ignore[attr-defined] # a property

    def ensure_connection(self) -> None:
        """Have an open connection and channel for the calling thread.

        Raises:
            Exception: pika's or the socket's error; `cause_of` gives its text.
        """
        channel = getattr(self.state, "channel", None)
        if channel is not None and not channel.is_open:
            self.drop_connection()
        try:
            _ = self.channel
        except BaseException:
            self.drop_connection()
            raise

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
        if queue_name not in self._lost:
            self._lost.add(queue_name)
            logger.warning(
                "broker lost", queue=queue_name, error=cause_of(error), retry_seconds=RETRY_SECONDS
            )

    def _tell_back(self, queue_name: str) -> None:
        if queue_name in self._lost:
            self._lost.discard(queue_name)
            logger.info("broker back", queue=queue_name)

    def _declare_dq_queue(self, queue_name: str) -> None:
        """Declare no delay queue."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)
        return arguments | ({"x-queue-type": "quorum"} if self._quorum else {})


class HubConsumer(_RabbitmqConsumer):
    """Consumes one queue on one connection, and just ends when that is lost: it is then started anew."""

    broker: HubRabbitmqBroker

    def __init__(self, broker: HubRabbitmqBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._mine: dict[int, MessageProxy] = {}

    def __next__(self) -> MessageProxy | None:
        """Return the next message, or None when none came within the timeout (milliseconds)."""
        try:
            message: Any = super().__next__()
        except StopIteration:  # somebody deleted the queue
            self.broker.queues_pending.add(self.queue_name)
            raise
        except ConnectionClosed as error:
            self.broker.tell_lost(self.queue_name, error)
            raise StopIteration from None
        if message is not None:
            self._mine[message._tag] = message  # noqa: SLF001 dramatiq keeps the delivery tag there
        delivered: MessageProxy | None = message
        return delivered

    def ack(self, message: MessageProxy) -> None:
        """Confirm a message, unless its connection is gone: then it comes again, and finds its job taken."""
        if self._is_mine(message):
            with contextlib.suppress(ConnectionClosed):
                super().ack(message)

    def nack(self, message: MessageProxy) -> None:
        """Move a message to the dead letters, unless its connection is gone."""
        if self._is_mine(message):
            with contextlib.suppress(ConnectionClosed):
                super().nack(message)

    def close(self) -> None:
        """Send the last confirmations and close the connection."""
        if self.connection.is_open:
            with contextlib.suppress(ConnectionClosed):
                super().close()
        close_quietly(self.connection)  # dramatiq leaves it open when the channel was closed already

    def _is_mine(self, message: Any) -> bool:
        """Tell whether this connection delivered it: the next one counts its delivery tags from 1 again."""
        return self._mine.pop(message._tag, None) is message  # noqa: SLF001 as above


class _NoConsumer(Consumer):
    """What a worker that stops gets instead of a consumer."""

    def __next__(self) -> MessageProxy | None:
        raise StopIteration


def close_quietly(connection: Any) -> None:
    """Close a pika connection that may be broken; nothing depends on how well that goes."""
    if connection is not None and connection.is_open:
        try:
            connection.close()
        except Exception as error:  # noqa: BLE001 it is being thrown away
            logger.debug("broker connection did not close", error=cause_of(error))


def cause_of(error: BaseException) -> str:
    """Return the short text of the innermost error; pika and dramatiq wrap one in another."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    inner = getattr(error, "exception", None)
    if isinstance(inner, BaseException):
        return cause_of(inner)
    return str(error) or type(error).__name__


def _parameters(url: str) -> pika.URLParameters:
    parameters = pika.URLParameters(url)
    if parameters.heartbeat is None:
        parameters.heartbeat = HEARTBEAT_SECONDS
    if parameters.blocked_connection_timeout is None:
        parameters.blocked_connection_timeout = BLOCKED_SECONDS
    if "socket_timeout" not in url:
        parameters.socket_timeout = CONNECT_SECONDS
    if "stack_timeout" not in url:
        parameters.stack_timeout = CONNECT_SECONDS + 1.0
    if parameters.tcp_options is None and hasattr(socket, "TCP_USER_TIMEOUT"):
        # A peer that vanished without a word is noticed when what we sent stays unanswered.
        parameters.tcp_options = {"TCP_USER_TIMEOUT": _TCP_SILENCE_MS}
    return parameters
