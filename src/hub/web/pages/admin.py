"""The pages of those who run the hub: how its parts, its jobs and its pictures are, never what people do."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from hub.domain.images import stats
from hub.jobs import overview
from hub.jobs.contracts import JobKind
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.health import examine
from hub.web.pages.rendering import page
from hub.web.pages.words import N_
from hub.web.requests import HubRequest

#: Who may see these pages.
ADMINISTRATORS: dict[str, Any] = {"scopes": ("admin",)}

_ON_A_PAGE = 50
_FAILURES = 20
#: The parts of the hub by their name, and what it means when they are not well.
_PARTS = {
    "database": (N_("Database"), N_("It does not answer.")),
    "broker": (N_("Message broker"), N_("It does not answer. Jobs wait until it does.")),
    "migrations": (N_("Database schema"), N_("It is older than the program. Run make migrate.")),
    "storage": (N_("Storage"), N_("The disk is nearly full, or the data folder cannot be written to.")),
    "llm": (N_("Language model"), N_("It does not answer. Replies wait until it does, or fail.")),
    "images": (N_("Image server"), N_("It does not answer. Pictures wait until it does, or fail.")),
}
_KINDS: dict[str, str] = {
    JobKind.REPLY: N_("Replies"),
    JobKind.COMPLETION: N_("Completions for programs"),
    JobKind.SCENE: N_("Scenes"),
    JobKind.IMAGE: N_("Pictures"),
    JobKind.MAINTENANCE: N_("Maintenance"),
    JobKind.WEBHOOK: N_("Webhooks"),
}


@get("/admin", opt=ADMINISTRATORS)
async def show_overview(request: HubRequest, process: ProcessDependency) -> Response[str]:
    """Show how the hub is."""
    health, storage, jobs = await asyncio.gather(examine(process), stats.total(), overview.count())
    return page(
        request,
        "admin.html",
        health=health,
        parts=_PARTS,
        storage=storage,
        jobs=jobs,
        registration=process.settings.registration,
        section="admin",
        tab="overview",
    )


@get("/admin/jobs", opt=ADMINISTRATORS)
async def show_jobs(request: HubRequest) -> Response[str]:
    """Show what waits, runs and ended, by kind, and what failed last."""
    jobs = await overview.overview(failures=_FAILURES)
    return page(request, "admin_jobs.html", jobs=jobs, kinds=_KINDS, section="admin", tab="jobs")


@get("/admin/storage", opt=ADMINISTRATORS)
async def show_storage(request: HubRequest, cursor: Cursor = None) -> Response[str]:
    """Show what the pictures take, in all and for each companion."""
    total, companions = await asyncio.gather(stats.total(), stats.page(limit=_ON_A_PAGE, cursor=cursor))
    return page(
        request,
        "admin_storage.html",
        storage=total,
        companions=companions,
        is_first=cursor is None,
        section="admin",
        tab="storage",
    )


ADMIN_HANDLERS: list[ControllerRouterHandler] = [show_overview, show_jobs, show_storage]
