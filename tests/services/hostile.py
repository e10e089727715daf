"""Has mutants decoded, and counts what becomes of them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from structlog.testing import capture_logs

from hub.core.errors import HubError
from hub.storage.files import FileStore
from hub.storage.images import ImageProcesses
from tests.services.mutants import CANARY, Mutant
from tests.services.pictures import AVIF, memory_of

PROCESSES = 2
BOX = 800

_REFUSALS = {413, 415, 422}


@dataclass
class Outcome:
    """What became of all of them.

    ``outcomes`` counts their statuses, 200 for those that were taken; ``crashes`` has what killed a process,
    and how each of those ended.
    """

    outcomes: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    too_slow: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_name: str = ""
    peak_mb: float = 0.0


async def try_all(
    mutants: Iterable[Mutant], store: FileStore, *, tell: Callable[[], None] = lambda: None
) -> Outcome:
    """Let two processes read them, with files as an upload has them; ``tell`` is called after each."""
    processes, outcome = ImageProcesses(count=PROCESSES), Outcome()
    following = iter(mutants)

    async def work() -> None:
        while (mutant := next(following, None)) is not None:
            await _try(mutant, store, processes, outcome)
            tell()

    with capture_logs() as logs:
        try:
            await asyncio.gather(*(work() for _ in range(PROCESSES)))
        finally:
            await processes.close()
    outcome.crashes += [str(line["how"]) for line in logs if "how" in line]
    folder = store.data_dir / "uploads" / "tmp"
    outcome.left_behind = await asyncio.to_thread(lambda: [path.name for path in folder.iterdir()])
    return outcome


async def _try(mutant: Mutant, store: FileStore, processes: ImageProcesses, outcome: Outcome) -> None:
    began = time.perf_counter()
    async with store.temporary() as source, store.temporary() as main, store.temporary() as thumb:
        source.path.write_bytes(mutant.content)
        try:
            encoded = await processes.encode(
                source.path, main=main.path, thumb=thumb.path, box=BOX, encoding=AVIF
            )
        except HubError as error:
            status = error.status
            if str(error).startswith("The picture cannot be read."):
                outcome.crashes.append(mutant.name)
        else:
            status = 200
            _look_at(mutant, main.path, encoded.sha256, outcome)
            _look_at(mutant, thumb.path, encoded.thumb_sha256, outcome)
    _note(mutant, status, time.perf_counter() - began, outcome)
    outcome.peak_mb = max([outcome.peak_mb, *(_peak(pid) for pid in processes.pids)])


def _look_at(mutant: Mutant, path: Path, sha256: str, outcome: Outcome) -> None:
    """What was written is whole, and nothing but the picture."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256 or content[4:12] != b"ftypavif":
        outcome.wrong.append(f"{mutant.name}: the file is not what was reported")
    if CANARY in content:
        outcome.wrong.append(f"{mutant.name}: the canary came through")


def _note(mutant: Mutant, status: int, seconds: float, outcome: Outcome) -> None:
    outcome.outcomes[status] += 1
    if status != 200 and status not in _REFUSALS:
        outcome.wrong.append(f"{mutant.name}: {status}")
    if seconds > outcome.slowest:
        outcome.slowest, outcome.slowest_name = seconds, mutant.name
    if seconds > 5:
        outcome.too_slow.append(f"{mutant.name}: {seconds:.1f} s")


def _peak(pid: int) -> float:
    try:
        return memory_of(pid, "VmHWM")
    except (FileNotFoundError, IndexError):  # it has just ended
        return 0.0
