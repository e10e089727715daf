"""A completion as those see it who wait for it: its text, and one end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from litestar.background_tasks import BackgroundTask
from litestar.response import Stream
from msgspec import Struct

from hub.db.engine import UNAVAILABLE
from hub.domain.accounts.schemas import Identity
from hub.domain.chat.frames import Frame, OutputTextDelta, ResponseInProgress
from hub.domain.chat.schemas import ResponseError
from hub.domain.completions.feed import CompletionFeed
from hub.domain.completions.schemas import Completion
from hub.process import Process
from hub.web.connections import OpenConnections
from hub.web.following import Following
from hub.web.requests import HubRequest
from hub.web.v1.errors import CompletionFailedError

_BROKE_OFF = ResponseError(
    code="stream_broke_off", message="The answer broke off in its middle. Discard it and ask again."
)
_SIGNED_OUT = ResponseError(code="not_signed_in", message="The token has ended. Use another one.")
_STOPPING = ResponseError(code="server_stopping", message="The server stops. Ask again in a few seconds.")
_CANCELLED = ResponseError(code="cancelled", message="The response was cancelled.")
_GONE = ResponseError(code="cancelled", message="The companion is gone, or its talks were wiped.")


class Begun(Struct, frozen=True):
    """The wait has begun."""


class Text(Struct, frozen=True):
    """Text to append."""

    delta: str


class Quiet(Struct, frozen=True):
    """Nothing has happened for long."""


class Ended(Struct, frozen=True, kw_only=True):
    """The end: the completion as it is, and what went wrong, if anything did."""

    completion: Completion
    error: ResponseError | None = None


class Telling:
    """One client's wait for a completion of theirs.

    Args:
        process: the process.
        connections: what is open under sign-ins.
        identity: who waits.
        completion: as it was when it was asked for.
        is_left: whether the completion is stopped when its client leaves.
        forgets: whether it is forgotten at its end if it is not stored.
    """

    def __init__(
        self,
        process: Process,
        connections: OpenConnections,
        identity: Identity,
        completion: Completion,
        *,
        is_left: bool = True,
        forgets: bool = True,
    ) -> None:
        self._process = process
        self._connections = connections
        self._identity = identity
        self._completion = completion
        self._is_left = is_left
        self._forgets = forgets and not completion.stored
        self._is_over = False
        woken = asyncio.Event()
        self._feed = CompletionFeed(completion, wake=woken.set)
        self._following = Following(process, self._feed, woken, token_id=identity.token_id)

    async def stream(self) -> AsyncGenerator[Begun | Text | Quiet | Ended, None]:
        """Yield that it has begun, text as it comes, and how it ended, last.

        Text cannot be taken back: an attempt that begins anew behind some text is the end of it.
        """
        shown = 0
        try:
            yield Begun()
            async with aclosing(self._following.frames(self._connections)) as news:
                async for frames in news:
                    if not frames:
                        yield Quiet()
                    for frame in frames:
                        if _contradicts(frame, shown):
                            yield await self._break_off(_BROKE_OFF)
                            return
                        text = _text_of(frame)
                        shown += len(text)
                        if text:
                            yield Text(text)
            yield await self._end()
        finally:
            await self.close()

    async def whole(self) -> Completion:
        """Return the completion once it is complete.

        Raises:
            CompletionFailedError: it did not come to that.
        """
        try:
            async with aclosing(self._following.frames(self._connections)) as news:
                async for _ in news:
                    pass
            ended = await self._end()
        finally:
            await self.close()
        if ended.error is not None:
            raise CompletionFailedError(ended.error)
        return ended.completion

    async def _end(self) -> Ended:
        completion = self._feed.completion
        if completion is None:
            self._is_over = True
            return Ended(completion=self._completion, error=_GONE)
        if not completion.has_ended:
            return await self._break_off(_SIGNED_OUT if self._following.is_signed_out else _STOPPING)
        error = completion.error
        if completion.status == "cancelled":
            error = _CANCELLED
        await self._forget()
        self._is_over = True
        return Ended(completion=completion, error=error)

    async def _break_off(self, error: ResponseError) -> Ended:
        """End it for a reason of our own, and have its worker stop."""
        completion = self._feed.completion or self._completion
        if self._is_left:  # else it goes on without its reader
            with suppress(*UNAVAILABLE):  # it is written to its end for nobody
                await self._process.completions.give_up(
                    completion, user_id=self._identity.user.id, error=error
                )
            await self._forget()
        self._is_over = True
        return Ended(completion=completion, error=error)

    async def _forget(self) -> None:
        if self._forgets:
            with suppress(*UNAVAILABLE):  # it is forgotten with its job
                await self._process.completions.forget(self._completion.id)

    async def close(self) -> None:
        """Stop what nobody waits for any more, also where nobody ever began to; does not wait for it."""
        if not self._is_over and self._is_left:
            self._is_over = True
            self._process.completions.leave(self._completion, user_id=self._identity.user.id)


def live(telling: Telling, events: AsyncIterator[bytes]) -> Stream:
    """Return what sends events as they come, and stops what they tell of when their reader leaves."""
    return Stream(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        background=BackgroundTask(telling.close),
    )


async def whole_unless_left(telling: Telling, request: HubRequest) -> Completion:
    """Return the completion once it is complete; a client that leaves before has it stopped.

    Raises:
        CompletionFailedError: it did not come to that.
    """
    waiting = asyncio.create_task(telling.whole())
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        waiting.cancel()  # nothing happens to one that is done
        await asyncio.gather(waiting, leaving, return_exceptions=True)
    if waiting.cancelled():
        raise CompletionFailedError(_CANCELLED)  # nobody reads it
    return waiting.result()


async def _left(request: HubRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _contradicts(frame: Frame, shown: int) -> bool:
    return isinstance(frame, ResponseInProgress) and shown > 0


def _text_of(frame: Frame) -> str:
    if isinstance(frame, ResponseInProgress):
        return frame.response.output_text
    return frame.delta if isinstance(frame, OutputTextDelta) else ""
