"""What the pictures take, in all and for each companion."""

from __future__ import annotations

from hub.core.pages import Page, decode_id, encode_id
from hub.domain.images import queries
from hub.domain.images.schemas import CompanionStats, StorageStats


async def total() -> StorageStats:
    """Return what all pictures take."""
    return await queries.stats()


async def page(*, limit: int, cursor: str | None) -> Page[CompanionStats]:
    """Return one page of what each companion's pictures take, by the companions' ids."""
    after = decode_id(cursor) if cursor is not None else None
    items = await queries.stats_of_companions(limit=limit + 1, after=after)
    more = len(items) > limit
    return Page(items=items[:limit], next_cursor=encode_id(items[limit - 1].companion_id) if more else None)
