"""Every step boundary of a turn, crashed, failed and frozen, with both kinds of broker."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.world import World
from tests.faults.matrix import ACTIONS, FAILED, count_cases, run_matrix


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Run the matrix with hubs, databases and queues of its own, on the world's servers."""
    full = size is Size.FULL
    total, failed = count_cases(full=full), 0

    def tell(line: str) -> None:
        nonlocal failed
        progress.add()
        failed += f": {FAILED} (" in line

    with tempfile.TemporaryDirectory(prefix="hub-failpoints-") as folder:
        async with progress.of(total, "cases", lambda: f"{failed} failed"):
            result = await run_matrix(
                full=full,
                progress=tell,
                folder=Path(folder),
                postgres=world.postgres.dsn,
                rabbitmq_url=world.rabbitmq.url,
            )
    for failure in result.failures:  # whole, since what is rare may not come again
        sys.stderr.write(f"{failure}\n\n")
    wrong = [_in_a_line(failure) for failure in result.failures]
    if result.cases != total:
        wrong.append(f"only {result.cases} of {total} cases were run")
    done = f"{result.cases} cases: {', '.join(ACTIONS)} at each step, both brokers"
    return [none_of("a fault at any step of a turn is safe", done, wrong, what="failures")]


def _in_a_line(failure: str) -> str:
    """Return which case failed, and the error behind its traceback."""
    case, *_, error = failure.partition("\n--- ")[0].rstrip().splitlines()
    return f"{case}: {error}"[:300]
