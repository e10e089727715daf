"""``hub doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

import hub
from hub.commands.output import as_json_option, examples, print_json
from hub.core.logging import configure_logging
from hub.core.settings import Settings, SettingsError, load
from hub.core.settings.problems import printable
from hub.doctor.examination import examine, unusable
from hub.doctor.findings import Finding, Status, worst

#: Seconds that it may take altogether, those of them for the end, and those for looking in any case.
_WITHIN, _END, _LEAST = 3.0, 0.6, 1.8
_CLOCK_TICKS = 22 - 3  # of /proc/self/stat, behind the name: when the process began

_SIGNS: dict[Status, tuple[str, str]] = {
    "pass": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "red"),
}


@click.command(
    epilog=examples(
        "hub doctor", "hub doctor --fix", """hub doctor --json | jq '.checks[] | select(.status != "pass")'"""
    )
)
@click.option("--fix", is_flag=True, help="Repair what is safe to repair, and say what was done.")
@click.option(
    "--within",
    type=click.FloatRange(1, 600),
    default=_WITHIN,
    metavar="SECONDS",
    help="How long it may take: more for servers that are slow to answer. By default 3.",
)
@as_json_option
def doctor(*, fix: bool, within: float, as_json: bool) -> None:
    """Find what is wrong, and say what to do about it.

    Looks at the settings, the data folder and its disk, the database and its schema, the broker and its
    queues, the language model, the image server, and the web port; beside a running hub or alone, in less
    than 3 seconds. For each failure one line says what to do, and which setting to look at.

    The exit code is 0 when all is well, warnings included, else 1.

    --fix makes missing folders, closes secret files to others, runs the migrations that are missing (unless
    a hub is running), and removes leftover files. It never deletes anything that a picture, message or
    account needs.
    """
    began = time.monotonic() - _age()
    try:
        loaded = load()
    except SettingsError as error:
        findings = unusable(error)
    else:
        configure_logging(Settings(log_level="error"), stream=sys.stderr)
        seconds = max(began + within - _END - time.monotonic(), _LEAST)
        findings = examine(loaded, seconds=seconds, fix=fix)
    _show(findings, took=time.monotonic() - began, as_json=as_json)
    raise SystemExit(1 if worst(findings) == "fail" else 0)


def _age() -> float:
    """Return how many seconds ago this process began, as far as the system tells."""
    try:
        told = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(told[_CLOCK_TICKS]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return 0.5


def _show(findings: Sequence[Finding], *, took: float, as_json: bool) -> None:
    if as_json:
        checks = msgspec.to_builtins(findings)
        print_json({"status": worst(findings), "version": hub.__version__, "checks": checks})
        return
    width = max(len(each.check) for each in findings)
    for each in findings:
        sign, colour = _SIGNS[each.status]
        told = f"{each.detail} [fixed: {each.fixed}]" if each.fixed else each.detail
        click.echo(f"{click.style(sign.ljust(4), fg=colour)}  {each.check.ljust(width)}  {printable(told)}")
        if each.advice is not None:
            look_at = f"{each.setting}: " if each.setting else ""
            click.echo(f"{'':{width + 6}}  {look_at}{printable(each.advice)}")
    click.echo(_summary(findings, took))


def _summary(findings: Sequence[Finding], took: float) -> str:
    failed, warned = (sum(each.status == status for each in findings) for status in ("fail", "warn"))
    words = [f"{failed} failed"] if failed else []
    words += [f"{warned} to look at"] if warned else []
    return f"\n{len(findings)} looked at in {took:.1f} s: {', '.join(words) or 'all is well'}."
