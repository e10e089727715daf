"""The pages where people talk: a conversation, and how one comes about, is renamed and goes."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, Parameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.domain.chat.message_queries import first_words
from hub.domain.chat.schemas import Conversation, CreateConversation, UpdateConversation
from hub.domain.companions import service as companions
from hub.process import Process
from hub.web.api.dependencies import ProcessDependency
from hub.web.pages.forms import FormError, fill, read_form
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.requests import HubRequest

#: How many conversations of a companion are offered beside the one that is shown.
_LISTED = 100

Position = Annotated[int | None, Parameter(ge=1, le=2**31 - 1, description="Of the message to go to.")]


@get("/companions/{companion_id:uuid}")
async def talk_with(
    request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
) -> Response[str] | Redirect:
    """Go to the conversation with a companion that was used last, or offer to begin one."""
    companion = await companions.get(companion_id, user_id=request.user.user.id)
    talks = await _talks(process, companion_id, user_id=request.user.user.id)
    if talks:
        return redirect(f"/conversations/{talks[0].id}")
    return page(request, "begin.html", section="companions", companion=companion)


@post("/companions/{companion_id:uuid}/conversations")
async def begin(request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency) -> Redirect:
    """Begin a conversation and go there."""
    command = CreateConversation(companion_id=companion_id)
    conversation = await process.chat.create(command, user_id=request.user.user.id)
    return redirect(f"/conversations/{conversation.id}")


@get("/conversations/{conversation_id:uuid}")
async def talk(
    request: HubRequest,
    conversation_id: FromPath[UUID],
    process: ProcessDependency,
    message: Position = None,
) -> Response[str]:
    """Show the frame of a chat; scripts fill it over the API and the socket."""
    user_id = request.user.user.id
    conversation = await process.chat.get(conversation_id, user_id=user_id)
    companion = await companions.get(conversation.companion_id, user_id=user_id)
    talks = await _talks(process, companion.id, user_id=user_id)
    said = await first_words([each.id for each in talks])
    return page(
        request,
        "chat.html",
        section="companions",
        companion=companion,
        conversation=conversation,
        talks=talks,
        first_words=said,
        limit=process.settings.message_max_length,
        message=message,
    )


@post("/conversations/{conversation_id:uuid}/rename")
async def rename(
    request: HubRequest, conversation_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Give a conversation another title, or none."""
    fields, words = await read_form(request), words_of(request)
    address = f"/conversations/{conversation_id}"
    try:
        command = fill(UpdateConversation, fields, words=words)
    except FormError:
        return redirect(address, notice=words.gettext("A title may have up to 200 characters."))
    await process.chat.rename(conversation_id, command, user_id=request.user.user.id)
    return redirect(address)


@get("/conversations/{conversation_id:uuid}/delete")
async def delete_form(
    request: HubRequest, conversation_id: FromPath[UUID], process: ProcessDependency
) -> Response[str]:
    """Ask whether a conversation is to go."""
    user_id = request.user.user.id
    conversation = await process.chat.get(conversation_id, user_id=user_id)
    companion = await companions.get(conversation.companion_id, user_id=user_id)
    return page(
        request,
        "conversation_delete.html",
        section="companions",
        companion=companion,
        conversation=conversation,
    )


@post("/conversations/{conversation_id:uuid}/delete")
async def delete(
    request: HubRequest, conversation_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Remove a conversation with its messages, and go to the companion's next one."""
    user_id = request.user.user.id
    conversation = await process.chat.get(conversation_id, user_id=user_id)
    await process.clearing.delete_conversation(conversation_id, user_id=user_id)
    notice = words_of(request).gettext("The conversation is deleted.")
    return redirect(f"/companions/{conversation.companion_id}", notice=notice)


async def _talks(process: Process, companion_id: UUID, *, user_id: UUID) -> list[Conversation]:
    """Return a companion's conversations, the one that was used last first."""
    found = await process.chat.page(user_id=user_id, companion_id=companion_id, limit=_LISTED, cursor=None)
    return sorted(found.items, key=lambda each: each.updated_at, reverse=True)


CONVERSATION_HANDLERS: list[ControllerRouterHandler] = [
    talk_with,
    begin,
    talk,
    rename,
    delete_form,
    delete,
]
