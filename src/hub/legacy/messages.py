"""Messages of the original, in the one conversation with their companion and in their order."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from hub.core.ids import id_of
from hub.db.engine import ENGINE
from hub.legacy import ledger
from hub.legacy.records import SourceMessage
from hub.legacy.report import Remark
from hub.legacy.run import Run


class _TalkGoneError(Exception):
    """The conversation was deleted here in the meantime."""


async def import_messages(run: Run) -> None:
    """Append the messages that are not here yet."""
    async for batch in run.source.companions():
        talks = await ledger.entries("talk", [each.id for each in batch])
        for companion in batch:
            if companion.id not in run.closed:
                await _import_talk(run, companion.id, talks[companion.id])


async def _import_talk(run: Run, companion_id: str, talk: ledger.Entry) -> None:
    if not talk.is_there:
        run.ended.add(companion_id)
    async for batch in run.source.messages(companion_id):
        said = [each for each in batch if each.was_said]
        skip_unsaid(run, batch)
        if companion_id not in run.ended:
            try:
                await _import(run, talk.target_id, said)
            except _TalkGoneError:
                run.ended.add(companion_id)
        if companion_id in run.ended:
            run.report.count("messages", "deleted here", len(said))
        run.progress.add(len(batch))


def skip_unsaid(run: Run, batch: Sequence[SourceMessage]) -> None:
    """Remark on messages that neither the person nor the companion said."""
    for message in batch:
        if not message.was_said:
            text = f"its role is {message.role!r}; only user and assistant have a place here"
            run.report.remark(
                Remark(thing="messages", row="message", id=message.id, column="skipped", text=text)
            )


async def _import(run: Run, talk_id: UUID, said: list[SourceMessage]) -> None:
    known = await ledger.entries("message", [each.id for each in said])
    new = [each for each in said if each.id not in known]
    if new:
        await _append(talk_id, new)
    there = sum(entry.is_there for entry in known.values())
    run.report.count("messages", "imported", len(new))
    run.report.count("messages", "already there", there)
    run.report.count("messages", "deleted here", len(known) - there)


_TAKE_POSITIONS = """
UPDATE conversations SET last_position = last_position + $2, updated_at = greatest(updated_at, $3)
WHERE id = $1 RETURNING last_position
"""


async def _append(talk_id: UUID, messages: list[SourceMessage]) -> None:
    ids = [id_of(each.created_at) for each in messages]
    async with ENGINE.transaction():
        async with ENGINE.connection() as connection:
            newest = messages[-1].created_at
            last = await connection.fetchval(_TAKE_POSITIONS, talk_id, len(messages), newest)
            if last is None:
                raise _TalkGoneError
            first = last - len(messages) + 1
            await connection.executemany(
                "INSERT INTO messages (id, conversation_id, position, role, content, created_at)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    (ids[place], talk_id, first + place, each.role, each.content, each.created_at)
                    for place, each in enumerate(messages)
                ],
            )
        await ledger.note("message", [(each.id, ids[place]) for place, each in enumerate(messages)])
