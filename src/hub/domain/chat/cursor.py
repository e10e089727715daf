"""How far one subscriber has been told about one response.

Two sources feed it, in any order: live deltas, which may be missing, doubled or late, and the response's
row, which is exact but behind. What comes out has no gap and no overlap.
"""

from __future__ import annotations

from enum import Enum, auto
from uuid import UUID

import msgspec

from hub.domain.chat.frames import (
    Frame,
    OutputTextDelta,
    OutputTextDone,
    ResponseCancelled,
    ResponseCompleted,
    ResponseFailed,
    ResponseInProgress,
    ResponseQueued,
)
from hub.domain.chat.schemas import Response
from hub.live.events import Begun, Delta


class Fit(Enum):
    """How a live delta fits what has been told."""

    TOLD = auto()
    NEXT = auto()
    AHEAD = auto()


class ResponseCursor:
    """One subscriber's place in one response: the attempt, and the code points told of its text."""

    def __init__(self, conversation_id: UUID, response_id: UUID) -> None:
        self._conversation_id = conversation_id
        self._response_id = response_id
        self._status: str | None = None
        self._attempt = 0
        self._told = 0

    def resume(self, response: Response, *, offset: int) -> list[Frame]:
        """Go on behind the first ``offset`` code points, which the client has from an earlier connection."""
        self._status = "in_progress"
        self._attempt = response.attempt
        self._told = min(offset, len(response.output_text))
        return [self._started(response, response.output_text[: self._told]), *self.advance(response)]

    def assume(self, offset: int) -> None:
        """Take it that the client shows this many code points, from an earlier connection."""
        self._told = offset

    def fit(self, delta: Delta) -> Fit:
        """Tell whether a delta can be told now, was told already, or needs the row to be read first."""
        if delta.attempt < self._attempt or (self._status == "queued" and delta.attempt == self._attempt):
            return Fit.TOLD
        if delta.attempt > self._attempt or self._status != "in_progress" or delta.offset > self._told:
            return Fit.AHEAD
        return Fit.NEXT if delta.offset + len(delta.text) > self._told else Fit.TOLD

    def queue(self, response: Response) -> list[Frame]:
        """Tell that the response waits for its turn, unless more than that was told already."""
        return self._queued(response) if self._status is None else []

    def begin(self, begun: Begun) -> list[Frame]:
        """Tell that an attempt has begun, unless that was told already."""
        is_told = begun.attempt == self._attempt and self._status == "in_progress"
        if is_told or begun.attempt < self._attempt:
            return []
        self._status = "in_progress"
        self._attempt = begun.attempt
        self._told = 0
        response = Response(
            id=self._response_id,
            conversation_id=self._conversation_id,
            status="in_progress",
            output_text="",
            message_id=None,
            attempt=begun.attempt,
            error=None,
            usage=None,
            created_at=begun.created_at,
            completed_at=None,
        )
        return [ResponseInProgress(conversation_id=self._conversation_id, response=response)]

    def lacks_last_words(self, response: Response, *, is_heard: bool) -> bool:
        """Tell whether a cancelled response's worker may still add to its row.

        The row is behind what was told, or was come upon before anyone said that it has changed
        (``is_heard``): then its worker may not know yet, and go on speaking.
        """
        return (
            response.status == "cancelled"
            and response.attempt == self._attempt
            and self._status == "in_progress"
            and (not is_heard or len(response.output_text) < self._told)
        )

    def take(self, delta: Delta) -> Frame:
        """Tell what is new of a delta that fits next."""
        return self._delta(delta.text[self._told - delta.offset :])

    def advance(self, response: Response) -> list[Frame]:
        """Tell what the row says beyond what has been told."""
        if response.attempt < self._attempt:
            return []
        if response.status == "queued":
            return self._queued(response)
        if response.status == "in_progress":
            return self._text(response)
        if response.status == "completed":
            return [*self.finish_text(response), self.completed(response)]
        frames = self._last_text(response)
        self._status = response.status
        frame = ResponseFailed if response.status == "failed" else ResponseCancelled
        return [*frames, frame(conversation_id=self._conversation_id, response=response)]

    def _last_text(self, response: Response) -> list[Frame]:
        """Make the text that was told the stored one; what a dead worker had not stored is taken back."""
        if self._status == "in_progress" and (
            response.attempt > self._attempt or len(response.output_text) >= self._told
        ):
            return self._text(response)
        if not (self._told or response.output_text):
            return []
        self._told = len(response.output_text)
        return [self._started(response, response.output_text)]

    def finish_text(self, response: Response) -> list[Frame]:
        """Tell the rest of a completed text, and that it is complete."""
        frames = self._text(response, joined="")
        done = OutputTextDone(
            conversation_id=self._conversation_id,
            response_id=self._response_id,
            text=response.output_text,
        )
        return [*frames, done]

    def completed(self, response: Response) -> Frame:
        """Tell that the reply is stored."""
        self._status = "completed"
        return ResponseCompleted(conversation_id=self._conversation_id, response=response)

    def _queued(self, response: Response) -> list[Frame]:
        if self._status == "queued":
            return []
        self._status = "queued"
        return [ResponseQueued(conversation_id=self._conversation_id, response=response)]

    def _text(self, response: Response, *, joined: str | None = None) -> list[Frame]:
        """Tell the start of an attempt, or what its row has beyond what was told.

        Args:
            response: the row, in progress or completed.
            joined: text to join an attempt with, instead of the row's; the row's rest follows as a delta.
        """
        frames: list[Frame] = []
        if self._status != "in_progress" or response.attempt > self._attempt:
            text = response.output_text if joined is None else joined
            self._status = "in_progress"
            self._attempt = response.attempt
            self._told = len(text)
            frames.append(self._started(response, text))
        if len(response.output_text) > self._told:
            frames.append(self._delta(response.output_text[self._told :]))
        return frames

    def _started(self, response: Response, text: str) -> Frame:
        """Show the response as it was while it was being written, also when it has ended since."""
        shown = msgspec.structs.replace(
            response,
            status="in_progress",
            output_text=text,
            message_id=None,
            error=None,
            usage=None,
            completed_at=None,
        )
        return ResponseInProgress(conversation_id=self._conversation_id, response=shown)

    def _delta(self, text: str) -> Frame:
        frame = OutputTextDelta(
            conversation_id=self._conversation_id,
            response_id=self._response_id,
            offset=self._told,
            delta=text,
        )
        self._told += len(text)
        return frame
