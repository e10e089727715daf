"""The index by which ended jobs are found that nobody needs to remember any more, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-22T21:15:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "index for forgetting ended jobs"

STATEMENTS = ("CREATE INDEX jobs_ended ON jobs (completed_at) WHERE completed_at IS NOT NULL",)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
