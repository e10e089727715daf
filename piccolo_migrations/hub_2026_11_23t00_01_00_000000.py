"""Indexes of pictures, and the trigger that remembers the files of deleted ones."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T00:01:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes and trigger of images"

STATEMENTS = (
    "CREATE UNIQUE INDEX images_header ON images (companion_id) WHERE kind = 'header'",
    "CREATE INDEX images_gallery ON images (companion_id, created_at DESC, id DESC)",
    "CREATE INDEX images_family ON images (companion_id, sha256)",
    "CREATE INDEX images_owner ON images (user_id) INCLUDE (bytes, thumb_bytes)",
    "CREATE INDEX image_removals_due ON image_removals (removed_at)",
    "CREATE INDEX messages_image ON messages (image_id) WHERE image_id IS NOT NULL",
    # Whatever deletes rows, a cascade too, leaves word of their files.
    """
    CREATE FUNCTION note_image_removals() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO image_removals (id, companion_id, kind, sha256, removed_at)
        SELECT gen_random_uuid(), companion_id, kind, sha256, now() FROM gone;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER images_removed AFTER DELETE ON images REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_image_removals()
    """,
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
