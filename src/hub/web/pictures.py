"""Answers that are pictures: which format a client takes, what it has already, which part it wants."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiofiles
from litestar import Response

from hub.domain.images.delivery import Delivery, Picture
from hub.domain.images.service import not_found
from hub.storage.errors import disk_errors
from hub.storage.images import MediaType
from hub.web.problems import render

#: A picture never changes: another one has another id.
FOREVER = "private, max-age=31536000, immutable"

_HEADERS = {
    "Vary": "Accept",
    "Accept-Ranges": "bytes",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*\Z", re.IGNORECASE)


def choose(accept: str, stored: MediaType) -> MediaType:
    """Return the format for a client that sends this Accept header: the stored one, if it is taken."""
    wanted = _weights(accept)
    if not any(kind.startswith("image/") for kind in wanted) or _weight(wanted, stored) > 0:
        return stored
    fallbacks: tuple[MediaType, ...] = ("image/webp", "image/jpeg")
    return next((each for each in fallbacks if _weight(wanted, each) > 0), "image/jpeg")


def _weights(accept: str) -> dict[str, float]:
    found = {}
    for part in accept.split(","):
        kind, *parameters = part.split(";")
        weights = [match for each in parameters if (match := _QUALITY.match(each))]
        found[kind.strip().lower()] = float(weights[-1][1]) if weights else 1.0
    return found


def _weight(wanted: Mapping[str, float], kind: str) -> float:
    for each in (kind, "image/*", "*/*"):
        if each in wanted:
            return wanted[each]
    return 0.0


async def answer(
    delivery: Delivery, picture: Picture, headers: Mapping[str, str], *, cache: str
) -> Response[Any]:
    """Return the picture, the part of it that was asked for, or word that the client has it already.

    Args:
        delivery: has the files.
        picture: what to send.
        headers: the request's.
        cache: the Cache-Control to send.
    """
    etag = f'"{picture.tag}"'
    common = {**_HEADERS, "ETag": etag, "Cache-Control": cache}
    if _has_already(headers.get("if-none-match", ""), etag):
        return Response(None, status_code=304, headers=common)
    path = await delivery.file(picture)
    with disk_errors():
        try:
            size, part, content = await _read(path, headers, etag)
        except FileNotFoundError:  # deleted and collected since we looked
            raise not_found() from None
    if part is not None and not part:
        detail = f"The picture has {size} bytes."
        beyond = {"Content-Range": f"bytes */{size}", "Cache-Control": "no-store"}
        return render(416, "range_not_satisfiable", "There is no such part", detail, headers=beyond)
    if part is not None:
        common["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 206 if part is not None else 200
    return Response(content, status_code=status, media_type=picture.media_type, headers=common)


async def _read(path: Path, headers: Mapping[str, str], etag: str) -> tuple[int, range | None, bytes]:
    """Return a file's size, the part that was asked for, and its bytes."""
    async with aiofiles.open(path, "rb") as file:
        size = await file.seek(0, os.SEEK_END)
        part = _part(headers, size, etag)
        if part is not None and not part:
            return size, part, b""
        chosen = part or range(size)
        await file.seek(chosen.start)
        return size, part, await file.read(len(chosen))


def _has_already(if_none_match: str, etag: str) -> bool:
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return etag in known or known == ["*"]


def _part(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """Return the bytes that were asked for: None for all, an empty range for what does not exist.

    Several ranges at once are answered with the whole, as RFC 9110 allows.
    """
    match = _RANGE.match(headers.get("range", "").strip())
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first:
        if last and int(last) < int(first):
            return None
        return range(int(first), min(int(last) + 1, size) if last else size)
    return range(max(0, size - int(last)), size) if last else None
