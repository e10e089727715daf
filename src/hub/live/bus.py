"""The bus: live events between processes, through PostgreSQL's NOTIFY and LISTEN.

Sending is gathered: whatever arrives while one NOTIFY is in flight goes out together with the next, so
that many streams cost few statements. Subscribers in the sending process do not wait for that: they are
told at once, and what comes back to it is dropped. Events may get lost (a cut connection, a full queue);
whoever needs to be exact reads the database, and is told to when the bus itself knows that it missed
something.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import asyncpg

from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.live.events import (
    Begun,
    Changed,
    ConversationEvent,
    Delta,
    Event,
    JobCancelled,
    Said,
    UserSignedOut,
    decoder,
    encoder,
)

logger = get_logger(__name__)

CHANNEL = "hub_live"
#: PostgreSQL refuses a payload of 8,000 bytes or more.
PAYLOAD_LIMIT = 7_900
#: Code points of text that one event carries at most; six bytes each at worst stay within a payload.
DELTA_LIMIT = 1_200
#: Events waiting to be sent; beyond it the oldest are dropped, and readers repair from the rows.
BACKLOG_LIMIT = 20_000
#: Seconds that an event which nobody is waiting for yet stays for others to go out with.
COMPANY = 0.005
#: Seconds between two proofs that the listening connection is alive.
PROBE_EVERY = 5.0


class Subscriber(Protocol):
    """Someone who follows a conversation. Both calls are made on the event loop and must not block.

    While ``is_full`` it is told of no text, so that hundreds who do not read keep nobody waiting who does.
    """

    is_full: bool

    def on_event(self, event: ConversationEvent) -> None:
        """Take an event of the conversation."""

    def on_gap(self) -> None:
        """Learn that events may have been missed."""


class Bus:
    """One process's end of the bus: a sending and a listening connection, each reopened when it breaks."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._outbox: list[Event] = []
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._subscribers: defaultdict[UUID, set[Subscriber]] = defaultdict(set)
        self._on_job_cancelled: set[Callable[[UUID], None]] = set()
        self._on_signed_out: set[Callable[[UUID], None]] = set()
        self._on_gap: set[Callable[[], None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._listening = asyncio.Event()
        self._sender_pid = 0

    async def start(self) -> None:
        """Begin to send and listen; returns once the listening connection stands."""
        self._tasks = [
            asyncio.create_task(self._send_forever(), name="bus sender"),
            asyncio.create_task(self._listen_forever(), name="bus listener"),
        ]
        await self._listening.wait()

    async def stop(self) -> None:
        """Send what is waiting, for up to a second, then close both connections."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._sent.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, event: Event) -> None:
        """Send an event to every process, this one included, without waiting."""
        self._deliver(event)
        outbox = self._outbox
        if isinstance(event, Delta) and outbox:
            last = outbox[-1]
            if isinstance(last, Delta) and last.is_continued_by(event, limit=DELTA_LIMIT):
                outbox[-1] = last.joined_with(event)
                return
        if len(outbox) >= BACKLOG_LIMIT:
            del outbox[: BACKLOG_LIMIT // 2]
        outbox.append(event)
        self._sent.clear()
        if isinstance(event, Said | Begun | Changed):
            asyncio.get_running_loop().call_later(COMPANY, self._wake.set)
        else:
            self._wake.set()

    def subscribe(self, conversation_id: UUID, subscriber: Subscriber) -> None:
        """Hand a conversation's events to a subscriber from now on."""
        self._subscribers[conversation_id].add(subscriber)

    def unsubscribe(self, conversation_id: UUID, subscriber: Subscriber) -> None:
        """Stop handing a conversation's events to a subscriber."""
        followers = self._subscribers.get(conversation_id)
        if followers is not None:
            followers.discard(subscriber)
            if not followers:
                del self._subscribers[conversation_id]

    def on_job_cancelled(self, callback: Callable[[UUID], None]) -> None:
        """Call back with the id of every job that is cancelled."""
        self._on_job_cancelled.add(callback)

    def on_signed_out(self, callback: Callable[[UUID], None]) -> None:
        """Call back with the id of every token that ends."""
        self._on_signed_out.add(callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call back whenever events of any kind may have been missed."""
        self._on_gap.add(callback)

    def tell_gap(self) -> None:
        """Have every subscriber of this process look again, as after missed events."""
        for callback in tuple(self._on_gap):
            callback()
        for followers in tuple(self._subscribers.values()):
            for subscriber in tuple(followers):
                subscriber.on_gap()

    # Sending

    async def _send_forever(self) -> None:
        connection: asyncpg.Connection | None = None
        try:
            while True:
                if not self._outbox:
                    self._sent.set()
                await self._wake.wait()
                self._wake.clear()
                events, self._outbox = self._outbox, []
                if not events:  # they went out with another one
                    continue
                try:
                    if connection is None or connection.is_closed():
                        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
                        self._sender_pid = connection.get_server_pid()
                    await connection.execute(
                        "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload",
                        CHANNEL,
                        _payloads(events),
                    )
                except Exception as error:  # noqa: BLE001 - whatever it was, the bus goes on
                    logger.warning("live events lost", events=len(events), reason=_reason(error))
                    if connection is not None:
                        connection.terminate()
                        connection = None
                    await asyncio.sleep(0.2)
        finally:
            if connection is not None:
                connection.terminate()

    # Listening

    async def _listen_forever(self) -> None:
        missed = False
        while True:
            try:
                await self._listen(missed=missed)
            except Exception as error:  # noqa: BLE001 - whatever it was, the bus goes on
                if self._listening.is_set():
                    logger.warning("live connection lost, reconnecting", reason=_reason(error))
            self._listening.clear()
            missed = True
            await asyncio.sleep(0.2)

    async def _listen(self, *, missed: bool) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=PROBE_EVERY)
        try:
            closed = asyncio.Event()
            connection.add_termination_listener(lambda _connection: closed.set())
            await connection.add_listener(CHANNEL, self._receive)
            self._listening.set()
            if missed:
                logger.info("live connection stands again")
                self.tell_gap()
            while not closed.is_set():
                try:
                    async with asyncio.timeout(PROBE_EVERY):
                        await closed.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _receive(self, _connection: object, pid: int, _channel: str, payload: object) -> None:
        if pid == self._sender_pid:
            return
        for event in decoder.decode(str(payload)):
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        if isinstance(event, Delta):
            for subscriber in tuple(self._subscribers.get(event.conversation_id, ())):
                if not subscriber.is_full:
                    subscriber.on_event(event)
        elif isinstance(event, Said | Begun | Changed):
            for subscriber in tuple(self._subscribers.get(event.conversation_id, ())):
                subscriber.on_event(event)
        elif isinstance(event, JobCancelled):
            for callback in tuple(self._on_job_cancelled):
                callback(event.job_id)
        elif isinstance(event, UserSignedOut):
            for callback in tuple(self._on_signed_out):
                callback(event.token_id)


def _payloads(events: list[Event]) -> list[str]:
    """Pack events into as few JSON arrays as fit PostgreSQL's limit, keeping their order."""
    payloads: list[str] = []
    parts: list[bytes] = []
    size = 2
    for event in _split(events):
        part = encoder.encode(event)
        if parts and size + len(part) + 1 > PAYLOAD_LIMIT:
            payloads.append((b"[" + b",".join(parts) + b"]").decode())
            parts, size = [], 2
        parts.append(part)
        size += len(part) + 1
    payloads.append((b"[" + b",".join(parts) + b"]").decode())
    return payloads


def _split(events: list[Event]) -> list[Event]:
    """Cut text that is longer than one event may carry."""
    pieces: list[Event] = []
    for event in events:
        if not isinstance(event, Delta) or len(event.text) <= DELTA_LIMIT:
            pieces.append(event)
            continue
        for start in range(0, len(event.text), DELTA_LIMIT):
            text = event.text[start : start + DELTA_LIMIT]
            pieces.append(
                Delta(event.conversation_id, event.response_id, event.attempt, event.offset + start, text)
            )
    return pieces


def _reason(error: Exception) -> str:
    """Name an error; one that is not the database's is a defect, so its text matters too."""
    name = type(error).__name__
    return name if isinstance(error, DATABASE_ERRORS) else f"{name}: {error}"
