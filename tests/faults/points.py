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
        """Return what arms it: the last two parts of its dotted name, or of those around it and its own."""
        parts = (self.within or self.target).split(".")[-2:]
        return ".".join([*parts, self.target.split(".")[-1]] if self.within else parts)


def commit(target: str) -> Point:
    """Return the commit of the transaction that a function opens."""
    return Point(COMMIT, within=target)


_SEND = "hub.domain.chat.service.ChatService.send"
_CANCEL = "hub.domain.chat.service.ChatService.cancel"
_ASK = "hub.domain.chat.asking.Responses.ask"
_RETRY = "hub.domain.chat.service.ChatService.retry"
_TURNS = "hub.domain.chat.turns"
_STORE = "hub.jobs.store"
_PAINTING = "hub.domain.painting.queries"
_READING = "hub.domain.scenes.reading"
_PICTURES = "hub.domain.images.service.ImageService"
_SCENE = "actors.scene.SceneAttempt"
_IMAGE = "actors.images.ImageAttempt"
_TASK = "actors.attempts.TaskAttempt"

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
    Point("hub.domain.chat.turn_queries.store_reply"),
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
    Point("hub.domain.completions.work.rescue", if_found=True),
    Point("hub.jobs.store.rescue", if_found=True),
    commit("hub.domain.completions.work.rescue"),
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
    # Ask for another answer
    Point(_ASK),
    commit(_ASK),
    Point("hub.domain.chat.turn_queries.store_rewritten"),
    # The scene and the picture that go with a reply
    Point("actors.reply.ReplyAttempt._read_scene"),
    Point(f"{_PAINTING}.insert"),
    Point(f"{_STORE}.insert", within=f"{_TURNS}.complete"),
    Point("hub.domain.scenes.queries.record"),
    # Read the scene
    Point(f"{_READING}.begin", if_found=True),
    Point(f"{_SCENE}.work"),
    Point("actors.scene.SceneReader.read", within=f"{_SCENE}.work"),
    Point(f"{_READING}.finish"),
    Point(f"{_STORE}.complete", within=f"{_READING}.finish"),
    Point("hub.domain.scenes.queries.amend"),
    Point(f"{_PAINTING}.make_due"),
    commit(f"{_READING}.finish"),
    # Paint
    Point(f"{_PAINTING}.begin", if_found=True),
    Point("hub.providers.images.a1111.A1111.make"),
    Point("hub.providers.images.comfyui.ComfyUI.make"),
    Point(f"{_PAINTING}.keep_ticket"),
    Point(f"{_STORE}.note_progress"),
    Point(f"{_PICTURES}.store"),
    Point(f"{_PICTURES}._place"),
    Point(f"{_PICTURES}._record"),
    Point(f"{_IMAGE}._end"),
    Point(f"{_PAINTING}.finish"),
    commit(f"{_PICTURES}._record"),
    # ... or not
    Point(f"{_IMAGE}._fail"),
    Point(f"{_STORE}.retry_later", within=f"{_IMAGE}._fail"),
    Point(f"{_STORE}.fail", within=f"{_IMAGE}._fail"),
    Point(f"{_TASK}._release"),
    Point(f"{_STORE}.release", within=f"{_TASK}._release"),
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
