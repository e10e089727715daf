"""The command ``hub``: what it is made of. Each command lives in ``hub.commands``."""

from __future__ import annotations

import click

import hub
from hub.commands.admin import admin
from hub.commands.images import images
from hub.commands.legacy import import_legacy
from hub.commands.migrations import migrate, migration
from hub.commands.serving import up, web, worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hub.__version__, prog_name="hub")
def main() -> None:
    """Companion Hub: a self-hosted server for AI companions."""


main.add_command(up)
main.add_command(web)
main.add_command(worker)
main.add_command(admin)
main.add_command(images)
main.add_command(migrate)
main.add_command(migration)
main.add_command(import_legacy)
