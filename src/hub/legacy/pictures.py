"""Pictures of the original: found, read back into bytes, encoded by several processes, and stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

from msgspec import Struct

from hub.core.errors import HubError
from hub.db.engine import ENGINE
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.images import queries
from hub.domain.images.errors import HeaderKeptError
from hub.domain.images.schemas import Image
from hub.domain.images.service import NewImage, Prepared
from hub.legacy import ledger, writing
from hub.legacy.ledger import Entry, Owner
from hub.legacy.records import ROLES, SourcePicture, Written
from hub.legacy.report import Remark
from hub.legacy.run import Run
from hub.legacy.writing import UnreadablePictureError
from hub.storage.files import TempFile
from hub.storage.images import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.layout import Kind
from hub.storage.threads import to_end

#: Pictures under way beside those that are being encoded, so that no image process waits for one.
AHEAD = 2
STORED_AS: dict[str, Kind] = {"header": "header", "picture": "generated"}

_REFUSALS: dict[type[HubError], str] = {
    UnsupportedImageError: "it is no JPEG, PNG or WebP picture",
    UnreadableImageError: "it cannot be decoded: damaged, animated, or too slow to read",
    TooManyPixelsError: "it has more pixels than are taken here",
}


class Found(Struct, frozen=True):
    """A picture of the original, where it belongs here, and what it became in an earlier import."""

    picture: SourcePicture
    owner: Owner | None
    entry: Entry | None


class _GoneError(HubError):
    """What the picture belongs to was deleted here in the meantime."""


async def each_picture(run: Run, handle: Callable[[Found], Awaitable[None]], *, at_once: int) -> None:
    """Have every picture handled, several at once; the first error ends it all."""
    queue: asyncio.Queue[Found | None] = asyncio.Queue(at_once * 2)

    async def work() -> None:
        while (found := await queue.get()) is not None:
            await handle(found)
            run.progress.add()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(work())
            async for found in _all(run):
                await queue.put(found)
            for _ in range(at_once):
                await queue.put(None)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _all(run: Run) -> AsyncIterator[Found]:
    for batches in (run.source.headers(), run.source.pictures()):
        async for batch in batches:
            kind, ids = batch[0].kind, [each.id for each in batch]
            entries, owners = await ledger.entries(kind, ids), await ledger.owners(kind, ids)
            for each in batch:
                if each.companion_id not in run.closed:
                    yield Found(each, owners.get(each.id), entries.get(each.id))


async def import_pictures(run: Run, *, at_once: int) -> None:
    """Store the pictures that are not here yet."""

    async def handle(found: Found) -> None:
        if found.entry is not None:
            run.report.count("pictures", "already there" if found.entry.is_there else "deleted here")
        elif found.owner is None:
            await _has_no_place(run, found.picture)
        else:
            await _import(run, found.picture, found.owner)

    await each_picture(run, handle, at_once=at_once)


async def _has_no_place(run: Run, picture: SourcePicture) -> None:
    if picture.kind == "picture" and picture.role not in ROLES:
        run.report.count("pictures", "skipped")  # its message was remarked on
    else:
        run.report.count("pictures", "deleted here")


async def _import(run: Run, picture: SourcePicture, owner: Owner) -> None:
    try:
        await _bring(run, picture, owner)
    except UnreadablePictureError as error:
        run.report.remark(remark(picture, "failed", str(error)))
    except HeaderKeptError:
        text = "the companion has another header picture here, which stays"
        run.report.remark(remark(picture, "skipped", text))
    except (_GoneError, CompanionNotFoundError):
        run.report.count("pictures", "deleted here")
    else:
        run.report.count("pictures", "imported")


async def _bring(run: Run, picture: SourcePicture, owner: Owner) -> None:
    if picture.kind == "header" and await has_header(owner):  # before the work of encoding it
        raise HeaderKeptError
    async with readable(run, picture) as (prepared, size):
        new = NewImage(
            companion_id=owner.companion_id,
            user_id=owner.user_id,
            original_bytes=size,
            created_at=picture.created_at,
            counts=False,
            replaces=False,
        )

        async def within(image: Image) -> None:
            await _link(image, picture, owner)

        await run.images.store(prepared, new, within=within)


async def _link(image: Image, picture: SourcePicture, owner: Owner) -> None:
    """Give a picture to its message and remember it, in the transaction that stores it."""
    if owner.message_id is not None:
        async with ENGINE.connection() as connection:
            status = await connection.execute(
                "UPDATE messages SET image_id = $2 WHERE id = $1", owner.message_id, image.id
            )
        if status != "UPDATE 1":
            raise _GoneError
    await ledger.note(picture.kind, [(picture.id, image.id)])


async def has_header(owner: Owner) -> bool:
    """Tell whether a companion has a header picture."""
    return bool(await queries.headers_of([owner.companion_id]))


@asynccontextmanager
async def readable(run: Run, picture: SourcePicture) -> AsyncIterator[tuple[Prepared, int]]:
    """Encode a picture from the best of its places that can be read; yield it with its size in bytes.

    Raises:
        UnreadablePictureError: none can; the text has the reason of each.
    """
    reasons: list[str] = []
    for written in picture.written:
        async with AsyncExitStack() as stack:
            try:
                temp = await stack.enter_async_context(run.images.files.temporary())
                size = await read(run, picture, written, temp)
                encoding = run.images.prepared(temp.path, kind=STORED_AS[picture.kind])
                prepared = await stack.enter_async_context(encoding)
            except UnreadablePictureError as error:
                reasons.append(str(error))
                continue
            except tuple(_REFUSALS) as error:
                reasons.append(_REFUSALS[type(error)])
                continue
            yield prepared, size
            return
    raise UnreadablePictureError("; ".join(dict.fromkeys(reasons)))


async def read(run: Run, picture: SourcePicture, written: Written, temp: TempFile) -> int:
    """Write a picture's bytes into a temporary file; return how many they are.

    Raises:
        UnreadablePictureError: they cannot be had.
    """
    form = writing.form_of(written.start)
    if form == "file":
        size = await to_end(run.uploads.copy, written.start, picture.companion_id, temp.descriptor)
    elif form in ("data", "base64"):
        if written.length > writing.LONGEST:
            raise writing.too_large()
        slices = run.source.text(picture, written.column)
        size = await writing.write_base64(slices, temp.descriptor, is_url=form == "data")
    elif form == "remote":
        raise UnreadablePictureError("it is an address on the web, and the import asks no other server")
    else:
        raise UnreadablePictureError("it is written in a way that the original does not have")
    if size == 0:
        raise UnreadablePictureError("it is empty")
    return size


def remark(picture: SourcePicture, column: str, text: str, *, is_wrong: bool = False) -> Remark:
    """Return a remark on a picture; its row is a companion's or a message's."""
    row: Literal["companion", "message"] = "companion" if picture.kind == "header" else "message"
    words = f"its {'header ' if picture.kind == 'header' else ''}picture: {text}"
    return Remark(thing="pictures", row=row, id=picture.id, column=column, text=words, is_wrong=is_wrong)
