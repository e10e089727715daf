"""The reply actor: asks the language model and carries what it says to the bus and into the row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import aclosing, suppress
from uuid import UUID

from msgspec import structs

from actors.attempts import Attempt, Attempts, Stop, insist
from actors.keeper import Keeper
from actors.scene import SceneReader
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.chat import prompt, turns
from hub.domain.chat.reply_text import ReplyText
from hub.domain.chat.turns import After, Turn, TurnLostError
from hub.domain.scenes import reading
from hub.domain.scenes.analysis import Findings, applied
from hub.domain.scenes.schemas import SceneDetails
from hub.live.events import Begun, Changed, Delta
from hub.process import Process
from hub.providers.llm.failures import failure
from hub.providers.llm.protocol import ChatRequest, Finish, LanguageModel, LanguageModelError

logger = get_logger(__name__)

#: Seconds between two saves of the text so far.
SAVE_EVERY = 0.5
#: Seconds that one attempt may take in all.
ATTEMPT_LIMIT = 600.0
#: Seconds beyond the patience for reading a scene, after which a picture no longer waits for it.
IMAGE_WAITS = 20.0
#: How often the prompt is halved when the model's server finds it too long.
SHORTENINGS = 3


class Replies(Attempts["ReplyAttempt"]):
    """The replies that this process is writing."""

    def __init__(self, process: Process, keeper: Keeper, model: LanguageModel, reader: SceneReader) -> None:
        super().__init__(process, keeper)
        self._model = model
        self._reader = reader

    async def begin(self, job_id: UUID) -> ReplyAttempt | None:
        """Claim the job; None when there is nothing to do."""
        cap = self.process.settings.turn_cap
        turn = await turns.begin(job_id, worker=self.process.name, cap=cap)
        return ReplyAttempt(self.process, self._model, self._reader, turn) if turn is not None else None


class ReplyAttempt(Attempt):
    """One attempt at one reply: two tasks that end together.

    The writer asks the model and publishes what it says at once; the saver stores the text so far, at most
    every half second. When the turn is found lost, by the saver or by the process's keeper, the writer stops.
    """

    def __init__(self, process: Process, model: LanguageModel, reader: SceneReader, turn: Turn) -> None:
        super().__init__(turn.claim)
        self._process = process
        self._model = model
        self._reader = reader
        self._turn = turn
        self._persona = turn.persona
        self._findings: Findings | None = None
        self._text = ReplyText()
        self._unsaved = asyncio.Event()
        self._saved = asyncio.Event()
        self._saved.set()
        self._writer: asyncio.Task[Finish] | None = None

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        return {
            "conversation_id": str(self._turn.conversation_id),
            "companion_id": str(self._turn.companion_id),
        }

    def stop(self, why: Stop) -> None:
        """Close the upstream and write nothing more but, at a shutdown, the hand-over."""
        self.stopped = self.stopped or why
        if self._writer is not None:
            self._writer.cancel()

    async def run(self) -> None:
        """Make the attempt and end it one way or another."""
        try:
            await self._attempt()
        except TurnLostError:
            if self.stopped is not Stop.SHUTDOWN:
                logger.info("reply dropped, its job was taken away")
                with suppress(*UNAVAILABLE):  # a cancelled one keeps what its last save had
                    await turns.keep(self._turn, str(self._text))
                    await turns.drop(self._turn)
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
            raise TurnLostError from None
        finally:
            writer.cancel()
            saver.cancel()
            await asyncio.gather(writer, saver, return_exceptions=True)

    async def _ask(self) -> Finish:
        """Stream one answer; a prompt that the server finds too long is asked again, shorter."""
        await self._read_scene()
        settings = self._process.settings
        budget = max(self._model.context_tokens - settings.llm_max_tokens, self._model.context_tokens // 2)
        for shortening in range(SHORTENINGS + 1):
            request = ChatRequest(
                messages=prompt.build(
                    self._process.prompts,
                    self._persona,
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

    async def _read_scene(self) -> None:
        """Have the reply know what the user's message changes; only once, since they wait."""
        if not (self._reader.reads_before and self.claim.is_first):
            return
        persona = self._persona
        self._findings = await self._reader.read(
            "before",
            name=persona.name,
            user_name=persona.user_name,
            scene=persona.scene,
            talk=self._turn.talk,
        )
        if self._findings is not None:
            scene, _ = applied(persona.scene, SceneDetails(), self._findings)
            self._persona = structs.replace(persona, scene=scene)

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
                    logger.info("first token", duration_ms=self.elapsed_ms())
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
        after = self._after()
        told = await insist(lambda: turns.complete(self._turn, text, finish.usage, after))
        self._process.webhooks.ring(told)
        if after.scene_job is not None:
            self._process.relay.ring(after.scene_job.id, after.scene_job.kind)
        elif after.image is not None:
            self._process.relay.ring(after.image.job.id, after.image.job.kind)
        logger.info(
            "LLM response generation completed",
            duration_ms=self.elapsed_ms(),
            length=len(text),
            completion_tokens=finish.usage.completion_tokens if finish.usage else None,
        )

    def _after(self) -> After:
        """Return what comes next: the scene is read, and then the picture painted that was asked for."""
        turn, user_id = self._turn, self.claim.user_id
        reads = self._reader.reads_after
        scene_job = reading.new_job(
            companion_id=turn.companion_id,
            response_id=turn.response_id,
            user_id=user_id,
            request_id=self.claim.request_id,
        )
        image = None
        if turn.generate_image and user_id is not None:
            image = self._process.painting.for_reply(
                user_id=user_id,
                companion_id=turn.companion_id,
                conversation_id=turn.conversation_id,
                response_id=turn.response_id,
                wait=self._reader.patience + IMAGE_WAITS if reads else 0.0,
            )
        return After(
            findings=(self._findings or Findings()) if reads else None,
            scene_job=scene_job if reads else None,
            image=image,
        )

    async def _fail(self, error: LanguageModelError) -> None:
        again = error.transient and not self._turn.claim.is_last
        logger.warning(
            "reply failed",
            code=error.code,
            detail=error.detail,
            will_retry=again,
            duration_ms=self.elapsed_ms(),
        )
        if not again:
            text = str(self._text)
            told = await insist(lambda: turns.fail(self._turn, text, code=error.code, message=error.message))
            self._process.webhooks.ring(told)
            return
        delay = await insist(lambda: turns.retry_later(self._turn, retry_after=error.retry_after))
        self._process.relay.ring_later(self._turn.claim.job_id, self._turn.claim.kind, delay)

    async def _release(self) -> None:
        try:
            await turns.release(self._turn)
            logger.info("reply handed over")
        except TurnLostError:
            logger.debug("nothing to hand over")
        except UNAVAILABLE as error:
            logger.warning("reply not handed over, its lease will end", reason=type(error).__name__)


async def _survive(write: Awaitable[bool]) -> bool:
    """Take a database that is away for a while as no loss: the fence is checked again at the next write."""
    try:
        return await write
    except DATABASE_ERRORS as error:
        logger.warning("database unavailable while replying", reason=type(error).__name__)
        return True
