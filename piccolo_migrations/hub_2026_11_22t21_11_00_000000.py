"""Indexes for the cap on what one user has running: the places taken, and who waits."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-22T21:11:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of the slots of jobs"

STATEMENTS = (
    "CREATE UNIQUE INDEX jobs_user_slot ON jobs (user_id, kind, slot) WHERE status = 'in_progress'",
    "CREATE INDEX jobs_user_waiting ON jobs (user_id, kind, sequence) WHERE status = 'queued'",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
