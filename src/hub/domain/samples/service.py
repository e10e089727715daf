"""Adding and removing samples: companions that show somebody who is new what this is about."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from hub.core.clock import utc_now
from hub.core.etags import Expected, StaleEditError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.accounts import queries as accounts
from hub.domain.chat.clearing import Clearing
from hub.domain.companions import queries as companions
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.schemas import Companion
from hub.domain.images.service import ImageService
from hub.domain.limits.service import Action, Limits
from hub.domain.prompts.prompts import Prompts
from hub.domain.samples import queries
from hub.domain.samples.contents import samples_in
from hub.domain.samples.pictures import Pictures
from hub.domain.samples.schemas import Sample, Standing

logger = get_logger(__name__)

#: Seconds that whoever asks waits for pictures; without them samples are as good.
PATIENCE = 5.0
_BETWEEN_MESSAGES = timedelta(seconds=40)


class Samples:
    """The samples of all users."""

    def __init__(self, *, images: ImageService, clearing: Clearing, prompts: Prompts, limits: Limits) -> None:
        self._images = images
        self._clearing = clearing
        self._limits = limits
        self._pictures = Pictures(images, prompts)

    async def add(self, user_id: UUID, *, language: str = "en") -> list[Companion]:
        """Add those samples that the user does not have, and have missing pictures painted.

        Returns:
            All that the user has then, in their order. One whose picture cannot be painted comes without.

        Raises:
            TooManyRequestsError: too many companions were made in this hour.
        """
        async with ENGINE.transaction():
            await self._limits.take(Action.CREATE, user_id)
            await self._insert(user_id, language)
        await self._paint(user_id, language)
        return await companions.samples(user_id=user_id)

    async def welcome(self, user_id: UUID, *, language: str = "en") -> None:
        """Do the same for somebody who has just come, uncounted; whatever fails is only logged."""
        try:
            async with ENGINE.transaction():
                await self._insert(user_id, language)
            await self._paint(user_id, language)
        except Exception:  # an account is worth more than its samples
            logger.exception("samples not added")

    async def remove(self, user_id: UUID) -> None:
        """Remove the user's samples with all that hangs on them; what they have changed is none any more.

        Raises:
            TooManyRequestsError: too many companions were deleted in this hour.
        """
        for companion_id in (await queries.keys_of(user_id)).values():
            try:
                await self._clearing.delete_companion(companion_id, user_id=user_id, expected=_A_SAMPLE)
            except (CompanionNotFoundError, StaleEditError):
                logger.debug("sample is gone, or the user's own, by now", companion_id=str(companion_id))

    async def standing(self, user_id: UUID) -> Standing:
        """Return what would go if the user's samples were removed."""
        return await queries.standing(user_id)

    async def _insert(self, user_id: UUID, language: str) -> None:
        await accounts.lock_user(user_id)  # of two calls at once the second finds what the first has added
        self._images.processes.warm()
        known = await queries.keys_of(user_id)
        now = utc_now()
        for place, sample in enumerate(samples_in(language)):
            if sample.key not in known:
                await _insert(sample, user_id=user_id, now=now - timedelta(milliseconds=place))
                logger.info("sample added", sample=sample.key)

    async def _paint(self, user_id: UUID, language: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._pictures.paint(samples_in(language), user_id=user_id)
        except TimeoutError:
            logger.warning("samples are without pictures", seconds=PATIENCE)


async def _insert(sample: Sample, *, user_id: UUID, now: datetime) -> None:
    new, talk = sample.companion, sample.conversation
    companion = Companion(
        id=new_id(),
        name=new.name,
        description=new.description,
        appearance=new.appearance,
        user_appearance=new.user_appearance,
        default_outfit=new.default_outfit,
        greeting=new.greeting,
        scene=sample.scene,
        header_image=None,
        created_at=now,
        updated_at=now,
    )
    await companions.insert(companion, user_id=user_id, sample=sample.key)
    count = len(talk.messages)
    moments = [now - (count - place) * _BETWEEN_MESSAGES for place in range(count)]
    await queries.insert_talk(talk, companion.id, user_id=user_id, moments=moments)


class _ASample(Expected, frozen=True):
    """Expects that a companion is a sample still."""

    def check(self, shown: object) -> None:
        if not (isinstance(shown, Companion) and shown.sample):
            raise StaleEditError


_A_SAMPLE = _ASample()
