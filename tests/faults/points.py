"""Where a turn can be interrupted: the functions at its step boundaries, by dotted name.

A function inside a transaction is interrupted before its commit, the commit itself is a point of its own,
and the function around the transaction is interrupted after it. A name that no longer exists in ``src``
fails loudly: every hub that is started with failpoints resolves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

BEFORE = "before"
AFTER = "after"
#: After the first piece that an asynchronous generator yields.
FIRST = "first"

COMMIT = "hub.db.engine.SafeTransaction.commit"


@dataclass(frozen=True)
class Point:
    """A function that can be interrupted.

    ``target`` is its dotted name. ``within`` counts only calls made (however deep) by another target.
    With ``if_found`` it is interrupted afterwards only where it returned something: a sweep that finds
    nothing is no step of a turn.
    """

    target: str
    within: str | None = None
    if_found: bool = False

    @property
    def name(self) -> str:
        """Return what arms it: the last two parts of its dotted name."""
        short = ".".join(self.target.split(".")[-2:])
        return f"{'.'.join(self.within.split('.')[-2:])}.commit" if self.within else short


def commit(target: str) -> Point:
    """Return the commit of the transaction that a function opens."""
    return Point(COMMIT, within=target)


_SEND = "hub.domain.chat.service.ChatService.send"
_CANCEL = "hub.domain.chat.service.ChatService.cancel"
_RETRY = "hub.domain.chat.service.ChatService.retry"
_TURNS = "hub.domain.chat.turns"

POINTS: tuple[Point, ...] = (
    # Accept
    Point("hub.domain.chat.idempotency.recall"),
    Point("hub.domain.chat.queries.store_message"),
    Point("hub.domain.chat.idempotency.remember"),
    Point(_SEND),
    commit(_SEND),
    # Dispatch
    Point("hub.jobs.relay.Relay.ring"),
    Point("hub.jobs.publisher.RabbitmqPublisher.publish"),
    Point("hub.jobs.publisher.RabbitmqPublisher._send"),
    Point("hub.jobs.inprocess.InProcessPublisher.publish"),
    Point("hub.jobs.queue.take_due", if_found=True),
    Point("hub.jobs.queue.stamp"),
    Point("hub.live.bus.Bus.publish"),
    # Run
    Point(f"{_TURNS}.begin", if_found=True),
    Point("hub.providers.llm.openai_compatible.OpenAICompatible.stream"),
    Point(f"{_TURNS}.save"),
    Point("hub.jobs.store.held"),
    Point("hub.jobs.store.heartbeat"),
    # End: well, for good, for now
    Point(f"{_TURNS}.complete"),
    Point(f"{_TURNS}._store_reply"),
    commit(f"{_TURNS}.complete"),
    Point("hub.jobs.relay.Relay.ring_next"),
    Point("hub.jobs.queue.next_after"),
    Point(f"{_TURNS}.fail"),
    Point("hub.jobs.store.fail"),
    commit(f"{_TURNS}.fail"),
    Point(f"{_TURNS}.retry_later"),
    Point("hub.jobs.store.retry_later"),
    commit(f"{_TURNS}.retry_later"),
    Point("hub.jobs.relay.Relay.ring_later"),
    # Hand over, take back
    Point(f"{_TURNS}.release"),
    Point("hub.jobs.store.release"),
    commit(f"{_TURNS}.release"),
    Point(f"{_TURNS}.rescue", if_found=True),
    Point("hub.jobs.store.rescue", if_found=True),
    commit(f"{_TURNS}.rescue"),
    # Cancel
    Point(_CANCEL),
    Point("hub.domain.chat.queries.job_of"),
    Point("hub.jobs.store.cancel"),
    Point("hub.domain.chat.queries.cancel_response"),
    commit(_CANCEL),
    Point("hub.domain.chat.service.ChatService._stop_worker"),
    Point(f"{_TURNS}.keep"),
    # Ask again
    Point(_RETRY),
    Point("hub.domain.chat.queries.requeue_response"),
    Point("hub.jobs.store.insert"),
    commit(_RETRY),
)


def resolve(target: str) -> tuple[object, str]:
    """Return the module or class that holds a target, and the name it has there.

    Raises:
        LookupError: there is no such thing in ``src``.
    """
    parts = target.split(".")
    for at in range(len(parts) - 1, 0, -1):
        try:
            holder: object = import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:-1]:
            holder = getattr(holder, part, None)
        if hasattr(holder, parts[-1]):
            return holder, parts[-1]
        break
    raise LookupError(f"{target} is gone: name the step boundary anew in {__name__}")
