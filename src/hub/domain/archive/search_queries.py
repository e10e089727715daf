"""Finding messages; every query names the owner, and none reads more than theirs."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.archive.words import Question

#: Messages that one call looks at, one by one, where the index alone does not tell.
EXAMINED = 20_000
#: Seconds after which a search is given up.
TIMEOUT = 10.0

# The expression of the index `messages_words`, to the letter: the owner and the words.
_WORDS = (
    "(array_to_tsvector(ARRAY['=' || coalesce(user_id::text, '')])"
    " || to_tsvector('simple', left(content, 50000)))"
)
_PHRASE = re.compile(r"<(?:-|\d+)>")
_NEWEST_FIRST = "ORDER BY created_at DESC, id DESC"


class Scope(Struct, frozen=True):
    """Where to search, from where on, and how much is wanted."""

    user_id: UUID
    companion_id: UUID | None
    conversation_id: UUID | None
    after: TimeCursor | None
    limit: int


class Place(Struct, frozen=True):
    """Where a message stands in the list of all."""

    id: UUID
    created_at: datetime


class Found(Struct, frozen=True):
    """Messages that fit; ``next`` is the last one that was looked at, if there are more."""

    places: list[Place]
    next: Place | None


class Wish(Struct, frozen=True):
    """Words as PostgreSQL reads them, in the text form of its ``tsquery``; empty for none."""

    words: str

    @property
    def has_phrase(self) -> bool:
        """Whether the order of words matters, which the index does not know."""
        return "!" not in self.words and _PHRASE.search(self.words) is not None

    @property
    def in_any_order(self) -> str:
        """The same with no regard to order, as the index can tell."""
        return _PHRASE.sub("&", self.words) if self.has_phrase else self.words


class _Values:
    """The values of a statement, each with the placeholder it stands behind."""

    def __init__(self, *values: object) -> None:
        self.all = list(values)

    def add(self, value: object) -> str:
        self.all.append(value)
        return f"${len(self.all)}"


async def read_words(text: str) -> str:
    """Return what somebody typed as a ``tsquery``, empty when there is no word in it."""
    async with ENGINE.connection() as connection:
        words: str = await connection.fetchval("SELECT websearch_to_tsquery('simple', $1)::text", text)
    return words


async def by_words(wish: Wish, scope: Scope) -> Found:
    """Return the newest messages that have these words.

    The index is asked for the owner and the words at once, before anything is sorted: whatever the planner
    believes of a word, it never reads messages from end to end for it.
    """
    values = _Values(f"'={scope.user_id}'", wish.in_any_order)
    within = _within(scope, values)
    candidates = f"""
    WITH found AS MATERIALIZED (
        SELECT id, created_at FROM messages WHERE {_WORDS} @@ ($1 || ' & (' || $2 || ')')::tsquery {within}
    ) SELECT id, created_at FROM found {_NEWEST_FIRST}
    """  # noqa: S608 - constants and placeholders
    if not wish.has_phrase:
        return _page(await _fetch(f"{candidates} LIMIT {scope.limit + 1:d}", values), scope)
    with_phrase = _Values(*values.all)
    statement = f"""
    SELECT id, created_at FROM ({candidates} LIMIT {EXAMINED:d}) AS candidate CROSS JOIN LATERAL (
        SELECT content FROM messages WHERE messages.id = candidate.id OFFSET 0
    ) AS message WHERE to_tsvector('simple', left(content, 50000)) @@ {with_phrase.add(wish.words)}::tsquery
    LIMIT {scope.limit + 1:d}
    """  # noqa: S608 - constants and placeholders
    found = _page(await _fetch(statement, with_phrase), scope)
    return found if found.next else Found(found.places, await _last_examined(candidates, values))


async def by_parts(question: Question, scope: Scope) -> Found:
    """Return the newest messages that have these letters anywhere, of those that are looked at."""
    values = _Values(scope.user_id)
    where = f"WHERE user_id = $1 {_within(scope, values)} {_NEWEST_FIRST}"
    with_terms = _Values(*values.all)
    statement = f"""
    SELECT id, created_at FROM (
        SELECT id, created_at, content FROM messages {where} LIMIT {EXAMINED:d}
    ) AS candidate CROSS JOIN LATERAL (SELECT lower(left(content, 50000)) AS text OFFSET 0) AS lowered
    WHERE {_has_parts(question, with_terms)} LIMIT {scope.limit + 1:d}
    """  # noqa: S608 - constants and placeholders
    found = _page(await _fetch(statement, with_terms), scope)
    if found.next:
        return found
    candidates = f"SELECT id, created_at FROM messages {where}"  # noqa: S608 - constants and placeholders
    return Found(found.places, await _last_examined(candidates, values))


def _has_parts(question: Question, values: _Values) -> str:
    alternatives = []
    for terms in question.alternatives:
        tests = [
            f"strpos(text, lower({values.add(term.text)})) {'>' if term.wanted else '='} 0" for term in terms
        ]
        alternatives.append(f"({' AND '.join(tests)})")
    return f"({' OR '.join(alternatives)})"


def _within(scope: Scope, values: _Values) -> str:
    """Return the conditions that narrow a search down."""
    conditions = ""
    if scope.conversation_id is not None:
        conditions += f" AND conversation_id = {values.add(scope.conversation_id)}"
    if scope.companion_id is not None:
        companion, owner = values.add(scope.companion_id), values.add(scope.user_id)
        conditions += (
            " AND conversation_id = ANY(ARRAY(SELECT id FROM conversations"  # noqa: S608 - placeholders
            f" WHERE companion_id = {companion} AND user_id = {owner}))"
        )
    if scope.after is not None:
        moment, last = values.add(scope.after.created_at), values.add(scope.after.id)
        conditions += f" AND (created_at, id) < ({moment}, {last})"
    return conditions


async def _fetch(statement: str, values: _Values) -> list[Place]:
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(statement, *values.all, timeout=TIMEOUT)
    return [Place(**row) for row in rows]


def _page(places: list[Place], scope: Scope) -> Found:
    """Keep what is wanted; one more tells that there is another page."""
    return Found(places[: scope.limit], places[scope.limit - 1] if len(places) > scope.limit else None)


async def _last_examined(candidates: str, values: _Values) -> Place | None:
    """Return the candidate at which looking ended, None when there was no more to look at."""
    places = await _fetch(f"{candidates} OFFSET {EXAMINED - 1:d} LIMIT 1", values)
    return places[0] if places else None


class Talk(Struct, frozen=True):
    """The conversation that a message is of."""

    id: UUID
    companion_id: UUID
    title: str


async def talks_of(conversation_ids: Collection[UUID], *, user_id: UUID) -> dict[UUID, Talk]:
    """Return the owner's conversations of these, by id."""
    if not conversation_ids:
        return {}
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, companion_id, title FROM conversations WHERE id = ANY($1) AND user_id = $2",
            list(conversation_ids),
            user_id,
        )
    return {row["id"]: Talk(**row) for row in rows}
