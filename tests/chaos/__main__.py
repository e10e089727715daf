"""``python -m tests.chaos [scenarios] [--short|--full] [--seed N] [--json FILE]``: break it, and look."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench.report import this_machine
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, Report, render, to_json
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.sizes import Size
from tests.chaos.world import World, open_world

_INTERRUPTED = 128 + signal.SIGINT


async def run(names: list[str], size: Size, seed: int) -> Report:
    """Run scenarios one after the other, all on the same cluster."""
    report = Report(seed=seed, size=size.value, machine=this_machine(), seconds={}, findings=[])
    with tempfile.TemporaryDirectory(prefix="hub-chaos-") as folder:
        async with open_world(Path(folder), seed=seed) as world:
            for name in names:
                began = time.monotonic()
                world.random.seed(seed)
                report.findings.extend(await _findings(world, name, size))
                report.seconds[name] = time.monotonic() - began
    return report


async def _findings(world: World, name: str, size: Size) -> list[Finding]:
    try:
        return await SCENARIOS[name].run(world, size, Progress(name))
    except Exception as error:  # noqa: BLE001 - the other scenarios go on; this one has kept no promise
        where = tuple(traceback.format_exc().splitlines()[-12:])
        what = f"{type(error).__name__}: {error}"[:60]
        return [Finding(promise=name, done="-", found=what, goal="an end", met=False, details=where)]


def main() -> None:
    """Run the scenarios that were named, or all; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="chaos", description="Break what can break, and look what is left.")
    parser.add_argument(
        "names", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; all if none"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", dest="size", action="store_const", const=Size.SHORT, help="as in make test")
    size.add_argument("--full", dest="size", action="store_const", const=Size.FULL, help="the default")
    parser.add_argument(
        "--seed", type=int, help="what chance follows; printed, so that it can be given again"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there too")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SCENARIOS]:
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    size_chosen = options.size or Size.FULL
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    names = options.names or [name for name, each in SCENARIOS.items() if size_chosen in each.sizes]
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every peer that was killed
    sys.stderr.write(f"chaos, {size_chosen}, seed {seed}: {', '.join(names)}\n")
    try:
        report = asyncio.run(run(names, size_chosen, seed))
    except KeyboardInterrupt:
        sys.stderr.write("chaos was stopped; so is everything that it had started\n")
        sys.exit(_INTERRUPTED)
    sys.stdout.write(render(report) + "\n")
    if options.json is not None:
        options.json.write_bytes(to_json(report))
    sys.exit(0 if all(finding.met for finding in report.findings) else 1)


if __name__ == "__main__":
    main()
