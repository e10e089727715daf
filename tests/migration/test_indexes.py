"""The indexes exist, and the queries that run often use them: no table is read from end to end."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from hub.core.clock import utc_now
from hub.core.pages import TimeCursor
from hub.db.engine import ENGINE
from hub.domain.accounts import administration, attempt_queries, invites, personal_tokens, token_queries
from hub.domain.accounts import queries as accounts
from hub.domain.archive import export, search_queries
from hub.domain.archive.words import parse
from hub.domain.chat import (
    asking_queries,
    idempotency,
    message_changes,
    message_queries,
    message_removal,
    turns,
)
from hub.domain.chat import queries as chat
from hub.domain.chat.state import read_state
from hub.domain.companions import card_queries
from hub.domain.companions import queries as companions
from hub.domain.completions import queries as completions
from hub.domain.completions import work
from hub.domain.completions.queries import NewCompletion
from hub.domain.completions.schemas import Asked
from hub.domain.images import queries as images
from hub.domain.images import removals
from hub.domain.images.reconcile import rows_after
from hub.domain.limits import queries as limits
from hub.domain.painting import queries as painting
from hub.domain.painting.queries import NewRequest
from hub.domain.scenes import queries as scenes
from hub.domain.scenes import reading
from hub.domain.scenes.analysis import Findings
from hub.domain.webhooks import attempts
from hub.domain.webhooks import queries as webhooks
from hub.domain.webhooks.events import announce, lane_of
from hub.domain.webhooks.schemas import ImageCompleted
from hub.jobs import overview, queue, store
from hub.jobs.contracts import Claim, JobKind, NewJob
from hub.storage.layout import Family
from tests.migration.conftest import engine_at
from tests.services.world import query

EXPECTED = {
    "companions_owner": "(user_id, created_at DESC, id DESC)",
    "companions_sample": "(user_id, sample) WHERE (sample IS NOT NULL)",
    "completions_companion": "(companion_id)",
    "completions_owner": "(user_id)",
    "conversations_companion": "(companion_id, created_at DESC, id DESC)",
    "conversations_owner": "(user_id, created_at DESC, id DESC)",
    "idempotency_keys_expiry": "(expires_at)",
    "idempotency_keys_message": "(message_id)",
    "image_removals_due": "(removed_at)",
    "image_removals_family": "(companion_id, sha256)",
    "image_requests_companion": "(companion_id)",
    "image_requests_conversation": "(conversation_id) WHERE (conversation_id IS NOT NULL)",
    "image_requests_response": "(response_id) WHERE (response_id IS NOT NULL)",
    "images_family": "(companion_id, sha256)",
    "images_gallery": "(companion_id, created_at DESC, id DESC)",
    "images_header": "UNIQUE INDEX images_header ON public.images USING btree (companion_id) WHERE ((kind)",
    "images_owner": "(user_id) INCLUDE (bytes, thumb_bytes)",
    "jobs_due": "(due_at) WHERE ((status)::text = 'queued'::text)",
    "jobs_ended": "(completed_at) WHERE (completed_at IS NOT NULL)",
    "jobs_failed": "(completed_at) WHERE ((status)::text = 'failed'::text)",
    "jobs_lane_begun": "(lane, rank, user_id) WHERE ((rank > 0) AND (started_at IS NOT NULL))",
    "jobs_lane_order": "(lane, rank, sequence) WHERE ((status)::text = ANY",
    "jobs_lane_stopping": "(lane, lease_until) WHERE (((status)::text = 'cancelled'::text) AND",
    "jobs_lane_running": "UNIQUE INDEX jobs_lane_running ON public.jobs USING btree (lane) WHERE ((status)",
    "jobs_lease": "(lease_until) WHERE ((status)::text = 'in_progress'::text)",
    "jobs_subject": "(subject_id)",
    "jobs_user_slot": "(user_id, slot) INCLUDE (kind) WHERE ((status)::text = 'in_progress'::text)",
    "jobs_user_waiting": "(user_id, kind, sequence) WHERE ((status)::text = 'queued'::text)",
    "messages_owner": "(user_id, created_at DESC, id DESC)",
    "messages_response_id_key": "(response_id)",
    "message_alternatives_image": "(image_id) WHERE (image_id IS NOT NULL)",
    "message_alternatives_response": "(response_id) WHERE (response_id IS NOT NULL)",
    "messages_revision": "(conversation_id, revision) WHERE (revision > 0)",
    "messages_image": "(image_id) WHERE (image_id IS NOT NULL)",
    "messages_words": "to_tsvector('simple'::regconfig, \"left\"(content, 50000))))",
    "rate_limits_expiry": "(reset_at)",
    "responses_active": "(conversation_id) WHERE ((status)::text = ANY",
    "responses_conversation": "(conversation_id)",
    "responses_job": "(job_id)",
    "responses_target": "(target_message_id) WHERE (target_message_id IS NOT NULL)",
    "responses_request": "(request_message_id)",
    "scenes_current": "(companion_id, sequence DESC)",
    "tokens_expiry": "(expires_at)",
    "tokens_invites": "(created_at DESC, id DESC) WHERE ((kind)::text = 'invite'::text)",
    "tokens_user": "(user_id)",
    "users_newest": "(created_at DESC, id DESC)",
    "users_email": "UNIQUE INDEX users_email ON public.users USING btree (lower((email)::text))",
    "webhook_deliveries_webhook": "(webhook_id, created_at DESC, id DESC)",
    "webhooks_owner": "(user_id, created_at DESC, id DESC)",
    # Made by the tables' own keys:
    "legacy_imports_once": "(kind, legacy_id)",
    "messages_position": '(conversation_id, "position")',
    "idempotency_keys_key": "(user_id, key)",
    "rate_limits_bucket": "(action, subject)",
    "scenes_message_id_key": "(message_id)",
}

# 2,000 conversations of 20 messages, and a job for each answer; 200 of 5,000 users have all of it.
FILL = """
INSERT INTO users (id, username, email, display_name, password_hash)
SELECT md5('user' || u)::uuid, 'user' || u, u || '@example.org', '', '' FROM generate_series(1, 5000) u;
INSERT INTO companions (id, user_id, name, created_at)
SELECT md5('companion' || c)::uuid, md5('user' || (c % 200 + 1))::uuid, 'c', now() - c * interval '1 s'
FROM generate_series(1, 2000) c;
INSERT INTO conversations (id, user_id, companion_id, created_at, last_position)
SELECT md5('conversation' || c)::uuid, md5('user' || (c % 200 + 1))::uuid, md5('companion' || c)::uuid,
    now() - c * interval '1 s', 20 FROM generate_series(1, 2000) c;
