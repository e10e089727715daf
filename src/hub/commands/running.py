"""What every command needs: the settings, a database, and one line when something is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import msgspec

from hub.core.errors import StartError
from hub.core.logging import configure_logging
from hub.core.settings import Settings, SettingsError, load_settings
from hub.db.provision import Database, open_database


def settings_or_exit() -> Settings:
    """Return the settings, or end with exit code 2 and everything that is wrong with them."""
    try:
        return load_settings()
    except SettingsError as error:
        click.echo(error.render(), err=True)
        raise SystemExit(2) from None


def log_quietly(settings: Settings) -> None:
    """Send logs to standard error, and only what somebody should read; HUB_LOG_LEVEL=debug sends it all."""
    level = "warning" if settings.log_level == "info" else settings.log_level
    configure_logging(msgspec.structs.replace(settings, log_level=level), stream=sys.stderr)


def with_database(run: Callable[[Settings, Database], None]) -> None:
    """Run a command that needs the database; logs go to standard error."""
    settings = settings_or_exit()
    log_quietly(settings)
    with in_one_line(), open_database(settings) as database:
        run(settings, database)


@contextmanager
def in_one_line() -> Iterator[None]:
    """End with exit code 1 and one line when a command cannot run."""
    try:
        yield
    except StartError as error:
        click.echo(f"hub: {error}", err=True)
        raise SystemExit(1) from None
