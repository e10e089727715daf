"""The reply actor: asks the language model and carries what it says to the bus and into the row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from enum import Enum, auto
from typing import TypeVar
from uuid import UUID

from structlog.contextvars import bind_contextvars, clear_contextvars

from actors.keeper import Keeper
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.chat import prompt, turns
from hub.domain.chat.reply_text import ReplyText
from hub.domain.chat.turns import Turn, TurnLostError
from hub.jobs import queue
from hub.jobs.contracts import LEASE
from hub.live.events import Begun, Changed, Delta
from hub.process import Process
from hub.providers.llm.failures import failure
from hub.providers.llm.protocol import ChatRequest, Finish, LanguageModel, LanguageModelError

logger = get_logger(__name__)

T = TypeVar("T")

#: Seconds between two attempts at a write that ends an attempt, while the database is away.
WRITE_AGAIN = 0.5
#: Seconds between two saves of the text so far.
SAVE_EVERY = 0.5
#: Seconds that one attempt may take in all.
ATTEMPT_LIMIT = 600.0
#: How often the prompt is halved when the model's server finds it too long.
SHORTENINGS = 3


class Stop(Enum):
    """Why an attempt is stopped from outside."""

    LOST = auto()
    SHUTDOWN = auto()


class Replies:
    """The replies that this process is writing."""

    def __init__(self, process: Process, keeper: Keeper, model: LanguageModel) -> None:
        self._process = process
        self._keeper = keeper
        self._model = model
        self._running: set[Attempt] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many replies this process is writing."""
        return len(self._running)

    async def run(self, job_id: UUID) -> None:
        """Do the job if it is there to be done; safe to call any number of times, from anywhere."""
        if self._process.is_stopping:
            await queue.forget_published([job_id])
            return
        try:
            cap = self._process.settings.turn_cap
            turn = await turns.begin(job_id, worker=self._process.name, cap=cap)
        except UNAVAILABLE as error:
            logger.warning("job not claimed, the sweep rings again", reason=type(error).__name__)
            return
        if turn is None:
            return
        clear_contextvars()
        bind_contextvars(
            request_id=turn.claim.request_id,
            job_id=str(job_id),
            user_id=str(turn.claim.user_id),
            attempt=turn.claim.attempt,
            conversation_id=str(turn.conversation_id),
            companion_id=str(turn.companion_id),
        )
        attempt = Attempt(self._process, self._model, turn)
        self._running.add(attempt)
        self._idle.clear()
        try:
            with self._keeper.keeping(turn.claim, lambda: attempt.stop(Stop.LOST)):
                await attempt.run()
        finally:
            self._running.discard(attempt)
            if not self._running:
                self._idle.set()
            clear_contextvars()
        if not self._process.is_stopping:
            with suppress(*UNAVAILABLE):  # the sweep finds it too
                await self._process.relay.ring_next(
                    turn.claim.lane, kind=turn.claim.kind, user_id=turn.claim.user_id
                )

    async def hand_over(self) -> None:
        """Give every running reply back to its queue, for a process that stops."""
        for attempt in tuple(self._running):
            attempt.stop(Stop.SHUTDOWN)
        await self._idle.wait()


