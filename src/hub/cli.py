"""The command ``hub``."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import click
import msgspec

import hub
from hub.commands.images import images
from hub.commands.legacy import import_legacy
from hub.commands.running import settings_or_exit, with_database
from hub.core.errors import HubError, InvalidRequestError, StartError
from hub.core.logging import configure_logging
from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.db.migrate import create_migration
from hub.db.provision import Database, migrate_database
from hub.domain.accounts.schemas import Register
from hub.domain.accounts.service import AccountService
from hub.domain.limits.service import Limits
from hub.serve import Roles, serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hub.__version__, prog_name="hub")
def main() -> None:
    """Companion Hub: a self-hosted server for AI companions."""


main.add_command(images)
main.add_command(import_legacy)


@main.command()
def up() -> None:
    """Run everything in one process: web server and worker."""
    _serve(Roles(web=True, worker=True))


@main.command()
def web() -> None:
    """Run the web server alone; workers run elsewhere."""
    _serve(Roles(web=True, worker=False))


@main.command()
def worker() -> None:
    """Run a worker alone: it writes the replies."""
    _serve(Roles(web=False, worker=True))


@main.command()
def migrate() -> None:
    """Bring the database's schema forward."""

    def run(_: Settings, database: Database) -> None:
        count = asyncio.run(migrate_database(database))
        click.echo(f"{count} migrations ran." if count else "The database is up to date.")

    with_database(run)


@main.command()
@click.argument("name")
def migration(name: str) -> None:
    """Write a migration file for what changed in the tables."""

    def run(_: Settings, database: Database) -> None:
        asyncio.run(migrate_database(database))
        click.echo(asyncio.run(create_migration(database.dsn, name)))

    with_database(run)


@main.group()
def admin() -> None:
    """Look after administrators."""


@admin.command("create")
@click.argument("email")
@click.option("--username", help="By default what stands before the @.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create_admin(email: str, username: str | None, *, password_stdin: bool) -> None:
    """Create an administrator with this email address."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _ask_password()
    name = username or "".join(
        c if c.isascii() and c.isalnum() else "_" for c in email.partition("@")[0].lower()
    )
    with_database(
        lambda settings, database: asyncio.run(
            _create_admin(settings, database, email, name[:20].ljust(3, "_"), password)
        )
    )


async def _create_admin(
    settings: Settings, database: Database, email: str, username: str, password: str
) -> None:
    await migrate_database(database)
    await ENGINE.open(database.dsn, pool_size=2)
    try:
        given = {"username": username, "email": email, "password": password}
        command = msgspec.convert(given, Register)
        accounts = AccountService(token_life=timedelta(minutes=1), limits=Limits(settings))
        sign_in = await accounts.create_admin(command)
    except msgspec.ValidationError as error:
        raise StartError(f"The administrator was not created: {error}.") from None
    except HubError as error:
        detail = error.errors[0].detail if isinstance(error, InvalidRequestError) else str(error)
        raise StartError(f"The administrator was not created. {error.title}. {detail}") from None
    finally:
        await ENGINE.close()
    click.echo(f"{sign_in.user.username} <{sign_in.user.email}> is an administrator.")


def _ask_password() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _serve(roles: Roles) -> None:
    settings = settings_or_exit()
    configure_logging(settings)

    def on_ready(address: str, setup_token: str | None) -> None:
        _greet(settings, address, setup_token)

    try:
        serve(settings, roles, on_ready=on_ready)
    except StartError as error:
        click.echo(f"hub: {error}", err=True)
        raise SystemExit(1) from None


def _greet(settings: Settings, address: str, setup_token: str | None) -> None:
    if not address:
        return
    lines = [
        f"Companion Hub {hub.__version__} is ready.",
        f"  Address   {address}",
        f"  API docs  {address}/docs",
    ]
    if setup_token is not None and settings.env == "development":
        lines.append(f"  Set-up    {address}/setup?token={setup_token}")
        lines.append("            (creates the administrator; works once, within 30 minutes)")
    elif setup_token is not None:
        lines.append("  Set-up    no administrator yet: hub admin create EMAIL --password-stdin")
    click.echo("\n".join([*lines, "  Press Ctrl-C to stop."]))
