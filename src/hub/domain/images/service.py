"""Storing, finding and removing pictures: row first where one goes, file first where one comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

from msgspec import Struct

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.metrics import note_stored_image
from hub.core.pages import Page, TimeCursor, by_time
from hub.core.settings import Settings
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.queries import make_own
from hub.domain.images import queries
from hub.domain.images.errors import (
    FilesTakenError,
    HeaderKeptError,
    ImageNotFoundError,
    NoHeaderImageError,
    QuotaExceededError,
)
from hub.domain.images.schemas import Image, Recipe
from hub.storage.files import FileStore, TempFile
from hub.storage.images import Encoded, Encoding, ImageProcesses, MediaType
from hub.storage.layout import Family, Kind

logger = get_logger(__name__)

#: Pixels that a picture of each kind is fitted into, both ways.
BOXES: dict[Kind, int] = {"header": 800, "generated": 1920}
_QUALITIES: dict[MediaType, int] = {"image/avif": 70, "image/webp": 80, "image/jpeg": 85}
#: Seconds that a picture may take, and how many more for each step of effort: AVIF's encoder needs up to 30 s
#: for a large one with the most effort (measured), the others less than one.
_PATIENCE = 5.0
_PATIENCE_FOR_EFFORT = 15.0
#: How often a picture is put in place again that the collector took away in the very moment.
_TRIES = 5
#: Seconds for leaving word of files that nothing may refer to, while the client waits for the error.
_WORD_SECONDS = 2.0
_UNHEARD: tuple[type[Exception], ...] = (*DATABASE_ERRORS, RuntimeError)  # the pool may be closed by now


class Prepared(Struct, frozen=True):
    """A picture that has been decoded and encoded, in temporary files."""

    kind: Kind
    main: TempFile
    thumb: TempFile
    encoded: Encoded
    media_type: MediaType


class NewImage(Struct, frozen=True, kw_only=True):
    """What is known of a picture to be stored.

    ``counts`` False leaves the owner's quota out of it, ``replaces`` False a header picture that is there.
    """

    companion_id: UUID
    user_id: UUID
    original_bytes: int
    recipe: Recipe | None = None
    created_at: datetime | None = None
    counts: bool = True
    replaces: bool = True


class _FileGoneError(Exception):
    """The collector took the file away between its placing and its row."""


class ImageService:
    """Pictures of one data folder; made by :func:`open_images`."""

    def __init__(
        self, files: FileStore, processes: ImageProcesses, *, encoding: Encoding, quota: int | None
    ) -> None:
        self.files = files
        self.processes = processes
        self._encoding = encoding
        self._quota = quota

    @asynccontextmanager
    async def prepared(self, source: Path, *, kind: Kind) -> AsyncIterator[Prepared]:
        """Decode a complete file and encode it for storing, in a process of its own.

        Raises:
            UnsupportedImageError, UnreadableImageError, TooManyPixelsError: it is no picture that is taken.
            NoRoomError, StorageFailedError: the disk refuses.
        """
        async with AsyncExitStack() as stack:
            main = await stack.enter_async_context(self.files.temporary())
            thumb = await stack.enter_async_context(self.files.temporary())
            encoded = await self.processes.encode(
                source, main=main.path, thumb=thumb.path, box=BOXES[kind], encoding=self._encoding
            )
            yield Prepared(kind, main, thumb, encoded, self._encoding.media_type)

    async def store(
        self,
        prepared: Prepared,
        new: NewImage,
        *,
        first: Callable[[], Awaitable[object]] | None = None,
        within: Callable[[Image], Awaitable[None]] | None = None,
    ) -> Image:
        """Put a picture's files in place and then store its row; a header replaces the one before.

        Args:
            prepared: its files.
            new: what the row says.
            first: begins the same transaction; locks what it changes, the user first of all.
            within: stores what belongs to it in the same transaction. Both may run again in another one.

        Raises:
            CompanionNotFoundError: it is gone, or not the user's.
            HeaderKeptError: it has a header picture that is not to be replaced.
            QuotaExceededError: the user's pictures would take too much.
            NoRoomError, StorageFailedError: the disk refuses.
            FilesTakenError: the collector came in between, again and again.
        """
        await self.files.require_room(prepared.encoded.bytes + prepared.encoded.thumb_bytes)
        family = Family(new.companion_id, prepared.kind, prepared.encoded.sha256)
        try:
            image = await self._place_and_record(prepared, new, family, first, within)
        except BaseException:  # refused, cancelled, or the database went: maybe nothing refers to the files
            await _leave_word(family)
            raise
        note_stored_image(original_bytes=new.original_bytes, stored_bytes=image.bytes)
        return image

    async def set_header(
        self, companion_id: UUID, source: Path, *, original_bytes: int, user_id: UUID
    ) -> Image:
        """Make an uploaded file the header picture of the owner's companion.

        Raises:
            HubError: as ``prepared`` and ``store`` say.
        """
        started = time.perf_counter()
        new = NewImage(companion_id=companion_id, user_id=user_id, original_bytes=original_bytes)
        async with self.prepared(source, kind="header") as prepared:
            image = await self.store(prepared, new, within=lambda _: make_own(companion_id))
        logger.info(
            "image stored",
            image_id=str(image.id),
            companion_id=str(companion_id),
            kind=image.kind,
            size_kb=round(image.bytes / 1000, 1),
            saved=f"{1 - image.bytes / original_bytes:.1%}",
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return image

    async def remove_header(self, companion_id: UUID, *, user_id: UUID) -> None:
        """Remove the header picture of the owner's companion; the collector takes its files.

        Raises:
            NoHeaderImageError: there is none, or no such companion.
        """
        if not await queries.delete_header(companion_id, user_id=user_id):
            raise NoHeaderImageError("There is nothing to delete.")
        logger.info("image removed", companion_id=str(companion_id), kind="header")

    async def remove(self, image_id: UUID, *, user_id: UUID) -> None:
        """Remove one of the owner's pictures; the collector takes its files.

        Raises:
            ImageNotFoundError: there is none.
        """
        if not await queries.delete(image_id, user_id=user_id):
            raise not_found()
        logger.info("image removed", image_id=str(image_id))

    async def page(
        self, companion_id: UUID, *, user_id: UUID, kind: Kind | None, limit: int, cursor: str | None
    ) -> Page[Image]:
        """Return one page of the pictures of the owner's companion, the newest first."""
        after = TimeCursor.decode(cursor) if cursor is not None else None
        items = await queries.page(companion_id, user_id=user_id, kind=kind, limit=limit + 1, after=after)
        return by_time(items, limit=limit)

    async def view(self, image_id: UUID, *, user_id: UUID) -> queries.Hung:
        """Return one of the owner's pictures in its place in the gallery.

        Raises:
            ImageNotFoundError: there is none.
        """
        found = await queries.hung(image_id, user_id=user_id)
        if found is None:
            raise not_found()
        return found

    async def _place_and_record(
        self,
        prepared: Prepared,
        new: NewImage,
        family: Family,
        first: Callable[[], Awaitable[object]] | None,
        within: Callable[[Image], Awaitable[None]] | None,
    ) -> Image:
        for _ in range(_TRIES):
            await self._place(prepared, family)
            with suppress(_FileGoneError):
                return await self._record(prepared, new, family, first, within)
        raise FilesTakenError("Send it again in a few seconds.")

    async def _place(self, prepared: Prepared, family: Family) -> None:
        """Put the thumbnail first, so that a main file never stands without one."""
        for temp, is_thumb in ((prepared.thumb, True), (prepared.main, False)):
            target = family.file(self.files.data_dir, prepared.media_type, thumb=is_thumb)
            await self.files.place(temp, target)

    async def _record(
        self,
        prepared: Prepared,
        new: NewImage,
        family: Family,
        first: Callable[[], Awaitable[object]] | None,
        within: Callable[[Image], Awaitable[None]] | None,
    ) -> Image:
        async with ENGINE.transaction():
            if first is not None:
                await first()
            image = await self._insert(prepared, new, family)
            if within is not None:
                await within(image)
            # The companion's row is locked: from here on the collector sees this reference.
            if not await self._in_place(prepared, family):
                raise _FileGoneError
        return image

    async def _in_place(self, prepared: Prepared, family: Family) -> bool:
        return all(
            [
                await self.files.exists(family.file(self.files.data_dir, prepared.media_type, thumb=thumb))
                for thumb in (False, True)
            ]
        )

    async def _insert(self, prepared: Prepared, new: NewImage, family: Family) -> Image:
        if not await queries.lock_owner(new.companion_id, user_id=new.user_id):
            raise CompanionNotFoundError("It may have been deleted, or it belongs to somebody else.")
        if family.kind == "header":
            if not new.replaces and await queries.headers_of([new.companion_id]):
                raise HeaderKeptError("Delete it first.")
            await queries.delete_header(new.companion_id, user_id=new.user_id)
        encoded = prepared.encoded
        if new.counts and self._quota is not None:
            used = await queries.used_bytes(new.user_id)
            if used + encoded.bytes + encoded.thumb_bytes > self._quota:
                raise QuotaExceededError(
                    f"They may take {self._quota // 1_000_000} MB. Delete some that you do not need."
                )
        return await queries.insert(
            queries.NewRow(
                id=new_id(),
                companion_id=new.companion_id,
                user_id=new.user_id,
                kind=family.kind,
                media_type=prepared.media_type,
                encoded=encoded,
                original_bytes=new.original_bytes,
                recipe=new.recipe,
                created_at=new.created_at or utc_now(),
            )
        )


