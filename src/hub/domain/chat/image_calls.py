"""What one subscriber has been told of the pictures that were asked for in a conversation."""

from __future__ import annotations

from uuid import UUID

from hub.domain.chat.frames import Frame, ImageCompleted, ImageFailed, ImageInProgress
from hub.domain.chat.schemas import ResponseError
from hub.domain.chat.state import ImageCall

_CANCELLED = ResponseError(code="image_cancelled", message="The picture was cancelled.")
_DELETED = ResponseError(code="image_deleted", message="The picture has been deleted since.")

#: How far a picture was when it was told of last: progress, and place in the queue.
_Told = tuple[float, int | None]


class ImageCalls:
    """Tells of each picture as its row moves on, and of its end once."""

    def __init__(self, conversation_id: UUID) -> None:
        self._conversation_id = conversation_id
        self._told: dict[UUID, _Told] = {}

    @property
    def response_ids(self) -> set[UUID]:
        """The responses whose pictures are on their way."""
        return set(self._told)

    def keep_only(self, response_ids: set[UUID]) -> None:
        """Forget the others: their rows are gone."""
        self._told = {each: told for each, told in self._told.items() if each in response_ids}

    def tell(self, call: ImageCall, *, is_new: bool) -> list[Frame]:
        """Return what a row says beyond what was told.

        Args:
            call: the row.
            is_new: its end is news though nothing was told of it.
        """
        if not call.has_ended:
            return self._in_progress(call)
        was_told = self._told.pop(call.response_id, None) is not None
        return [self._ended(call)] if was_told or is_new else []

    def _in_progress(self, call: ImageCall) -> list[Frame]:
        told = (call.progress, call.position)
        if self._told.get(call.response_id) == told:
            return []
        self._told[call.response_id] = told
        return [
            ImageInProgress(
                conversation_id=self._conversation_id,
                response_id=call.response_id,
                job_id=call.job_id,
                progress=call.progress,
                position=call.position,
            )
        ]

    def _ended(self, call: ImageCall) -> Frame:
        if call.image is not None:
            return ImageCompleted(
                conversation_id=self._conversation_id, response_id=call.response_id, image=call.image
            )
        error = call.error or (_CANCELLED if call.status == "cancelled" else _DELETED)
        return ImageFailed(conversation_id=self._conversation_id, response_id=call.response_id, error=error)
