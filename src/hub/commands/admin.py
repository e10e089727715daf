"""``hub admin``: who looks after the server."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import click
import msgspec

from hub.commands.running import with_database
from hub.core.errors import HubError, InvalidRequestError, StartError
from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.db.provision import Database, migrate_database
from hub.domain.accounts.schemas import Register
from hub.domain.accounts.service import AccountService
from hub.domain.limits.service import Limits


@click.group()
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
