"""What a scenario found about each promise, as a table for people and as JSON for programs."""

from __future__ import annotations

from msgspec import Struct, json, structs

from bench.report import Machine


class Finding(Struct, frozen=True, kw_only=True):
    """One promise: what was done to break it, what was found, what the goal is, and whether it is met.

    ``details`` are lines on what went wrong, or on how the figure came about.
    """

    promise: str
    done: str
    found: str
    goal: str
    met: bool
    details: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """``pass`` or ``MISS``."""
        return "pass" if self.met else "MISS"


class Report(Struct, frozen=True, kw_only=True):
    """A whole run."""

    seed: int
    size: str
    machine: Machine
    seconds: dict[str, float]
    findings: list[Finding]


_COLUMNS = ("promise", "done", "found", "goal", "")
_DETAILS = 10


def none_of(
    promise: str, done: str, wrong: list[str], *, what: str, details: tuple[str, ...] = ()
) -> Finding:
    """Return the finding that nothing of ``wrong`` may have happened."""
    return Finding(
        promise=promise,
        done=done,
        found=f"{len(wrong)} {what}",
        goal="0",
        met=not wrong,
        details=(*details, *wrong[:_DETAILS]),
    )


def within(promise: str, done: str, seconds: float, *, goal: float) -> Finding:
    """Return the finding that something may take so long."""
    return Finding(
        promise=promise, done=done, found=f"{seconds:.1f} s", goal=f"<= {goal:g} s", met=seconds <= goal
    )


def render(report: Report) -> str:
    """Return the table, with what went wrong below each line."""
    rows = [_COLUMNS, *((f.promise, f.done, f.found, f.goal, f.verdict) for f in report.findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for row, finding in zip(rows, [None, *report.findings], strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        lines += [f"    {detail}" for detail in (finding.details if finding else ())]
    missed = sum(not finding.met for finding in report.findings)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    lines += ["", f"seed {report.seed}, {report.size}: {took}"]
    lines += [f"{missed} promises broken." if missed else "All promises kept."]
    return "\n".join(lines)


def to_json(report: Report) -> bytes:
    """Return everything as one JSON document."""
    findings = [{**structs.asdict(each), "verdict": each.verdict} for each in report.findings]
    return json.format(json.encode({**structs.asdict(report), "findings": findings}))
