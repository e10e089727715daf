"""Indexes that the queries run on, in raw SQL: composite, partial and descending ones."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.engine import engine_finder

ID = "2026-11-22T18:59:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "indexes for the queries that run"

STATEMENTS = (
    # Accounts
    "CREATE UNIQUE INDEX users_email ON users (lower(email))",
    "CREATE INDEX tokens_user ON tokens (user_id)",
    "CREATE INDEX tokens_expiry ON tokens (expires_at)",
    # Lists by owner and time
    "CREATE INDEX companions_owner ON companions (user_id, created_at DESC, id DESC)",
    "CREATE INDEX conversations_owner ON conversations (user_id, created_at DESC, id DESC)",
    "CREATE INDEX conversations_companion ON conversations (companion_id, created_at DESC, id DESC)",
    # Responses: those under way in a conversation, and the ones a message asked for
    "CREATE INDEX responses_active ON responses (conversation_id) WHERE status IN ('queued', 'in_progress')",
    "CREATE INDEX responses_conversation ON responses (conversation_id)",
    "CREATE INDEX responses_request ON responses (request_message_id)",
    "CREATE INDEX responses_job ON responses (job_id)",
    "CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at)",
    "CREATE INDEX idempotency_keys_message ON idempotency_keys (message_id)",
    # Jobs: the relay's sweep, the head of a lane, one running job a lane, expired leases
    "CREATE SEQUENCE jobs_sequence AS bigint OWNED BY jobs.sequence",
    "ALTER TABLE jobs ALTER COLUMN sequence SET DEFAULT nextval('jobs_sequence')",
    "CREATE INDEX jobs_due ON jobs (due_at) WHERE status = 'queued'",
    "CREATE INDEX jobs_lane_order ON jobs (lane, sequence) WHERE status IN ('queued', 'in_progress')",
    "CREATE UNIQUE INDEX jobs_lane_running ON jobs (lane) WHERE status = 'in_progress'",
    "CREATE INDEX jobs_lease ON jobs (lease_until) WHERE status = 'in_progress'",
    "CREATE INDEX jobs_subject ON jobs (subject_id)",
    # Limits: counters are lost without harm, and cleaned by their expiry
    "ALTER TABLE rate_limits SET UNLOGGED",
    "CREATE INDEX rate_limits_expiry ON rate_limits (reset_at)",
)


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="hub", description=DESCRIPTION)

    async def run() -> None:
        engine = engine_finder()
        for statement in STATEMENTS:
            await engine.run_ddl(statement)

    manager.add_raw(run)
    return manager
