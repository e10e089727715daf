"""``hub token``: what programs come in with, made and deleted by the operator."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import click

from hub.commands.output import as_json_option, examples, print_json, print_table
from hub.commands.people import Desk, day, find_user, with_desk
from hub.core.clock import utc_now
from hub.domain.accounts import personal_tokens
from hub.domain.accounts.personal_tokens import MOST
from hub.domain.accounts.schemas import SCOPES, CreatePersonalToken, PersonalToken, Scope
from hub.live.events import UserSignedOut

_LONGEST_DAYS = 36_500


@click.group(epilog=examples("hub token create mira --name backup --scope read", "hub token list mira"))
def token() -> None:
    """Make and delete the tokens of programs.

    LOGIN is a username or an email address. A program sends its token as `Authorization: Bearer TOKEN`.
    """


@token.command(
    epilog=examples(
        "hub token create mira --name phone --scope read --scope chat",
        "hub token create admin --name watch --scope admin --days 90 > token",
    )
)
@click.argument("login")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; give it again for more.",
)
@click.option(
    "--days",
    type=click.IntRange(1, _LONGEST_DAYS),
    metavar="DAYS",
    help="How long it is good; until it is deleted if left out.",
)
@as_json_option
def create(login: str, name: str, scopes: tuple[Scope, ...], days: int | None, *, as_json: bool) -> None:
    """Make a token for a user's program; it is shown this once.

    The token alone goes to standard output, what there is to say about it to standard error.
    """

    async def run(_: Desk) -> None:
        user = await find_user(login)
        expires_at = utc_now() + timedelta(days=days) if days else None
        command = CreatePersonalToken(name=name, scopes=list(scopes), expires_at=expires_at)
        made = await personal_tokens.create(command, user=user)
        if as_json:
            print_json(made)
            return
        until = f"until {day(made.expires_at)}" if made.expires_at else "until it is deleted"
        words = f"A token of {user.username} for {', '.join(made.scopes)}, good {until}; its id is {made.id}."
        click.echo(words, err=True)
        click.echo(made.token)

    with_desk(run, otherwise="The token was not made")


@token.command("list", epilog=examples("hub token list mira"))
@click.argument("login")
@as_json_option
def list_tokens(login: str, *, as_json: bool) -> None:
    """List the tokens of a user's programs, the newest first; what they are is never shown again."""

    async def run(_: Desk) -> None:
        user = await find_user(login)
        found = (await personal_tokens.page(user_id=user.id, limit=MOST, cursor=None)).items
        if as_json:
            print_json({"tokens": found})
            return
        heads = ["id", "name", "scopes", "ends with", "created", "expires", "last used"]
        print_table(heads, [_row(each) for each in found])

    with_desk(run)


@token.command(epilog=examples("hub token delete 019a1c1e-3f7a-7c3e-9d5a-2b1f6f0c8e11"))
@click.argument("token_id", metavar="ID", type=click.UUID)
def delete(token_id: UUID) -> None:
    """Make a token worthless; what is connected by it is cut off."""

    async def run(desk: Desk) -> None:
        await personal_tokens.revoke(token_id)
        desk.bus.publish(UserSignedOut(token_id))
        click.echo(f"The token {token_id} is deleted.")

    with_desk(run, otherwise="The token was not deleted")


def _row(each: PersonalToken) -> list[str]:
    times = (day(each.created_at), day(each.expires_at), day(each.last_used_at))
    return [str(each.id), each.name, ",".join(each.scopes), each.hint, *times]
