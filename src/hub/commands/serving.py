"""``hub up``, ``hub web`` and ``hub worker``: what runs until it is told to stop."""

from __future__ import annotations

import click

import hub
from hub.commands.output import examples
from hub.commands.running import settings_or_exit
from hub.core.errors import StartError
from hub.core.logging import configure_logging
from hub.core.settings import Settings
from hub.serve import Roles, serve


@click.command(epilog=examples("hub up", "HUB_PORT=8080 HUB_DATA_DIR=/srv/hub hub up"))
def up() -> None:
    """Run everything in one process: web server and worker.

    Nothing has to be set: without HUB_DATABASE_URL the embedded PostgreSQL is used, without HUB_LLM_URL the
    built-in language model, without HUB_SD_URL the built-in painter. Ctrl-C or SIGTERM stops it in order;
    work under way goes on at the next start.
    """
    _serve(Roles(web=True, worker=True))


@click.command(epilog=examples("HUB_BROKER_URL=amqp://hub:PASSWORD@mq.example/ hub web"))
def web() -> None:
    """Run the web server alone; workers run elsewhere.

    Any number may run on the same database and broker, started in any order; the first one migrates.
    """
    _serve(Roles(web=True, worker=False))


@click.command(epilog=examples("hub worker", "HUB_WORKER_THREADS=256 hub worker"))
def worker() -> None:
    """Run a worker alone: it writes the replies.

    Any number may run. What a worker had in hand that is killed, another one takes over.
    """
    _serve(Roles(web=False, worker=True))


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
