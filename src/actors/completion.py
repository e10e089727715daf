"""The completion actor: has the language model write what a client of the OpenAI-compatible API asks for."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from actors.attempts import Attempts, insist
from actors.keeper import Keeper
from actors.writing import WritingAttempt
from hub.domain.completions import prompt, work
from hub.domain.completions.work import Work
from hub.live.events import Begun
from hub.process import Process
from hub.providers.llm.protocol import ChatRequest, Finish, LanguageModel, LanguageModelError


class Completions(Attempts["CompletionAttempt"]):
    """The completions that this process is writing."""

    def __init__(self, process: Process, keeper: Keeper, model: LanguageModel) -> None:
        super().__init__(process, keeper)
        self._model = model

    async def begin(self, job_id: UUID) -> CompletionAttempt | None:
        """Claim the job; None when there is nothing to do."""
        found = await work.begin(job_id, worker=self.process.name, cap=self.process.settings.turn_cap)
        return CompletionAttempt(self.process, self._model, found) if found is not None else None


class CompletionAttempt(WritingAttempt):
    """One attempt at one completion."""

    def __init__(self, process: Process, model: LanguageModel, found: Work) -> None:
        claim = found.claim
        begun = Begun(claim.job_id, claim.job_id, claim.attempt, found.asked_at)
        super().__init__(process, model, claim, begun=begun, waited=found.waited, what="completion")
        self._work = found

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        return {"companion_id": str(self._work.companion_id)}

    @property
    def max_tokens(self) -> int:
        """What the client wants, at most what the settings allow."""
        most = self._process.settings.llm_max_tokens
        return min(self._work.asked.sampling.max_tokens or most, most)

    async def prepare(self) -> None:
        """Nothing comes before: the scene is as the companion's talks left it."""

    def request(self, budget: int) -> ChatRequest:
        """Return the persona and the client's messages, as far as they fit."""
        settings, sampling = self._process.settings, self._work.asked.sampling
        temperature, top_p = sampling.temperature, sampling.top_p
        return ChatRequest(
            messages=prompt.build(self._process.prompts, self._work.persona, self._work.talk, budget=budget),
            max_tokens=self.max_tokens,
            temperature=settings.llm_temperature if temperature is None else temperature,
            top_p=settings.llm_top_p if top_p is None else top_p,
            stop=sampling.stop,
        )

    def is_worth_retrying(self, error: LanguageModelError) -> bool:
        """Tell whether another attempt may follow: not when a client has text that it would contradict."""
        is_told = self._work.asked.streams and self._text.length > 0
        return super().is_worth_retrying(error) and not is_told

    async def save(self, text: str) -> bool:
        """Store the text so far; False when the work is lost."""
        return await work.save(self._work, text)

    async def lose(self, text: str) -> None:
        """Store the last words of what was cancelled; end the job of what is gone."""
        await work.lose(self._work, text)

    async def complete(self, text: str, finish: Finish) -> None:
        """End it well."""
        await insist(lambda: work.complete(self._work, text, finish))

    async def fail(self, text: str, error: LanguageModelError) -> None:
        """End it with an error that its user can read."""
        await work.fail(self._work, text, code=error.code, message=error.message)

    async def retry_later(self, error: LanguageModelError) -> float:
        """Give it back for a later attempt."""
        return await work.retry_later(self._work, retry_after=error.retry_after)

    async def release(self) -> None:
        """Hand it over at shutdown."""
        await work.release(self._work)
