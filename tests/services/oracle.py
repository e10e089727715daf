"""Whether the rows of a whole database agree with each other: what must hold whatever happened before."""

from __future__ import annotations

import asyncpg

# Each finds rows that must not exist, and says in `what` which they are.
_ALWAYS = {
    "positions are not 1..last_position without a gap": """
        SELECT conversations.id, last_position, array_agg(position ORDER BY position) AS positions
        FROM conversations LEFT JOIN messages ON conversation_id = conversations.id
        WHERE epoch = 0 GROUP BY conversations.id
        HAVING count(position) <> last_position OR coalesce(max(position), 0) <> last_position
        OR coalesce(min(position), 1) <> 1
    """,
    "positions after a wipe have a gap, or do not end at last_position": """
        SELECT conversations.id, last_position, array_agg(position ORDER BY position) AS positions
        FROM conversations JOIN messages ON conversation_id = conversations.id
        WHERE epoch > 0 GROUP BY conversations.id
        HAVING count(position) <> max(position) - min(position) + 1 OR max(position) <> last_position
    """,
    "a reply belongs to no response": """
        SELECT id, content FROM messages WHERE role = 'assistant' AND response_id IS NULL
    """,
    "a message answers nothing, or its response says something else": """
        SELECT messages.id, responses.id AS response_id, status, message_id, content, output_text
        FROM messages LEFT JOIN responses ON responses.id = response_id
        WHERE response_id IS NOT NULL AND (status IS DISTINCT FROM 'completed'
        OR message_id IS DISTINCT FROM messages.id OR role <> 'assistant'
        OR output_text <> content AND edited_at IS NULL
        OR responses.conversation_id <> messages.conversation_id)
    """,
    "a message does not show the alternative that it names, or they have gaps": """
        SELECT messages.id, alternative, alternatives, numbers FROM messages JOIN LATERAL (
            SELECT array_agg(number ORDER BY number) AS numbers, bool_or(number = alternative
                AND kept.content = messages.content AND kept.image_id IS NOT DISTINCT FROM messages.image_id
                AND kept.response_id IS NOT DISTINCT FROM messages.response_id) AS is_shown
            FROM message_alternatives AS kept WHERE message_id = messages.id) AS found ON true
        WHERE numbers IS NULL AND alternatives <> 1 OR numbers IS NOT NULL AND (is_shown IS NOT TRUE
            OR numbers <> ARRAY(SELECT generate_series(1, alternatives)))
    """,
    "a change is beyond its conversation's, or two are one": """
        SELECT conversation_id, messages.revision, count(*) FROM messages
        JOIN conversations ON conversations.id = conversation_id WHERE messages.revision > 0
        GROUP BY conversation_id, messages.revision, conversations.revision
        HAVING messages.revision > conversations.revision OR count(*) > 1
    """,
    "a response has become two messages": """
        SELECT response_id, count(*) FROM messages WHERE response_id IS NOT NULL
        GROUP BY response_id HAVING count(*) > 1
    """,
    "a completed response has no message, or another one has": """
        SELECT responses.id, status, message_id FROM responses
        LEFT JOIN messages ON messages.id = message_id AND (messages.response_id = responses.id
            OR EXISTS (SELECT FROM message_alternatives AS kept WHERE kept.message_id = messages.id
                AND kept.response_id = responses.id))
        WHERE (status = 'completed') <> (messages.id IS NOT NULL)
        OR (status = 'completed') <> (message_id IS NOT NULL)
    """,
    "a message was asked to be answered twice": """
        SELECT request_message_id, count(*) FROM responses WHERE kind = 'reply'
        GROUP BY request_message_id HAVING count(*) > 1
    """,
    "a response and its job do not agree": """
        SELECT responses.id, responses.status, jobs.status AS job_status, responses.attempt,
            jobs.attempt AS job_attempt
        FROM responses LEFT JOIN jobs ON jobs.id = job_id
        WHERE jobs.id IS NULL OR jobs.subject_id <> responses.id OR jobs.status <> responses.status
        OR jobs.attempt <> responses.attempt
        OR jobs.lane <> 'conversation:' || responses.conversation_id
    """,
    "two jobs of a response have completed": """
        SELECT subject_id, count(*) FROM jobs WHERE kind = 'reply' AND status = 'completed'
        GROUP BY subject_id HAVING count(*) > 1
    """,
    "a job that nobody waits for has not ended": """
        SELECT jobs.id, jobs.status FROM jobs LEFT JOIN responses ON job_id = jobs.id
        WHERE responses.id IS NULL AND jobs.kind = 'reply' AND jobs.status IN ('queued', 'in_progress')
    """,
    "an ended row does not look like one, or one that has not ended does": """
        SELECT id, status, attempt, max_attempts, completed_at, lease_until FROM jobs
        WHERE (status IN ('queued', 'in_progress')) <> (completed_at IS NULL)
        OR (status = 'in_progress') <> (lease_until IS NOT NULL) OR attempt > max_attempts
        UNION ALL SELECT id, status, attempt, NULL, completed_at, NULL FROM responses
        WHERE (status IN ('queued', 'in_progress')) <> (completed_at IS NULL)
        OR (status = 'failed') <> (error_code IS NOT NULL)
    """,
    "two jobs of a lane run": """
        SELECT lane, count(*) FROM jobs WHERE status = 'in_progress' GROUP BY lane HAVING count(*) > 1
    """,
    "replies are not in the order of what they answer": """
        SELECT earlier.id, later.id AS before_it FROM responses AS earlier
        JOIN responses AS later USING (conversation_id)
        JOIN messages AS earlier_asks ON earlier_asks.id = earlier.request_message_id
        JOIN messages AS later_asks ON later_asks.id = later.request_message_id
        JOIN messages AS earlier_says ON earlier_says.id = earlier.message_id
        JOIN messages AS later_says ON later_says.id = later.message_id
        WHERE earlier.kind = 'reply' AND later.kind = 'reply' AND later_asks.role = 'user'
        AND earlier_asks.position < later_asks.position AND earlier_says.position > later_says.position
        AND NOT EXISTS (SELECT FROM jobs
            WHERE kind = 'reply' AND subject_id = earlier.id AND id <> earlier.job_id)
    """,
    "an idempotency key stands for something that is not there": """
        SELECT key, kept.message_id, kept.response_id FROM idempotency_keys AS kept
        LEFT JOIN messages ON messages.id = kept.message_id
        LEFT JOIN responses ON responses.id = kept.response_id
        WHERE messages.id IS NULL OR kept.response_id IS NOT NULL
        AND responses.request_message_id IS DISTINCT FROM kept.message_id
    """,
}
_AT_REST = {
    "a job is left": "SELECT id, status, attempt FROM jobs WHERE status IN ('queued', 'in_progress')",
    "a response is left": "SELECT id, status FROM responses WHERE status IN ('queued', 'in_progress')",
}


async def disagreements(connection: asyncpg.Connection, *, at_rest: bool = True) -> list[str]:
    """Look through all conversations, messages, responses, jobs and keys of a database.

    Args:
        connection: to the database; in a transaction of its own, unless it has one open.
        at_rest: nothing may be under way any more either.

    Returns:
        A line for each row that contradicts another one; empty when all is well.
    """
    if connection.is_in_transaction():
        return await _look(connection, at_rest=at_rest)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _look(connection, at_rest=at_rest)


async def _look(connection: asyncpg.Connection, *, at_rest: bool) -> list[str]:
    found: list[str] = []
    for rule, sql in (_ALWAYS | (_AT_REST if at_rest else {})).items():
        found += [f"{rule}: {dict(row)}" for row in await connection.fetch(f"{sql} LIMIT 5")]
    return found
