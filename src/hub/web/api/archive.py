"""Routes of finding messages, and of taking conversations along."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, Parameter
from litestar.response import Stream

from hub.core.pages import Page
from hub.core.text import NO_NUL
from hub.domain.archive import export
from hub.domain.archive.lines import NDJSON
from hub.domain.archive.schemas import Hit
from hub.domain.archive.search import Asked
from hub.domain.chat.schemas import Conversation
from hub.domain.companions import service as companions
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.connections import OpenConnections
from hub.web.requests import HubRequest
from hub.web.uploads import CONVERSATION_TYPES, Upload, check_upload, receive_upload

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

    @get(
        "/conversations/{conversation_id:uuid}/export",
        operation_id="exportConversation",
        summary="Take a conversation along",
        media_type=NDJSON,
        opt={"scopes": ("read", "chat")},
    )
    async def export(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        connections: NamedDependency[OpenConnections],
    ) -> Stream:
        """Return a conversation as a file with one JSON value a line; the last line says how many messages.

        Without that last line it is not whole: messages were deleted meanwhile, the connection was lost,
        or the sign-in has ended.
        """
        talk = await export.find(conversation_id, user_id=request.user.user.id)
        return Stream(
            connections.while_signed_in(export.write(talk), token_id=request.user.token_id),
            media_type=NDJSON,
            headers={
                "Content-Disposition": export.disposition(talk.name),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    @post(
        "/conversations/import",
        operation_id="importConversation",
        summary="Bring a conversation along",
        request_max_body_size=None,
        opt={"scopes": ("write",), "takes_conversation": True},
    )
    async def take(
        self, request: HubRequest, process: ProcessDependency, companion_id: FromQuery[UUID]
    ) -> Response[Conversation]:
        """Store a conversation from a file that a hub exported, or a chat of SillyTavern, with a companion.

        All of it is stored or nothing; errors name the line, from 1. Pictures are not fetched.
        """
        user_id = request.user.user.id
        await companions.get(companion_id, user_id=user_id)
        upload = Upload(
            what="conversation",
            media_types=CONVERSATION_TYPES,
            limit_mb=process.settings.import_limit_mb,
        )
        files = process.images.files
        await files.require_room(check_upload(request, upload))
        async with files.temporary() as temp:
            await receive_upload(request, temp, upload)
            conversation = await process.importing.take(temp.path, companion_id=companion_id, user_id=user_id)
        location = f"/api/conversations/{conversation.id}"
        return Response(conversation, status_code=201, headers={"Location": location})
