"""Comparing both sides, row by row; nothing is changed on either.

What its owner deleted or changed here on purpose is counted apart and is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from hub.db.engine import ENGINE
from hub.legacy import ledger, names
from hub.legacy.companions import made_of
from hub.legacy.messages import skip_unsaid
from hub.legacy.people import stored_hash
from hub.legacy.records import SourceCompanion, SourceMessage, SourceUser
from hub.legacy.report import Remark
from hub.legacy.run import Run

_NOT_YET = "it is not imported"
#: What changes by itself when people talk on here.
_SCENE = {"outfit", "location", "action"}


async def rows_of(table: str, columns: str, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Return columns of rows of one of our tables, by id."""
    async with ENGINE.connection() as connection:
        rows = await connection.fetch(f"SELECT id, {columns} FROM {table} WHERE id = ANY($1)", list(ids))  # noqa: S608 - constants
    return {row["id"]: row for row in rows}


# Accounts


async def verify_users(run: Run) -> None:
    """Compare all accounts."""
    async for batch in run.source.users():
        known = await ledger.entries("user", [each.id for each in batch])
        ids = [entry.target_id for entry in known.values()]
        rows = await rows_of("users", "email, username, display_name, password_hash, created_at", ids)
        for user in batch:
            entry = known.get(user.id)
            row = rows.get(entry.target_id) if entry else None
            if entry is None:
                run.report.remark(_differs_user(user, _NOT_YET))
            elif row is None:
                run.report.count("users", "deleted here")
            else:
                _verify_user(run, user, row)
        run.progress.add(len(batch))


def _verify_user(run: Run, user: SourceUser, row: Mapping[str, Any]) -> None:
    if row["created_at"] != user.created_at:
        run.report.remark(_differs_user(user, "its time of creation is another one"))
    elif row["password_hash"].startswith("$2") and row["password_hash"] != stored_hash(user):
        run.report.remark(_differs_user(user, "its password was changed in the original since"))
    else:
        run.report.count("users", "verified" if _is_as_imported(user, row) else "changed here")


def _is_as_imported(user: SourceUser, row: Mapping[str, Any]) -> bool:
    """Tell whether the owner has kept address and name, which may be adapted ones."""
    emails = (names.email_or_none(user.email), names.no_email(row["id"]))
    return row["email"] in emails and row["display_name"] == names.short_name(user.name, row["username"])


def _differs_user(user: SourceUser, text: str) -> Remark:
    return Remark(thing="users", row="user", id=user.id, column="different", text=text, is_wrong=True)


# Companions


async def verify_companions(run: Run) -> None:
    """Compare all companions with their scenes."""
    columns = (
        "name, description, appearance, user_appearance, default_outfit, outfit, location, action,"
        " created_at, updated_at, user_id"
    )
    async for batch in run.source.companions():
        known = await ledger.entries("companion", [each.id for each in batch])
        owners = await ledger.entries("user", {each.user_id for each in batch})
        rows = await rows_of("companions", columns, [entry.target_id for entry in known.values()])
        for each in batch:
            entry, owner = known.get(each.id), owners.get(each.user_id)
            row = rows.get(entry.target_id) if entry else None
            if row is not None:
                _verify_companion(run, each, row, owner)
            elif entry is not None or (owner is not None and not owner.is_there):
                run.report.count("companions", "deleted here")
                await run.close(each.id, "deleted here")
            else:
                messages, pictures = await run.close(each.id, "different")
                text = f"{_NOT_YET}, nor are its {messages:,} messages and {pictures:,} pictures"
                run.report.remark(_differs_companion(each, text))
        run.progress.add(len(batch))


