"""Routes of single messages: look, edit, take out, and choose among several texts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, patch, post
from litestar.params import FromPath, JSONBody, Parameter

from hub.core.pages import Page
from hub.domain.chat.schemas import Alternative, EditMessage, Message
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.etags import IfMatch, expected
from hub.web.requests import HubRequest

Following = Annotated[bool, Parameter(description="Take out all messages behind it as well.")]
Number = Annotated[int, Parameter(description="The number of the text, from 1.")]


class MessageController(Controller):
    """What was said."""

    path = "/api/messages/{message_id:uuid}"
    tags = ("Messages",)

    @get(operation_id="getMessage", summary="Get a message", opt={"scopes": ("read", "chat")})
    async def show(
        self, request: HubRequest, message_id: FromPath[UUID], process: ProcessDependency
    ) -> Message:
        """Return one message."""
        return await process.editing.get(message_id, user_id=request.user.user.id)

    @patch(operation_id="updateMessage", summary="Edit a message", opt={"scopes": ("chat",)})
    async def update(
        self,
        request: HubRequest,
        message_id: FromPath[UUID],
        data: JSONBody[EditMessage],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> Message:
        """Change what a message says; of several alternatives, the one that is shown.

        The companion knows the talk as it stands from then on.
        """
        return await process.editing.edit(
            message_id, data, user_id=request.user.user.id, expected=expected(if_match)
        )

    @delete(operation_id="deleteMessage", summary="Delete a message", opt={"scopes": ("chat",)})
    async def remove(
        self,
        request: HubRequest,
        message_id: FromPath[UUID],
        process: ProcessDependency,
        following: Following = False,  # noqa: FBT002 - the framework passes it by name
        if_match: IfMatch = None,
    ) -> None:
        """Take a message out of the talk; a reply under way to it is cancelled."""
        await process.clearing.delete_message(
            message_id, user_id=request.user.user.id, following=following, expected=expected(if_match)
        )

    @get(
        "/alternatives",
        operation_id="listAlternatives",
        summary="List a message's texts",
        opt={"scopes": ("read", "chat")},
    )
    async def alternatives(
        self,
        request: HubRequest,
        message_id: FromPath[UUID],
        process: ProcessDependency,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Alternative]:
        """Return one page of the texts that a message has had, the first one first."""
        return await process.editing.alternatives(
            message_id, user_id=request.user.user.id, limit=limit, cursor=cursor
        )

    @post(
        "/alternatives/{number:int}/choose",
        operation_id="chooseAlternative",
        summary="Choose one of a message's texts",
        status_code=200,
        opt={"scopes": ("chat",)},
    )
    async def choose(
        self,
        request: HubRequest,
        message_id: FromPath[UUID],
        number: FromPath[Number],
        process: ProcessDependency,
    ) -> Message:
        """Show another text of a message, with the picture that goes with it."""
        return await process.editing.choose(message_id, number, user_id=request.user.user.id)
