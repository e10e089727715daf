"""schemathesis calls every operation as the OpenAPI document says, and a little otherwise.

A short run; ``make fuzz`` makes a long one.
"""

from __future__ import annotations

from pathlib import Path

from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.fuzz.world import fuzz
from tests.services.fixtures import migrated_database
from tests.services.hub import HubServer, llm_settings


async def test_every_operation_answers_as_documented(postgres: str, llm: FakeLLM, tmp_path: Path) -> None:
    async with FakeA1111() as painter:
        hub = HubServer(
            tmp_path,
            HUB_DATABASE_URL=await migrated_database(postgres),
            HUB_SD_URL=painter.url,
            **llm_settings(llm.url),
        )
        await hub.start()
        try:
            report = await fuzz(hub, examples=5, phases=("examples", "fuzzing", "stateful"), within=240)
            assert not report.errors, report.errors[0]
            assert not report.failures, "\n\n".join(report.failures)
            assert report.operations > 60
            assert report.total > 5 * report.operations
            assert report.statuses["200"] > report.operations
            assert "Traceback" not in hub.output
        finally:
            hub.close()
