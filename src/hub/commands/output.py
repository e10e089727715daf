"""How commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import msgspec

from hub.core.settings.problems import printable

#: The option of every command that prints a table.
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(document: object, *, err: bool = False) -> None:
    """Print one JSON document, indented; with ``err`` to standard error."""
    click.echo(msgspec.json.format(msgspec.json.encode(document)), err=err)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their heads, in columns as wide as they need.

    Cells hold what people call themselves and their tokens: what a terminal would obey is escaped.
    """
    lines = [[printable(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for row in lines:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def examples(*lines: str) -> str:
    """Return the end of a command's help: how it is used."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class DefaultGroup(click.Group):
    """A group of which one command is meant where none is named."""

    def __init__(self, *, default: str, **options: Any) -> None:
        super().__init__(**options)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command's name before what are its options."""
        own = set(ctx.help_option_names)
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = [self._default, *args]
        return super().parse_args(ctx, args)
