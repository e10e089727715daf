"""Finding the file that a client gets; formats that are not stored are made once and then kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.domain.images import queries, removals
from hub.domain.images.schemas import Size
from hub.domain.images.service import ImageService, not_found
from hub.storage.images import MediaType, UnreadableImageError

logger = get_logger(__name__)

#: The quality of formats that are made from the stored one.
_QUALITIES: dict[MediaType, int] = {"image/avif": 70, "image/webp": 82, "image/jpeg": 85}


class ImageFileMissingError(HubError):
    """The row is there, but its file is not: somebody took it, or the disk lost it."""

    status = 404
    code = "image_file_missing"
    title = "The file of this picture is missing"


class Picture(Struct, frozen=True):
    """One format and size of a stored picture; ``tag`` names its content."""

    stored: queries.StoredImage
    size: Size
    media_type: MediaType

    @property
    def tag(self) -> str:
        """Return what changes whenever the bytes do."""
        content = self.stored.thumb_sha256 if self.size == "thumb" else self.stored.family.sha256
        own = self.media_type == self.stored.media_type
        return content if own else f"{content}-{self.media_type.removeprefix('image/')}"


class Delivery:
    """Gives out the files of pictures."""

    def __init__(self, images: ImageService) -> None:
        self._images = images
        self._making: dict[Path, asyncio.Task[None]] = {}

    async def find(self, image_id: UUID, *, user_id: UUID | None) -> queries.StoredImage:
        """Return the owner's picture; ``user_id`` None is for whoever has a signed link.

        Raises:
            ImageNotFoundError: there is none.
        """
        stored = await queries.stored(image_id, user_id=user_id)
        if stored is None:
            raise not_found()
        return stored

    async def file(self, picture: Picture) -> Path:
        """Return the file of a picture, made now if it has to be.

        Raises:
            ImageFileMissingError: it is lost.
        """
        path = self._path(picture, picture.media_type)
        if await self._images.files.exists(path):
            return path
        source = self._path(picture, picture.stored.media_type)
        if path == source or not await self._images.files.exists(source):
            raise _missing(picture)
        making = self._making.get(path)
        if making is None:
            making = asyncio.create_task(self._make(picture, source, path))
            self._making[path] = making
            making.add_done_callback(lambda task: self._made(path, task))
        try:
            await asyncio.shield(making)
        except UnreadableImageError:
            raise _missing(picture) from None
        return path

    def _made(self, path: Path, task: asyncio.Task[None]) -> None:
        del self._making[path]
        if not task.cancelled() and task.exception() is not None:  # seen, also when nobody waits any more
            logger.debug("format not made", reason=type(task.exception()).__name__)

    async def _make(self, picture: Picture, source: Path, target: Path) -> None:
        async with self._images.files.temporary() as temp:
            await self._images.processes.convert(
                source,
                target=temp.path,
                media_type=picture.media_type,
                quality=_QUALITIES[picture.media_type],
            )
            await self._images.files.place(temp, target)
            if not await removals.is_referenced(picture.stored.family):  # it went meanwhile
                await queries.note_removal(picture.stored.family)

    def _path(self, picture: Picture, media_type: MediaType) -> Path:
        is_thumb = picture.size == "thumb"
        return picture.stored.family.file(self._images.files.data_dir, media_type, thumb=is_thumb)


def _missing(picture: Picture) -> ImageFileMissingError:
    family = picture.stored.family
    logger.error("image file missing", companion_id=str(family.companion_id), sha256=family.sha256)
    return ImageFileMissingError("Tell the operator of this server; 'hub images verify' names what is wrong.")
