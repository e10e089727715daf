"""Indexes of changed messages, of their alternatives, and of the responses that change them, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T07:31:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of changed messages and their alternatives"

STATEMENTS = (
    "CREATE INDEX messages_revision ON messages (conversation_id, revision) WHERE revision > 0",
    (
        "CREATE INDEX message_alternatives_response ON message_alternatives (response_id)"
        " WHERE response_id IS NOT NULL"
    ),
    "CREATE INDEX message_alternatives_image ON message_alternatives (image_id) WHERE image_id IS NOT NULL",
    "CREATE INDEX responses_target ON responses (target_message_id) WHERE target_message_id IS NOT NULL",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
