"""Indexes of completions, and one slot for a user's turn of whatever kind, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T07:51:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of completions, slots of turns"

STATEMENTS = (
    "CREATE INDEX completions_companion ON completions (companion_id)",
    "CREATE INDEX completions_owner ON completions (user_id)",
    "DROP INDEX jobs_user_slot",
    "CREATE UNIQUE INDEX jobs_user_slot ON jobs (user_id, slot) INCLUDE (kind) WHERE status = 'in_progress'",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
