"""Write docs/commands.md from the commands themselves: ``python -m tools.commands``.

Sections, sentences, options and examples are those of the help; what a command prints, where it is worth
showing, stands here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from hub.cli import SECTIONS, main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

_HEAD = """\
# Commands

Every command of `hub`, as its help has it. In a clone of the project `hub` is `.venv/bin/python -m hub`; in
an environment that the wheel is installed in it is `hub`.

- Each reads the same settings as the server: config/hub.toml, `.env`, `HUB_*` in the environment
  ([configuration.md](configuration.md)). Run it in the folder that the server runs in.
- Each works beside a running hub, and alone: then the embedded database, if that is used, is started for as
  long as the command runs.
- Results go to standard output, messages and progress to standard error; `--json` prints one JSON document.
  No colours unless on a terminal, and none with `NO_COLOR`.

| exit code | |
|---|---|
| 0 | all is well |
| 1 | something is wrong; one line on standard error says what, and what to do |
| 2 | the command line or the settings are wrong; nothing was begun |
| 130, 141 | stopped by Ctrl-C; whoever read the output went away (`hub config \\| head -1`) |
"""

#: What commands print, by their names.
_PRINTS = {
    "up": """\
Companion Hub 0.1.0 is ready.
  Address   http://127.0.0.1:8000
  API docs  http://127.0.0.1:8000/docs
  Set-up    http://127.0.0.1:8000/setup?token=...
            (creates the administrator; works once, within 30 minutes)
  Press Ctrl-C to stop.""",
    "doctor": """\
ok    hub             version 0.1.0, Python 3.11.7, Linux x86_64
ok    settings        differ from their defaults: HUB_LLM_URL (.env), HUB_LLM_MODEL (.env)
ok    data folder     /srv/hub/data is writable
ok    secret key      in data/secret_key
ok    disk            53.1 GB free, 512.0 MB of it kept free
ok    backups         7 in /srv/hub/backups, the last 0.4 days old
ok    clock           agrees with the database's
ok    database        embedded, PostgreSQL 18.4, 9.1 MB, UTF8, 3 of 197 connections in use
ok    migrations      all 28 have run
warn  administrator   there is none yet
                      Create one: hub admin create EMAIL.
ok    jobs            0 wait, 0 run; in 24 hours 12 done, 0 failed
ok    leftovers       0 removed pictures wait for their time, 0 old temporary files
ok    broker          in-process: web and worker are one process, PostgreSQL keeps the jobs
FAIL  language model  http://127.0.0.1:11434/v1 cannot be reached (ConnectError)
                      HUB_LLM_URL: Start that server, or correct the address.
ok    image server    the painter that is built in
ok    pictures        libvips 8.18.7 paints, reads and writes avif
ok    prompts         the built-in ones
ok    web port        127.0.0.1:8000 is held by this hub, which is running
ok    running hub     version 0.1.0 says that it is well

19 looked at in 0.5 s: 1 failed, 1 to look at.""",
    "config show": """\
setting                    value                  origin
HUB_ENV                    development            config/hub.toml
HUB_PORT                   8080                   .env
HUB_DATABASE_URL           postgresql://***@db/hub  environment
...""",
    "images stats": """\
Pictures              1,204 of 37 companions
Stored                98.4 MB
Thumbnails            9.1 MB
As they were sent     2.1 GB (95.0% saved)
Removed, files wait   3""",
    "images verify": """\
row without file:  image 01a2087d-6083-772c-9daf-aaea8d4b033f  uploads/companions/.../headers/4b1c....avif
1,204 pictures, 2,408 files, 107.5 MB read. 1 fault.""",
    "images gc": """\
3 removed pictures                 6 files   412.0 kB
Temporary files                    0 files        0 B
Files without a row                0 files        0 B
Together                           6 files   412.0 kB""",
    "admin create": "me_ <me@example.org> is an administrator.",
    "admin list": """\
username  email           role   state   created     last seen
me_       me@example.org  admin  active  2026-11-23  2026-11-23""",
    "token create": "chub_...",
    "token list": """\
id                                    name   scopes     ends with  created     expires     last used
01a2087d-6083-772c-9daf-aaea8d4b033f  phone  read,chat  x7Qe       2026-11-23  2027-02-21  -""",
    "migrate": "The database is up to date.",
}


def page() -> str:
    """Return the whole page."""
    context = click.Context(main, info_name="hub")
    parts = [_HEAD]
    for section, commands in SECTIONS.items():
        parts.append(f"## {section}\n")
        for listed in commands:
            parts += _described(listed.load(), context, listed.name)
    others = [each for name in main.list_commands(context) if (each := main.commands.get(name))]
    if others:
        parts.append("## More\n")
        parts += [text for each in others for text in _described(each, context, each.name or "")]
    return "\n".join(parts)


def paths(command: click.Command = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be called, with its whole name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name="hub")
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None:
            yield from paths(below, f"{path} {name}".strip())


def _described(command: click.Command, parent: click.Context, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=parent)
    level = "###" if " " not in path else "####"
    pieces = command.collect_usage_pieces(context)
    has_options = any(isinstance(each, click.Option) for each in command.params)
    usage = " ".join(pieces if has_options else pieces[1:])
    yield f"{level} `hub {path}`\n"
    yield f"```\nhub {path} {usage}".rstrip() + "\n```\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield from _options(command, context)
    if command.epilog:
        yield _examples(command.epilog)
    if path in _PRINTS:
        yield f"prints\n```\n{_PRINTS[path]}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _described(below, context, f"{path} {name}")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [each.get_help_record(context) for each in command.params]
    rows = [f"| `{record[0]}` | {record[1]} |" for record in records if record is not None]
    if rows:
        yield "| option | |\n|---|---|\n" + "\n".join(rows) + "\n"


def _examples(epilog: str) -> str:
    text = epilog.replace("\b\n", "").removeprefix("Examples:\n")
    return f"```sh\n{inspect.cleandoc(text)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
