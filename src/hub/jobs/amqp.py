"""What pika's blocking connections lack: an end to waiting, and word of an alarm while they wait."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from hub.core.logging import get_logger

logger = get_logger(__name__)

HEARTBEAT_SECONDS = 30
CONNECT_SECONDS = 5.0
#: Seconds that closing a connection in good order may take.
CLOSE_SECONDS = 2.0
_TCP_SILENCE_MS = 10_000
_PRECONDITION_FAILED = 406


class SilentBrokerError(AMQPConnectionError):  # type: ignore[misc] # pika ships no types
    """RabbitMQ holds the connection open and does not answer."""


class Watch:
    """Ends waits on one pika connection that last too long, and notices when RabbitMQ blocks it.

    Pika waits for an answer until heartbeats fail to come, which takes 35 to 70 s, and tells of an alarm
    only between two waits. So this listens to the connection that pika's blocking one is built upon.

    Args:
        connection: the blocking connection.
        on_change: called on the connection's thread with RabbitMQ's reason when it takes no more messages,
            and with None when it does again.
    """

    def __init__(self, connection: Any, on_change: Callable[[str | None], None] = lambda _: None) -> None:
        self._inner = connection._impl  # noqa: SLF001 the blocking one offers neither timer nor notice
        self._on_change = on_change
        self._patience: float | None = None
        self._timer: Any = None
        self._is_blocked = False
        self._inner.add_on_connection_blocked_callback(self._blocked)
        self._inner.add_on_connection_unblocked_callback(self._unblocked)

    @contextlib.contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the block takes longer; a connection that is blocked may wait on.

        Raises:
            SilentBrokerError: it was cut.
        """
        self._patience = seconds
        self._wind()
        try:
            yield
        finally:
            self._patience = None
            self._unwind()

    def cut(self) -> None:
        """Cut the connection, whatever its thread waits for. Safe to call from any thread."""
        self._inner.ioloop.add_callback_threadsafe(self._cut)

    def _wind(self) -> None:
        if self._patience is not None and not self._is_blocked:
            self._timer = self._inner.ioloop.call_later(self._patience, self._cut)

    def _unwind(self) -> None:
        if self._timer is not None:
            self._inner.ioloop.remove_timeout(self._timer)
            self._timer = None

    def _cut(self) -> None:
        self._timer = None
        if not self._inner.is_closed:
            seconds = f" within {self._patience:g} s" if self._patience is not None else ""
            self._inner._terminate_stream(SilentBrokerError(f"no answer{seconds}"))  # noqa: SLF001 as pika's own timers do

    def _blocked(self, _connection: Any, frame: Any) -> None:
        self._is_blocked = True
        self._unwind()
        self._on_change(str(frame.method.reason))

    def _unblocked(self, _connection: Any, _frame: Any) -> None:
        self._is_blocked = False
        self._wind()
        self._on_change(None)


def close_quietly(connection: Any) -> None:
    """Close a pika connection that may be broken or frozen; nothing depends on how well that goes."""
    if connection is not None and connection.is_open:
        try:
            with Watch(connection).at_most(CLOSE_SECONDS):
                connection.close()
        except Exception as error:  # noqa: BLE001 it is being thrown away
            logger.debug("broker connection did not close", error=cause_of(error))


def cause_of(error: BaseException) -> str:
    """Return the short text of the innermost error; pika and dramatiq wrap one in another."""
    return str(innermost(error)) or type(innermost(error)).__name__


def innermost(error: BaseException) -> BaseException:
    """Return the error that the others were wrapped around."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    inner = getattr(error, "exception", None)
    return innermost(inner) if isinstance(inner, BaseException) else error


def is_mismatch(error: BaseException) -> bool:
    """Tell whether a queue could not be declared because it exists with other properties."""
    inner = innermost(error)
    return isinstance(inner, ChannelClosedByBroker) and inner.reply_code == _PRECONDITION_FAILED


def connection_parameters(url: str) -> pika.URLParameters:
    """Return pika's parameters of an address, with defaults that give up in time."""
    parameters = pika.URLParameters(url)
    if parameters.heartbeat is None:
        parameters.heartbeat = HEARTBEAT_SECONDS
    if "socket_timeout" not in url:
        parameters.socket_timeout = CONNECT_SECONDS
    if "stack_timeout" not in url:
        parameters.stack_timeout = CONNECT_SECONDS + 1.0
    if parameters.tcp_options is None and hasattr(socket, "TCP_USER_TIMEOUT"):
        # A peer that vanished without a word is noticed when what we sent stays unanswered.
        parameters.tcp_options = {"TCP_USER_TIMEOUT": _TCP_SILENCE_MS}
    return parameters
