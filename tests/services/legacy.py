"""A database of the original, as Prisma would have made it, and what can be put into it."""

from __future__ import annotations

import base64
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import asyncpg
import pyvips
from pwdlib.hashers.bcrypt import BcryptHasher

from tests.services.hub import PASSWORD

_USER = """
CREATE TABLE "User" (
    "id" TEXT NOT NULL, "email" TEXT NOT NULL, "username" TEXT NOT NULL, "name" TEXT NOT NULL,
    "hashedPassword" TEXT NOT NULL, "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL, CONSTRAINT "User_pkey" PRIMARY KEY ("id"))
"""
_COMPANION = """
CREATE TABLE "Companion" (
    "id" TEXT NOT NULL, "name" TEXT NOT NULL, "description" TEXT NOT NULL,
    "visualDescription" TEXT NOT NULL, "userAppearance" TEXT,
    "defaultOutfit" TEXT NOT NULL DEFAULT 'casual clothes', "currentOutfit" TEXT NOT NULL,
    "currentLocation" TEXT NOT NULL DEFAULT 'living room',
    "currentAction" TEXT NOT NULL DEFAULT 'looking at viewer',
    "headerImageUrl" TEXT, "headerImageLegacy" TEXT, "userId" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Companion_pkey" PRIMARY KEY ("id"))
"""
_MESSAGE = """
CREATE TABLE "Message" (
    "id" TEXT NOT NULL, "role" TEXT NOT NULL, "content" TEXT NOT NULL, "imageUrl" TEXT,
    "companionId" TEXT NOT NULL, "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Message_pkey" PRIMARY KEY ("id"))
"""
SCHEMA = (
    _USER,
    _COMPANION,
    _MESSAGE,
    'CREATE TABLE "RateLimit" ("id" TEXT PRIMARY KEY, "identifier" TEXT NOT NULL, "action" TEXT NOT NULL)',
    'CREATE TABLE "WorkflowExecution" ("id" TEXT PRIMARY KEY, "status" TEXT NOT NULL)',
    'CREATE UNIQUE INDEX "User_email_key" ON "User"("email")',
    'CREATE UNIQUE INDEX "User_username_key" ON "User"("username")',
    'CREATE INDEX "Message_companionId_createdAt_idx" ON "Message"("companionId", "createdAt")',
    """ALTER TABLE "Companion" ADD CONSTRAINT "Companion_userId_fkey" FOREIGN KEY ("userId")
    REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE""",
    """ALTER TABLE "Message" ADD CONSTRAINT "Message_companionId_fkey" FOREIGN KEY ("companionId")
    REFERENCES "Companion"("id") ON DELETE CASCADE ON UPDATE CASCADE""",
)
_BEGINNING = datetime(2024, 1, 1, 12, 0, 0, 123_000)  # noqa: DTZ001 - its columns have no time zone


@cache
def bcrypt_of(password: str) -> str:
    """Return a hash as bcryptjs writes it, with fewer rounds."""
    return "$2a$" + BcryptHasher(rounds=4).hash(password)[4:]


class Original:
    """A database of the original. Ids and times follow from the order in which rows are added."""

    def __init__(self, dsn: str, connection: asyncpg.Connection) -> None:
        self.dsn = dsn
        self.connection = connection
        self._numbers = itertools.count(1)
        self._mark = secrets.token_hex(4)  # like Prisma's, its ids are nobody else's

    async def user(self, **columns: Any) -> str:
        """Add a user with the tests' password; the id is returned."""
        number = next(self._numbers)
        given = {
            "email": f"person{number}@example.org",
            "username": f"person_{number}",
            "name": "Ida",
            "hashedPassword": bcrypt_of(PASSWORD),
            "updatedAt": _BEGINNING,
        }
        return await self._add("User", number, {**given, **columns})

    async def companion(self, user_id: str, **columns: Any) -> str:
        """Add a companion; the id is returned."""
        number = next(self._numbers)
        given = {
            "name": "Mira",
            "description": "A calm botanist who loves moss.",
            "visualDescription": "red hair",
            "userAppearance": "tall",
            "currentOutfit": "raincoat",
            "currentLocation": "greenhouse",
            "currentAction": "watering ferns",
            "userId": user_id,
            "updatedAt": _BEGINNING + timedelta(days=1),
        }
        return await self._add("Companion", number, {**given, **columns})

    async def message(self, companion_id: str, content: str = "Hello", **columns: Any) -> str:
        """Add a message, the user's unless told otherwise; the id is returned."""
        given = {"role": "user", "content": content, "companionId": companion_id}
        return await self._add("Message", next(self._numbers), {**given, **columns})

    async def talk(self, companion_id: str, *pictures: str | None) -> list[str]:
        """Add a question and an answer for each picture that an answer has (None: none); return the ids."""
        ids = []
        for number, picture in enumerate(pictures):
            ids.append(await self.message(companion_id, f"Question {number}?"))
            answer = {"role": "assistant", "imageUrl": picture}
            ids.append(await self.message(companion_id, f"Answer {number}. ☕", **answer))
        return ids

    async def execute(self, sql: str, *values: object) -> None:
        """Run a statement."""
        await self.connection.execute(sql, *values)

    async def checksum(self) -> str:
        """Return what changes with every row that is written, even to what it was before."""
        sums = []
        for table in ("User", "Companion", "Message", "RateLimit", "WorkflowExecution"):
            row = "ctid::text || xmin::text || each::text"
            sql = f"SELECT md5(string_agg(md5({row}), '' ORDER BY id)) FROM \"{table}\" AS each"
            sums.append(await self.connection.fetchval(sql))
        return " ".join(map(str, sums))

    async def _add(self, table: str, number: int, columns: dict[str, Any]) -> str:
        columns = {
            "id": f"c{table[0].lower()}{self._mark}{number:015d}",
            "createdAt": _BEGINNING + timedelta(minutes=number),
            **columns,
        }
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        await self.execute(f'INSERT INTO "{table}" ({names}) VALUES ({places})', *columns.values())
        return str(columns["id"])


@asynccontextmanager
async def original(dsn: str) -> AsyncIterator[Original]:
    """Make an empty database that of the original."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in SCHEMA:
            await connection.execute(statement)
        yield Original(dsn, connection)
    finally:
        await connection.close()


def photo(seed: int, width: int = 96, height: int = 64, suffix: str = ".jpg") -> bytes:
    """Return a small picture that looks like no other seed's."""
    small = pyvips.Image.gaussnoise(width // 8 + 2, height // 8 + 2, mean=128, sigma=45, seed=seed)
    soft = small.resize(8).crop(0, 0, width, height).cast("uchar")
    picture = soft.bandjoin([soft.invert(), soft.rot180()]).copy(interpretation="srgb")
    return bytes(picture.write_to_buffer(suffix))


def data_url(content: bytes, kind: str = "jpeg") -> str:
    """Return a picture as the original writes it into its database."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
