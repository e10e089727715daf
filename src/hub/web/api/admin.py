"""Routes for administrators: users, invites, and how the jobs are doing."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody, Parameter, QueryParameter

from hub.core.pages import Page
from hub.core.text import NO_NUL
from hub.domain.accounts import administration, invites
from hub.domain.accounts.schemas import AdminUser, CreateInvite, Invite, NewInvite, UpdateUser
from hub.jobs import overview
from hub.jobs.overview import JobsOverview
from hub.live.events import UserSignedOut
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.requests import HubRequest

Begins = Annotated[
    str | None,
    QueryParameter(
        name="query",
        max_length=254,
        pattern=NO_NUL,
        description="How the username or the email address begins, in any case.",
    ),
]

Failures = Annotated[
    int, Parameter(ge=0, le=100, description="How many of the last jobs that failed are listed.")
]


class AdminController(Controller):
    """Accounts of others and work under way: never what people do."""

    path = "/api/admin"
    tags = ("Operators",)
    opt = {"scopes": ("admin",)}  # noqa: RUF012 - the framework's own way to say it

    @get("/users", operation_id="listUsers", summary="List all users")
    async def page(self, limit: Limit = 50, cursor: Cursor = None, begins: Begins = None) -> Page[AdminUser]:
        """Return one page of all users, the newest first; for administrators."""
        return await administration.page(limit=limit, cursor=cursor, query=begins)

    @get("/users/{user_id:uuid}", operation_id="getUser", summary="Get a user")
    async def show(self, user_id: FromPath[UUID]) -> AdminUser:
        """Return a user's account; for administrators."""
        return await administration.get(user_id)

    @patch("/users/{user_id:uuid}", operation_id="updateUser", summary="Disable, enable or promote a user")
    async def update(
        self, user_id: FromPath[UUID], data: JSONBody[UpdateUser], process: ProcessDependency
    ) -> AdminUser:
        """Change a user's account; disabling ends all sign-ins and cancels what is under way."""
        for token_id in await process.clearing.change_account(user_id, data):
            process.bus.publish(UserSignedOut(token_id))
        return await administration.get(user_id)

    @post("/invites", operation_id="createInvite", summary="Invite somebody")
    async def invite(self, request: HubRequest, data: JSONBody[CreateInvite]) -> NewInvite:
        """Make a code for one registration; the answer is the only place where it can be read."""
        return await invites.create(data, user_id=request.user.user.id)

    @get("/invites", operation_id="listInvites", summary="List the invites")
    async def invite_page(self, limit: Limit = 50, cursor: Cursor = None) -> Page[Invite]:
        """Return one page of the invites that can still be used, the newest first."""
        return await invites.page(limit=limit, cursor=cursor)

    @delete("/invites/{invite_id:uuid}", operation_id="deleteInvite", summary="Take an invite back")
    async def uninvite(self, invite_id: FromPath[UUID]) -> None:
        """Make an invite worthless."""
        await invites.delete(invite_id)

    @get("/jobs", operation_id="getJobsOverview", summary="How are the jobs doing?")
    async def jobs(self, failures: Failures = 20) -> JobsOverview:
        """Count what waits, runs and ended, by kind, and list what failed last; for administrators."""
        return await overview.overview(failures=failures)