def _verify_companion(
    run: Run, companion: SourceCompanion, row: Mapping[str, Any], owner: ledger.Entry | None
) -> None:
    differences = _differences(companion, row)
    if owner is None or row["user_id"] != owner.target_id or row["created_at"] != companion.created_at:
        run.report.remark(_differs_companion(companion, "its owner or its time of creation is another one"))
    elif not differences:
        run.report.count("companions", "verified")
    elif row["updated_at"] > companion.updated_at or _SCENE.issuperset(differences):
        run.report.count("companions", "changed here")
    else:
        text = f"different in {', '.join(differences)}; was it changed in the original since?"
        run.report.remark(_differs_companion(companion, text))


def _differences(companion: SourceCompanion, row: Mapping[str, Any]) -> list[str]:
    made = made_of(companion)
    expected = {
        "name": made.name,
        "description": made.description,
        "appearance": made.appearance,
        "user_appearance": made.user_appearance,
        "default_outfit": made.default_outfit,
        "outfit": made.scene.outfit,
        "location": made.scene.location,
        "action": made.scene.action,
        "updated_at": made.updated_at,
    }
    return [name for name, value in expected.items() if row[name] != value]


def _differs_companion(companion: SourceCompanion, text: str) -> Remark:
    return Remark(
        thing="companions", row="companion", id=companion.id, column="different", text=text, is_wrong=True
    )


# Messages


async def verify_messages(run: Run) -> None:
    """Compare all messages: text, role, order and time."""
    async for batch in run.source.companions():
        talks = await ledger.entries("talk", [each.id for each in batch])
        for companion in batch:
            if companion.id not in run.closed:
                await _verify_talk(run, companion.id, talks[companion.id])


async def _verify_talk(run: Run, companion_id: str, talk: ledger.Entry) -> None:
    before = 0
    if not talk.is_there:
        run.ended.add(companion_id)
    async for batch in run.source.messages(companion_id):
        skip_unsaid(run, batch)
        said = [each for each in batch if each.was_said]
        if talk.is_there:
            before = await _verify_batch(run, said, talk.target_id, before)
        else:
            run.report.count("messages", "deleted here", len(said))
        run.progress.add(len(batch))


async def _verify_batch(run: Run, said: list[SourceMessage], talk_id: UUID, before: int) -> int:
    """Compare messages; ``before`` is the position of the one before, and that of the last is returned."""
    known = await ledger.entries("message", [each.id for each in said])
    columns = "conversation_id, position, role, content, created_at"
    rows = await rows_of("messages", columns, [entry.target_id for entry in known.values()])
    for message in said:
        entry = known.get(message.id)
        row = rows.get(entry.target_id) if entry else None
        if entry is None:
            _differs(run, message, _NOT_YET)
        elif row is None and await _is_wiped(talk_id):
            run.report.count("messages", "deleted here")
        elif row is None:
            _differs(run, message, "it is gone, though others of its conversation are there")
        elif wrong := _what_differs(message, row, talk_id, before):
            _differs(run, message, f"different in {', '.join(wrong)}")
        else:
            run.report.count("messages", "verified")
        before = max(before, row["position"]) if row else before
    return before


async def _is_wiped(talk_id: UUID) -> bool:
    """Tell whether nothing of what was imported is left: owners delete all messages or none."""
    async with ENGINE.connection() as connection:
        found = await connection.fetchval(
            "SELECT true FROM messages JOIN legacy_imports ON target_id = messages.id AND kind = 'message'"
            " WHERE conversation_id = $1 LIMIT 1",
            talk_id,
        )
    return found is None


def _what_differs(message: SourceMessage, row: Mapping[str, Any], talk_id: UUID, before: int) -> list[str]:
    agrees = {
        "text": row["content"] == message.content,
        "role": row["role"] == message.role,
        "time": row["created_at"] == message.created_at,
        "order": row["position"] > before and row["conversation_id"] == talk_id,
    }
    return [what for what, is_same in agrees.items() if not is_same]


def _differs(run: Run, message: SourceMessage, text: str) -> None:
    run.report.remark(
        Remark(thing="messages", row="message", id=message.id, column="different", text=text, is_wrong=True)
    )