async def _leave_word(family: Family) -> None:
    """Tell the collector to look at files; where that fails they are strays, which go after a day."""
    try:
        async with asyncio.timeout(_WORD_SECONDS):
            await queries.note_removal(family)
    except _UNHEARD as error:  # the first error counts
        logger.warning("files may be left over", sha256=family.sha256, reason=type(error).__name__)


def not_found() -> ImageNotFoundError:
    """Return the error that says the same for what is gone and for what is somebody else's."""
    return ImageNotFoundError("It may have been deleted, or it belongs to somebody else.")


@asynccontextmanager
async def open_images(settings: Settings) -> AsyncIterator[ImageService]:
    """Open the pictures below the data folder; the database is open already."""
    encoding = encoding_of(settings)
    processes = ImageProcesses(count=settings.image_processes, timeout=patience(encoding))
    files = FileStore(settings.data_dir, floor=settings.free_space_floor_mb * 1_000_000)
    try:
        yield ImageService(files, processes, encoding=encoding, quota=settings.image_quota)
    finally:
        await processes.close()


def encoding_of(settings: Settings) -> Encoding:
    """Return how pictures are to be stored."""
    media_type: MediaType = _MEDIA_TYPES[settings.image_format]
    return Encoding(
        media_type=media_type,
        quality=settings.image_quality or _QUALITIES[media_type],
        effort=settings.image_effort,
    )


def patience(encoding: Encoding) -> float:
    """Return how many seconds a picture may take to be encoded like this."""
    effort = encoding.effort if encoding.media_type == "image/avif" else 0
    return _PATIENCE + effort * _PATIENCE_FOR_EFFORT


_MEDIA_TYPES: dict[str, MediaType] = {"avif": "image/avif", "webp": "image/webp", "jpeg": "image/jpeg"}