INSERT INTO messages (id, conversation_id, position, role, content, response_id)
SELECT md5('message' || c || '.' || p)::uuid, md5('conversation' || c)::uuid, p,
    CASE p % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, repeat('word ', 20),
    CASE p % 2 WHEN 0 THEN md5('response' || c || '.' || p - 1)::uuid END
FROM generate_series(1, 2000) c, generate_series(1, 20) p;
INSERT INTO responses (id, conversation_id, request_message_id, job_id, status, output_text)
SELECT md5('response' || c || '.' || p)::uuid, md5('conversation' || c)::uuid,
    md5('message' || c || '.' || p)::uuid, md5('job' || c || '.' || p)::uuid,
    CASE WHEN c < 10 AND p = 19 THEN 'queued' ELSE 'completed' END, repeat('word ', 20)
FROM generate_series(1, 2000) c, generate_series(1, 20, 2) p;
INSERT INTO jobs (id, kind, lane, subject_id, status, due_at, created_at, completed_at)
SELECT md5('job' || c || '.' || p)::uuid, 'reply', 'conversation:' || md5('conversation' || c)::uuid,
    md5('response' || c || '.' || p)::uuid, CASE WHEN c < 10 AND p = 19 THEN 'queued' ELSE 'completed' END,
    now() - interval '1 min', now() - interval '1 min', CASE WHEN c < 10 AND p = 19 THEN NULL ELSE now() END
