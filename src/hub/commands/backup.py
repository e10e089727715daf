"""``hub backup`` and ``hub restore``: everything of a hub in one file, and a hub out of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from hub.backup.restoring import Restore, Restored
from hub.backup.retention import Keep
from hub.backup.taking import Backup, Taken
from hub.commands.output import as_json_option, examples, print_json
from hub.commands.running import in_one_line, log_quietly, settings_or_exit
from hub.core.errors import StartError
from hub.core.progress import Progress
from hub.core.settings import Settings
from hub.core.sizes import size
from hub.db.embedded.layout import Layout
from hub.db.provision import open_database

Command = TypeVar("Command", bound=Callable[..., Any])

_STANDARD = "-"


def _keep(period: str) -> Callable[[Command], Command]:
    return click.option(
        f"--keep-{period}",
        type=click.IntRange(min=0, max=10_000),
        metavar="NUMBER",
        help=f"In a folder: so many {_PERIODS[period]} keep their last backup. By default"
        f" HUB_BACKUP_KEEP_{period.upper()}; all three 0 keep everything.",
    )


_PERIODS = {"daily": "days", "weekly": "weeks", "monthly": "months"}


@click.command(
    epilog=examples(
        "hub backup", "hub backup /mnt/disk/hub.tar.zst", "hub backup - | ssh nas 'cat > hub.tar.zst'"
    )
)
@click.argument("target", required=False)
@_keep("daily")
@_keep("weekly")
@_keep("monthly")
@as_json_option
def backup(target: str | None, *, as_json: bool, **keep: int | None) -> None:
    """Write everything into one archive, beside a running hub too.

    TARGET is a file, a folder (where the archive is named after its time, and old ones are removed), or - for
    standard output. Without it: the folder that HUB_BACKUP_DIR names, else "backups" beside the data folder.

    The exit code is 1 when there is no new backup, and when files of pictures were missing or damaged before:
    then they are named, and the rest is in the backup.
    """
    # Standard output is None where the caller has closed it.
    if target == _STANDARD and (sys.stdout is None or sys.stdout.isatty()):
        raise click.UsageError("There is nobody to take the archive. Name a file, or send it on with |.")
    settings = _settings()
    chosen = {name: value for name, value in keep.items() if value is not None}
    keeping = {f"keep_{each}": getattr(settings, f"backup_keep_{each}") for each in _PERIODS} | chosen
    rule = Keep(**{name.removeprefix("keep_"): value for name, value in keeping.items()})
    with in_one_line(), ExitStack() as stack:
        if settings.database_url is None and not Layout.below(settings.data_dir).data.exists():
            raise StartError(
                f"There is nothing to back up: no hub has used the data folder {settings.data_dir} yet."
                " Check HUB_DATA_DIR."
            )
        database = stack.enter_context(open_database(settings))
        work = Backup(settings, database.dsn, Progress(sys.stderr))
        taken = asyncio.run(_take(work, target, settings, rule))
    _tell_taken(taken, as_json=as_json)
    if taken.manifest.faults:
        raise SystemExit(1)


async def _take(work: Backup, target: str | None, settings: Settings, keep: Keep) -> Taken:
    if target == _STANDARD:
        return await work.to_pipe(sys.stdout.fileno())
    if target is None:
        return await work.to_folder(settings.backup_folder, keep)
    if target.endswith("/") or os.path.isdir(target):  # noqa: ASYNC240, PTH112 - nothing else runs here
        return await work.to_folder(Path(target), keep)
    return await work.to_file(Path(target))


def _tell_taken(taken: Taken, *, as_json: bool) -> None:
    tell = partial(click.echo, err=taken.file is None)  # standard output has the archive
    manifest = taken.manifest
    if as_json:
        print_json(_taken_document(taken), err=taken.file is None)
        return
    for fault in manifest.faults:
        click.echo(f"{fault.fault}: {fault.path}", err=True)
    if taken.others:
        click.echo(f"Left out, since they are not the hub's: the tables {', '.join(taken.others)}.", err=True)
    counts = ", ".join(f"{name} {number:,}" for name, number in manifest.counts.items())
    tell(f"{taken.file or 'Written to standard output'}: {counts}")
    read = "read back and whole" if taken.file else "not read back; hub restore --dry-run does that"
    tell(f"{size(taken.bytes)} in {taken.seconds:.1f} s, {read}.")
    if taken.removed:
        tell(f"Older backups removed: {', '.join(each.name for each in taken.removed)}.")
    if manifest.faults:
        click.echo(
            f"hub: {len(manifest.faults)} files of pictures, named above, were missing or damaged before:"
            " they are not in the backup. No older backup was removed.",
            err=True,
        )
    secrets = " and the hub's key" if manifest.key.in_archive else ""
    tell(f"It holds what people wrote, their password hashes{secrets}: keep it where only you can read it.")


def _taken_document(taken: Taken) -> dict[str, Any]:
    manifest = taken.manifest
    return {
        "file": str(taken.file) if taken.file else None,
        "bytes": taken.bytes,
        "seconds": taken.seconds,
        "version": manifest.version,
        "migration": manifest.migration,
        "created_at": manifest.created_at,
        "counts": manifest.counts,
        "files": len(manifest.files),
        "faults": manifest.faults,
        "key_in_archive": manifest.key.in_archive,
        "removed": [str(each) for each in taken.removed],
    }


@click.command(
    epilog=examples(
        "hub restore backups/hub-20261123T020000Z.tar.zst --dry-run",
        "HUB_DATA_DIR=elsewhere hub restore backups/hub-20261123T020000Z.tar.zst",
    )
)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Look whether it could be restored; change nothing.")
@as_json_option
def restore(file: str, *, dry_run: bool, as_json: bool) -> None:
    """Make a hub out of a backup: in a data folder (and database) that is empty and not in use.

    FILE is what hub backup wrote, or - for standard input. A backup of an older version is brought forward.
    Everything is compared before it counts; one that was stopped can be run again.
    """
    settings = _settings()
    with in_one_line(), ExitStack() as stack:
        if file == _STANDARD:
            source = sys.stdin.buffer
        else:
            try:
                source = stack.enter_context(Path(file).open("rb"))
            except OSError as error:
                raise StartError(f"{file} cannot be read: {error.strerror}.") from None
        work = Restore(settings, source, Progress(sys.stderr))
        restored = work.check() if dry_run else work.run()
    _tell_restored(restored, dry_run=dry_run, as_json=as_json)


def _tell_restored(restored: Restored, *, dry_run: bool, as_json: bool) -> None:
    manifest = restored.manifest
    if as_json:
        print_json(_restored_document(restored, dry_run=dry_run))
        return
    for fault in manifest.faults:
        click.echo(f"not in the backup, since it was {_WORDS[fault.fault]} before: {fault.path}", err=True)
    counts = ", ".join(f"{name} {number:,}" for name, number in manifest.counts.items())
    made = f"{manifest.created_at:%Y-%m-%d %H:%M} UTC by version {manifest.version}"
    click.echo(f"The backup was made on {made}: {counts}.")
    if restored.is_other_key:
        click.echo(
            "This hub has another key than that one had: set HUB_SECRET_KEY to what it was there, or give"
            " every webhook a new secret.",
            err=True,
        )
    if dry_run:
        click.echo("Everything in it is whole, and it could be restored here. Nothing was changed.")
    elif restored.was_done:
        click.echo("An earlier run had restored it here already; what it left to do is done.")
    else:
        click.echo("It is restored. Start the hub with: hub up")


_WORDS = {
    "row without file": "missing",
    "wrong hash": "damaged",
    "unreadable file": "unreadable",
}


def _restored_document(restored: Restored, *, dry_run: bool) -> dict[str, Any]:
    manifest = restored.manifest
    return {
        "restored": not dry_run,
        "version": manifest.version,
        "migration": manifest.migration,
        "created_at": manifest.created_at,
        "counts": manifest.counts,
        "files": len(manifest.files),
        "bytes": sum(file.size for file in manifest.files.values()),
        "faults": manifest.faults,
        "is_other_key": restored.is_other_key,
    }


def _settings() -> Settings:
    settings = settings_or_exit()
    log_quietly(settings)
    return settings
