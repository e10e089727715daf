"""The pictures of samples: painted by the hub itself, whichever image server is set up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS
from hub.domain.images.errors import HeaderKeptError
from hub.domain.images.schemas import Image, Recipe
from hub.domain.images.service import ImageService, NewImage
from hub.domain.painting.prompt import Subject, picture_prompt
from hub.domain.prompts.prompts import Prompts
from hub.domain.samples import queries
from hub.domain.samples.queries import Lacking
from hub.domain.samples.schemas import Painting, Sample
from hub.domain.scenes.schemas import SceneDetails
from hub.storage.errors import disk_errors
from hub.storage.layout import Kind
from hub.storage.threads import to_end

logger = get_logger(__name__)

#: Pixels of a picture: portraits are stored as they are painted.
WIDTH, HEIGHT = 640, 800


class _HasOneError(Exception):
    """The message has a picture already, or is gone."""


class Pictures:
    """Paints what samples lack."""

    def __init__(self, images: ImageService, prompts: Prompts) -> None:
        self._images = images
        self._prompts = prompts

    async def paint(self, samples: Sequence[Sample], *, user_id: UUID) -> None:
        """Paint the pictures that a user's samples lack; one that cannot be painted is left out."""
        by_key = {each.key: each for each in samples}
        positions = [each.picture.message for each in samples]
        found = await queries.lacking(user_id, keys=list(by_key), positions=positions)
        async with asyncio.TaskGroup() as group:
            for each in found:
                group.create_task(self._complete(by_key[each.key], each, user_id))

    async def _complete(self, sample: Sample, lacking: Lacking, user_id: UUID) -> None:
        try:
            if not lacking.has_portrait:
                await self._portrait(sample, lacking.companion_id, user_id)
            if lacking.message_id is not None:
                await self._moment(sample, lacking.companion_id, lacking.message_id, user_id)
        except (HeaderKeptError, _HasOneError):
            logger.debug("somebody was faster", sample=sample.key)
        except HubError as error:
            logger.warning("sample is without a picture", sample=sample.key, code=error.code)
        except DATABASE_ERRORS as error:
            logger.warning("sample is without a picture", sample=sample.key, code=type(error).__name__)

    async def _portrait(self, sample: Sample, companion_id: UUID, user_id: UUID) -> None:
        await self._store(sample, sample.portrait, "header", companion_id, user_id)

    async def _moment(self, sample: Sample, companion_id: UUID, message_id: UUID, user_id: UUID) -> None:
        async def attach(image: Image) -> None:
            if not await queries.attach(message_id, image.id):
                raise _HasOneError

        await self._store(sample, sample.picture, "generated", companion_id, user_id, within=attach)

    async def _store(
        self,
        sample: Sample,
        painting: Painting,
        kind: Kind,
        companion_id: UUID,
        user_id: UUID,
        *,
        within: Callable[[Image], Awaitable[None]] | None = None,
    ) -> None:
        images = self._images
        async with images.files.temporary() as temp:
            await images.processes.paint(
                temp.path,
                seed=painting.seed,
                width=WIDTH,
                height=HEIGHT,
                title=sample.companion.name,
                captions=painting.words,
                portrait=True,
            )
            with disk_errors():
                size = (await to_end(temp.path.stat)).st_size
            new = NewImage(
                companion_id=companion_id,
                user_id=user_id,
                original_bytes=size,
                recipe=self._recipe(sample) if kind == "generated" else None,
                replaces=False,
            )
            async with images.prepared(temp.path, kind=kind) as prepared:
                await images.store(prepared, new, within=within)

    def _recipe(self, sample: Sample) -> Recipe:
        companion = sample.companion
        subject = Subject(
            name=companion.name,
            appearance=companion.appearance,
            user_appearance=companion.user_appearance,
            scene=sample.scene,
            details=SceneDetails(),
        )
        prompt = picture_prompt(self._prompts, subject)
        return Recipe(
            prompt=prompt.prompt,
            negative_prompt=prompt.negative_prompt,
            seed=sample.picture.seed,
            provider="painter",
            model="portrait",
            sampler="",
            steps=0,
            width=WIDTH,
            height=HEIGHT,
            scene=sample.scene,
        )
