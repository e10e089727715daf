"""The scene actor: asks the language model what the talk says of the scene, after a reply."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal
from uuid import UUID

from actors.attempts import Attempts, TaskAttempt, insist
from actors.keeper import Keeper
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.domain.scenes import analysis, reading
from hub.domain.scenes.analysis import Findings
from hub.domain.scenes.reading import Reading
from hub.domain.scenes.schemas import Scene
from hub.jobs.contracts import JobKind, JobLostError
from hub.process import Process
from hub.providers.llm.protocol import ChatMessage, LanguageModel, LanguageModelError

logger = get_logger(__name__)

#: The share of the model's patience that reading the scene before a reply may take: people wait for it.
BEFORE_SHARE = 0.5


class SceneReader:
    """Asks the model for the scene. Nothing depends on its answer: what fails leaves the scene as it is."""

    def __init__(self, process: Process, model: LanguageModel) -> None:
        settings = process.settings
        self.reads_before = process.scene_analysis == "both"
        self.reads_after = process.scene_analysis != "off"
        self.patience = settings.scene_timeout
        self.patience_before = min(settings.scene_timeout, settings.llm_timeout * BEFORE_SHARE)
        self._prompts = process.prompts
        self._model = model

    async def read(
        self,
        when: Literal["before", "after"],
        *,
        name: str,
        user_name: str,
        scene: Scene,
        talk: list[ChatMessage],
    ) -> Findings | None:
        """Return what the end of a talk says of the scene; None when the model could not tell in time."""
        started = time.perf_counter()
        patience = self.patience_before if when == "before" else self.patience
        request = analysis.request(
            self._prompts,
            name=name,
            user_name=user_name,
            scene=scene,
            talk=talk,
            budget=self._model.context_tokens,
        )
        try:
            text = await self._model.answer(request, schema=analysis.SCHEMA, patience=patience)
        except LanguageModelError as error:
            logger.warning("context analysis failed", when=when, code=error.code, duration_ms=_since(started))
            return None
        except Exception:
            logger.exception("context analysis broke")  # a defect of ours costs no reply either
            return None
        findings = analysis.news(analysis.read(text), scene)
        logger.info(
            "context analysis completed",
            when=when,
            says_something=findings != Findings(),
            duration_ms=_since(started),
        )
        return findings


class Scenes(Attempts["SceneAttempt"]):
    """The scenes that this process is reading."""

    def __init__(self, process: Process, keeper: Keeper, reader: SceneReader) -> None:
        super().__init__(process, keeper)
        self._reader = reader

    async def begin(self, job_id: UUID) -> SceneAttempt | None:
        """Claim the job; None when there is nothing to do."""
        found = await reading.begin(job_id, worker=self.process.name)
        return SceneAttempt(self.process, self._reader, found) if found is not None else None


class SceneAttempt(TaskAttempt):
    """One attempt to read the scene after a message."""

    def __init__(self, process: Process, reader: SceneReader, found: Reading) -> None:
        super().__init__(found.claim)
        self._process = process
        self._reader = reader
        self._reading = found

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        return {
            "conversation_id": str(self._reading.conversation_id),
            "companion_id": str(self._reading.companion_id),
        }

    async def work(self) -> None:
        """Ask, and store what was said; a picture that waited for it may be painted now."""
        found = self._reading
        findings = await self._reader.read(
            "after", name=found.name, user_name=found.user_name, scene=found.scene, talk=found.talk
        )
        images = await insist(lambda: reading.finish(found, findings))
        if images is None:
            raise JobLostError
        for job_id in images:
            self._process.relay.ring(job_id, JobKind.IMAGE)
        with suppress(*UNAVAILABLE):  # those who are told nothing look by themselves
            await self._process.chat.tell_scene(found.companion_id)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
