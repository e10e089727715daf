"""``hub images``: what the pictures take, whether rows and files agree, and removing what nobody needs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import click
import msgspec

from hub.commands.output import as_json_option, examples, print_json
from hub.commands.session import with_tables
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.core.sizes import size
from hub.domain.images import queries, removals
from hub.domain.images.collector import STRAY_LIFE, Collector, Tally
from hub.domain.images.reconcile import Count, Fault, Reconciler, count_rows
from hub.domain.images.schemas import CompanionStats, StorageStats

#: Companions that are read at once, and removals that are seen to between two looks at the time.
_PAGE = 500


@click.group(epilog=examples("hub images stats", "hub images verify", "hub images gc"))
def images() -> None:
    """Look after the files of pictures; beside a running server too."""


@images.command(epilog=examples("hub images stats", "hub images stats --companions --json"))
@click.option("--companions", is_flag=True, help="Add a line for each companion.")
@as_json_option
def stats(*, companions: bool, as_json: bool) -> None:
    """Show what the pictures take, and what storing them small has saved."""
    with_tables(lambda _: _stats(companions=companions, as_json=as_json))


@images.command(epilog=examples("hub images verify || mail -s pictures me@example.org < /dev/null"))
@as_json_option
def verify(*, as_json: bool) -> None:
    """Compare rows and files, and read every file; exit 1 when something is wrong.

    Named are rows without their file, files without a row, and files whose bytes are not those that were
    stored. Nothing is changed.
    """
    wrong = list[int]()
    with_tables(partial(_verify, as_json=as_json, wrong=wrong))
    if sum(wrong):
        raise SystemExit(1)


@images.command(epilog=examples("hub images gc", "hub images gc --grace 0"))
@click.option(
    "--grace",
    type=click.IntRange(min=0, max=10**9),
    metavar="SECONDS",
    help="How long ago a picture must have been removed, or a stray file written. By default HUB_IMAGE_GRACE"
    " for removed pictures, and a day for strays.",
)
@as_json_option
def gc(*, grace: int | None, as_json: bool) -> None:
    """Remove files that no picture needs any more, and say how much room that made.

    Where most files have no row, as in a folder of another database, they are left alone unless --grace is
    given.
    """
    with_tables(partial(_gc, grace=grace, as_json=as_json))


# stats


async def _stats(*, companions: bool, as_json: bool) -> None:
    total, waiting = await queries.stats(), await removals.count()
    if as_json:
        lines = {"companions": [each async for each in _companions()]} if companions else {}
        print_json({**msgspec.structs.asdict(total), "waiting_for_removal": waiting, **lines})
        return
    click.echo(_summary(total, waiting))
    if companions:
        click.echo(
            f"\n{'companion':36}  {'pictures':>9}  {'stored':>9}  {'thumbnails':>10}  {'sent':>9}  saved"
        )
        async for each in _companions():
            click.echo(
                f"{each.companion_id}  {each.total_images:9,}  {size(each.total_bytes):>9}"
                f"  {size(each.thumbnail_bytes):>10}  {size(each.original_bytes):>9}  {each.saved_share:.1%}"
            )


async def _companions() -> AsyncIterator[CompanionStats]:
    last = None
    while page := await queries.stats_of_companions(limit=_PAGE, after=last):
        for each in page:
            yield each
        last = page[-1].companion_id


def _summary(total: StorageStats, waiting: int) -> str:
    rows = (
        ("Pictures", f"{total.total_images:,} of {total.companion_count:,} companions"),
        ("Stored", size(total.total_bytes)),
        ("Thumbnails", size(total.thumbnail_bytes)),
        ("As they were sent", f"{size(total.original_bytes)} ({total.saved_share:.1%} saved)"),
        ("Removed, files wait", f"{waiting:,}"),
    )
    return "\n".join(f"{name:20}  {value}" for name, value in rows)


# verify


async def _verify(settings: Settings, *, as_json: bool, wrong: list[int]) -> None:
    rows = await count_rows()
    progress = Progress(sys.stderr)
    progress.begin("rows and files", rows * 3)  # a row, a main file and a thumbnail each

    def tell(count: Count) -> None:
        progress.reach(count.rows + count.files, f", {size(count.bytes)} read, {sum(wrong)} wrong")

    reconciler = Reconciler(settings.data_dir, on_progress=tell)
    faults = list[Fault]()
    async for fault in reconciler.faults():
        wrong.append(1)
        if as_json:
            faults.append(fault)
            continue
        progress.clear()
        click.echo(_line(fault, settings.data_dir))
    progress.clear()
    count = reconciler.count
    if as_json:
        found = [_fault(each, settings.data_dir) for each in faults]
        print_json({"images": count.rows, "files": count.files, "bytes": count.bytes, "faults": found})
        return
    end = f"{sum(wrong):,} fault{'' if sum(wrong) == 1 else 's'}." if wrong else "Rows and files agree."
    click.echo(f"{count.rows:,} pictures, {count.files:,} files, {size(count.bytes)} read. {end}")


def _line(fault: Fault, data_dir: Path) -> str:
    image = f"  image {fault.image_id}" if fault.image_id else ""
    return f"{fault.fault}:{image}  {_shown(fault.path, data_dir)}"


def _fault(fault: Fault, data_dir: Path) -> dict[str, object]:
    return {
        "fault": fault.fault.replace(" ", "_"),
        "image_id": fault.image_id,
        "companion_id": fault.companion_id,
        "path": _shown(fault.path, data_dir),
    }


def _shown(path: Path, data_dir: Path) -> str:
    """Return a path below the data folder; what cannot be printed in a name is escaped."""
    name = str(path.relative_to(data_dir))
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


# gc


async def _gc(settings: Settings, *, grace: int | None, as_json: bool) -> None:
    collector = Collector(settings.data_dir)
    removed = settings.image_grace if grace is None else grace
    progress = Progress(sys.stderr)
    progress.begin("removed pictures", await removals.count())
    while await collector.collect(_PAGE, grace=removed) == _PAGE:
        progress.reach(collector.tally.removals)
    await collector.sweep_temporary(grace=removed)
    strays = STRAY_LIFE if grace is None else grace
    is_sure = grace is not None or await collector.knows_its_files()
    while is_sure and await collector.sweep_strays(_PAGE, grace=strays) >= _PAGE:
        progress.reach(collector.tally.removals, f", {collector.tally.strays.files:,} strays")
    progress.clear()
    _tell_removed(collector.tally, waiting=await removals.count(), as_json=as_json)


def _tell_removed(tally: Tally, *, waiting: int, as_json: bool) -> None:
    total = tally.pictures + tally.temporary + tally.strays
    if as_json:
        print_json({**msgspec.to_builtins(tally), "total": msgspec.to_builtins(total), "waiting": waiting})
        return
    rows = [
        (f"{tally.removals:,} removed pictures", tally.pictures),
        ("Temporary files", tally.temporary),
        ("Files without a row", tally.strays),
        ("Together", total),
    ]
    click.echo(
        "\n".join(f"{name:28}  {freed.files:7,} files  {size(freed.bytes):>9}" for name, freed in rows)
    )
    if tally.put_back:
        click.echo(f"{tally.put_back:,} files that an earlier run had in hand are back in their place.")
    if waiting:
        click.echo(f"{waiting:,} removed pictures still wait: for their time, while in use, or for a backup.")
