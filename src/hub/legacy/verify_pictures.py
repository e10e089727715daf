"""Comparing pictures: row, file, and what the original has."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.domain.images.service import BOXES
from hub.legacy.dimensions import dimensions, fits
from hub.legacy.pictures import STORED_AS, Found, each_picture, has_header, read, readable, remark
from hub.legacy.records import ROLES, SourcePicture
from hub.legacy.run import Run
from hub.legacy.verify import rows_of
from hub.legacy.writing import UnreadablePictureError
from hub.storage.layout import Family

_COLUMNS = (
    "companion_id, kind, media_type, sha256, width, height, bytes, original_bytes, thumb_bytes, thumb_sha256"
)


async def verify_pictures(run: Run, *, at_once: int) -> None:
    """Compare all pictures, several at once."""

    async def handle(found: Found) -> None:
        if found.entry is None:
            await _verify_absent(run, found)
        elif not found.entry.is_there:
            run.report.count("pictures", "deleted here")
        else:
            rows = await rows_of("images", _COLUMNS, [found.entry.target_id])
            await _verify(run, found, rows.get(found.entry.target_id))

    await each_picture(run, handle, at_once=at_once)


async def _verify_absent(run: Run, found: Found) -> None:
    """Say why a picture was not imported: it cannot be, or it is missing."""
    picture, owner = found.picture, found.owner
    if owner is None:
        await _verify_without_place(run, picture)
    elif picture.kind == "header" and await has_header(owner):
        run.report.count("pictures", "changed here")
    else:
        try:
            async with readable(run, picture):
                run.report.remark(remark(picture, "different", "it is not imported", is_wrong=True))
        except UnreadablePictureError as error:
            run.report.remark(remark(picture, "damaged", str(error)))


async def _verify_without_place(run: Run, picture: SourcePicture) -> None:
    if picture.kind == "picture" and picture.role not in ROLES:
        run.report.count("pictures", "skipped")
    elif picture.companion_id in run.ended:
        run.report.count("pictures", "deleted here")
    else:
        text = "its message is not imported, so it is not either"
        run.report.remark(remark(picture, "different", text, is_wrong=True))


async def _verify(run: Run, found: Found, row: Mapping[str, Any] | None) -> None:
    picture = found.picture
    if row is None:  # deleted in this moment
        run.report.count("pictures", "deleted here")
        return
    wrong = await _wrong_here(run, found, row)
    if wrong is None:
        try:
            wrong = await _wrong_beside(run, picture, row)
        except UnreadablePictureError as error:
            text = f"here it is whole, but there {error}"
            run.report.remark(remark(picture, "not compared", text))
            return
    if wrong is None:
        run.report.count("pictures", "verified")
    else:
        run.report.remark(remark(picture, "different", wrong, is_wrong=True))


async def _wrong_here(run: Run, found: Found, row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a picture of ours: its message, its files."""
    if found.owner is not None and found.owner.message_id is not None:
        messages = await rows_of("messages", "image_id", [found.owner.message_id])
        message = messages.get(found.owner.message_id)
        if message is None or message["image_id"] != row["id"]:
            return "it does not stand with its message"
    family = Family(row["companion_id"], row["kind"], row["sha256"])
    for is_thumb, size, digest in (
        (False, row["bytes"], row["sha256"]),
        (True, row["thumb_bytes"], row["thumb_sha256"]),
    ):
        path = family.file(run.images.files.data_dir, row["media_type"], thumb=is_thumb)
        stored = await asyncio.to_thread(_size_and_digest, path)
        name = "thumbnail's file" if is_thumb else "file"
        if stored is None:
            return f"its {name} is missing"
        if stored != (size, digest):
            return f"its {name} is not the one that was stored"
    return None


async def _wrong_beside(run: Run, picture: SourcePicture, row: Mapping[str, Any]) -> str | None:
    """Return what does not agree with the original, where a picture may stand in two places.

    Raises:
        UnreadablePictureError: it can be read from neither any more.
    """
    reasons: list[str] = []
    wrong: str | None = None
    for written in picture.written:
        async with run.images.files.temporary() as temp:
            try:
                size = await read(run, picture, written, temp)
            except UnreadablePictureError as error:
                reasons.append(str(error))
                continue
            wrong = await asyncio.to_thread(_wrong_size, temp.path, size, picture, row)
        if wrong is None:
            return None
    if wrong is None:
        raise UnreadablePictureError("; ".join(reasons))
    return wrong


def _wrong_size(path: Path, size: int, picture: SourcePicture, row: Mapping[str, Any]) -> str | None:
    if size != row["original_bytes"]:
        return f"the original has {size:,} bytes, not {row['original_bytes']:,}"
    with path.open("rb") as file:
        original = dimensions(file)
    stored = (row["width"], row["height"])
    if original is not None and not fits(original, stored, BOXES[STORED_AS[picture.kind]]):
        return "its width and height do not follow from the original's"
    return None


def _size_and_digest(path: Path) -> tuple[int, str] | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError:
        return None
