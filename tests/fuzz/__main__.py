"""``make fuzz``: schemathesis against a hub with the fake model, 200 examples an operation in each phase."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from hub.db.embedded import EmbeddedPostgres
from tests.fakes.a1111 import FakeA1111
from tests.fakes.llm import FakeLLM
from tests.fuzz.world import Report, fuzz
from tests.services.fixtures import new_database
from tests.services.hub import HubServer, llm_settings

PHASES = ("examples", "coverage", "fuzzing", "stateful")


def main() -> int:
    """Run it and say what came of it; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="examples of each operation, in each phase")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--only", nargs="+", default=(), help="ids of operations")
    given = parser.parse_args()
    report = asyncio.run(_run(given.examples, tuple(given.phases), tuple(given.only)))
    for each in (*report.failures, *report.errors):
        print(each, end="\n\n")  # noqa: T201 - a command's words
    print(  # noqa: T201 - a command's words
        f"{report.operations} operations, {report.total} calls ({report.calls}), answers {report.statuses}: "
        f"{len(report.failures)} failures, {len(report.errors)} errors in {report.seconds:.0f} s"
    )
    return 1 if report.failures or report.errors else 0


async def _run(examples: int, phases: tuple[str, ...], only: tuple[str, ...]) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        database = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        dsn = database.start()
        try:
            async with FakeLLM() as llm, FakeA1111() as painter:
                settings = {"HUB_DATABASE_URL": await new_database(dsn), "HUB_SD_URL": painter.url}
                hub = HubServer(Path(folder) / "hub", **settings, **llm_settings(llm.url))
                await hub.start()
                try:
                    report = await fuzz(hub, examples=examples, phases=phases, only=only)
                    if "Traceback" in hub.output:
                        report.errors.append(hub.output[hub.output.index("Traceback") - 1500 :][:5000])
                    return report
                finally:
                    hub.close()
        finally:
            database.stop()


if __name__ == "__main__":
    sys.exit(main())