FROM generate_series(1, 2000) c, generate_series(1, 20, 2) p;
INSERT INTO tokens (id, user_id, kind, token_hash, name, scopes, expires_at)
SELECT md5('token' || t)::uuid, md5('user' || (t % 200 + 1))::uuid, 'session', sha256(t::text::bytea),
    '', '{}', now() + interval '1 day' FROM generate_series(1, 5000) t;
INSERT INTO idempotency_keys (id, user_id, key, request_hash, message_id, expires_at)
SELECT md5('key' || m)::uuid, md5('user8')::uuid, m, '', md5('message' || m || '.1')::uuid,
    now() + interval '1 day' FROM generate_series(1, 2000) m;
INSERT INTO images (id, user_id, companion_id, kind, sha256, bytes, original_bytes, created_at)
SELECT md5('image' || c || '.' || i)::uuid, md5('user' || (c % 200 + 1))::uuid, md5('companion' || c)::uuid,
    CASE i WHEN 0 THEN 'header' ELSE 'generated' END, 'hash' || i, 1, 1, now() - i * interval '1 s'
FROM generate_series(7, 2000, 50) c, generate_series(0, 499) i;
INSERT INTO image_removals (id, companion_id, kind, sha256, removed_at)
SELECT md5('removal' || r)::uuid, md5('companion' || r)::uuid, 'header', 'hash0', now() - r * interval '1 s'
FROM generate_series(1, 5000) r;
INSERT INTO rate_limits (id, action, subject, used, reset_at)
SELECT md5('limit' || r)::uuid, 'send', r, 1, now() + interval '1 min' FROM generate_series(1, 5000) r;
INSERT INTO scenes (id, companion_id, message_id)
SELECT md5('scene' || c || '.' || p)::uuid, md5('companion' || c)::uuid, md5('message' || c || '.' || p)::uuid
FROM generate_series(1, 2000) c, generate_series(16, 20, 2) p;
INSERT INTO jobs (id, kind, lane, user_id, subject_id, status, rank, due_at, started_at, completed_at)
SELECT md5('paint' || c || '.' || p)::uuid, 'image', 'image:server', md5('user' || (c % 200 + 1))::uuid,
    md5('paint' || c || '.' || p)::uuid, CASE WHEN c < 40 AND p = 19 THEN 'queued' ELSE 'completed' END,
    c, now() - interval '1 min', CASE WHEN c < 40 AND p = 19 THEN NULL ELSE now() END,
    CASE WHEN c < 40 AND p = 19 THEN NULL ELSE now() END
FROM generate_series(1, 2000) c, generate_series(15, 19, 2) p;
INSERT INTO image_requests (id, companion_id, conversation_id, response_id)
SELECT md5('paint' || c || '.' || p)::uuid, md5('companion' || c)::uuid, md5('conversation' || c)::uuid,
    md5('response' || c || '.' || p)::uuid FROM generate_series(1, 2000) c, generate_series(15, 19, 2) p;
INSERT INTO jobs (id, kind, lane, user_id, subject_id, status, due_at, completed_at)
SELECT md5('read' || c || '.19')::uuid, 'scene', 'scene:' || md5('companion' || c)::uuid,
    md5('user' || (c % 200 + 1))::uuid, md5('response' || c || '.19')::uuid,
    CASE WHEN c < 40 THEN 'queued' ELSE 'completed' END, now() - interval '1 min',
    CASE WHEN c < 40 THEN NULL ELSE now() END FROM generate_series(1, 500) c;
INSERT INTO webhooks (id, user_id, events) SELECT md5('webhook' || w)::uuid,
    md5('user' || (w % 200 + 1))::uuid, '{image.completed}' FROM generate_series(1, 2000) w;
INSERT INTO jobs (id, kind, lane, user_id, subject_id, status, rank, due_at, started_at, completed_at)
SELECT md5('delivery' || w || '.' || d)::uuid, 'webhook', 'webhook:' || md5('webhook' || w)::uuid,
    md5('user' || (w % 200 + 1))::uuid, md5('webhook' || w)::uuid,
    CASE WHEN w < 40 AND d = 5 THEN 'queued' ELSE 'completed' END, d, now() - interval '1 min', now(),
    CASE WHEN w < 40 AND d = 5 THEN NULL ELSE now() END
