"""Indexes of scenes and image requests, and the order of lanes by rank, in raw SQL."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T03:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of scenes, image requests and fair lanes"

STATEMENTS = (
    "CREATE SEQUENCE scenes_sequence AS bigint OWNED BY scenes.sequence",
    "ALTER TABLE scenes ALTER COLUMN sequence SET DEFAULT nextval('scenes_sequence')",
    "CREATE INDEX scenes_current ON scenes (companion_id, sequence DESC)",
    "CREATE INDEX image_requests_companion ON image_requests (companion_id)",
    (
        "CREATE INDEX image_requests_conversation ON image_requests (conversation_id)"
        " WHERE conversation_id IS NOT NULL"
    ),
    "CREATE INDEX image_requests_response ON image_requests (response_id) WHERE response_id IS NOT NULL",
    "DROP INDEX jobs_lane_order",
    "CREATE INDEX jobs_lane_order ON jobs (lane, rank, sequence) WHERE status IN ('queued', 'in_progress')",
    "CREATE INDEX jobs_lane_begun ON jobs (lane, rank, user_id) WHERE rank > 0 AND started_at IS NOT NULL",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
