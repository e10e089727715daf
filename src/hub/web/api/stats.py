"""Routes for those who run the hub."""

from __future__ import annotations

from litestar import Controller, get

from hub.core.pages import Page
from hub.domain.images import stats
from hub.domain.images.schemas import CompanionStats, StorageStats
from hub.web.api.dependencies import Cursor, Limit


class StatsController(Controller):
    """What is stored."""

    path = "/api/stats/storage"
    tags = ("Operators",)

    @get(operation_id="getStorageStats", summary="What do the pictures take?", opt={"scopes": ("admin",)})
    async def storage(self) -> StorageStats:
        """Return counts and sizes of all pictures; for administrators."""
        return await stats.total()

    @get(
        "/companions",
        operation_id="listStorageStats",
        summary="What do each companion's pictures take?",
        opt={"scopes": ("admin",)},
    )
    async def companions(self, limit: Limit = 50, cursor: Cursor = None) -> Page[CompanionStats]:
        """Return the same for each companion that has pictures; for administrators."""
        return await stats.page(limit=limit, cursor=cursor)
