"""``hub admin``: administrators, and everybody's account."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import click
import msgspec
from msgspec import UNSET, UnsetType

from hub.commands.output import as_json_option, examples, print_json, print_table
from hub.commands.people import Desk, day, find_user, with_desk
from hub.domain.accounts import administration
from hub.domain.accounts.schemas import AdminUser, Password, Register, Role, UpdateUser
from hub.live.events import UserSignedOut

_PAGE = 500

_password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group(
    epilog=examples(
        "hub admin create me@example.org", "hub admin list --all", "hub admin reset-password mira"
    )
)
def admin() -> None:
    """Create administrators; look after everybody's account.

    LOGIN is a username or an email address. A running hub learns of every change at once.
    """


@admin.command(
    epilog=examples(
        "hub admin create me@example.org", "pass hub | hub admin create me@example.org --password-stdin"
    )
)
@click.argument("email")
@click.option("--username", help="By default what stands before the @.")
@_password_option
def create(email: str, username: str | None, *, password_stdin: bool) -> None:
    """Create an administrator with this email address."""
    password = _password(from_stdin=password_stdin)
    name = username or "".join(
        c if c.isascii() and c.isalnum() else "_" for c in email.partition("@")[0].lower()
    )
    given = {"username": name[:20].ljust(3, "_"), "email": email, "password": password}

    async def run(desk: Desk) -> None:
        sign_in = await desk.accounts.create_admin(msgspec.convert(given, Register))
        click.echo(f"{sign_in.user.username} <{sign_in.user.email}> is an administrator.")

    with_desk(run, otherwise="The administrator was not created")


@admin.command("list", epilog=examples("hub admin list", "hub admin list --all --json"))
@click.option("--all", "everybody", is_flag=True, help="List everybody, not only administrators.")
@as_json_option
def list_users(*, everybody: bool, as_json: bool) -> None:
    """List the administrators, the newest first."""

    async def run(_: Desk) -> None:
        found = [each async for each in _users() if everybody or each.role == "admin"]
        if as_json:
            print_json({"users": found})
            return
        heads = ["username", "email", "role", "state", "created", "last seen"]
        print_table(heads, [_row(each) for each in found])

    with_desk(run)


@admin.command(
    epilog=examples(
        "hub admin reset-password mira", "echo NEW | hub admin reset-password mira --password-stdin"
    )
)
@click.argument("login")
@_password_option
def reset_password(login: str, *, password_stdin: bool) -> None:
    """Set a new password for somebody; all their sign-ins end, their tokens stay."""
    password = _password(from_stdin=password_stdin)

    async def run(desk: Desk) -> None:
        user = await find_user(login)
        for token_id in await desk.accounts.reset_password(user.id, msgspec.convert(password, Password)):
            desk.bus.publish(UserSignedOut(token_id))
        click.echo(f"{user.username} has the new password; all sign-ins have ended.")

    with_desk(run, otherwise="The password was not changed")


@admin.command(epilog=examples("hub admin disable mira"))
@click.argument("login")
def disable(login: str) -> None:
    """Keep somebody out; what they have stays, and their work under way is cancelled."""
    _change(login, "may not come in any more", disabled=True)


@admin.command(epilog=examples("hub admin enable mira"))
@click.argument("login")
def enable(login: str) -> None:
    """Let somebody in again who was disabled."""
    _change(login, "may come in again", disabled=False)


@admin.command(epilog=examples("hub admin promote mira"))
@click.argument("login")
def promote(login: str) -> None:
    """Make somebody an administrator."""
    _change(login, "is an administrator", role="admin")


@admin.command(epilog=examples("hub admin demote mira"))
@click.argument("login")
def demote(login: str) -> None:
    """Make an administrator a user like any other."""
    _change(login, "is a user like any other", role="user")


def _change(
    login: str, words: str, *, disabled: bool | UnsetType = UNSET, role: Role | UnsetType = UNSET
) -> None:
    async def run(desk: Desk) -> None:
        user = await find_user(login)
        command = UpdateUser(disabled=disabled, role=role)
        for token_id in await desk.clearing.change_account(user.id, command):
            desk.bus.publish(UserSignedOut(token_id))
        click.echo(f"{user.username} {words}.")

    with_desk(run, otherwise="Nothing was changed")


async def _users() -> AsyncIterator[AdminUser]:
    cursor = None
    while True:
        page = await administration.page(limit=_PAGE, cursor=cursor, query=None)
        for each in page.items:
            yield each
        cursor = page.next_cursor
        if cursor is None:
            return


def _row(user: AdminUser) -> list[str]:
    state = "disabled" if user.disabled_at else "active"
    return [user.username, user.email, user.role, state, day(user.created_at), day(user.last_seen_at)]


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
