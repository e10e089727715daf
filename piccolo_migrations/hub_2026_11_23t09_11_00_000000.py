"""That nobody has a sample twice, and the index by which a user's samples are found, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T09:11:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "index of samples"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        await engine.run_ddl(
            "CREATE UNIQUE INDEX companions_sample ON companions (user_id, sample) WHERE sample IS NOT NULL"
        )

    manager.add_raw(run)
    return manager
