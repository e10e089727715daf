"""``hub import-legacy``: coming from the original."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from hub.commands.output import as_json_option, examples
from hub.commands.running import with_database
from hub.core.settings import Settings
from hub.db.provision import Database, migrate_database
from hub.legacy.report import Report
from hub.legacy.service import Order, carry_out


@click.command(
    "import-legacy",
    epilog=examples(
        "hub import-legacy --source postgresql://me@localhost/companion --uploads ~/original/public/uploads",
        "hub import-legacy --source postgresql://me@localhost/companion --uploads ~/original/public/uploads"
        " --verify",
    ),
)
@click.option(
    "--source", required=True, metavar="URL", help="The original's DATABASE_URL (postgresql://...)."
)
@click.option(
    "--uploads",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The original's public/uploads, which holds companions/.",
)
@click.option("--verify", is_flag=True, help="Import nothing; compare both sides.")
@as_json_option
def import_legacy(source: str, uploads: Path | None, *, verify: bool, as_json: bool) -> None:
    """Bring over accounts, companions, talks and pictures from the original; it is left as it is.

    It can be stopped at any point and run again: nothing comes twice. The exit code is 1 when something that
    can be read is not here afterwards.
    """
    order = Order(source=source, uploads=uploads, verify=verify)

    def run(settings: Settings, database: Database) -> None:
        report = asyncio.run(_carry_out(order, settings, database))
        _print(report, verify=verify, as_json=as_json)

    with_database(run)


async def _carry_out(order: Order, settings: Settings, database: Database) -> Report:
    await migrate_database(database)
    return await carry_out(order, settings, database.dsn, stream=sys.stderr)


def _print(report: Report, *, verify: bool, as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json())
    else:
        click.echo(f"{report.render()}\n\n{_summary(report, verify=verify)}")
    if not report.is_clean:
        raise SystemExit(1)


def _summary(report: Report, *, verify: bool) -> str:
    pictures = report.counts["pictures"]
    if verify:
        words = f"{pictures['verified']} pictures verified. "
        return words + (
            "No differences." if report.is_clean else "There are differences; they are named above."
        )
    if not report.is_clean:
        return "Not everything that can be read was imported; what is missing is named above."
    rest = "; what cannot be read is named above" if pictures["failed"] else ""
    return f"Everything that can be read is imported{rest}."
