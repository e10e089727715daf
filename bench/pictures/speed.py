"""Pictures a second and memory: our image processes, side by side with others at the same work."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from bench.pictures.rivals import Work
from hub.storage.images import Encoding, ImageProcesses

#: The default settings of the hub.
ENCODING = Encoding(media_type="image/avif", quality=70, effort=0)
GENERATED_BOX = 1920
HEADER_BOX = 800

Encode = Callable[[Work], Awaitable[None]]


class Desk:
    """Makes work with places for its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def work(self, source: Path, *, box: int = GENERATED_BOX, contain: bool = False) -> Work:
        """Return the order for one picture, whose files are there; the next order for it overwrites them."""
        main, thumb = self._folder / f"{source.stem}.avif", self._folder / f"{source.stem}.thumb.avif"
        main.touch()
        thumb.touch()
        return Work(
            source=str(source),
            main=str(main),
            thumb=str(thumb),
            box=box,
            quality=ENCODING.quality,
            effort=ENCODING.effort,
            contain=contain,
        )


def ours(processes: ImageProcesses) -> Encode:
    """Return the work as the hub has it done: with its processes, both files on the disk, hashed."""

    async def encode(work: Work) -> None:
        main, thumb = Path(work.main), Path(work.thumb)
        await processes.encode(Path(work.source), main=main, thumb=thumb, box=work.box, encoding=ENCODING)

    return encode


async def seconds(work: Sequence[Work], *hands: Encode) -> float:
    """Return how long it takes until all is done, each of the hands taking the next piece when free."""
    rest = iter(work)

    async def carry_on(encode: Encode) -> None:
        for each in rest:
            await encode(each)

    started = time.perf_counter()
    await asyncio.gather(*(carry_on(encode) for encode in hands))
    return time.perf_counter() - started


def busy_seconds(pids: Iterable[int]) -> float:
    """Return how long these processes have kept a processor busy."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> float:
    """Return the most memory that a process has had in use, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) / 1024
