"""``hub migrate`` and ``hub migration``: the database's schema."""

from __future__ import annotations

import asyncio

import click

from hub.commands.output import examples
from hub.commands.running import with_database
from hub.core.settings import Settings
from hub.db.migrate import create_migration
from hub.db.provision import Database, migrate_database


@click.command(epilog=examples("hub migrate"))
def migrate() -> None:
    """Bring the database's schema forward.

    Every start does it, too; several at once wait for each other. There is no way back but a backup.
    """

    def run(_: Settings, database: Database) -> None:
        count = asyncio.run(migrate_database(database))
        click.echo(f"{count} migrations ran." if count else "The database is up to date.")

    with_database(run)


@click.command(epilog=examples("hub migration add_notes"))
@click.argument("name")
def migration(name: str) -> None:
    """Write a migration file for what changed in the tables; for those who develop the hub."""

    def run(_: Settings, database: Database) -> None:
        asyncio.run(migrate_database(database))
        click.echo(asyncio.run(create_migration(database.dsn, name)))

    with_database(run)
