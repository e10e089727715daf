"""The oracle: reads the database when all is over and says what is missing, doubled, misplaced or torn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.chaos.world import World
from tests.fakes.llm_script import default_text

Row = dict[str, Any]


@dataclass
class Verdict:
    """What is wrong, a line each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def reply_to(content: str) -> str:
    """Return what the language model says to a message."""
    return default_text({"messages": [{"role": "user", "content": content}]})


async def examine(world: World, said: dict[str, list[str]], *, asked_again: Container[str] = ()) -> Verdict:
    """Compare what is stored with what users said, in order, in each conversation (by its id).

    ``asked_again`` are failed responses that users asked for once more: those come when they come.
    """
    messages = await _by_conversation(world, said, "SELECT * FROM messages", "position")
    responses = await _by_conversation(world, said, "SELECT * FROM responses", "created_at")
    verdict = Verdict()
    for conversation_id, contents in said.items():
        stored, replies = messages[conversation_id], responses[conversation_id]
        _compare_said(conversation_id, contents, stored, verdict)
        _compare_replies(conversation_id, stored, replies, verdict, asked_again)
    verdict.torn += await disagreements(world, list(said))
    return verdict


def _compare_said(where: str, contents: list[str], stored: list[Row], verdict: Verdict) -> None:
    found = [row["content"] for row in stored if row["role"] == "user"]
    counts = Counter(found)
    verdict.lost += [
        f"{where}: {each!r} was accepted and is not stored" for each in contents if not counts[each]
    ]
    verdict.doubled += [f"{where}: {each!r} is stored {n} times" for each, n in counts.items() if n > 1]
    if found != contents and Counter(contents) == counts:
        verdict.disordered.append(f"{where}: messages stand in another order than they were sent in")


def _compare_replies(
    where: str, stored: list[Row], responses: list[Row], verdict: Verdict, asked_again: Container[str]
) -> None:
    requests = {row["id"]: row for row in stored if row["role"] == "user"}
    asked = {row["id"]: row["request_message_id"] for row in responses}
    answered: list[int] = []
    in_order: list[int] = []
    for row in stored:
        if row["role"] != "assistant":
            continue
        request = requests.get(asked.get(row["response_id"], UUID(int=0)))
        if request is None:
            verdict.doubled.append(f"{where}: the reply at {row['position']} answers nothing")
            continue
        answered.append(request["position"])
        if str(row["response_id"]) not in asked_again:
            in_order.append(request["position"])
        if row["content"] != reply_to(request["content"]):
            verdict.torn.append(f"{where}: the reply at {row['position']} is {row['content']!r}")
        if row["position"] < request["position"]:
            verdict.disordered.append(f"{where}: the reply at {row['position']} stands before its message")
    verdict.disordered += [
        f"{where}: the message at {before} was answered before that at {after}"
        for before, after in pairwise(in_order)
        if before > after
    ]
    _compare_counts(where, list(requests.values()), Counter(answered), verdict)


def _compare_counts(where: str, requests: list[Row], answered: Counter[int], verdict: Verdict) -> None:
    for request in requests:
        if not answered[request["position"]]:
            verdict.lost.append(f"{where}: {request['content']!r} was never answered")
    verdict.doubled += [
        f"{where}: the message at {at} has {n} replies" for at, n in answered.items() if n > 1
    ]


async def disagreements(world: World, conversation_ids: list[str]) -> list[str]:
    """Return where rows contradict each other, in conversations in which nothing goes on any more."""
    ids = [UUID(each) for each in conversation_ids]
    found = []
    for what, sql in _CONTRADICTIONS.items():
        rows = await world.query(sql, ids)
        found += [f"{what}: {dict(row)}" for row in rows]
    return found


async def _by_conversation(
    world: World, said: dict[str, list[str]], select: str, order: str
) -> defaultdict[str, list[Row]]:
    ids = [UUID(each) for each in said]
    rows = await world.query(f"{select} WHERE conversation_id = ANY($1) ORDER BY {order}, id", ids)
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["conversation_id"])].append(row)
    return found


_CONTRADICTIONS = {
    "positions have a gap, or last_position is wrong": """
        SELECT conversations.id, last_position, count(messages.id), max(position) FROM conversations
        LEFT JOIN messages ON conversation_id = conversations.id WHERE conversations.id = ANY($1)
        GROUP BY conversations.id
        HAVING count(messages.id) <> last_position OR coalesce(max(position), 0) <> last_position
        OR coalesce(min(position), 1) <> 1""",
    "a response is still active": """
        SELECT id, status FROM responses
        WHERE conversation_id = ANY($1) AND status IN ('queued', 'in_progress')""",
    "a job is still active": """
        SELECT jobs.id, jobs.status FROM jobs JOIN responses ON subject_id = responses.id
        WHERE conversation_id = ANY($1) AND jobs.status IN ('queued', 'in_progress')""",
    "a response and its job disagree": """
        SELECT responses.id, responses.status, jobs.status AS job_status, responses.attempt,
            jobs.attempt AS job_attempt
        FROM responses LEFT JOIN jobs ON jobs.id = job_id WHERE conversation_id = ANY($1)
        AND (jobs.id IS NULL OR jobs.status <> responses.status OR subject_id <> responses.id
            OR jobs.attempt <> responses.attempt)""",
    "two jobs of one response have ended well": """
        SELECT subject_id, count(*) FROM jobs JOIN responses ON subject_id = responses.id
        WHERE conversation_id = ANY($1) AND jobs.status = 'completed'
        GROUP BY subject_id HAVING count(*) > 1""",
    "a completed response and its message disagree": """
        SELECT responses.id, responses.status, messages.position FROM responses
        FULL JOIN messages ON messages.response_id = responses.id
        WHERE coalesce(responses.conversation_id, messages.conversation_id) = ANY($1)
        AND (messages.role IS NULL OR messages.role = 'assistant')
        AND ((responses.status = 'completed') <> (messages.id IS NOT NULL)
            OR messages.id IS NOT NULL AND (responses.id IS NULL OR responses.message_id <> messages.id
                OR output_text <> content OR responses.conversation_id <> messages.conversation_id))""",
}
