"""Taking messages from RabbitMQ: what is lost with a connection comes again, what is not ours goes away."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from dramatiq import DecodeError, Message
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.rabbitmq import _RabbitmqConsumer, _RabbitmqMessage
from dramatiq.errors import ConnectionClosed
from pika.exceptions import AMQPChannelError, AMQPConnectionError

from hub.core.logging import get_logger
from hub.jobs.amqp import CLOSE_SECONDS, Watch, close_quietly

logger = get_logger(__name__)

_LOST = (AssertionError, AMQPConnectionError, AMQPChannelError)


class ConsumersBroker(Protocol):
    """What a consumer needs of its broker."""

    parameters: Any
    queues_pending: set[str]

    def tell_lost(self, queue_name: str, error: BaseException) -> None:
        """Say once that a queue cannot be reached."""


class HubConsumer(_RabbitmqConsumer):
    """Consumes one queue on one connection, and just ends when that is lost: it is then started anew."""

    broker: ConsumersBroker

    def __init__(self, broker: ConsumersBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._mine: dict[int, MessageProxy] = {}

    def __next__(self) -> MessageProxy | None:
        """Return the next message, or None when none came within the timeout (milliseconds)."""
        try:
            method, _, body = next(self.iterator)
        except StopIteration:  # somebody deleted the queue
            self.broker.queues_pending.add(self.queue_name)
            raise
        except _LOST as error:
            self.broker.queues_pending.add(self.queue_name)  # it may be gone, too
            self.broker.tell_lost(self.queue_name, error)
            raise StopIteration from None
        if method is None:
            return None
        message = _read(body, self.queue_name)
        if message is None:
            logger.warning("a message that is none of ours goes to the dead letters", queue=self.queue_name)
            self._nack(method.delivery_tag)
            return None
        delivered: MessageProxy = _RabbitmqMessage(method.redelivered, method.delivery_tag, message)
        self.known_tags.add(method.delivery_tag)
        self._mine[method.delivery_tag] = delivered
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
            with contextlib.suppress(ConnectionClosed), Watch(self.connection).at_most(CLOSE_SECONDS):
                super().close()
        close_quietly(self.connection)  # dramatiq leaves it open when the channel was closed already

    def _is_mine(self, message: Any) -> bool:
        """Tell whether this connection delivered it: the next one counts its delivery tags from 1 again."""
        return self._mine.pop(message._tag, None) is message  # noqa: SLF001 as above


class NoConsumer(Consumer):
    """What a worker that stops gets instead of a consumer."""

    def __next__(self) -> MessageProxy | None:
        raise StopIteration


def _read(body: bytes, queue_name: str) -> Message[Any] | None:
    """Return the message, or None when Dramatiq would stumble over it: again and again, or for good.

    Our messages bear their queue's name and no options; a stray one may name any queue, actor or option.
    """
    try:
        message: Message[Any] = Message.decode(body)
    except DecodeError:
        return None
    fields: dict[str, Any] = message.asdict()
    sound = (
        (fields["queue_name"], fields["options"]) == (queue_name, {})
        and isinstance(fields["actor_name"], str)
        and isinstance(fields["kwargs"], dict)
    )
    return message if sound else None
