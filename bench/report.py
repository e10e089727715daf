"""What a bench found: figures with their goals, as a table for people and as JSON for programs."""

from __future__ import annotations

import math
import os
import platform
import statistics
from pathlib import Path

import msgspec
from msgspec import Struct


class Figure(Struct, frozen=True, kw_only=True):
    """One measured figure.

    ``goal`` is the most it may be, or with ``at_least`` the least; None is for information only. ``shown``
    is the figure with its unit, ``details`` are lines on how it came about. A ``value`` that is not a number
    says that it could not be measured.
    """

    name: str
    value: float
    shown: str
    goal: float | None = None
    at_least: bool = False
    goal_shown: str = ""
    details: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """``pass``, ``MISS``, ``skipped``, or ``info`` where there is no goal."""
        if math.isnan(self.value):
            return "skipped"
        if self.goal is None:
            return "info"
        met = self.value >= self.goal if self.at_least else self.value <= self.goal
        return "pass" if met else "MISS"


class Machine(Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    python: str


def this_machine() -> Machine:
    """Describe the machine as far as it matters to figures."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return Machine(processor=processor, cores=os.cpu_count() or 1, python=platform.python_version())


def percentile(values: list[float], share: int) -> float:
    """Return the value that ``share`` percent of the values do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def summary(values: list[float], *, unit: str = "ms") -> str:
    """Return the median and the 95th percentile as text."""
    return f"p50 {statistics.median(values):.2f} {unit}, p95 {percentile(values, 95):.2f} {unit}"


def render(figures: list[Figure], machine: Machine) -> str:
    """Return the table, with each figure's details below it."""
    rows = [("figure", "goal", "measured", "")]
    rows += [(each.name, each.goal_shown or "-", each.shown, each.verdict) for each in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{machine.processor}, {machine.cores} cores, Python {machine.python}", ""]
    for row, figure in zip(rows, [None, *figures], strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        lines += [f"    {detail}" for detail in (figure.details if figure else ())]
    missed = [each.name for each in figures if each.verdict == "MISS"]
    lines += ["", f"{len(missed)} of the goals missed: {', '.join(missed)}" if missed else "All goals met."]
    if skipped := [each.name for each in figures if each.verdict == "skipped"]:
        lines.append(f"Not measured: {', '.join(skipped)}")
    return "\n".join(lines)


def to_json(figures: list[Figure], machine: Machine) -> bytes:
    """Return everything as one JSON document."""
    found = [{**msgspec.structs.asdict(each), "verdict": each.verdict} for each in figures]
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "figures": found}))