FROM generate_series(1, 2000) w, generate_series(1, 5) d;
INSERT INTO webhook_deliveries (id, webhook_id, event_id, subject_id)
SELECT md5('delivery' || w || '.' || d)::uuid, md5('webhook' || w)::uuid, md5('e')::uuid, md5('e')::uuid
FROM generate_series(1, 2000) w, generate_series(1, 5) d;
UPDATE messages SET revision = position, alternatives = 2, alternative = 2
WHERE id IN (SELECT md5('message' || c || '.20')::uuid FROM generate_series(300, 800) c);
UPDATE conversations SET revision = 20
WHERE id IN (SELECT md5('conversation' || c)::uuid FROM generate_series(300, 800) c);
UPDATE responses SET target_message_id = md5('message' || c || '.20')::uuid, kind = 'regenerate'
FROM generate_series(300, 800) c WHERE id = md5('response' || c || '.17')::uuid;
INSERT INTO message_alternatives (id, message_id, number, response_id)
SELECT md5('alternative' || c || '.' || n)::uuid, md5('message' || c || '.20')::uuid, n,
    md5('response' || c || '.' || n)::uuid FROM generate_series(300, 800) c, generate_series(1, 2) n;
INSERT INTO jobs (id, kind, lane, user_id, subject_id, status, due_at, completed_at)
SELECT md5('completion' || c || '.' || p)::uuid, 'completion',
    'completion:' || md5('completion' || c || '.' || p)::uuid,
    md5('user' || (c % 200 + 1))::uuid, md5('completion' || c || '.' || p)::uuid,
    CASE WHEN c = 6 AND p = 5 THEN 'queued' ELSE 'completed' END, now() - interval '1 min',
    CASE WHEN c = 6 AND p = 5 THEN NULL ELSE now() END
FROM generate_series(1, 1000) c, generate_series(1, 5) p;
INSERT INTO completions (id, user_id, companion_id, kind, stored, previous_id, request, status, output_text)
SELECT md5('completion' || c || '.' || p)::uuid, md5('user' || (c % 200 + 1))::uuid,
    md5('companion' || c)::uuid, 'response', true,
    CASE WHEN p > 1 THEN md5('completion' || c || '.' || p - 1)::uuid END,
    '{"messages": [{"role": "user", "content": "Hello"}]}',
    CASE WHEN c = 6 AND p = 5 THEN 'queued' ELSE 'completed' END, repeat('word ', 20)
