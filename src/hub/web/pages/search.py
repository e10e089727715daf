"""The page that finds messages again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from hub.core.pages import Page
from hub.domain.archive.schemas import Hit
from hub.domain.archive.search import Asked
from hub.domain.archive.words import parse
from hub.domain.companions import card_queries, queries
from hub.domain.companions import service as companions
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.schemas import Companion
from hub.process import Process
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.pages.rendering import page, words_of
from hub.web.requests import HubRequest

#: Messages of a page, and companions that the choice names.
HITS = 20
_NAMES = 1000
#: Characters of a search; what an address may have in all is more.
LONGEST = 200

Words = Annotated[str, QueryParameter(name="q", max_length=10_000)]
Named = Annotated[str, QueryParameter(name="companion", max_length=100)]


class Shown(Struct, frozen=True):
    """A message that was found; ``parts`` are the pieces of its snippet, each with whether it is a hit."""

    hit: Hit
    companion: Companion
    parts: list[tuple[str, bool]]


@get("/search")
async def search(
    request: HubRequest,
    process: ProcessDependency,
    q: Words = "",
    companion: Named = "",
    cursor: Cursor = None,
) -> Response[str]:
    """Show the messages that have these words, the newest first."""
    user_id = request.user.user.id
    text = " ".join(q.replace("\0", " ").split())
    chosen = await _chosen(companion, user_id=user_id)
    problem = _problem(request, text)
    found: Page[Hit] = Page(items=[], next_cursor=None)
    if text and not problem:
        companion_id = chosen.id if chosen else None
        found = await _find(process, text, user_id=user_id, companion_id=companion_id, cursor=cursor)
    return page(
        request,
        "search.html",
        section="search",
        q=text,
        problem=problem,
        names=await card_queries.names(user_id=user_id, limit=_NAMES),
        chosen=chosen,
        hits=await _shown(found.items, user_id=user_id),
        next_cursor=found.next_cursor,
        is_first=cursor is None,
    )


async def _find(
    process: Process, text: str, *, user_id: UUID, companion_id: UUID | None, cursor: str | None
) -> Page[Hit]:
    return await process.search.page(
        Asked(
            text=text,
            user_id=user_id,
            companion_id=companion_id,
            conversation_id=None,
            limit=HITS,
            cursor=cursor,
        )
    )


def _problem(request: HubRequest, text: str) -> str:
    """Say why something cannot be searched for; nothing when it can."""
    words = words_of(request)
    if len(text) > LONGEST:
        return words.gettext("That is a lot to search for. Use at most 200 characters.")
    if text and not parse(text).alternatives:
        return words.gettext("There is no word in this. Type a word that was said.")
    return ""


async def _chosen(named: str, *, user_id: UUID) -> Companion | None:
    if not named:
        return None
    try:
        companion_id = UUID(named)
    except ValueError:
        raise CompanionNotFoundError("Its id is not one.") from None
    return await companions.get(companion_id, user_id=user_id)


async def _shown(hits: list[Hit], *, user_id: UUID) -> list[Shown]:
    known = await queries.by_ids({hit.companion_id for hit in hits}, user_id=user_id)
    # One that was deleted in between is left out.
    return [Shown(hit, known[hit.companion_id], _parts(hit)) for hit in hits if hit.companion_id in known]


def _parts(hit: Hit) -> list[tuple[str, bool]]:
    parts, done = [], 0
    for start, end in hit.highlights:
        parts += [(hit.snippet[done:start], False), (hit.snippet[start:end], True)]
        done = end
    return [(text, is_hit) for text, is_hit in [*parts, (hit.snippet[done:], False)] if text]


SEARCH_HANDLERS: list[ControllerRouterHandler] = [search]
