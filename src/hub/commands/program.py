"""The program around the commands: its help in sections, and ends that shells understand."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click
from msgspec import Struct


class Listed(Struct, frozen=True):
    """A command as the list of commands has it: its name, the module it is in, and one sentence."""

    name: str
    module: str
    sentence: str

    def load(self) -> click.Command:
        """Import the command: the variable of its name."""
        command = getattr(importlib.import_module(self.module), self.name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module} has no command {self.name}")
        return command


class Program(click.Group):
    """All commands, by section; one is imported only when it is called, since that takes most of the time."""

    def __init__(self, *, sections: Mapping[str, Sequence[Listed]], **options: Any) -> None:
        super().__init__(**options)
        self.sections = sections
        self._listed = {each.name: each for section in sections.values() for each in section}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return [*self._listed, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now."""
        listed = self._listed.get(cmd_name)
        return listed.load() if listed is not None else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant, or say which one may have been."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            known = self.list_commands(ctx)
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=known, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, without importing what they name."""
        width = max(map(len, self.list_commands(ctx)))
        for section, commands in self.sections.items():
            with formatter.section(section):
                formatter.write_dl([(each.name.ljust(width), each.sentence) for each in commands])
        others = [(name, each.get_short_help_str(formatter.width)) for name, each in self.commands.items()]
        if others:
            with formatter.section("More"):
                formatter.write_dl([(name.ljust(width), sentence) for name, sentence in others])

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the command line, and show the help where that is asked for."""
        with _noticing_the_reader():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _noticing_the_reader():
            return super().invoke(ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        **more: Any,
    ) -> Any:
        """Run the command and end the process, quietly where somebody stopped it."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **more)
        try:
            result = super().main(args, prog_name, complete_var, standalone_mode=False, **more)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None
        except click.Abort as error:
            _stop(error)
        except _ReaderGoneError:
            _end_by(signal.SIGPIPE)
        raise SystemExit(result if isinstance(result, int) else 0)


class _ReaderGoneError(Exception):
    """Whoever read our output has left, as ``head`` does; click itself would end with 1."""


@contextmanager
def _noticing_the_reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise _ReaderGoneError from None


def _stop(abort: click.Abort) -> NoReturn:
    """End as Ctrl-C does; or say that a question had no answer."""
    if isinstance(abort.__cause__ or abort.__context__, EOFError):
        click.echo("hub: An answer was needed, and there is none.", err=True)
        raise SystemExit(1)
    _end_by(signal.SIGINT)


def _end_by(number: signal.Signals) -> NoReturn:
    """End by a signal, so that a shell's loop or script knows that it should end too: 130 or 141."""
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left has nobody to go to
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)
