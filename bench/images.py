"""Pictures: how small and how good, how many a second, in how much memory, and how long an upload takes."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from pyvips import Image

from bench.pictures import photographs, rivals, ssimulacra2, upload
from bench.pictures.rivals import Rival, Work
from bench.pictures.speed import HEADER_BOX, Desk, Encode, busy_seconds, ours, peak_memory, seconds
from bench.report import Figure
from bench.world import World
from hub.storage.images import ImageProcesses

SHARE_GOAL, LIKENESS_GOAL = 0.09, 80.0
SHARP_GOAL, PILLOW_GOAL, MEMORY_GOAL = 0.95, 1.7, 0.85
#: Rounds of the twelve pictures, and of the large one.
ROUNDS = 12
LARGE_ROUNDS = 8
#: More than a process takes to be ready.
_START_SECONDS = 1.0


class Run(NamedTuple):
    """Pictures, and who encodes them: one of them for each that works at the same time."""

    work: Sequence[Work]
    hands: Sequence[Encode]


async def measure(world: World) -> list[Figure]:
    """Measure everything about pictures."""
    folder = world.folder()
    pictures = await asyncio.to_thread(photographs.pictures, folder)
    large = await asyncio.to_thread(photographs.large_jpeg, folder)
    no_sharp = await asyncio.to_thread(rivals.install_sharp)
    return [
        *await _quality(Desk(world.folder()), pictures),
        *await _speed(Desk(world.folder()), pictures, large, no_sharp),
        *await _memory(Desk(world.folder()), pictures, large, no_sharp),
        *await upload.measure(world, pictures, large),
    ]


async def _quality(desk: Desk, pictures: list[Path]) -> list[Figure]:
    work = [desk.work(picture) for picture in pictures]
    async with _our_processes() as processes:
        await seconds(work, *[ours(processes)] * 2)
    before = _bytes(each.source for each in work)
    after = _bytes(each.main for each in work)
    thumbs = _bytes(each.thumb for each in work)
    scores = await asyncio.to_thread(lambda: [_likeness(each.source, each.main) for each in work])
    mean = statistics.mean(scores)
    return [
        Figure(
            name="Stored pictures, as a share of the PNG's bytes",
            value=after / before,
            shown=f"{after / before:.3f}x",
            goal=SHARE_GOAL,
            goal_shown=f"<= {SHARE_GOAL:g}x",
            details=(
                f"{len(work)} PNG of 1024 x 1024 and {before / len(work) / 1e6:.2f} MB, AVIF q70 effort 0",
                f"with their thumbnails {(after + thumbs) / before:.3f}x",
            ),
        ),
        Figure(
            name="Likeness of these pictures, mean SSIMULACRA2",
            value=mean,
            shown=f"{mean:.1f}",
            goal=LIKENESS_GOAL,
            at_least=True,
            goal_shown=f">= {LIKENESS_GOAL:g}",
            details=(f"from {min(scores):.1f} to {max(scores):.1f}; 80 is very high quality",),
        ),
    ]


def _bytes(paths: Iterable[str]) -> int:
    return sum(Path(path).stat().st_size for path in paths)


def _likeness(source: str, stored: str) -> float:
    return ssimulacra2.score(Image.new_from_file(source), Image.new_from_file(stored).copy_memory())


async def _speed(desk: Desk, pictures: list[Path], large: Path, no_sharp: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        processes = await stack.enter_async_context(_our_processes())
        pillow = await stack.enter_async_context(rivals.pillow())
        sharp = None if no_sharp else await stack.enter_async_context(rivals.sharp())
        if sharp:
            many = await _many(desk, pictures, processes, sharp)
        else:
            many = [_without_sharp("Pictures a second", no_sharp)]
        return [*many, *await _large(desk, large, processes, pillow, sharp)]


async def _many(desk: Desk, pictures: list[Path], processes: ImageProcesses, sharp: Rival) -> list[Figure]:
    work = [desk.work(picture) for picture in pictures]
    runs = {"ours": Run(work, [ours(processes)] * 2), "sharp": Run(work, [sharp.encode] * 2)}
    await seconds(work, *runs["ours"].hands)  # so that both processes are there
    pids = {"ours": processes.pids, "sharp": [sharp.pid]}
    before = {name: busy_seconds(each) for name, each in pids.items()}
    taken = await _rounds(runs, rounds=ROUNDS)
    pieces = len(work) * (ROUNDS + 1)
    busy = {name: (busy_seconds(each) - before[name]) * 1000 / pieces for name, each in pids.items()}
    ratio = statistics.median(taken["sharp"]) / statistics.median(taken["ours"])
    each_round = sorted(theirs / our for theirs, our in zip(taken["sharp"], taken["ours"], strict=True))
    rates = {name: len(work) / statistics.median(each) for name, each in taken.items()}
    return [
        Figure(
            name="Pictures a second, against sharp",
            value=ratio,
            shown=f"{ratio:.2f}x",
            goal=SHARP_GOAL,
            at_least=True,
            goal_shown=f">= {SHARP_GOAL:g}x",
            details=(
                f"{rates['ours']:.1f} a second in two processes, both files on the disk and hashed",
                f"{rates['sharp']:.1f} a second with {sharp.name}, two at once in one process, a thread each",
                f"processor time a picture: {busy['ours']:.0f} ms, with sharp {busy['sharp']:.0f} ms",
                f"round by round from {each_round[0]:.2f}x to {each_round[-1]:.2f}x",
            ),
        )
    ]


async def _large(
    desk: Desk, large: Path, processes: ImageProcesses, pillow: Rival, sharp: Rival | None
) -> list[Figure]:
    work = desk.work(large, box=HEADER_BOX)
    contain = desk.work(large, box=HEADER_BOX, contain=True)
    runs = {
        "ours": Run([work], [ours(processes)]),
        "contain": Run([contain], [pillow.encode]),
        "thumbnail": Run([work], [pillow.encode]),
    }
    if sharp:
        runs["sharp"] = Run([work], [sharp.encode])
    taken = await _rounds(runs, rounds=LARGE_ROUNDS)
    medians = {name: statistics.median(each) * 1000 for name, each in taken.items()}
    ratio = medians["contain"] / medians["ours"]
    draft = medians["thumbnail"] / medians["ours"]
    aside = []
    if sharp:
        aside = [f"{medians['sharp']:.0f} ms with sharp: {medians['sharp'] / medians['ours']:.2f}x"]
    size = _bytes([work.source]) / 1e6
    return [
        Figure(
            name="A JPEG of 24 megapixels, against Pillow's ImageOps.contain",
            value=ratio,
            shown=f"{ratio:.2f}x",
            goal=PILLOW_GOAL,
            at_least=True,
            goal_shown=f">= {PILLOW_GOAL:g}x",
            details=(
                f"{size:.1f} MB to AVIF inside {HEADER_BOX} x {HEADER_BOX}: {medians['ours']:.0f} ms",
                f"{medians['contain']:.0f} ms with {pillow.name}, AVIF of the same quality and speed",
                *aside,
            ),
        ),
        Figure(
            name="The same, against Pillow's thumbnail()",
            value=draft,
            shown=f"{draft:.2f}x",
            details=(f"{medians['thumbnail']:.0f} ms: it shrinks while it decodes, as we do",),
        ),
    ]


async def _memory(desk: Desk, pictures: list[Path], large: Path, no_sharp: str) -> list[Figure]:
    """Measure fresh processes with one picture at a time, then two at once."""
    if no_sharp:
        return [_without_sharp("Peak memory of an image process", no_sharp)]
    work = [*(desk.work(picture) for picture in pictures), desk.work(large, box=HEADER_BOX)]
    async with _our_processes(count=1) as processes, rivals.sharp() as sharp:
        assert sharp is not None
        idle = [peak_memory(processes.pids[0]), peak_memory(sharp.pid)]
        await seconds(work, ours(processes))
        await seconds(work, sharp.encode)
        one, other = peak_memory(processes.pids[0]), peak_memory(sharp.pid)
    async with _our_processes() as processes, rivals.sharp() as sharp:
        assert sharp is not None
        await seconds(work, *[ours(processes)] * 2)
        await seconds(work, *[sharp.encode] * 2)
        two, others = sum(peak_memory(pid) for pid in processes.pids), peak_memory(sharp.pid)
    return [
        Figure(
            name="Peak memory of an image process, against sharp",
            value=one / other,
            shown=f"{one / other:.2f}x",
            goal=MEMORY_GOAL,
            goal_shown=f"<= {MEMORY_GOAL:g}x",
            details=(
                f"a picture at a time: {one:.0f} MB and {other:.0f} MB (idle {idle[0]:.0f}, {idle[1]:.0f})",
                f"two at once: {two:.0f} MB in our two processes, {others:.0f} MB in sharp's one,",
                f"which is {two / others:.2f}x, what the two share counted twice",
            ),
        )
    ]


async def _rounds(runs: Mapping[str, Run], *, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run, a round of each in turn, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in sorted(runs, reverse=number % 2 == 1):
            each = await seconds(runs[name].work, *runs[name].hands)
            if number:
                taken[name].append(each)
    return taken


@asynccontextmanager
async def _our_processes(count: int = 2) -> AsyncIterator[ImageProcesses]:
    processes = ImageProcesses(count=count)
    try:
        processes.warm()
        await asyncio.sleep(_START_SECONDS)
        yield processes
    finally:
        await processes.close()


def _without_sharp(name: str, why: str) -> Figure:
    return Figure(name=f"{name}, against sharp", value=math.nan, shown="-", details=(why,))
