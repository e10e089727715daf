"""Indexes of webhooks and their deliveries, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T08:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of webhooks"

STATEMENTS = (
    "CREATE INDEX webhooks_owner ON webhooks (user_id, created_at DESC, id DESC)",
    ("CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_id, created_at DESC, id DESC)"),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
