"""What the original is asked, and how its answers become records."""

# ruff: noqa: S608 - every name in the questions is one of this file's own

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hub.legacy.records import (
    EPOCH,
    PictureKind,
    SourceCompanion,
    SourceMessage,
    SourcePicture,
    SourceUser,
    Written,
)

#: What has to be there; columns for pictures came and went with the versions of the original.
REQUIRED: dict[str, tuple[str, ...]] = {
    "User": ("id", "email", "username", "name", "hashedPassword", "createdAt"),
    "Companion": (
        "id",
        "userId",
        "name",
        "description",
        "visualDescription",
        "defaultOutfit",
        "currentOutfit",
        "currentLocation",
        "currentAction",
        "createdAt",
    ),
    "Message": ("id", "companionId", "role", "content", "createdAt"),
}
#: The places of a picture, the best first: where a file and the old text both stand, they are the same.
_PLACES: dict[PictureKind, tuple[str, ...]] = {
    "header": ("headerImageUrl", "headerImageLegacy"),
    "picture": ("imageUrl",),
}
_TABLES: dict[PictureKind, str] = {"header": "Companion", "picture": "Message"}
#: Characters that tell what a picture is written as.
_START = 1000


class Statements:
    """The questions, for a database that has these columns."""

    def __init__(self, columns: dict[str, set[str]]) -> None:
        self._columns = columns
        self._places = {
            kind: [each for each in places if each in columns[_TABLES[kind]]]
            for kind, places in _PLACES.items()
        }
        self.users = _USERS
        self.companions = self._companions()
        self.messages = _MESSAGES
        self.headers = self._pictures("header", "id", "''")
        self.pictures = self._pictures("picture", '"companionId"', "role::text")
        self.totals = f"""
            SELECT (SELECT count(*) FROM "User") AS users, (SELECT count(*) FROM "Companion") AS companions,
                (SELECT count(*) FROM "Message") AS messages,
                (SELECT count(*) FROM "Companion" WHERE {self._has("header")})
                + (SELECT count(*) FROM "Message" WHERE {self._has("picture")}) AS pictures
        """
        self.below = f"""
            SELECT (SELECT count(*) FROM "Message" WHERE "companionId" = $1) AS messages,
                (SELECT count(*) FROM "Companion" WHERE id = $1 AND ({self._has("header")}))
                + (SELECT count(*) FROM "Message" WHERE "companionId" = $1 AND ({self._has("picture")}))
                AS pictures
        """

    def _companions(self) -> str:
        has = self._columns["Companion"]
        user_appearance = """coalesce("userAppearance", '')""" if "userAppearance" in has else "''"
        return f"""
            SELECT id, "userId" AS user_id, coalesce(name, '') AS name,
                coalesce(description, '') AS description,
                coalesce("visualDescription", '') AS appearance, {user_appearance} AS user_appearance,
                coalesce("defaultOutfit", '') AS default_outfit, coalesce("currentOutfit", '') AS outfit,
                coalesce("currentLocation", '') AS location, coalesce("currentAction", '') AS action,
                {_time("createdAt", "created_at")},
                {_time("updatedAt" if "updatedAt" in has else "createdAt", "updated_at")}
            FROM "Companion" WHERE id > $1 ORDER BY id LIMIT $2
        """

    def slice(self, kind: PictureKind, column: str) -> str:
        """Return the question for a part of a picture: (id, first character, how many)."""
        if column not in self._places[kind]:
            raise ValueError(f"no picture stands in {column}")
        return f'SELECT substr("{column}", $2, $3) AS slice FROM "{_TABLES[kind]}" WHERE id = $1'

    def _pictures(self, kind: PictureKind, companion: str, role: str) -> str | None:
        if not self._places[kind]:
            return None
        places = ", ".join(
            f'coalesce(octet_length("{each}"), 0) AS "{each}.length",'
            f' coalesce(left("{each}", {_START}), \'\') AS "{each}.start"'
            for each in self._places[kind]
        )
        return f"""
            SELECT id, {companion} AS companion_id, {role} AS role, {places},
                {_time("createdAt", "created_at")}
            FROM "{_TABLES[kind]}" WHERE id > $1 AND ({self._has(kind)}) ORDER BY id LIMIT $2
        """

    def _has(self, kind: PictureKind) -> str:
        # An empty text is no picture. Its length is known without fetching it.
        conditions = [f'octet_length("{each}") > 0' for each in self._places[kind]]
        return " OR ".join(conditions) or "false"


def _time(column: str, name: str) -> str:
    """Read a time that Python can hold; NULL for any other."""
    return f"""CASE WHEN "{column}"::timestamp BETWEEN '1970-01-01' AND '2200-01-01'
        THEN "{column}"::timestamp END AS {name}"""


_USERS = f"""
SELECT id, coalesce(email, '') AS email, coalesce(username, '') AS username, coalesce(name, '') AS name,
    coalesce("hashedPassword", '') AS password_hash, {_time("createdAt", "created_at")}
FROM "User" WHERE id > $1 ORDER BY id LIMIT $2
"""
_MESSAGES = f"""
SELECT id, role::text AS role, coalesce(content, '') AS content,
    "createdAt"::timestamp::text AS moment, {_time("createdAt", "created_at")}
FROM "Message"
WHERE "companionId" = $1 AND ("createdAt"::timestamp, id) > ($2::text::timestamp, $3)
ORDER BY "createdAt"::timestamp, id LIMIT $4
"""


def user_of(row: Mapping[str, Any]) -> SourceUser:
    """Make a user of a row of ``users``."""
    return SourceUser(**{**row, "created_at": _utc(row["created_at"])})


def companion_of(row: Mapping[str, Any]) -> SourceCompanion:
    """Make a companion of a row of ``companions``."""
    times = {name: _utc(row[name]) for name in ("created_at", "updated_at")}
    return SourceCompanion(**{**row, **times})


def message_of(row: Mapping[str, Any]) -> SourceMessage:
    """Make a message of a row of ``messages``."""
    return SourceMessage(
        id=row["id"], role=row["role"], content=row["content"], created_at=_utc(row["created_at"])
    )


def picture_of(kind: PictureKind, row: Mapping[str, Any]) -> SourcePicture:
    """Make a picture of a row of ``headers`` or ``pictures``."""
    written = [
        Written(column, row[f"{column}.length"], row[f"{column}.start"].lstrip())
        for column in _PLACES[kind]
        if row.get(f"{column}.length")
    ]
    return SourcePicture(
        kind=kind,
        id=row["id"],
        companion_id=row["companion_id"],
        role=row["role"],
        created_at=_utc(row["created_at"]),
        written=tuple(written),
    )


def _utc(moment: datetime | None) -> datetime:
    return moment.replace(tzinfo=UTC) if moment else EPOCH
