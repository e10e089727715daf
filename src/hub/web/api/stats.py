"""Routes for those who run the hub."""

from __future__ import annotations

from litestar import Controller, get

from hub.core.pages import Page
from hub.domain.images import stats
from hub.domain.images.schemas import CompanionStats, StorageStats
from hub.web.api.dependencies import Cursor, Limit
from hub.web.auth import require_admin
from hub.web.requests import HubRequest


class StatsController(Controller):
    """What is stored."""

    path = "/api/stats/storage"
    tags = ("Operators",)

    @get(operation_id="getStorageStats", summary="What do the pictures take?")
    async def storage(self, request: HubRequest) -> StorageStats:
        """Return counts and sizes of all pictures; for administrators."""
        require_admin(request.user)
        return await stats.total()

    @get("/companions", operation_id="listStorageStats", summary="What do each companion's pictures take?")
    async def companions(
        self, request: HubRequest, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[CompanionStats]:
        """Return the same for each companion that has pictures; for administrators."""
        require_admin(request.user)
        return await stats.page(limit=limit, cursor=cursor)
