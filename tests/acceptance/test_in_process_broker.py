"""``hub up`` without RabbitMQ keeps the same promise: however often a job is rung for, it is done once."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import TEXT, Held, at
from tests.fakes.llm import FakeLLM
from tests.fakes.llm_script import reply
from tests.services.hub import HubServer
from tests.services.world import exactly_one_reply, query, signed_in, within

WAITING = 5


async def test_jobs_that_were_rung_for_again_and_again_run_once(
    tmp_path: Path, empty_database: str, fake: FakeLLM
) -> None:
    held = Held()
    fake.default = lambda _: reply(TEXT)
    fake.script(held.script)
    settings = {**at(fake), "HUB_DATABASE_URL": empty_database, "HUB_WORKER_THREADS": "1"}
    server = HubServer(tmp_path, **settings)

    async def rung() -> bool | None:
        sql = (
            "SELECT count(*) FROM jobs WHERE kind = 'reply' AND status = 'queued'"
            " AND published_at > now() - interval '9 s'"
        )
        return (await query(empty_database, sql))[0]["count"] == WAITING or None

    try:
        await server.start()
        async with signed_in(server) as client:
            talks = [(await client.conversation())["id"] for _ in range(WAITING + 1)]
            sent = []
            for talk in talks:
                sent.append((await client.send(talk, "Hello"))["response"]["id"])
                await fake.wait_for_requests(1)  # the only thread is busy with the first
            await within(5, rung)
            for _ in range(2):
                stale = "UPDATE jobs SET published_at = now() - interval '16 s' WHERE status = 'queued'"
                await query(empty_database, stale)
                await within(5, rung)
            held.go.set()
            for talk, response_id in zip(talks, sent, strict=True):
                await exactly_one_reply(client, talk, await client.ended(response_id))
        assert len(fake.requests) == WAITING + 1
        assert await server.stop() == 0
    finally:
        server.close()
