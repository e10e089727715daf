"""The feed of one completion until it ends."""

from __future__ import annotations

from collections.abc import Callable

from hub.domain.chat.response_feed import ResponseFeed
from hub.domain.chat.schemas import Response
from hub.domain.completions import queries
from hub.domain.completions.schemas import Completion


class CompletionFeed(ResponseFeed):
    """Tells of a completion as of a response; ``completion`` is its row as it was read last."""

    def __init__(self, completion: Completion, *, wake: Callable[[], None]) -> None:
        super().__init__(completion.as_response(), offset=0, wake=wake)
        self.completion: Completion | None = completion

    async def _load(self) -> Response | None:
        assert self.completion is not None  # noqa: S101 - one that is gone has ended the feed
        self.completion = await queries.read(self.completion.id)
        return self.completion.as_response() if self.completion is not None else None
