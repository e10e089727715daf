"""Routes of jobs: look how far they are, and stop them."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, get, post
from litestar.params import FromPath

from hub.domain.painting.schemas import Job
from hub.web.api.dependencies import ProcessDependency
from hub.web.requests import HubRequest


class JobController(Controller):
    """Work that was asked for and takes its time."""

    path = "/api/jobs/{job_id:uuid}"
    tags = ("Jobs",)

    @get(operation_id="getJob", summary="Get a job", opt={"scopes": ("read", "chat")})
    async def show(self, request: HubRequest, job_id: FromPath[UUID], process: ProcessDependency) -> Job:
        """Return a job as it stands, with its place in the queue."""
        return await process.painting.job(job_id, user_id=request.user.user.id)

    @post(
        "/cancel", operation_id="cancelJob", summary="Stop a job", status_code=200, opt={"scopes": ("chat",)}
    )
    async def cancel(self, request: HubRequest, job_id: FromPath[UUID], process: ProcessDependency) -> Job:
        """Stop a job; one that has ended is returned as it is."""
        return await process.painting.cancel(job_id, user_id=request.user.user.id)