class Attempt:
    """One attempt at one reply: two tasks that end together.

    The writer asks the model and publishes what it says at once; the saver stores the text so far, at most
    every half second. When the turn is found lost, by the saver or by the process's keeper, the writer stops.
    """

    def __init__(self, process: Process, model: LanguageModel, turn: Turn) -> None:
        self._process = process
        self._model = model
        self._turn = turn
        self._text = ReplyText()
        self._unsaved = asyncio.Event()
        self._saved = asyncio.Event()
        self._saved.set()
        self._stopped: Stop | None = None
        self._writer: asyncio.Task[Finish] | None = None
        self._started = time.perf_counter()

    def stop(self, why: Stop) -> None:
        """Close the upstream and write nothing more but, at a shutdown, the hand-over."""
        self._stopped = self._stopped or why
        if self._writer is not None:
            self._writer.cancel()

    async def run(self) -> None:
        """Make the attempt and end it one way or another."""
        try:
            await self._attempt()
        except TurnLostError:
            if self._stopped is not Stop.SHUTDOWN:
                logger.info("reply dropped, its job was taken away")
                with suppress(*UNAVAILABLE):  # a cancelled one keeps what its last save had
                    await turns.keep(self._turn, str(self._text))
        finally:
            self._process.bus.publish(Changed(self._turn.conversation_id, self._turn.response_id))

    async def _attempt(self) -> None:
        self._writer = asyncio.create_task(self._ask())
        await asyncio.sleep(0)  # the question goes out first: the rest takes its time while the model thinks
        self._process.bus.publish(
            Begun(
                self._turn.conversation_id,
                self._turn.response_id,
                self._turn.claim.attempt,
                self._turn.asked_at,
            )
        )
        logger.info("reply started", duration_ms=round(self._turn.waited.total_seconds() * 1000, 1))
        try:
            finish = await self._write(self._writer)
        except LanguageModelError as error:
            await self._fail(error)
        except TimeoutError:
            await self._fail(failure("llm_timeout", detail="attempt limit"))
        except TurnLostError:
            raise
        except DATABASE_ERRORS:  # the lease will end, and the reply be tried again
            raise
        except Exception as error:
            logger.exception("reply broke")
            message = "Something went wrong while the reply was written. Try again."
            broken = LanguageModelError(
                "internal_error", message, transient=False, detail=type(error).__name__
            )
            await self._fail(broken)
        else:
            await self._finish(finish)

    async def _write(self, writer: asyncio.Task[Finish]) -> Finish:
        saver = asyncio.create_task(self._save_forever())
        if self._stopped is not None:
            writer.cancel()
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT):
                finish = await writer
            await self._saved.wait()  # cutting a write short would cost a connection
            return finish  # noqa: TRY300 - an else would be read after the finally
        except asyncio.CancelledError:
            if self._stopped is not Stop.LOST:
                await self._release()
            if self._stopped is None:
                raise
            raise TurnLostError from None
        finally:
            writer.cancel()
            saver.cancel()
            await asyncio.gather(writer, saver, return_exceptions=True)

    async def _ask(self) -> Finish:
        """Stream one answer; a prompt that the server finds too long is asked again, shorter."""
        settings = self._process.settings
        budget = max(self._model.context_tokens - settings.llm_max_tokens, self._model.context_tokens // 2)
        for shortening in range(SHORTENINGS + 1):
            request = ChatRequest(
                messages=prompt.build(
                    self._process.prompts,
                    self._turn.persona,
                    self._turn.talk,
                    budget=budget >> shortening,
                    first=self._turn.first_position,
                ),
                max_tokens=settings.llm_max_tokens,
                temperature=settings.llm_temperature,
                top_p=settings.llm_top_p,
            )
            try:
                return await self._stream(request)
            except LanguageModelError as error:
                if error.code != "llm_context_exceeded" or shortening == SHORTENINGS:
                    raise
        raise AssertionError("the loop returns or raises")

    async def _stream(self, request: ChatRequest) -> Finish:
        async with aclosing(self._model.stream(request)) as answer:
            async for piece in answer:
                if isinstance(piece, Finish):
                    return piece
                offset = self._text.length
                shown = self._text.add(piece.text)
                if not shown:
                    continue
                self._process.bus.publish(
                    Delta(
                        self._turn.conversation_id,
                        self._turn.response_id,
                        self._turn.claim.attempt,
                        offset,
                        shown,
                    )
                )
                self._unsaved.set()
                if offset == 0:
                    await asyncio.sleep(0)  # the first text goes out before it is logged
                    logger.info("first token", duration_ms=self._elapsed_ms())
        raise failure("llm_truncated")

    async def _save_forever(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            self._saved.clear()
            try:
                survives = await _survive(turns.save(self._turn, str(self._text)))
            finally:
                self._saved.set()
            if not survives:
                self.stop(Stop.LOST)
                return
            await asyncio.sleep(SAVE_EVERY)

    async def _finish(self, finish: Finish) -> None:
        text = str(self._text)
        if not text:
            error = LanguageModelError(
                "llm_empty_reply", "The language model said nothing. Try again.", transient=False
            )
            await self._fail(error)
            return
        await _insist(lambda: turns.complete(self._turn, text, finish.usage))
        logger.info(
            "reply completed",
            duration_ms=self._elapsed_ms(),
            length=len(text),
            completion_tokens=finish.usage.completion_tokens if finish.usage else None,
        )

    async def _fail(self, error: LanguageModelError) -> None:
        again = error.transient and not self._turn.claim.is_last
        logger.warning(
            "reply failed",
            code=error.code,
            detail=error.detail,
            will_retry=again,
            duration_ms=self._elapsed_ms(),
        )
        if not again:
            text = str(self._text)
            await _insist(lambda: turns.fail(self._turn, text, code=error.code, message=error.message))
            return
        delay = await _insist(lambda: turns.retry_later(self._turn, retry_after=error.retry_after))
        self._process.relay.ring_later(self._turn.claim.job_id, self._turn.claim.kind, delay)

    async def _release(self) -> None:
        try:
            await turns.release(self._turn)
            logger.info("reply handed over")
        except TurnLostError:
            logger.debug("nothing to hand over")
        except UNAVAILABLE as error:
            logger.warning("reply not handed over, its lease will end", reason=type(error).__name__)

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 1)


async def _insist(write: Callable[[], Awaitable[T]]) -> T:
    """Do a write that must not be lost, again and again while the database is away, up to a lease's length.

    A write whose answer was lost finds at its repetition that the turn is no longer its own, and is dropped.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + LEASE
    while True:
        try:
            return await write()
        except UNAVAILABLE as error:
            if loop.time() > give_up:
                raise
            logger.warning("database unavailable while replying", reason=type(error).__name__)
        await asyncio.sleep(WRITE_AGAIN)


async def _survive(write: Awaitable[bool]) -> bool:
    """Take a database that is away for a while as no loss: the fence is checked again at the next write."""
    try:
        return await write
    except DATABASE_ERRORS as error:
        logger.warning("database unavailable while replying", reason=type(error).__name__)
        return True
