"""The pages of all companions: whom somebody has, samples to begin with, and how they are removed."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, Parameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.domain.companions import contents
from hub.domain.companions import service as companions
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.pages.companion_editor import EDITOR_HANDLERS
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.requests import HubRequest

#: Companions of a page.
CARDS = 24
#: From how many companions on it is worth looking for one by name.
_MANY = 6

Wanted = Annotated[str, Parameter(max_length=200)]


@get("/companions")
async def all_companions(
    request: HubRequest, process: ProcessDependency, q: Wanted = "", cursor: Cursor = None
) -> Response[str]:
    """Show the companions, the last talked with first."""
    user_id = request.user.user.id
    found = await companions.cards(user_id=user_id, limit=CARDS, cursor=cursor, name=q)
    has_samples = any(card.companion.sample for card in found.items)
    return page(
        request,
        "companions.html",
        section="companions",
        cards=found.items,
        next_cursor=found.next_cursor,
        is_first=cursor is None,
        q=q.strip(),
        are_many=cursor is not None or found.next_cursor is not None or len(found.items) >= _MANY,
        samples=await process.samples.standing(user_id) if has_samples else None,
    )


@post("/companions/samples")
async def add_samples(request: HubRequest, process: ProcessDependency) -> Redirect:
    """Add the samples that come with the hub."""
    words = words_of(request)
    await process.samples.add(request.user.user.id, language=words.language)
    return redirect("/companions", notice=words.gettext("Here they are. Choose one and say hello."))


@post("/companions/samples/remove")
async def remove_samples(request: HubRequest, process: ProcessDependency) -> Redirect:
    """Remove the samples, with what was said to them."""
    await process.samples.remove(request.user.user.id)
    return redirect("/companions", notice=words_of(request).gettext("The samples are removed."))


@get("/companions/{companion_id:uuid}/delete")
async def ask_delete(request: HubRequest, companion_id: FromPath[UUID]) -> Response[str]:
    """Say what goes with a companion, and ask."""
    return await _ask(request, companion_id, "companion_delete.html")


@post("/companions/{companion_id:uuid}/delete")
async def delete_companion(
    request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Remove a companion with all that hangs on it."""
    user_id = request.user.user.id
    companion = await companions.get(companion_id, user_id=user_id)
    await process.clearing.delete_companion(companion_id, user_id=user_id)
    notice = words_of(request).gettext("%(name)s is deleted.", name=companion.name)
    return redirect("/companions", notice=notice)


@get("/companions/{companion_id:uuid}/wipe")
async def ask_wipe(request: HubRequest, companion_id: FromPath[UUID]) -> Response[str]:
    """Say what a companion is about to forget, and ask."""
    return await _ask(request, companion_id, "companion_wipe.html")


@post("/companions/{companion_id:uuid}/wipe")
async def wipe_companion(
    request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Have a companion forget all talks."""
    user_id, words = request.user.user.id, words_of(request)
    companion = await companions.get(companion_id, user_id=user_id)
    wiped = await process.clearing.wipe(companion_id, user_id=user_id)
    messages = words.ngettext("%(num)d message", "%(num)d messages", wiped.messages)
    pictures = words.ngettext("%(num)d picture", "%(num)d pictures", wiped.images)
    notice = words.gettext(
        "%(name)s has forgotten everything: %(messages)s and %(pictures)s are gone.",
        name=companion.name,
        messages=messages,
        pictures=pictures,
    )
    return redirect(f"/companions/{companion_id}", notice=notice)


async def _ask(request: HubRequest, companion_id: UUID, template: str) -> Response[str]:
    user_id = request.user.user.id
    companion = await companions.get(companion_id, user_id=user_id)
    held = await contents.count(companion_id, user_id=user_id)
    return page(request, template, section="companions", companion=companion, held=held)


COMPANION_HANDLERS: list[ControllerRouterHandler] = [
    all_companions,
    add_samples,
    remove_samples,
    ask_delete,
    delete_companion,
    ask_wipe,
    wipe_companion,
    *EDITOR_HANDLERS,
]
