"""The owner of each message, noted as it is stored, and the indexes that messages are searched by.

The words of all users stand in one index, with the owner as one more "word" of each message: a search for
both reads as much of it as the rarer of the two has. The short list of pending entries bounds what a search
reads besides, and what the one message costs that makes PostgreSQL sort them in.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-23T07:41:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes of searching"

#: Seconds that a statement may take: the index of a million messages takes minutes.
PATIENCE = 3600

STATEMENTS = (
    """
    CREATE FUNCTION note_message_owner() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT user_id INTO NEW.user_id FROM conversations WHERE id = NEW.conversation_id;
        RETURN NEW;
    END $$
    """,
    (
        "CREATE TRIGGER messages_note_owner BEFORE INSERT ON messages"
        " FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION note_message_owner()"
    ),
    (
        "UPDATE messages SET user_id = conversations.user_id FROM conversations"
        " WHERE conversations.id = messages.conversation_id"
    ),
    "CREATE INDEX messages_owner ON messages (user_id, created_at DESC, id DESC)",
    (
        "CREATE INDEX messages_words ON messages USING gin ((array_to_tsvector(ARRAY['='"
        " || coalesce(user_id::text, '')]) || to_tsvector('simple', left(content, 50000))))"
        " WITH (gin_pending_list_limit = 64)"
    ),
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        async with engine_finder().connection() as connection:
            for statement in STATEMENTS:
                await connection.execute(statement, timeout=PATIENCE)

    manager.add_raw(run)
    return manager
