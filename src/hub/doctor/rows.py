"""What the hub's own tables tell: who looks after it, how the jobs are doing, what waits to be removed."""

from __future__ import annotations

import asyncio

from hub.core.settings import Settings
from hub.core.sizes import size
from hub.doctor.findings import Finding, good, warning
from hub.doctor.storage import old_temporary_files
from hub.domain.accounts import queries as accounts
from hub.domain.images import removals
from hub.domain.images.collector import TEMPORARY_LIFE, Collector
from hub.jobs import overview
from hub.jobs.contracts import LEASE, JobKind
from hub.jobs.overview import KindOfJobs

#: Seconds that a job may wait before somebody should look.
_LONG_WAIT = 60.0
#: Seconds that removed pictures may outlast their grace: they are collected every now and then.
_LATE = 6 * 3600.0
#: Share of a day's jobs that may fail, once there are some.
_FAILING, _SOME = 0.1, 10
_PAGE = 500
#: Whom the jobs of a kind ask.
_SETTINGS: dict[str, str] = {
    **dict.fromkeys((JobKind.REPLY, JobKind.COMPLETION, JobKind.SCENE), "HUB_LLM_URL"),
    JobKind.IMAGE: "HUB_SD_URL",
}


async def administrators(_settings: Settings, *, fix: bool, hubs: int) -> list[Finding]:
    """See whether somebody looks after the hub."""
    del fix, hubs
    if await accounts.has_admin():
        return [good("administrator", "there is one")]
    return [warning("administrator", "there is none yet", advice="Create one: hub admin create EMAIL.")]


async def jobs(_settings: Settings, *, fix: bool, hubs: int) -> list[Finding]:
    """See whether jobs are done, and how many fail."""
    del fix
    kinds, abandoned = await overview.count(), await overview.count_abandoned(seconds=2 * LEASE)
    waiting, running = sum(each.queued for each in kinds), sum(each.in_progress for each in kinds)
    ended, failed = sum(each.completed for each in kinds), sum(each.failed for each in kinds)
    oldest = max((each.oldest_wait_seconds or 0.0 for each in kinds), default=0.0)
    detail = f"{waiting:,} wait, {running:,} run; in 24 hours {ended:,} done, {failed:,} failed"
    worker = "Look at the workers' logs." if hubs else "Start the hub, or a worker: hub worker."
    if abandoned:
        return [warning("jobs", f"{detail}; {abandoned:,} lost their worker", advice=worker)]
    if oldest > _LONG_WAIT:
        words = f"{detail}; the oldest has waited for {oldest:,.0f} s"
        setting = "HUB_WORKER_THREADS" if hubs else None
        return [warning("jobs", words, advice=worker, setting=setting)]
    if failed > max(_SOME, _FAILING * (ended + failed)):
        return [await _failing(detail, kinds)]
    return [good("jobs", detail)]


async def _failing(detail: str, kinds: list[KindOfJobs]) -> Finding:
    most = max(kinds, key=lambda each: each.failed)
    last = await overview.last_failures(1)
    code = f", the last with {last[0].error_code}" if last and last[0].error_code else ""
    # They are over: whether their part is well by now, it says itself.
    advice = "Look at the parts above, and at the workers' logs."
    words = f"{detail}: most of kind {most.kind}{code}"
    return warning("jobs", words, advice=advice, setting=_SETTINGS.get(most.kind))


async def leftovers(settings: Settings, *, fix: bool, hubs: int) -> list[Finding]:
    """See whether files that nobody needs are removed in time."""
    del hubs
    if fix:
        return [await _collect(settings)]
    waiting = await removals.count()
    overdue = await removals.due(limit=1, grace=settings.image_grace + _LATE, after=None)
    old = await asyncio.to_thread(old_temporary_files, settings)
    detail = f"{waiting:,} removed pictures wait for their time, {old:,} old temporary files"
    if not overdue and not old:
        return [good("leftovers", detail)]
    advice = "A running worker removes them; or: hub images gc."
    return [warning("leftovers", detail, advice=advice, setting="HUB_IMAGE_GRACE")]


async def _collect(settings: Settings) -> Finding:
    collector = Collector(settings.data_dir)
    while await collector.collect(_PAGE, grace=settings.image_grace) == _PAGE:
        pass
    await collector.sweep_temporary(grace=TEMPORARY_LIFE)
    freed = collector.tally.pictures + collector.tally.temporary
    waiting = await removals.count()
    fixed = f"removed {freed.files:,} files, {size(freed.bytes)}" if freed.files else None
    return good("leftovers", f"{waiting:,} removed pictures wait for their time", fixed=fixed)
