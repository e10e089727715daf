"""Companions together with their header pictures: stored both, or neither of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from hub.core.etags import ANYTHING, Expected
from hub.core.logging import get_logger
from hub.db.engine import ENGINE
from hub.domain.accounts import queries as accounts
from hub.domain.companions import queries, service
from hub.domain.companions.schemas import Companion, CreateCompanion, UpdateCompanion
from hub.domain.images import queries as pictures
from hub.domain.images.service import ImageService, NewImage

logger = get_logger(__name__)


class Upload(Struct, frozen=True):
    """A complete file that somebody sent as a picture, of so many bytes."""

    path: Path
    size: int


class Editor:
    """Stores what somebody has written about a companion, and its picture."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    async def create(self, command: CreateCompanion, picture: Upload | None, *, user_id: UUID) -> Companion:
        """Make a companion, with a picture if there is one.

        Raises:
            HubError: as ``ImageService.prepared`` and ``store`` say; then there is no companion either.
        """
        companion = service.composed(command)

        async def insert() -> None:
            await accounts.lock_user(user_id)
            await queries.insert(companion, user_id=user_id)

        await self._store(insert, companion.id, picture, user_id)
        logger.info("companion created", companion_id=str(companion.id), has_picture=picture is not None)
        return companion

    async def update(
        self,
        companion_id: UUID,
        command: UpdateCompanion,
        picture: Upload | None,
        *,
        user_id: UUID,
        removes_picture: bool = False,
        expected: Expected = ANYTHING,
    ) -> None:
        """Change the owner's companion, and put another picture in place of its own or take that away.

        Raises:
            CompanionNotFoundError: there is none.
            StaleEditError: it is not as expected.
            HubError: as ``ImageService.prepared`` and ``store`` say; then nothing is changed.
        """

        async def change() -> None:
            await accounts.lock_user(user_id)
            await service.change(companion_id, command, user_id=user_id, expected=expected)
            if removes_picture:
                await pictures.delete_header(companion_id, user_id=user_id)

        await self._store(change, companion_id, picture, user_id)

    async def _store(
        self,
        write: Callable[[], Awaitable[None]],
        companion_id: UUID,
        picture: Upload | None,
        user_id: UUID,
    ) -> None:
        if picture is None:
            async with ENGINE.transaction():
                await write()
            return
        new = NewImage(companion_id=companion_id, user_id=user_id, original_bytes=picture.size)
        async with self._images.prepared(picture.path, kind="header") as prepared:
            await self._images.store(prepared, new, first=write)
