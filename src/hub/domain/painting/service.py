"""Asking for pictures: new ones, the same again, how far they are, and stopping them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from msgspec import UNSET
from structlog.contextvars import get_contextvars

from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.images import queries as images
from hub.domain.images.service import not_found
from hub.domain.limits.service import Action, Limits
from hub.domain.painting import queries
from hub.domain.painting.errors import JobNotFoundError, NoRecipeError
from hub.domain.painting.queries import NewRequest
from hub.domain.painting.schemas import SEED_LIMIT, SIDE_STEP, CreateImage, Job, RepeatImage
from hub.jobs import store
from hub.jobs.contracts import JobKind, NewJob
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.live.events import Changed, JobCancelled
from hub.providers.images.factory import address_and_kind

logger = get_logger(__name__)

#: How long a job that has failed is shown among those under way, and how many of these are shown at most.
_FAILED_LATELY = timedelta(minutes=5)
_SHOWN_UNDER_WAY = 24


class PaintingService:
    """What people do about pictures that are to be painted. Each call checks that it is their own."""

    def __init__(self, settings: Settings, *, relay: Relay, bus: Bus, limits: Limits) -> None:
        self._settings = settings
        self._relay = relay
        self._bus = bus
        self._limits = limits

    async def ask(self, companion_id: UUID, command: CreateImage, *, user_id: UUID) -> Job:
        """Queue a picture of the owner's companion.

        Raises:
            CompanionNotFoundError: not the user's.
            TooManyRequestsError: too many pictures in this hour.
        """
        width = command.width or self._settings.image_width
        height = command.height or self._settings.image_height
        return await self._queue(
            NewRequest(
                job=self._job(user_id),
                companion_id=companion_id,
                prompt=_given(command.prompt),
                negative_prompt=_given(command.negative_prompt),
                seed=_seed(command.seed),
                width=width - width % SIDE_STEP,
                height=height - height % SIDE_STEP,
            ),
            user_id=user_id,
        )

    async def repeat(self, image_id: UUID, command: RepeatImage, *, user_id: UUID) -> Job:
        """Queue a picture that is made as another one was, with the scene of that time.

        Raises:
            ImageNotFoundError: not the user's.
            NoRecipeError: it was not painted here.
            TooManyRequestsError: too many pictures in this hour.
        """
        found = await images.painted(image_id, user_id=user_id)
        if found is None:
            raise not_found()
        if found.recipe is None:
            raise NoRecipeError
        recipe = found.recipe
        return await self._queue(
            NewRequest(
                job=self._job(user_id),
                companion_id=found.companion_id,
                prompt=recipe.prompt,
                negative_prompt=recipe.negative_prompt,
                seed=recipe.seed if command.seed is UNSET else _seed(command.seed),
                width=recipe.width,
                height=recipe.height,
                scene=recipe.scene,
            ),
            user_id=user_id,
        )

    def for_reply(
        self, *, user_id: UUID, companion_id: UUID, conversation_id: UUID, response_id: UUID, wait: float
    ) -> NewRequest:
        """Make the request of a picture that was asked for with a message, to be stored with the reply.

        Args:
            user_id: whose it is; their limit was asked when they sent the message.
            companion_id: who is painted.
            conversation_id: where it was asked for.
            response_id: the response whose message it goes with.
            wait: seconds after which it is painted though the scene has not been read.
        """
        return NewRequest(
            job=self._job(user_id, wait=wait),
            companion_id=companion_id,
            conversation_id=conversation_id,
            response_id=response_id,
            seed=_seed(None),
            width=self._settings.image_width,
            height=self._settings.image_height,
        )

    async def job(self, job_id: UUID, *, user_id: UUID) -> Job:
        """Return the owner's job as it stands."""
        found = await queries.get(job_id, user_id=user_id)
        if found is None:
            raise JobNotFoundError
        return found.job

    async def under_way(self, companion_id: UUID, *, user_id: UUID) -> list[Job]:
        """Return what is painted of the owner's companion or waits for it, and what has just failed."""
        return await queries.under_way(
            companion_id, user_id=user_id, failed_since=_FAILED_LATELY, limit=_SHOWN_UNDER_WAY
        )

    async def cancel(self, job_id: UUID, *, user_id: UUID) -> Job:
        """Stop a job; one that has ended is returned as it is."""
        found = await queries.get(job_id, user_id=user_id)
        if found is None:
            raise JobNotFoundError
        if await store.cancel(job_id) is not None:
            self._bus.publish(JobCancelled(job_id))
            logger.info("image cancelled", job_id=str(job_id))
            await self.tell(job_id, lane=found.lane)
            await self._relay.ring_next(found.lane, kind=JobKind.IMAGE, user_id=user_id)
        return await self.job(job_id, user_id=user_id)

    async def tell(self, job_id: UUID, *, lane: str) -> None:
        """Tell those who watch that a job has begun or ended, and that others have moved up."""
        for conversation_id, response_id in await queries.who_watches(job_id, lane=lane):
            self._bus.publish(Changed(conversation_id, response_id))

    async def _queue(self, new: NewRequest, *, user_id: UUID) -> Job:
        async with ENGINE.transaction():
            await self._limits.take(Action.IMAGES, user_id)
            if not await queries.insert(new):
                raise CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")
        self._relay.ring(new.job.id, new.job.kind)
        logger.info("image asked for", job_id=str(new.job.id), companion_id=str(new.companion_id))
        return await self.job(new.job.id, user_id=user_id)

    def _job(self, user_id: UUID, *, wait: float = 0.0) -> NewJob:
        job_id = new_id()
        return NewJob(
            id=job_id,
            kind=JobKind.IMAGE,
            lane=lane_of(self._settings, user_id=user_id),
            user_id=user_id,
            subject_id=job_id,
            request_id=str(get_contextvars().get("request_id", "")),
            shares_lane=True,
            wait=wait,
        )


def lane_of(settings: Settings, *, user_id: UUID) -> str:
    """Return the lane of a user's pictures: one for each image server, since most take no overlapping calls.

    A service that takes many at once (OpenAI's kind) has one for each user.
    """
    if settings.sd_url is None:
        return "image:painter"
    url, kind = address_and_kind(settings.sd_url, settings.sd_kind)
    if kind == "openai":
        return f"image:{user_id}"
    return f"image:{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def _seed(given: int | None) -> int:
    return secrets.randbelow(SEED_LIMIT) if given is None or given < 0 else given


def _given(text: str | None) -> str | None:
    """Take a text of blanks as none."""
    return text if text and text.strip() else None
