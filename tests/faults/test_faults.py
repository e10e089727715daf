"""A turn survives whatever happens at any of its step boundaries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.failpoints import Action
from tests.faults.matrix import ACTIONS, BROKERS, PAINTING, all_cases, run_matrix, short_cases
from tests.faults.points import BEFORE, POINTS, resolve
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import Case, Turn
from tests.services.fixtures import migrated_database
from tests.services.oracle import disagreements
from tests.services.rabbitmq import RabbitMQNode


def test_every_point_exists_and_is_gone_through() -> None:
    for point in POINTS:
        resolve(point.target)
    names = [point.name for point in POINTS]
    assert len(set(names)) == len(names)
    cases = [case for broker in BROKERS for case in all_cases(broker)]
    assert {case.point for case in cases} == set(names)
    chosen = [case for broker in BROKERS for case in short_cases(broker)]
    assert {(each.point, each.side, each.scenario) for each in chosen} == {
        (each.point, each.side, each.scenario) for each in cases if each.scenario not in PAINTING
    } | {(each.point, each.side, each.scenario) for each in chosen if each.scenario in PAINTING}
    assert {each.action for each in chosen if each.scenario in PAINTING} == set(ACTIONS)


def test_a_point_that_is_gone_is_missed() -> None:
    for target in ("hub.jobs.store.no_such", "hub.no_such.step", "hub.jobs.relay.NoSuch.ring"):
        with pytest.raises(LookupError):
            resolve(target)


async def test_every_crash_point_is_safe(tmp_path: Path, postgres: str, rabbitmq: RabbitMQNode) -> None:
    result = await run_matrix(
        full=False, progress=print, folder=tmp_path, postgres=postgres, rabbitmq_url=rabbitmq.url
    )
    assert not result.failures, "\n\n".join(result.failures)


# What could have gone wrong, done by hand after a turn has gone well.
SABOTAGE = (
    "DELETE FROM messages WHERE role = 'assistant'",
    "UPDATE messages SET position = position + 1 WHERE position = 4",
    "UPDATE messages SET content = content || '.' WHERE role = 'assistant'",
    "UPDATE messages SET response_id = NULL WHERE role = 'assistant'",
    "UPDATE conversations SET last_position = last_position + 1",
    "UPDATE jobs SET status = 'queued', completed_at = NULL",
    "UPDATE jobs SET status = 'cancelled'",
    "UPDATE jobs SET attempt = attempt + 1",
    "UPDATE responses SET status = 'in_progress', completed_at = NULL",
    "UPDATE responses SET job_id = gen_random_uuid()",
    "UPDATE responses SET request_message_id = (SELECT id FROM messages WHERE position = 1)",
    """
    UPDATE messages SET position = 106 - position WHERE position IN (2, 4);
    UPDATE messages SET position = position - 100 WHERE position > 100
    """,
    """
    UPDATE responses SET status = 'failed', error_code = 'broken', message_id = NULL;
    UPDATE jobs SET status = 'failed', attempt = attempt + 1;
    DELETE FROM messages WHERE role = 'assistant';
    UPDATE messages SET position = 2 WHERE position = 3;
    UPDATE conversations SET last_position = 2
    """,
    """
    INSERT INTO jobs SELECT (jsonb_populate_record(jobs, jsonb_build_object('id', gen_random_uuid()))).*
    FROM jobs
    """,
    """
    INSERT INTO messages (id, conversation_id, position, role, content)
    SELECT gen_random_uuid(), id, last_position + 1, 'assistant', 'Nobody asked' FROM conversations;
    UPDATE conversations SET last_position = last_position + 1
    """,
    "UPDATE idempotency_keys SET response_id = gen_random_uuid()",
)


async def test_the_oracle_sees_what_is_wrong(tmp_path: Path, postgres: str) -> None:
    async with Cluster(tmp_path, database=await migrated_database(postgres), broker_url=None) as cluster:
        case = Case("ChatService.send", BEFORE, Action.ERROR, "send with key", asked=True)
        await Turn(cluster, case).run(SCENARIOS[case.scenario])
        for statement in SABOTAGE:
            transaction = cluster.database.transaction()
            await transaction.start()
            assert not await disagreements(cluster.database)
            await cluster.database.execute(statement)
            assert await disagreements(cluster.database), statement
            await transaction.rollback()
