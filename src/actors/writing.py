"""What the actors that write share: they ask the language model, tell what it says, and save it as it comes.

Two tasks an attempt that end together. The writer asks the model and publishes what it says at once; the
saver stores the text so far, at most every half second. When the work is found lost, by the saver or by the
process's keeper, the writer stops.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from datetime import timedelta

from actors.attempts import Attempt, Stop, insist
from hub.core import metrics, tracing
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.chat.reply_text import ReplyText
from hub.jobs.contracts import Claim, JobLostError
from hub.live.events import Begun, Changed, Delta
from hub.process import Process
from hub.providers.llm.failures import failure
from hub.providers.llm.protocol import ChatRequest, Finish, LanguageModel, LanguageModelError

logger = get_logger(__name__)

#: Seconds between two saves of the text so far.
SAVE_EVERY = 0.5
#: Seconds that one attempt may take in all.
ATTEMPT_LIMIT = 600.0
#: How often the prompt is halved when the model's server finds it too long.
SHORTENINGS = 3


class WritingAttempt(Attempt):
    """One attempt at one text.

    Args:
        process: where it runs.
        model: who is asked.
        claim: the right to the job.
        begun: what followers are told when it begins.
        waited: how long the job waited, for the log.
        what: the work's name at the beginning of the log's lines.
        prefix: text that is continued; what is told and saved begins behind it, or with it.
    """

    def __init__(
        self,
        process: Process,
        model: LanguageModel,
        claim: Claim,
        *,
        begun: Begun,
        waited: timedelta,
        what: str,
        prefix: str = "",
    ) -> None:
        super().__init__(claim)
        self._process = process
        self._model = model
        self._begun = begun
        self._waited = waited
        self._what = what
        self._text = ReplyText(prefix)
        self._unsaved = asyncio.Event()
        self._saved = asyncio.Event()
        self._saved.set()
        self._writer: asyncio.Task[Finish] | None = None
        self._first_text_at = 0.0

    # What each kind of text does in its own way. Those that write raise JobLostError when the fence says
    # that the job is somebody else's.

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """The longest answer, in tokens."""

    @abstractmethod
    async def prepare(self) -> None:
        """Do what comes before the question."""

    @abstractmethod
    def request(self, budget: int) -> ChatRequest:
        """Return the question, whose prompt has at most this many tokens."""

    @abstractmethod
    async def save(self, text: str) -> bool:
        """Store the text so far; False when the work is lost."""

    @abstractmethod
    async def lose(self, text: str) -> None:
        """Store last words of what was cancelled, and end the job of what is gone."""

    @abstractmethod
    async def complete(self, text: str, finish: Finish) -> None:
        """End the work well."""

    @abstractmethod
    async def fail(self, text: str, error: LanguageModelError) -> None:
        """End the work with an error."""

    @abstractmethod
    async def retry_later(self, error: LanguageModelError) -> float:
        """Give the work back for a later attempt; return the seconds until it is due."""

    @abstractmethod
    async def release(self) -> None:
        """Hand the work over at shutdown."""

    def is_worth_retrying(self, error: LanguageModelError) -> bool:
        """Tell whether another attempt follows this error."""
        return error.transient and not self.claim.is_last

    # What they share

    def stop(self, why: Stop) -> None:
        """Close the upstream and write nothing more but, at a shutdown, the hand-over."""
        self.stopped = self.stopped or why
        if self._writer is not None:
            self._writer.cancel()

    async def run(self) -> None:
        """Make the attempt and end it one way or another."""
        try:
            await self._attempt()
        except JobLostError:
            if self.stopped is not Stop.SHUTDOWN:
                tracing.note("taken away")
                logger.info(self._line("dropped, its job was taken away"))
                with suppress(*UNAVAILABLE):  # a cancelled one keeps what its last save had
                    await self.lose(str(self._text))
        finally:
            self._process.bus.publish(Changed(self._begun.conversation_id, self._begun.response_id))

    async def _attempt(self) -> None:
        self._writer = asyncio.create_task(self._ask())
        await asyncio.sleep(0)  # the question goes out first: the rest takes its time while the model thinks
        self._process.bus.publish(self._begun)
        logger.info(self._line("started"), duration_ms=round(self._waited.total_seconds() * 1000, 1))
        try:
            finish = await self._write(self._writer)
        except LanguageModelError as error:
            await self._fail(error)
        except TimeoutError:
            await self._fail(failure("llm_timeout", detail="attempt limit"))
        except JobLostError:
            raise
        except DATABASE_ERRORS:  # the lease will end, and the text be tried again
            raise
        except Exception as error:
            logger.exception(self._line("broke"))
            message = "Something went wrong while the reply was written. Try again."
            broken = LanguageModelError(
                "internal_error", message, transient=False, detail=type(error).__name__
            )
            await self._fail(broken)
        else:
            await self._finish(finish)

    async def _write(self, writer: asyncio.Task[Finish]) -> Finish:
        saver = asyncio.create_task(self._save_forever())
        if self.stopped is not None:
            writer.cancel()
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT):
                finish = await writer
            await self._saved.wait()  # cutting a write short would cost a connection
            return finish  # noqa: TRY300 - an else would be read after the finally
        except asyncio.CancelledError:
            if self.stopped is not Stop.LOST:
                await self._release()
            if self.stopped is None:
                raise
            raise JobLostError from None
        finally:
            writer.cancel()
            saver.cancel()
            await asyncio.gather(writer, saver, return_exceptions=True)

    async def _ask(self) -> Finish:
        """Stream one answer; a prompt that the server finds too long is asked again, shorter."""
        await self.prepare()
        context = self._model.context_tokens
        budget = max(context - self.max_tokens, context // 2)
        for shortening in range(SHORTENINGS + 1):
            try:
                return await self._stream(self.request(budget >> shortening))
            except LanguageModelError as error:
                if error.code != "llm_context_exceeded" or shortening == SHORTENINGS:
                    raise
        raise AssertionError("the loop returns or raises")

    async def _stream(self, request: ChatRequest) -> Finish:
        about = self._begun
        async with aclosing(self._model.stream(request)) as answer:
            async for piece in answer:
                if isinstance(piece, Finish):
                    return piece
                is_first, offset = self._text.is_empty, self._text.length
                shown = self._text.add(piece.text)
                if not shown:
                    continue
                self._process.bus.publish(
                    Delta(about.conversation_id, about.response_id, about.attempt, offset, shown)
                )
                self._unsaved.set()
                if is_first:
                    self._first_text_at = self.elapsed()
                    await asyncio.sleep(0)  # the first text goes out before it is logged
                    metrics.FIRST_TOKEN.observe(self._waited.total_seconds() + self._first_text_at)
                    logger.info("first token", duration_ms=round(self._first_text_at * 1000, 1))
        raise failure("llm_truncated")

    async def _save_forever(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            self._saved.clear()
            try:
                survives = await _survive(self.save(str(self._text)))
            finally:
                self._saved.set()
            if not survives:
                self.stop(Stop.LOST)
                return
            await asyncio.sleep(SAVE_EVERY)

    async def _finish(self, finish: Finish) -> None:
        text = str(self._text)
        if self._text.is_empty:
            error = LanguageModelError(
                "llm_empty_reply", "The language model said nothing. Try again.", transient=False
            )
            await self._fail(error)
            return
        wrote_for = self.elapsed() - self._first_text_at
        await self.complete(text, finish)
        metrics.RESPONSES.labels("completed").inc()
        if finish.usage is not None:
            metrics.note_usage(finish.usage.prompt_tokens, finish.usage.completion_tokens, wrote_for)
        logger.info(
            "LLM response generation completed",
            duration_ms=self.elapsed_ms(),
            length=len(text),
            completion_tokens=finish.usage.completion_tokens if finish.usage else None,
        )

    async def _fail(self, error: LanguageModelError) -> None:
        metrics.MODEL_FAILURES.labels(error.code).inc()
        again = self.is_worth_retrying(error)
        tracing.fail(error.code)
        logger.warning(
            self._line("failed"),
            code=error.code,
            detail=error.detail,
            will_retry=again,
            duration_ms=self.elapsed_ms(),
        )
        if not again:
            text = str(self._text)
            await insist(lambda: self.fail(text, error))
            metrics.RESPONSES.labels("failed").inc()
            return
        delay = await insist(lambda: self.retry_later(error))
        self._process.relay.ring_later(self.claim.job_id, self.claim.kind, delay)

    def _line(self, words: str) -> str:
        return f"{self._what} {words}"

    async def _release(self) -> None:
        tracing.note("handed over")
        try:
            await self.release()
            logger.info(self._line("handed over"))
        except JobLostError:
            logger.debug("nothing to hand over")
        except UNAVAILABLE as error:
            logger.warning(self._line("not handed over, its lease will end"), reason=type(error).__name__)


async def _survive(write: Awaitable[bool]) -> bool:
    """Take a database that is away for a while as no loss: the fence is checked again at the next write."""
    try:
        return await write
    except DATABASE_ERRORS as error:
        logger.warning("database unavailable while replying", reason=type(error).__name__)
        return True
