"""What conversations, responses and jobs should be like, for tests that compare rows with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from hub.domain.chat.clearing import Clearing
from hub.domain.chat.service import ChatService
from hub.domain.chat.turn_schemas import Turn
from hub.jobs.contracts import MAX_ATTEMPTS, JobLostError
from hub.live.bus import Bus

T = TypeVar("T")


@dataclass(eq=False)
class Talk:
    """A conversation as it should be."""

    id: UUID
    last_position: int = 0
    deleted: bool = False


@dataclass(eq=False)
class Reply:
    """A response as it should be; ``order`` is its job's place in the lane.

    ``cancelled_turn`` is the turn that ran when it was cancelled, for as long as that may add its last words.
    """

    id: UUID
    talk: Talk
    request_position: int
    order: int
    job_id: UUID
    status: str = "queued"
    attempt: int = 0
    last_attempt: int = MAX_ATTEMPTS
    text: str = ""
    due: bool = True
    retried: bool = False
    turn: Turn | None = None
    cancelled_turn: Turn | None = None

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("queued", "in_progress") and not self.talk.deleted

    def requeue(self, *, due: bool = True) -> None:
        """Go back into the queue without a text."""
        self.status, self.text, self.turn, self.due = "queued", "", None, due
        self.cancelled_turn = None

    def end(self, status: str) -> None:
        """End."""
        self.cancelled_turn = self.turn if status == "cancelled" else None
        self.status, self.turn = status, None


@dataclass
class World:
    """The database and the event loop on which everything runs."""

    runner: asyncio.Runner
    watcher: asyncpg.Connection
    chat: ChatService
    clearing: Clearing
    bus: Bus
    on_cancel: Callable[[UUID], None] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop."""
        return self.runner.run(work)

    def cancelled(self, job_id: UUID) -> None:
        """Tell the machine that runs now of a cancelled job."""
        if self.on_cancel is not None:
            self.on_cancel(job_id)


async def lost(work: Awaitable[object]) -> bool:
    """Tell whether a write was refused because the turn is somebody else's."""
    try:
        await work
    except JobLostError:
        return True
    return False
