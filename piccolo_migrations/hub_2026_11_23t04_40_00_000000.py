"""The index by which a shared lane is found to be kept by what is being stopped there, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T04:40:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "index of cancelled jobs that are being stopped"

STATEMENTS = (
    (
        "CREATE INDEX jobs_lane_stopping ON jobs (lane, lease_until)"
        " WHERE status = 'cancelled' AND lease_until IS NOT NULL"
    ),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
