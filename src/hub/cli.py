"""The command ``hub``: what there is, by what one wants to do. Each command lives in ``hub.commands``."""

from __future__ import annotations

import os

import click

import hub
from hub.commands.program import Listed, Program

#: What ``hub`` alone shows. A command's module is imported when the command is called, not before.
SECTIONS = {
    "Run": [
        Listed("up", "hub.commands.serving", "Run everything in one process: web server and worker."),
        Listed("web", "hub.commands.serving", "Run the web server alone; workers run elsewhere."),
        Listed("worker", "hub.commands.serving", "Run a worker alone: it writes the replies."),
    ],
    "Look": [
        Listed("doctor", "hub.commands.doctor", "Find what is wrong, and say what to do about it."),
        Listed("config", "hub.commands.config", "Show every setting and where it comes from."),
        Listed("images", "hub.commands.images", "Count, verify and clear up the files of pictures."),
    ],
    "Let in": [
        Listed("admin", "hub.commands.admin", "Create administrators; look after everybody's account."),
        Listed("token", "hub.commands.token", "Make and delete the tokens of programs."),
    ],
    "Keep": [
        Listed(
            "backup", "hub.commands.backup", "Write everything into one archive, beside a running hub too."
        ),
        Listed("restore", "hub.commands.backup", "Make a hub out of a backup, in an empty place."),
        Listed("migrate", "hub.commands.migrations", "Bring the database's schema forward."),
    ],
    "Move": [
        Listed("import-legacy", "hub.commands.legacy", "Bring everything over from the original."),
    ],
    "Develop": [
        Listed("migration", "hub.commands.migrations", "Write a migration for what changed in the tables."),
    ],
}


@click.group(
    cls=Program,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\
\b
Exit codes: 0 all is well; 1 something is wrong, as is said on standard error;
2 the command or the settings are wrong; 130 stopped by Ctrl-C.

Results go to standard output, messages and progress to standard error. Settings come from config/hub.toml,
.env and the environment (HUB_...); `hub config` shows them. `hub COMMAND --help` has examples.
""",
)
@click.version_option(hub.__version__, prog_name="hub")
@click.pass_context
def main(context: click.Context) -> None:
    """Companion Hub: a self-hosted server for AI companions."""
    if os.environ.get("NO_COLOR"):
        context.color = False
