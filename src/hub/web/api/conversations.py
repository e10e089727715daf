"""Routes of conversations and their messages."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, Parameter

from hub.core.pages import LAST_POSITION, Page
from hub.domain.chat.idempotency import Asking, Sending
from hub.domain.chat.schemas import (
    AskResponse,
    Conversation,
    CreateConversation,
    Message,
    SendMessage,
    Sent,
    UpdateConversation,
)
from hub.domain.chat.schemas import (
    Response as AskedResponse,
)
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.etags import IfMatch, expected
from hub.web.requests import HubRequest

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+\Z",
        description="Makes sending again harmless: the same key and body give the same answer for 24 hours.",
    ),
]

Before = Annotated[
    int | None,
    Parameter(
        ge=1,
        le=LAST_POSITION,
        description="Only messages with a smaller position. Where there is a cursor, the cursor counts.",
    ),
]


class ConversationController(Controller):
    """Talking with companions."""

    path = "/api/conversations"
    tags = ("Conversations",)

    @post(operation_id="createConversation", summary="Begin a conversation", opt={"scopes": ("chat",)})
    async def create(
        self, request: HubRequest, data: JSONBody[CreateConversation], process: ProcessDependency
    ) -> Response[Conversation]:
        """Begin to talk with a companion; if it has a greeting, that is the first message."""
        conversation = await process.chat.create(data, user_id=request.user.user.id)
        location = f"/api/conversations/{conversation.id}"
        return Response(conversation, status_code=201, headers={"Location": location})

    @get(operation_id="listConversations", summary="List my conversations", opt={"scopes": ("read", "chat")})
    async def page(
        self,
        request: HubRequest,
        process: ProcessDependency,
        companion_id: FromQuery[UUID | None] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Conversation]:
        """Return one page of the caller's conversations, the newest first, of one companion or of all."""
        return await process.chat.page(
            user_id=request.user.user.id, companion_id=companion_id, limit=limit, cursor=cursor
        )

    @get(
        "/{conversation_id:uuid}",
        operation_id="getConversation",
        summary="Get a conversation",
        opt={"scopes": ("read", "chat")},
    )
    async def show(
        self, request: HubRequest, conversation_id: FromPath[UUID], process: ProcessDependency
    ) -> Conversation:
        """Return one of the caller's conversations."""
        return await process.chat.get(conversation_id, user_id=request.user.user.id)

    @patch(
        "/{conversation_id:uuid}",
        operation_id="updateConversation",
        summary="Rename a conversation",
        opt={"scopes": ("chat",)},
    )
    async def update(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        data: JSONBody[UpdateConversation],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> Conversation:
        """Change a conversation's title."""
        return await process.chat.rename(
            conversation_id, data, user_id=request.user.user.id, expected=expected(if_match)
        )

    @delete(
        "/{conversation_id:uuid}",
        operation_id="deleteConversation",
        summary="Delete a conversation",
        opt={"scopes": ("chat",)},
    )
    async def remove(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> None:
        """Remove a conversation with its messages; a reply under way is cancelled."""
        await process.clearing.delete_conversation(
            conversation_id, user_id=request.user.user.id, expected=expected(if_match)
        )

    @get(
        "/{conversation_id:uuid}/messages",
        operation_id="listMessages",
        summary="Read messages",
        opt={"scopes": ("read", "chat")},
    )
    async def messages(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        process: ProcessDependency,
        *,
        limit: Limit = 50,
        cursor: Cursor = None,
        before: Before = None,
    ) -> Page[Message]:
        """Return one page of a conversation's messages, the newest first.

        `before` begins it in the middle of a talk: with `limit=50`, `before=526` is what was said around
        position 500, and `before=576` is what follows.
        """
        return await process.chat.messages(
            conversation_id, user_id=request.user.user.id, limit=limit, cursor=cursor, before=before
        )

    @post(
        "/{conversation_id:uuid}/messages",
        operation_id="sendMessage",
        summary="Say something",
        status_code=202,
        opt={"scopes": ("chat",)},
    )
    async def send(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        data: JSONBody[SendMessage],
        process: ProcessDependency,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[Sent]:
        """Store a message and ask the companion for its reply, which is then written in the background."""
        accepted = await process.chat.send(
            Sending(
                conversation_id=conversation_id,
                user_id=request.user.user.id,
                command=data,
                key=f"http:{idempotency_key}" if idempotency_key is not None else None,
            )
        )
        headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
        if accepted.sent.response is not None:
            headers["Location"] = f"/api/responses/{accepted.sent.response.id}"
        return Response(accepted.sent, status_code=202, headers=headers)

    @post(
        "/{conversation_id:uuid}/responses",
        operation_id="createResponse",
        summary="Ask for a response",
        status_code=202,
        opt={"scopes": ("chat",)},
    )
    async def ask(
        self,
        request: HubRequest,
        conversation_id: FromPath[UUID],
        data: JSONBody[AskResponse],
        process: ProcessDependency,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[AskedResponse]:
        """Have the companion answer, say its last message differently, or go on with it.

        `reply` answers the last message if that has no reply yet, `regenerate` writes the companion's last
        message anew as one more alternative, `continue` goes on from its text.
        """
        asked = await process.responses.ask(
            Asking(
                conversation_id=conversation_id,
                user_id=request.user.user.id,
                command=data,
                key=f"http:{idempotency_key}" if idempotency_key is not None else None,
            )
        )
        headers = {"Location": f"/api/responses/{asked.response.id}"}
        if asked.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(asked.response, status_code=202, headers=headers)
