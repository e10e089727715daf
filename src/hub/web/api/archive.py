"""Routes of finding messages, and of taking conversations along."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, get
from litestar.params import FromQuery, Parameter

from hub.core.pages import Page
from hub.core.text import NO_NUL
from hub.domain.archive.schemas import Hit
from hub.domain.archive.search import Asked
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.requests import HubRequest

Words = Annotated[
    str,
    Parameter(
        min_length=1,
        max_length=200,
        pattern=NO_NUL,
        description='Words that have to be there; "a phrase"; -not; this or that.',
    ),
]


class ArchiveController(Controller):
    """Finding messages again, and taking conversations along."""

    path = "/api"
    tags = ("Archive",)

    @get("/search", operation_id="searchMessages", summary="Search my messages", opt={"scopes": ("read",)})
    async def search(
        self,
        request: HubRequest,
        process: ProcessDependency,
        *,
        q: Words,
        companion_id: FromQuery[UUID | None] = None,
        conversation_id: FromQuery[UUID | None] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[Hit]:
        """Return one page of the caller's messages that have these words, the newest first.

        Where none has them as whole words, or the language puts no blanks between words, they may be parts of
        words. A page may be short or empty and yet have a `next_cursor`: then there is more to look through.
        """
        return await process.search.page(
            Asked(
                text=q,
                user_id=request.user.user.id,
                companion_id=companion_id,
                conversation_id=conversation_id,
                limit=limit,
                cursor=cursor,
            )
        )
