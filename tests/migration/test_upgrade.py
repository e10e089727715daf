"""Coming from a version that had no pictures: what was there stays, and pictures can come."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import UUID

import pytest

from hub.db.migrate import migrate
from hub.domain.chat.message_queries import get_message
from tests.migration.conftest import engine_at
from tests.services.hub import PROJECT
from tests.services.world import query, run_hub

_ROWS = """
WITH ada AS (
    INSERT INTO users (id, username, email, display_name, password_hash)
    VALUES (md5('user')::uuid, 'ada', 'ada@example.org', 'Ada', '') RETURNING id),
mira AS (
    INSERT INTO companions (id, user_id, name) SELECT md5('companion')::uuid, id, 'Mira' FROM ada
    RETURNING id, user_id),
talk AS (
    INSERT INTO conversations (id, user_id, companion_id, last_position)
    SELECT md5('conversation')::uuid, user_id, id, 1 FROM mira RETURNING id)
INSERT INTO messages (id, conversation_id, position, role, content)
SELECT md5('message')::uuid, id, 1, 'user', 'Hello' FROM talk RETURNING id
"""
_PICTURE = """
INSERT INTO images (id, user_id, companion_id, kind, media_type, sha256, thumb_sha256)
VALUES (md5('image')::uuid, md5('user')::uuid, md5('companion')::uuid, 'generated', 'image/avif', 'a', 'b')
"""


@pytest.fixture
def earlier_version(tmp_path: Path) -> Path:
    """Return the folder of a hub that has only the migrations from before pictures."""
    leave_out = shutil.ignore_patterns("__pycache__", "hub_2026_11_23*")
    for name in ("src", "piccolo_migrations"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=leave_out)
    return tmp_path


async def test_rows_of_an_earlier_version_stay_and_get_pictures(
    earlier_version: Path, empty_database: str
) -> None:
    settings = {"HUB_DATABASE_URL": empty_database, "PYTHONPATH": str(earlier_version / "src")}
    done = await run_hub(earlier_version, "migrate", **settings)
    assert done.code == 0, done.output
    message_id: UUID = (await query(empty_database, _ROWS))[0]["id"]
    assert await migrate(empty_database) > 0
    async with engine_at(empty_database, pool_size=1):
        message = await get_message(message_id)
        assert message is not None
        assert (message.content, message.image) == ("Hello", None)
        await query(empty_database, _PICTURE)
        await query(empty_database, "UPDATE messages SET image_id = md5('image')::uuid")
        message = await get_message(message_id)
        assert message is not None
        assert message.image is not None
    await query(empty_database, "DELETE FROM companions")
    assert [row["sha256"] for row in await query(empty_database, "SELECT sha256 FROM image_removals")] == [
        "a"
    ]