FROM generate_series(1, 1000) c, generate_series(1, 5) p;
ANALYZE;
"""

_SCANS = """
SELECT relname AS name, seq_scan AS count FROM pg_stat_user_tables
UNION ALL SELECT indexrelname, idx_scan FROM pg_stat_user_indexes
"""


@pytest.fixture(scope="module")
async def filled(migrated: str) -> AsyncIterator[str]:
    """Yield the address of a database with enough rows that reading all of them would not pay."""
    async with engine_at(migrated, pool_size=1):  # one connection: its statistics are complete
        async with ENGINE.connection() as connection:
            await connection.execute(FILL)
        yield migrated


async def scans() -> dict[str, int]:
    """Return how often each table was read from end to end, and each index looked into."""
    async with ENGINE.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        rows = await connection.fetch(_SCANS)
    return {row["name"]: row["count"] for row in rows}


def made(kind: str) -> UUID:
    """Return the id of a row that the filling made."""
    return UUID(hashlib.md5(kind.encode()).hexdigest())


USER, COMPANION, CONVERSATION = made("user8"), made("companion7"), made("conversation7")
AFTER = TimeCursor(utc_now(), made("none"))
SCOPE = search_queries.Scope(USER, None, None, None, 5)
NARROW = search_queries.Scope(USER, COMPANION, CONVERSATION, AFTER, 5)
REMOVAL = removals.Waiting(made("none"), COMPANION, "header", "hash0", utc_now() - timedelta(hours=1))
FAMILIES = [Family(COMPANION, "generated", f"hash{number}") for number in range(5)]

PAINTED = ImageCompleted(
    id=made("image7.1"), companion_id=COMPANION, job_id=USER, conversation_id=None, response_id=None
)
CHANGED = made("conversation300")
REWRITTEN = message_changes.Rewritten(
    message_id=made("message310.20"), response_id=made("new response"), content="Moss.", keeps_image=False
)
DOOMED = message_removal.Doomed(
    message_ids=[made("message320.19")], response_ids=[made("response320.19")], job_ids=[]
)

FOUND = Findings(location="the beach")
PICTURE = NewRequest(
    job=NewJob(
        id=made("new picture"),
        kind=JobKind.IMAGE,
        lane="image:server",
        user_id=USER,
        subject_id=made("new picture"),
        request_id="",
        shares_lane=True,
    ),
    companion_id=COMPANION,
    seed=1,
    width=64,
    height=64,
)

COMPLETION = NewCompletion(
    job=NewJob(
        id=made("new completion"),
        kind=JobKind.COMPLETION,
        lane="completion:new",
        user_id=USER,
        subject_id=made("new completion"),
        request_id="",
    ),
    companion_id=COMPANION,
    kind="response",
    stored=True,
    previous_id=None,
    asked=Asked(messages=[]),
)


async def exported(conversation_id: UUID, *, user_id: UUID) -> None:
    """Export a conversation to nowhere."""
    async for _ in export.write(await export.find(conversation_id, user_id=user_id)):
        pass


async def in_transaction(write: Callable[[], Awaitable[object]]) -> None:
    """Do it as its callers do: in a transaction, which is theirs."""
    async with ENGINE.transaction():
        await write()


def claim_of(name: str) -> Claim:
    """Return a right to a job, if only there was one."""
    return Claim(
        job_id=made(name),
        kind=JobKind.IMAGE,
        lane="image:server",
        attempt=1,
        max_attempts=3,
        subject_id=made(name),
        user_id=USER,
        request_id="",
        created_at=utc_now(),
    )


HOT: dict[str, tuple[Callable[[], Awaitable[object]], list[str]]] = {
    "history": (lambda: message_queries.history(CONVERSATION, before=15, limit=5), ["messages_position"]),
    "messages that have a word": (
        lambda: search_queries.by_words(search_queries.Wish("'word'"), SCOPE),
        ["messages_words"],
    ),
    "the next page of those in a conversation": (
        lambda: search_queries.by_words(search_queries.Wish("'word'"), NARROW),
        [],
    ),
    "messages that have a phrase": (
        lambda: search_queries.by_words(search_queries.Wish("'word' <-> 'word'"), SCOPE),
        ["messages_words", "messages_pkey"],
    ),
    "messages that have a part of a word": (
        lambda: search_queries.by_parts(parse("wor"), SCOPE),
        ["messages_owner"],
    ),
    "an export": (
        lambda: exported(CONVERSATION, user_id=USER),
        ["conversations_pkey", "messages_position"],
    ),
    "conversations of a user": (
        lambda: chat.conversation_page(user_id=USER, companion_id=None, limit=5, after=None),
        ["conversations_owner"],
    ),
    "the next page of them": (
        lambda: chat.conversation_page(user_id=USER, companion_id=None, limit=5, after=AFTER),
        ["conversations_owner"],
    ),
    "companions of a user": (
        lambda: companions.page(user_id=USER, limit=5, after=None),
        ["companions_owner"],
    ),
    "the next page of companions": (
        lambda: companions.page(user_id=USER, limit=5, after=AFTER),
        ["companions_owner"],
    ),
    "companions with what was said last": (
        lambda: card_queries.page(user_id=USER, name=None, limit=5, after=None),
        ["companions_owner", "conversations_owner", "conversations_companion", "messages_position"],
    ),
    "what a subscriber is told": (
        lambda: read_state(CONVERSATION, after=18, response_ids=[], with_ended=True, limit=200),
        [
            *("messages_position", "responses_active", "responses_request"),
            *("scenes_current", "image_requests_conversation"),
        ],
    ),
    "what it is told of a picture": (
        lambda: read_state(
            made("conversation25"), after=20, response_ids=[made("response25.19")], with_ended=True, limit=200
        ),
        ["image_requests_conversation", "jobs_lane_order"],
    ),
    "what was changed since a subscriber went away": (
        lambda: read_state(CHANGED, after=20, response_ids=[], with_ended=True, limit=200, since=1),
        ["messages_revision"],
    ),
    "the alternatives of a message": (
        lambda: message_changes.alternatives(made("message300.20"), after=0, limit=50),
        ["message_alternatives_number"],
    ),
    "another text of a message": (
        lambda: in_transaction(lambda: message_changes.rewrite(REWRITTEN, revision=9)),
        ["messages_pkey"],
    ),
    "what goes with a message": (
        lambda: message_removal.doomed(message_removal.Place(CHANGED, COMPANION, 19), following=True),
        ["messages_position", "responses_request", "responses_target", "jobs_subject"],
    ),
    "messages that go": (
        lambda: in_transaction(lambda: message_removal.remove(DOOMED)),
        ["responses_target", "idempotency_keys_message"],
    ),
    "where a talk ends": (
        lambda: in_transaction(lambda: asking_queries.end_of(CHANGED)),
        ["messages_position"],
    ),
    "what was said last": (
        lambda: in_transaction(lambda: asking_queries.unanswered(CHANGED)),
        ["messages_position", "responses_request"],
    ),
    "whether a response is under way": (
        lambda: in_transaction(lambda: asking_queries.has_response_under_way(CHANGED)),
        ["responses_active"],
    ),
    "scenes of some messages that go": (
        lambda: in_transaction(lambda: scenes.forget_messages(COMPANION, [made("message7.20")])),
        ["scenes_current"],
    ),
    "scenes of companions": (lambda: scenes.settings_of([COMPANION]), ["scenes_current"]),
    "a scene that was read": (
        lambda: in_transaction(lambda: scenes.amend(COMPANION, made("message7.18"), FOUND)),
        ["scenes_message_id_key", "scenes_current"],
    ),
    "a new scene": (
        lambda: in_transaction(
            lambda: scenes.record(COMPANION, made("message7.1"), FOUND, as_of=AFTER.created_at)
        ),
        ["scenes_current"],
    ),
    "scenes of a conversation that goes": (
        lambda: in_transaction(lambda: scenes.forget_conversation(COMPANION, CONVERSATION)),
        ["scenes_current"],
    ),
    "the begin of a reply": (
        lambda: turns.begin(made("job6.19"), worker="test", cap=8),
        ["jobs_lane_order", "messages_position", "scenes_current"],
    ),
    "the begin of a completion": (
        lambda: work.begin(made("completion6.5"), worker="test", cap=8),
        ["jobs_lane_order", "completions_pkey", "scenes_current"],
    ),
    "a completion that is asked for": (
        lambda: in_transaction(lambda: completions.insert(COMPLETION)),
        ["companions_pkey"],
    ),
    "completions of a companion": (lambda: completions.ids_of(COMPANION), ["completions_companion"]),
    "companions as models": (lambda: completions.models(user_id=USER), ["companions_owner"]),
    "the begin of reading a scene": (
        lambda: reading.begin(made("read6.19"), worker="test"),
        ["jobs_lane_order", "messages_response_id_key", "messages_position", "scenes_current"],
    ),
    "the begin of a picture": (
        lambda: painting.begin(made("paint1.19"), worker="test"),
        ["jobs_lane_order", "image_requests_pkey", "scenes_current"],
    ),
    "a picture that is asked for": (
        lambda: in_transaction(lambda: painting.insert(PICTURE)),
        ["jobs_lane_order", "jobs_lane_begun", "companions_pkey"],
    ),
    "a picture and its place in the queue": (
        lambda: painting.get(made("paint30.19"), user_id=made("user31")),
        ["jobs_pkey", "jobs_lane_order"],
    ),
    "who watches a picture": (
        lambda: painting.who_watches(made("paint20.19"), lane="image:server"),
        ["image_requests_pkey"],
    ),
    "pictures that waited for a scene": (
        lambda: painting.make_due(made("response12.19")),
        ["image_requests_response", "jobs_pkey"],
    ),
    "pictures that are to be made of a companion": (
        lambda: painting.ids_of(companion_id=COMPANION),
        ["image_requests_companion"],
    ),
    "pictures that are to be made for a conversation": (
        lambda: painting.ids_of(conversation_id=CONVERSATION),
        ["image_requests_conversation"],
    ),
    "the image server's own id of a picture": (
        lambda: painting.keep_ticket(claim_of("paint31.19"), "ticket"),
        ["image_requests_pkey"],
    ),
    "a picture that goes with a message": (
        lambda: in_transaction(
            lambda: message_changes.set_image(CONVERSATION, made("response7.1"), made("image7.1"))
        ),
        ["conversations_pkey", "messages_response_id_key", "message_alternatives_response"],
    ),
    "one more of what is counted": (
        lambda: limits.take("send", "7", limit=3, window=timedelta(hours=1)),
        ["rate_limits_bucket"],
    ),
    "one more failure of what waits": (
        lambda: attempt_queries.fail("send", "9", longest=timedelta(minutes=1)),
        ["rate_limits_bucket"],
    ),
    "one failure less": (
        lambda: attempt_queries.take_back("send", "9", failures=1, longest=timedelta(minutes=1)),
        ["rate_limits_bucket"],
    ),
    "one less of what is counted": (lambda: limits.give_back("send", "8", limit=3), ["rate_limits_bucket"]),
    "the unfinished jobs of a user": (
        lambda: store.cancel_user(made("user9")),
        ["jobs_user_waiting"],
    ),
    "some jobs": (lambda: store.cancel_many([made("paint35.19")]), ["jobs_pkey"]),
    "conversations with a companion": (
        lambda: chat.conversations_of(COMPANION),
        ["conversations_companion"],
    ),
    "conversations that are locked": (
        lambda: chat.lock_conversations([CONVERSATION]),
        ["conversations_pkey"],
    ),
    "due jobs": (
        lambda: queue.take_due(limit=500, fresh=1.0, stale=15.0, cap=8),
        ["jobs_due", "jobs_lane_order"],
    ),
    "the relay's lag": (lambda: queue.lag(cap=8), ["jobs_due", "jobs_lane_order"]),
    "jobs that have not ended": (overview.unfinished, ["jobs_due"]),
    "expired leases": (store.rescue, []),
    "lanes of dead workers": (store.let_go_of_dead, ["jobs_lane_stopping"]),
    "a claim": (
        lambda: store.claim(store.CLAIM, made("job7.19"), worker="test", cap=8),
        ["jobs_pkey", "jobs_lane_order"],
    ),
    "the next job of a lane": (
        lambda: queue.next_after(f"conversation:{made('conversation8')}", kind="reply", user_id=USER, cap=8),
        ["jobs_lane_order"],
    ),
    "the running jobs of lanes": (
        lambda: store.cancel_lanes([f"conversation:{made('conversation9')}"]),
        ["jobs_lane_order"],
    ),
    "ended jobs of long ago": (lambda: store.delete_ended(10, days=7), ["jobs_ended"]),
    "jobs that failed last": (lambda: overview.last_failures(5), ["jobs_failed"]),
    "expired tokens": (lambda: accounts.delete_expired_tokens(10), ["tokens_expiry"]),
    "expired idempotency keys": (lambda: idempotency.delete_expired(10), ["idempotency_keys_expiry"]),
    "expired rate limits": (lambda: limits.delete_expired(10), ["rate_limits_expiry"]),
    "pictures of a companion": (
        lambda: images.page(COMPANION, user_id=USER, kind=None, limit=5, after=None),
        ["images_gallery"],
    ),
    "the next page of its generated ones": (
        lambda: images.page(COMPANION, user_id=USER, kind="generated", limit=5, after=AFTER),
        ["images_gallery"],
    ),
    "what a user's pictures take": (lambda: images.used_bytes(USER), ["images_owner"]),
    "the header that is replaced": (
        lambda: images.delete_header(COMPANION, user_id=USER),
        ["images_header"],
    ),
    "due removals": (lambda: removals.due(limit=5, grace=60, after=None), ["image_removals_due"]),
    "the next of them": (
        lambda: removals.due(limit=5, grace=60, after=REMOVAL),
        ["image_removals_due"],
    ),
    "what still refers to files": (
        lambda: removals.wanted(COMPANION, FAMILIES, besides=[made("removal7")]),
        ["images_family", "image_removals_family"],
    ),
    "whether a row refers to a file": (lambda: removals.is_referenced(FAMILIES[0]), ["images_family"]),
    "pictures to be compared with their files": (lambda: rows_after(made("image7.1")), ["images_pkey"]),
    "webhooks of a user": (lambda: webhooks.page(user_id=USER, limit=5, after=None), ["webhooks_owner"]),
    "who is told of an event": (
        lambda: in_transaction(lambda: announce(PAINTED, user_id=USER)),
        ["webhooks_owner", "jobs_lane_order", "jobs_lane_begun"],
    ),
    "nobody is told of an event": (
        lambda: in_transaction(lambda: announce(PAINTED, user_id=made("user4000"))),
        ["webhooks_owner"],
    ),
    "deliveries of a webhook": (
        lambda: webhooks.deliveries(made("webhook7"), limit=5, after=AFTER),
        ["webhook_deliveries_webhook", "jobs_pkey"],
    ),
    "the begin of a delivery": (
        lambda: attempts.begin(made("delivery6.5"), worker="test"),
        ["webhook_deliveries_pkey", "webhooks_pkey", "jobs_lane_order"],
    ),
    "a receiver that is left alone": (
        lambda: store.rest(lane_of(made("webhook7")), seconds=60),
        ["jobs_lane_order"],
    ),
    "all users": (
        lambda: administration.page(limit=5, cursor=None, query=None),
        ["users_newest", "tokens_user"],
    ),
    "the next page of them all": (
        lambda: administration.page(limit=5, cursor=AFTER.encode(), query=None),
        ["users_newest"],
    ),
    "invites": (lambda: invites.page(limit=5, cursor=None), ["tokens_invites"]),
    "tokens of a user": (
        lambda: personal_tokens.page(user_id=USER, limit=5, cursor=None),
        ["tokens_user"],
    ),
    "how many tokens a user has": (lambda: token_queries.count_personal(USER), ["tokens_user"]),
    "sign-ins of a user": (
        lambda: token_queries.sign_in_page(USER, current=made("token7"), limit=5, after=None),
        ["tokens_user"],
    ),
    "the end of one": (
        lambda: token_queries.delete_one(made("token7"), user_id=USER, kind="session"),
        ["tokens_pkey"],
    ),
    "the last use of tokens": (lambda: token_queries.note_use([made("token8")]), ["tokens_pkey"]),
    "what still stands": (lambda: accounts.still_good([made("token9")]), ["tokens_pkey", "users_pkey"]),
    "a ticket": (lambda: accounts.redeem_ticket(b"none"), ["tokens_token_hash_key"]),
    "who holds a token": (lambda: accounts.identify(b"nobody"), ["tokens_token_hash_key"]),
    "who logs in": (lambda: accounts.by_login("7@example.org"), ["users_email"]),
}


async def test_the_expected_indexes_exist(migrated: str) -> None:
    rows = await query(migrated, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    found = {row["indexname"]: row["indexdef"] for row in rows}
    for name, definition in EXPECTED.items():
        assert definition in found.get(name, "missing"), name
    invalid = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
    assert await query(migrated, invalid) == []


async def test_every_foreign_key_has_an_index(migrated: str) -> None:
    """Else deleting a row reads the whole table that points to it."""
    sql = """
    SELECT conrelid::regclass::text || '.' || attname AS name FROM pg_constraint
    JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]
        AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%I IS NOT NULL)', attname)))
    """
    assert await query(migrated, sql) == []


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", HOT)
async def test_hot_queries_use_their_indexes(name: str) -> None:
    run, indexes = HOT[name]
    before = await scans()
    await run()
    after = await scans()
    grown = {each for each in after if after[each] > before.get(each, 0)}
    tables = {"users", "tokens", "companions", "conversations", "messages", "responses", "jobs"}
    tables |= {
        "webhooks",
        "webhook_deliveries",
        "idempotency_keys",
        "rate_limits",
        "images",
        "image_removals",
        "scenes",
        "image_requests",
    }
    assert grown & tables == set(), "read from end to end"
    assert set(indexes) <= grown
