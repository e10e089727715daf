"""A look at RabbitMQ from outside: does it let us in, and are its queues as the settings want them?"""

from __future__ import annotations

import contextlib
import logging
from typing import Literal

import pika
from msgspec import Struct
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from hub.jobs.amqp import cause_of, close_quietly, innermost
from hub.jobs.contracts import JobKind
from hub.jobs.messages import queue_name
from hub.jobs.rabbitmq import HubRabbitmqBroker, QueueMismatchError

Trouble = Literal["unreachable", "login", "virtual host", "protocol"]

_NO_QUEUE = 404
#: Seconds within which RabbitMQ says that it takes no messages.
_NOTICE_SECONDS = 0.1
_NOWHERE = "hub.nowhere"


class BrokerTroubleError(Exception):
    """RabbitMQ cannot be used; the text holds neither user nor password."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


class QueueState(Struct, frozen=True, kw_only=True):
    """One queue: messages that wait, and consumers; a worker has one for each queue."""

    name: str
    waiting: int
    consumers: int


class BrokerState(Struct, kw_only=True):
    """What was found so far; ``blocked`` is why RabbitMQ takes no messages, ``mismatches`` say what to do."""

    version: str = ""
    queues: list[QueueState] = []
    missing: list[str] = []
    mismatches: list[str] = []
    blocked: str | None = None


class Inspection:
    """One look at RabbitMQ. ``state`` may be read at any time, from any thread."""

    def __init__(self, url: str, *, quorum: bool, seconds: float) -> None:
        self.state = BrokerState()
        self._broker = HubRabbitmqBroker(url, quorum=quorum)
        for each in self._broker.parameters:
            each.socket_timeout = each.stack_timeout = seconds
            each.connection_attempts, each.retry_delay = 1, 0
        # Whoever looks says what was found; libraries need not.
        logging.getLogger("pika").setLevel(logging.CRITICAL)

    def run(self) -> None:
        """Look at everything. Blocks, for as long as RabbitMQ is silent or takes no messages.

        Raises:
            BrokerTroubleError: it cannot be used at all.
        """
        try:
            connection = pika.BlockingConnection(self._broker.parameters)
        except Exception as error:  # noqa: BLE001 - pika lets errors of sockets and names through
            raise _trouble(error) from None
        try:
            self._look(connection)
        except AMQPError as error:
            raise _trouble(error) from None
        finally:
            close_quietly(connection)
            self._leave()

    def _leave(self) -> None:
        """Close the connection that published; one that is blocked is cut, as RabbitMQ does not listen."""
        if self.state.blocked is not None:
            self._broker.unblock()
            with contextlib.suppress(AMQPError):
                self._broker.connection.process_data_events(0)
        self._broker.drop_connection()

    def _look(self, connection: pika.BlockingConnection) -> None:
        properties = connection._impl.server_properties or {}  # noqa: SLF001 - the blocking one hides them
        version = properties.get("version", b"")
        self.state.version = version.decode() if isinstance(version, bytes) else str(version)
        for kind in JobKind:
            self._look_at(connection, queue_name(kind))
        # Only whoever publishes is told that nothing more is taken; this message has no queue to go to.
        self._broker.channel.basic_publish(exchange="", routing_key=_NOWHERE, body=b"")
        self._broker.connection.process_data_events(_NOTICE_SECONDS)
        self.state.blocked = self._broker.blocked

    def _look_at(self, connection: pika.BlockingConnection, name: str) -> None:
        channel = connection.channel()
        try:
            found = channel.queue_declare(queue=name, passive=True).method
            channel.close()
        except ChannelClosedByBroker as error:
            if error.reply_code != _NO_QUEUE:
                raise
            self.state.missing.append(name)
            return
        self.state.queues.append(
            QueueState(name=name, waiting=found.message_count, consumers=found.consumer_count)
        )
        try:
            self._broker.declare_queue(name, ensure=True)
        except QueueMismatchError as error:
            self.state.mismatches.append(str(error))


def _trouble(error: Exception) -> BrokerTroubleError:
    inner = innermost(error)
    if isinstance(inner, ProbableAuthenticationError | AuthenticationError):
        return BrokerTroubleError("login", "it refuses the user or the password")
    if isinstance(inner, ProbableAccessDeniedError | ConnectionClosedByBroker):
        return BrokerTroubleError("virtual host", "it does not let this user into this virtual host")
    if isinstance(inner, IncompatibleProtocolError):
        return BrokerTroubleError("protocol", "what answers there does not speak AMQP 0.9.1")
    return BrokerTroubleError("unreachable", cause_of(error))
