"""Indexes of the lists that administrators read, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T07:21:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of users and invites by time"

STATEMENTS = (
    "CREATE INDEX users_newest ON users (created_at DESC, id DESC)",
    "CREATE INDEX tokens_invites ON tokens (created_at DESC, id DESC) WHERE kind = 'invite'",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
