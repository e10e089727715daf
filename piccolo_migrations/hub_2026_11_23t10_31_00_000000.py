"""Reports of workers may be lost: they are not worth the log."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T10:31:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "reports of workers are unlogged"

STATEMENTS = ("ALTER TABLE worker_reports SET UNLOGGED",)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
