"""The reply actor: has the language model write what a companion says next in a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from msgspec import structs

from actors.attempts import Attempts, insist
from actors.keeper import Keeper
from actors.scene import SceneReader
from actors.writing import WritingAttempt
from hub.domain.chat import prompt, turns
from hub.domain.chat.turn_schemas import After, Turn
from hub.domain.scenes import reading
from hub.domain.scenes.analysis import Findings, applied
from hub.domain.scenes.schemas import SceneDetails
from hub.live.events import Begun
from hub.process import Process
from hub.providers.llm.protocol import ChatRequest, Finish, LanguageModel, LanguageModelError

#: Seconds beyond the patience for reading a scene, after which a picture no longer waits for it.
IMAGE_WAITS = 20.0


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


class ReplyAttempt(WritingAttempt):
    """One attempt at one reply."""

    def __init__(self, process: Process, model: LanguageModel, reader: SceneReader, turn: Turn) -> None:
        begun = Begun(
            turn.conversation_id,
            turn.response_id,
            turn.claim.attempt,
            turn.asked_at,
            turn.kind == "reply",
        )
        super().__init__(
            process, model, turn.claim, begun=begun, waited=turn.waited, what="reply", prefix=turn.prefix
        )
        self._reader = reader
        self._turn = turn
        self._persona = turn.persona
        self._findings: Findings | None = None

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        return {
            "conversation_id": str(self._turn.conversation_id),
            "companion_id": str(self._turn.companion_id),
        }

    @property
    def max_tokens(self) -> int:
        """The longest reply that the settings allow."""
        return self._process.settings.llm_max_tokens

    async def prepare(self) -> None:
        """Have the reply know what the user's message changes."""
        await self._read_scene()

    def request(self, budget: int) -> ChatRequest:
        """Return the talk so far, as far as it fits."""
        settings = self._process.settings
        return ChatRequest(
            messages=prompt.build(
                self._process.prompts,
                self._persona,
                self._turn.talk,
                budget=budget,
                first=self._turn.first_position,
                goes_on=self._turn.kind == "continue",
            ),
            max_tokens=self.max_tokens,
            temperature=settings.llm_temperature,
            top_p=settings.llm_top_p,
        )

    async def save(self, text: str) -> bool:
        """Store the text so far; False when the turn is lost."""
        return await turns.save(self._turn, text)

    async def lose(self, text: str) -> None:
        """Store the last words of a turn that was cancelled; end the job of one that is gone."""
        await turns.keep(self._turn, text)
        await turns.drop(self._turn)

    async def complete(self, text: str, finish: Finish) -> None:
        """Store the reply and what follows it."""
        after = self._after()
        told = await insist(lambda: turns.complete(self._turn, text, finish.usage, after))
        self._process.webhooks.ring(told)
        if after.scene_job is not None:
            self._process.relay.ring(after.scene_job.id, after.scene_job.kind)
        elif after.image is not None:
            self._process.relay.ring(after.image.job.id, after.image.job.kind)

    async def fail(self, text: str, error: LanguageModelError) -> None:
        """End the turn with an error that its user can read."""
        told = await turns.fail(self._turn, text, code=error.code, message=error.message)
        self._process.webhooks.ring(told)

    async def retry_later(self, error: LanguageModelError) -> float:
        """Give the turn back for a later attempt."""
        return await turns.retry_later(self._turn, retry_after=error.retry_after)

    async def release(self) -> None:
        """Hand the turn over at shutdown."""
        await turns.release(self._turn)

    async def _read_scene(self) -> None:
        """Have the model say what the user's message changes of the scene; only once, since they wait.

        Nothing new was said before a reply that is only continued.
        """
        if not (self._reader.reads_before and self.claim.is_first) or self._turn.kind == "continue":
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
